"""The benchmark: a grid of data, models, scenarios, methods and seeds, run cell by cell.

``grid`` expands what a table needs into cells, ``schedule`` runs those that ``store`` does not
hold yet, ``summary`` and ``tables`` turn the finished ones into tables. Nothing is computed twice,
and a table can be made again from the cells alone.
"""
