"""Models of 150 digits, trained once for all tests of the command line."""

import pytest
from few_digits import IDS, SMALL

from lotus_unlearning.cli import main


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with an original, a gold model and the ids that gold never saw."""
    place = tmp_path_factory.mktemp("cli")
    (place / "ids.txt").write_text("\n".join(map(str, IDS)))
    without = ["--without", str(place / "ids.txt")]
    assert main(["train", "--data", "digits", *SMALL, "--out", str(place / "original")]) == 0
    assert main(["train", "--data", "digits", *SMALL, *without, "--out", str(place / "gold")]) == 0
    return place


@pytest.fixture
def unlearn(trained, tmp_path):
    """Runs ``lotus unlearn`` on the trained model; returns status and folder."""

    def run(*more, out="out"):
        words = ["unlearn", "--model", str(trained / "original")]
        words += ["--forget", str(trained / "ids.txt"), "--out", str(tmp_path / out), *more]
        return main(words), tmp_path / out

    return run
