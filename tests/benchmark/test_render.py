from lotus_unlearning.benchmark.layout import Entry, Table
from lotus_unlearning.benchmark.published import published
from lotus_unlearning.benchmark.render import as_csv, as_latex, as_markdown, as_text
from lotus_unlearning.metrics import Interval


def table():
    number = Entry("-0.50 ± 0.10", "best", Interval(-0.5, -0.6, -0.4))
    rows = [
        [Entry("a|b_1 & 50%"), Entry("paper"), number, Entry("1 ± 2")],
        [Entry("other"), Entry("paper"), Entry("1.00", "as good", Interval(1, 0, 2)), Entry("–")],
    ]
    heads = ["Method", "Settings", "JSD x1e3", "printed"]
    measures = [None, None, "js_divergence", None]
    return Table("block", "A title", heads, rows, ["A note: 5%."], measures)


def test_a_terminal_shows_marks_as_signs():
    text = as_text(table())
    assert "-0.50 ± 0.10 *" in text
    assert "1.00 =" in text
    assert text.endswith("A note: 5%.\n")


def test_markdown_keeps_its_columns_whatever_a_label_holds():
    lines = [line for line in as_markdown(table()).splitlines() if line.startswith("|")]
    assert "**-0.50 ± 0.10**" in lines[2]
    assert "*1.00*" in lines[3]
    assert {line.replace("\\|", "").count("|") for line in lines} == {5}


def test_latex_escapes_what_would_break_it():
    text = as_latex(table())
    assert r"a|b\_1 \& 50\%" in text
    assert r"\textbf{-0.50 $\pm$ 0.10}" in text
    assert r"\begin{tabular}{llrr}" in text


def test_csv_holds_the_numbers_unrounded():
    lines = as_csv([table()]).splitlines()
    assert lines[1] == "block,a|b_1 & 50%,paper,js_divergence,-0.5,-0.6,-0.4,best,-0.50 ± 0.10"


def test_published_numbers_are_read_and_written_as_printed():
    found = published()
    assert len(found) == 458
    assert str(found["1", "vit", "cifar-100", "10%", "lotus", "time"]) == "7.02 ± 0.01 min"
    assert str(found["1", "resnet18", "mufac", "10%", "neg-grad-plus", "avg_gap"]) == "0.155"
    assert str(found["2", "resnet18", "cifake", "10%", "lotus", "avg_gap"]) == "0.03"
    assert str(found["9", "resnet18", "cifar-100", "class", "gold", "time"]).endswith("min")
    known = {"original", "gold", "lotus", "finetune", "neg-grad-plus", "random-labels", "all"}
    known |= {"bad-teacher", "scrub", "ssd", "unsir", "salun"}
    known |= {"lotus, gumbel-softmax", "lotus, softmax"}
    assert {method for *_, method, _ in found} == known
