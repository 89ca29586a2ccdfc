"""The benchmark: a grid of data, models, scenarios, methods and seeds, run cell by cell.

``grid`` expands what a table needs into ``cells``, which are jobs (:mod:`lotus_unlearning.jobs`);
``work`` does one of them; ``summary`` and ``tables`` turn the finished ones into tables. Nothing is
computed twice, and a table can be made again from the cells alone.
"""
