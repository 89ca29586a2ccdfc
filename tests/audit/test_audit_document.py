"""docs/audit.md says what the audits say that were committed beside it."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lotus_unlearning.audit import audit
from lotus_unlearning.report.page import formatted

ROOT = Path(__file__).parents[2]
KEPT = (
    "docs/audit.md",
    "docs/write_audit.py",
    "benchmarks/bank_speed.py",
    "benchmarks/false_alarms.py",
    "benchmarks/results",
)


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs" / "write_audit.py"))


@pytest.fixture(scope="module")
def pages(leaky, original, filled, digits):
    models = {"original": original, "lotus": leaky}
    return {
        name: audit(model, digits, original=original, golds=filled, device="cpu").page
        for name, model in models.items()
    }


def test_the_document_is_what_its_script_writes(tmp_path):
    for name in KEPT:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    subprocess.run([sys.executable, str(tmp_path / "docs" / "write_audit.py")], check=True)
    assert (tmp_path / "docs/audit.md").read_bytes() == (ROOT / "docs/audit.md").read_bytes()


def test_it_says_who_is_distinguishable_and_where(script, pages):
    text = script["section"]("digits", pages)
    assert pages["lotus"]["verdict"]["outcome"] == "distinguishable"
    assert "| LoTUS | **distinguishable** |" in text
    assert "LoTUS" in text[text.index("Distinguishable from retraining:") :].splitlines()[0]
    for found in pages["lotus"]["statistics"]:
        assert (f"**{script['written'](found['effect'], 'sd')}**" in text) or not found[
            "distinguishable"
        ]
    for sentence in pages["lotus"]["self_test"]["sentences"]:
        assert f"* {sentence}" in text


def test_every_value_of_the_ladder_is_in_its_table(script, pages):
    lines = script["section"]("digits", pages).splitlines()
    for i, row in enumerate(pages["lotus"]["ladder"]):
        shown = next(
            line for line in lines if line.startswith(f"| {row['level']} | {row['label']} ")
        )
        for page in pages.values():
            value = page["ladder"][i]["values"]["unlearned"]
            assert formatted(value, row["unit"]) in shown


def test_the_power_stands_beside_the_verdicts(script, pages):
    text = " ".join(script["said"](pages))
    verdict = pages["lotus"]["verdict"]
    assert f"{verdict['smallest_effect']:.1f} standard deviations" in text
    assert "what is nearer may be there" in text


def test_where_the_original_passes_too_that_is_said(script, pages):
    passed = {
        "verdict": {
            **pages["lotus"]["verdict"],
            "outcome": "indistinguishable from retraining at the tested power",
        }
    }
    text = " ".join(script["said"]({"original": passed, "lotus": pages["lotus"]}))
    assert "says nothing about forgetting" in text
    found = {"original": pages["lotus"], "lotus": passed}
    assert "says nothing about forgetting" not in " ".join(script["said"](found))
