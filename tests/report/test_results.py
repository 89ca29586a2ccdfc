import re

import pytest
from browser import needs_chromium, overflows
from results_data import LINES, page_of

from lotus_unlearning.report import render_results


@pytest.fixture(scope="module")
def text():
    return render_results(page_of())


def test_every_number_of_the_table_is_on_the_page(text):
    for row in page_of()["sections"][0]["table"]["rows"]:
        for cell in row["cells"]:
            assert re.search(rf">{re.escape(cell['text'])}( <small>|<)", text)
            assert cell.get("spread", "") in text
    assert "<b>12.5</b>" in text
    assert "<em>93.1</em>" in text
    assert "Bold" in text
    assert "not significantly worse" in text


def test_printed_values_and_references_are_set_apart(text):
    assert len(re.findall(r'<td class=" printed">0\.7', text)) == len(LINES)
    assert text.count('<tr class="apart">') == 2
    assert "repeat the LoTUS paper" in text


def test_labels_with_markup_are_shown_and_not_run(text):
    assert "<img" not in text
    assert "onerror=&" in text
    assert "$x^2$" in text


def test_equal_pages_give_equal_bytes_and_leave_the_data_alone(text):
    page = page_of()
    assert render_results(page) == text
    assert page == page_of()
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


def test_the_page_needs_nothing_from_outside_and_no_identifier_is_used_twice():
    text = render_results(page_of(sections=[page_of()["sections"][0]] * 2))
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", text)
    assert not re.search(r"url\((?!['\"]?#)", text)
    assert "http" not in re.sub(r"<meta http-equiv[^>]*>", "", text)
    assert "<script" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_what_is_absent_leaves_no_trace():
    page = page_of(summary=[], glossary=[], run={})
    section = page["sections"][0]
    for key in ("intervals", "scatters", "epochs", "entropies", "notes"):
        section[key] = []
    section["table"]["heads"] = section["table"]["heads"][:1]
    section["table"]["rows"] = [
        {**row, "cells": row["cells"][:1]} for row in section["table"]["rows"][2:]
    ]
    text = render_results(page)
    for words in (
        "side by side", "against keeping", "Over the epochs", "give forgotten images away",
        "How it was run", 'class="remarks"', "Shaded rows", "<dt>gold", "italic</em>", "Closer to",
    ):  # fmt: skip
        assert words not in text


def test_a_page_without_sections_says_so():
    text = render_results({"title": "Nothing", "sections": []})
    assert "nothing to show" in text
    assert "How to read" not in text


def test_a_page_with_problems_is_refused_with_all_of_them():
    page = page_of(colour="red")
    section = page["sections"][0]
    section["table"]["rows"][0]["cells"].pop()
    section["intervals"][0]["rows"][0]["kind"] = "bronze"
    del section["title"]
    with pytest.raises(ValueError, match="colour") as caught:
        render_results(page)
    for words in ('"title" must be a text', "2 cells for 3 heads", "bronze"):
        assert words in str(caught.value)


def test_every_chart_says_in_words_what_it_shows(text):
    labels = re.findall(r'role="img" aria-label="([^"]*)"', text)
    assert len(labels) == 1 + 1 + 4 + len(LINES)
    assert any("lotus (tuned) 1.5 [1, 2]" in label for label in labels)
    assert any("dynamic from 1 to" in label for label in labels)
    assert any("Kolmogorov-Smirnov distance 0.400" in label for label in labels)


@needs_chromium
@pytest.mark.parametrize("width", [1280, 500, 360])
def test_a_real_browser_logs_nothing_and_nothing_overflows(text, tmp_path, width):
    assert overflows(text, tmp_path, width) == []
