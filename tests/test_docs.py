"""What the documents say is what the code does."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.cli import COMMANDS
from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.cards import CARDS, differs, formula, settings_of

ROOT = Path(__file__).parents[1]


def test_every_method_has_a_card_a_formula_and_a_row_in_the_readme():
    assert CARDS.keys() == METHODS.keys()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, card in CARDS.items():
        assert card.bibtex.startswith("@")
        assert card.bibtex.count("{") == card.bibtex.count("}")
        assert differs(name)
        described = describe(METHODS[name]())["settings"]
        known = dict.fromkeys(described)
        for key, value in described.items():
            if isinstance(value, dict) and key != "recipe":
                known |= {f"{key}.{inner}": None for inner in value if inner != "name"}
        assert settings_of(name).keys() == known.keys(), name
        if name != "retrain":
            assert formula(name)
            assert re.search(rf"(?m)^\| `{name}` +\|", readme), name


def test_pages_of_results_are_what_their_scripts_write(tmp_path):
    for name in ("README.md", "docs", "benchmarks", "results/cells"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path)
    for script in ("write_methods.py", "write_results.py", "write_beyond.py"):
        subprocess.run([sys.executable, str(tmp_path / "docs" / script)], check=True)
    charts = [f"docs/figures/{file.name}" for file in (tmp_path / "docs" / "figures").iterdir()]
    assert len(charts) > 10
    names = ("methods.md", "results.md", "beyond.md", "performance.md", "scale.md")
    pages = ("README.md", *(f"docs/{name}" for name in names))
    for name in (*pages, *charts):
        assert (tmp_path / name).read_text("utf-8") == (ROOT / name).read_text("utf-8"), name


def test_the_grid_in_the_documentation_can_be_read(tmp_path):
    text = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"(?s)```yaml\n(.*?)```", text)
    (tmp_path / "grid.yaml").write_text(example, encoding="utf-8")
    grid = read_grid(str(tmp_path / "grid.yaml"))
    assert [*grid.blocks] == ["digits", "photos"]
    assert len(list(grid.sections())) == 4
    assert {"lotus", "scrub"} == {row.name for s in grid.sections() for row in s.rows()}


def test_links_between_documents_lead_somewhere():
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        for link in links:
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_files_that_pages_name_are_there():
    path = r"(?<![\w/])((?:tests|src|benchmarks|docs)/[\w/-]+\.(?:py|md|yaml|jsonl|json|csv|ipynb))"
    named = {
        file
        for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
        for file in re.findall(path, page.read_text(encoding="utf-8"))
        if not file.endswith("yours.py")  # CONTRIBUTING: a method that is yet to be written
    }
    assert len(named) > 20
    assert [file for file in sorted(named) if not (ROOT / file).exists()] == []


def test_commands_in_the_readme_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"(?m)^lotus (\w+)", text))
    assert commands
    assert commands <= COMMANDS.keys()


def test_the_citation_file_is_valid_yaml_with_the_version():
    import lotus_unlearning

    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert found["version"] == lotus_unlearning.__version__
    assert found["license"] == "Apache-2.0"


@pytest.mark.filterwarnings("ignore")
def test_the_example_notebook_runs(tmp_path):
    book = nbformat.read(ROOT / "docs" / "example.ipynb", as_version=4)
    for cell in book.cells:
        cell.source = cell.source.replace("epochs=30", "epochs=2").replace("epochs=20", "epochs=2")
    NotebookClient(book, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "report.html").stat().st_size > 20_000
    shown = [o for cell in book.cells for o in cell.get("outputs", ())]
    assert any("Accuracy on forget" in o.get("data", {}).get("text/html", "") for o in shown)
