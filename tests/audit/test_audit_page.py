import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from browser import needs_chromium, overflows
from printed import PAPER, as_on_paper, differences

from lotus_unlearning.report import audit as report_audit
from lotus_unlearning.report.audit import render_audit
from lotus_unlearning.report.figures import at, written


def minimal(**more):
    row = {
        "measure": "auc_margin", "label": "AUC", "level": 0, "direction": "near gold", "unit": "",
        "values": {"unlearned": 0.5}, "models": "none", "perfect": "gold's",
    }  # fmt: skip
    verdict = {"outcome": "not enough gold models to say", "sentences": [], "findings": []}
    page = {"title": "A page", "level": 0, "columns": ["unlearned"], "verdict": verdict}
    return {**page, "ladder": [row], **more}


class _Reader(HTMLParser):
    """Figures with their places, the text around them, links and identifiers."""

    def __init__(self):
        super().__init__()
        self.figures, self.text, self.outside, self.ids, self.anchors = [], [], [], [], []
        self._figure, self._hidden = None, 0

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag in ("style", "svg", "title", "h1"):
            self._hidden += 1
        if tag == "data":
            self._figure = (found["value"], found["data-at"])
        if "id" in found:
            self.ids.append(found["id"])
        for name in ("src", "href", "xlink:href"):
            value = found.get(name) or ""
            if value.startswith("#"):
                self.anchors.append(value[1:])
            elif value and tag != "a" and not value.startswith("data:"):
                self.outside.append((tag, value))

    def handle_endtag(self, tag):
        if tag in ("style", "svg", "title", "h1"):
            self._hidden -= 1
        if tag == "data":
            self._figure = None

    def handle_data(self, text):
        if self._figure is not None:
            self.figures.append((*self._figure, text))
        elif not self._hidden:
            self.text.append(text)


def read(html):
    reader = _Reader()
    reader.feed(html)
    return reader


def strings(value):
    """All texts of plain data."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [s for pair in value.items() for part in pair for s in strings(part)]
    return [s for part in value for s in strings(part)] if isinstance(value, list) else []


UNITS = ("", "share", "nats", "sd", "p", "belief")


def test_every_figure_of_the_page_is_in_the_json_beside_it(page):
    figures = read(render_audit(page)).figures
    assert len(figures) > 200
    for value, place, text in figures:
        stored = at(page, place)
        assert repr(stored) == value, place
        assert text in [written(stored, unit) for unit in UNITS], place


def test_no_figure_is_on_the_page_that_is_not_in_the_json(page):
    """What remains without figures, and without the texts of the JSON, holds no number."""
    known = {text for text in strings(page)}
    manifest = {f"{v}" for v in _leaves(page["manifest"])}
    sizes = {f"{len(page['manifest'][k])} entries" for k in ("forgotten",)}
    for text in read(render_audit(page)).text:
        words = text.strip()
        if not re.search(r"\d", words) or words in known | manifest | sizes:
            continue
        rest = words
        for sentence in sorted(known, key=len, reverse=True):
            rest = rest.replace(sentence, " ")
        allowed = re.sub(r"\bLevel [0-3]\b|\b(sd|p)\b", " ", rest)
        counts = (
            f"of {len(page['per_image']['ids'])} images",
            f"{sum(page['per_image']['outside'])}",
        )
        assert not re.search(r"\d", allowed) or any(c in words for c in counts), words


def _leaves(value):
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def test_charts_draw_what_the_json_holds(page):
    html = render_audit(page)
    label = re.search(r'aria-label="(\d+) images, (\d+) of them outside', html)
    assert int(label[1]) == len(page["per_image"]["ids"])
    assert int(label[2]) == sum(page["per_image"]["outside"])
    for row in page["statistics"]:
        assert f"{row['label']} " in re.search(r"Distance from the golds.*?\"", html)[0]
    for score, curves in page["roc"].items():
        for column, curve in curves["models"].items():
            assert re.search(rf'{score}, on log axes[^"]*{column} {curve["auc"]:.3f}', html)


def test_the_page_is_one_file_that_needs_nothing_from_outside(page):
    html = render_audit(page)
    links = read(html)
    assert links.outside == []
    assert "<script" not in html
    assert not re.search(r"url\((?!['\"]?(#|data:))", html)
    assert set(links.anchors) <= set(links.ids)
    assert len(links.ids) == len(set(links.ids))


def test_the_page_shows_every_section(page):
    html = render_audit(page)
    for words in (
        "Verdict", "Is the verdict itself to be trusted?", "Image by image", "Least like a gold",
        "Can an attacker tell?", "By LiRA", "How unsure is it?", "How fast does it come back?",
        "Level 0", "Level 1", "Level 2", "Level 3", "Caveats", "Manifest", "Glossary",
    ):  # fmt: skip
        assert words in html, words
    assert html.count("data:image/png;base64") == len(page["worst"])


def test_the_same_audit_gives_the_same_page(page):
    assert render_audit(page) == render_audit(page)


def test_a_page_with_little_on_it_is_drawn():
    html = render_audit(minimal())
    assert "Not enough gold models to say" in html
    assert "Is the verdict itself" not in html
    assert "Image by image" not in html


def test_hostile_names_are_shown_and_not_run(page):
    evil = "<script>alert(1)</script>"
    hostile = json.loads(json.dumps(page))
    hostile |= {"title": evil, "summary": [evil], "notes": [evil], "manifest": {evil: evil}}
    hostile["worst"][0] |= {"id": evil, "label": evil, "png": evil}
    hostile["ladder"][0] |= {"label": evil, "definition": evil, "note": evil}
    hostile["verdict"]["sentences"] = [evil]
    hostile["statistics"][0]["label"] = evil
    hostile["roc"][evil] = hostile["roc"].pop("By RMIA")
    html = render_audit(hostile)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_page_with_problems_is_refused_with_all_of_them():
    wrong = minimal(verdcit=1, level=9, columns=["gold"])
    wrong["ladder"][0]["direction"] = "sideways"
    wrong["verdict"]["outcome"] = "certified"
    with pytest.raises(ValueError, match="cannot be rendered") as caught:
        render_audit(wrong)
    for words in (
        "did you mean 'verdict'",
        '"level" must be',
        '"columns" must',
        "sideways",
        "outcome",
    ):
        assert words in str(caught.value), words


def test_only_the_three_outcomes_are_known():
    assert report_audit.OUTCOMES == (
        "indistinguishable from retraining at the tested power",
        "distinguishable",
        "not enough gold models to say",
    )


def test_torch_is_not_needed_to_draw_a_page():
    code = (
        "import sys; sys.modules['torch'] = None; from lotus_unlearning.report.audit import "
        f"render_audit; print(len(render_audit({minimal()!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5000


@needs_chromium
@pytest.mark.parametrize("width", [1280, 360])
def test_a_real_browser_logs_nothing_and_nothing_overflows(page, tmp_path, width):
    assert overflows(render_audit(page), tmp_path, width) == []


@needs_chromium
def test_all_of_the_page_is_printed_but_for_what_is_clicked(page, tmp_path):
    """Notes and costs of the ladder, folded away on a screen, and every forgotten id."""
    assert differences(render_audit(page), tmp_path) == []


@needs_chromium
def test_nothing_is_wider_than_a_sheet_of_paper(page, tmp_path):
    assert overflows(as_on_paper(render_audit(page)), tmp_path, PAPER) == []
