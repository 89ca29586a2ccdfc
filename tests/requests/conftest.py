import pytest
import workspaces


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A workspace without requests, to be copied."""
    return workspaces.make(tmp_path_factory.mktemp("requests") / "deletion")


@pytest.fixture
def workspace(template, tmp_path):
    """A workspace of the test's own."""
    return workspaces.copied(template, tmp_path / "deletion")
