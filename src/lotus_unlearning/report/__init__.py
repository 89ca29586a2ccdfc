"""Results as one self-contained HTML file, made from plain data (this package never needs torch).

`render` turns the page of one run into HTML, `write` puts it into a file; `page.py` says what such
a page holds. `render_results` does the same for the tables of a benchmark; see `results.py`.
"""

from lotus_unlearning.report.page import render, write
from lotus_unlearning.report.results import render_results

__all__ = ["render", "render_results", "write"]
