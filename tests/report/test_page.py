import re
import subprocess
from html.parser import HTMLParser

import pytest
import torch
from browser import needs_chromium, overflows

from lotus_unlearning import Evaluation, LoTUS, Splits, evaluate, unlearn
from lotus_unlearning.datasets import load
from lotus_unlearning.models import build
from lotus_unlearning.report import charts, render, write
from lotus_unlearning.report.palette import styles


@pytest.fixture(scope="module")
def evaluation():
    """A small real one: original, unlearned and a stand-in for gold, on digits."""
    data = load("digits", limit=200)
    splits = Splits.random(data.train, unseen=data.unseen, test=data.test, on_overlap="drop")
    original, gold = (
        build("resnet-thin", classes=10, channels=1, image_size=8, seed=s).eval() for s in (0, 1)
    )
    result = unlearn(original, splits, LoTUS(epochs=3), device="cpu", progress=False)
    return evaluate(result, splits, original=original, gold=gold, device="cpu")


def _minimal(**more):
    row = {
        "measure": "forget_accuracy",
        "label": "Accuracy on forget",
        "direction": "near gold",
        "unit": "share",
        "definition": "",
        "values": {"unlearned": 0.5},
    }
    return {"title": "A page", "columns": ["unlearned"], "table": [row], **more}


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.outside, self.ids, self.anchors = [], [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value:
                if value.startswith("#"):
                    self.anchors.append(value[1:])
                elif tag != "a" and not value.startswith("data:"):
                    self.outside.append((tag, value))
            if name == "id":
                self.ids.append(value)


def test_the_page_is_one_file_that_needs_nothing_from_outside(evaluation, tmp_path):
    text = evaluation.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    links = _Links()
    links.feed(text)
    assert links.outside == []
    assert not re.search(r"url\((?!['\"]?(#|data:))", text)
    assert "<script" not in text
    assert set(links.anchors) <= set(links.ids)
    assert len(links.ids) == len(set(links.ids))


def test_the_page_shows_every_section(evaluation):
    text = render(evaluation.page)
    for words in (
        "Verdict", "Caveats", "Forgotten images", "Over the epochs", "Confidence on forget",
        "Can an attacker tell?", "Divergence by class", "Manifest", "sha256 of weights",
    ):  # fmt: skip
        assert words in text
    images = len(evaluation.page["images"])
    assert images > 3
    assert text.count("data:image/png;base64") >= images


def test_the_same_evaluation_gives_the_same_page(evaluation):
    assert render(evaluation.page) == render(evaluation.page)


def test_without_gold_the_page_judges_nothing():
    text = render(_minimal())
    assert "describe and do not judge" in text
    assert "distance to gold" not in text


def test_no_model_is_called_the_best_where_nothing_says_how_sure_that_is():
    row = {"measure": "test_accuracy", "label": "Accuracy on test", "direction": "up"}
    row |= {"unit": "share", "values": {"original": 0.9, "unlearned": 0.901}}
    text = render({"title": "A page", "columns": ["original", "unlearned"], "table": [row]})
    assert "best" not in re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL).lower()


def test_a_few_unsure_images_are_seen_beside_many_certain_ones():
    """On a root scale, a hundredth of the images is a tenth as high as all of them."""
    counts = [0.99, *[0.0] * 28, 0.01]
    section = {"edges": [n / 30 for n in range(31)], "forget": {"unlearned": counts}}
    (chart,) = charts.entropy(section, styles(["unlearned"]))
    path = re.search(r'<path d="([^"]*)" clip-path="[^"]*" style="fill: #', chart.svg)
    assert path is not None
    tops = [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", path[1])]
    spike, most = (round(max(tops) - y, 2) for y in sorted(set(tops))[-2::-1])
    assert spike / most == pytest.approx((0.01 / 0.99) ** 0.5, rel=0.02)
    assert "root scale" in chart.svg


def test_hostile_names_are_shown_and_not_run():
    text = render(_minimal(title="<script>alert(1)</script>", summary=["<img src=x onerror=y>"]))
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;" in text


def test_a_page_with_problems_is_refused_with_all_of_them():
    page = _minimal(histroy=[], history=3)
    page["table"][0]["direction"] = "sideways"
    with pytest.raises(ValueError, match="direction") as caught:
        render(page)
    assert "histroy" in str(caught.value)
    assert "history (expected a list or null, got 3)" in str(caught.value)


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path):
    file = tmp_path / "page.html"
    write(_minimal(title="old"), file)
    with pytest.raises(ValueError, match="table"):
        write({"title": "new", "columns": []}, file)
    assert "old" in file.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


@needs_chromium
@pytest.mark.parametrize("width", [1280, 500, 360])
def test_a_real_browser_logs_nothing_and_nothing_overflows(evaluation, tmp_path, width):
    assert overflows(render(evaluation.page), tmp_path, width) == []


@needs_chromium
def test_what_overflows_is_seen(tmp_path):
    page = _minimal(summary=["x" * 30])
    page = render(page).replace("x" * 30, "<p style='width:600px'>wide</p>")
    found = overflows(page, tmp_path, 360)
    assert found[0].startswith("the page is 6")
    assert "P wide" in found


def test_an_evaluation_survives_json(evaluation, tmp_path):
    again = Evaluation.from_json(evaluation.to_json(tmp_path / "metrics.json"))
    assert again.values == evaluation.values
    assert render(again.page) == render(evaluation.page)
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(ValueError, match="other JSON"):
        Evaluation.from_json(tmp_path / "other.json")


def test_torch_is_not_needed_to_draw_a_page():
    code = (
        "import sys; sys.modules['torch'] = None; import lotus_unlearning.report as r; "
        f"print(len(r.render({_minimal()!r})))"
    )
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5000
    assert torch.__version__
