"""A user's own code by name: the module in the folder that is meant, or a clear error."""

import sys

import pytest

from lotus_unlearning.own_code import imported


@pytest.fixture
def two_folders(tmp_path, monkeypatch):
    """Two folders with a module of one name, and a module beside one of them."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "lotus_test_module.py").write_text(
            "def where():\n    return __file__\n"
            "def late():\n    import lotus_test_neighbour\n    return lotus_test_neighbour.X\n"
        )
    (tmp_path / "one" / "lotus_test_neighbour.py").write_text("X = 7\n")
    (tmp_path / "one" / "colorsys.py").write_text("raise RuntimeError('not the library')\n")
    yield tmp_path / "one", tmp_path / "two"
    for name in ("lotus_test_module", "lotus_test_neighbour"):
        sys.modules.pop(name, None)


def test_a_module_of_another_folder_is_not_taken_for_the_one_that_is_meant(two_folders):
    one, two = two_folders
    assert imported("python:lotus_test_module:where", "data", one)() == str(
        one / "lotus_test_module.py"
    )
    with pytest.raises(ValueError, match=r"expected the module 'lotus_test_module' in .*two"):
        imported("python:lotus_test_module:where", "data", two)
    assert imported("python:lotus_test_module:where", "data", one)


def test_modules_beside_it_are_found_late_but_stand_in_front_of_no_library(
    two_folders, monkeypatch
):
    one, _ = two_folders
    late = imported("python:lotus_test_module:late", "data", one)
    assert late() == 7
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
