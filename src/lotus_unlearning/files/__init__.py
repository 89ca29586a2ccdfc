"""Files that anybody may have written: read as plain data, written complete or not at all."""
