import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import torch

from lotus_unlearning import Evaluation, LoTUS, Splits, evaluate, unlearn
from lotus_unlearning.datasets import load
from lotus_unlearning.models import build
from lotus_unlearning.report import render, write


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
    assert '"history" must be a list' in str(caught.value)


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path):
    file = tmp_path / "page.html"
    write(_minimal(title="old"), file)
    with pytest.raises(ValueError, match="table"):
        write({"title": "new", "columns": []}, file)
    assert "old" in file.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


_PROBE = """<script>
window.addEventListener('load', () => {
  const wide = document.documentElement.scrollWidth;
  document.title = 'WIDTH ' + wide + ' OF ' + window.innerWidth;
  document.body.setAttribute('data-probe', document.title);
});
</script></body>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 500, 0], ids=["desktop", "narrow", "as written"])
def test_a_real_browser_logs_nothing_and_nothing_overflows(evaluation, tmp_path, width):
    file = tmp_path / "page.html"
    page = render(evaluation.page)
    allowed = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page)
    probed = allowed.replace("</body>", _PROBE)  # the page itself allows no script
    assert probed.count("<script") == 1
    file.write_text(page if width == 0 else probed, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    size = f"--window-size={width or 1280},900"
    done = subprocess.run(
        ["chromium", *options, profile, size, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    if width == 0:
        return
    found = re.search(r'data-probe="WIDTH (\d+) OF (\d+)"', done.stdout)
    assert found is not None
    assert int(found[1]) <= int(found[2])


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
