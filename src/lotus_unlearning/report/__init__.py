"""Results as one self-contained HTML file, made from plain data (this package never needs torch).

`render` turns a page into HTML, `write` puts it into a file. `page.py` says what a page holds.
"""

from lotus_unlearning.report.page import render, write

__all__ = ["render", "write"]
