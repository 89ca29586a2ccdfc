import os

import pytest
import workspaces

from lotus_unlearning.evaluation import Evaluation


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A workspace without requests, to be copied."""
    return workspaces.make(tmp_path_factory.mktemp("requests") / "deletion")


@pytest.fixture
def workspace(template, tmp_path):
    """A workspace of the test's own."""
    return workspaces.copied(template, tmp_path / "deletion")


@pytest.fixture(autouse=True, scope="module")
def pages():
    """Pages of runs are not drawn, and nobody waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluation, "to_html", workspaces.plain_page)
        patch.setattr(os, "fsync", lambda handle: None)
        yield
