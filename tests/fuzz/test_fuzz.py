"""Whatever stands in a file, a command ends with a sentence and touches nothing else.

``benchmarks/fuzz.py`` draws many more cases of the same.
"""

import json

import commands
import contents
import inputs
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

_CASES = 8


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    place = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        inputs.prepare(place)
        yield place


@pytest.mark.parametrize("name", commands.TARGETS)
def test_no_traceback_is_seen_and_no_other_file_is_touched(name, top):
    target = commands.TARGETS[name]
    drawn = target.drawn(commands.valid(target, top))

    @settings(max_examples=_CASES, deadline=None, suppress_health_check=[*HealthCheck])
    @given(drawn)
    def holds(data):
        assert commands.run(target, top, data).problems == []

    holds()


@pytest.mark.parametrize(
    ("name", "path", "new", "place"),
    [
        ("manifest", ("model", "name"), [], "name (expected text"),
        ("config-of-run", ("data",), {}, "data (expected text"),
        ("metrics", ("method", "settings"), "😀", "method.settings (expected a mapping"),
        ("member", ("cell", "number"), 3, "the model of a bank that the file is named after"),
        ("cell", ("values",), ..., "values (expected a mapping, got none)"),
        ("cell", ("on",), "x", "on (expected a mapping"),
        ("reference", ("golds", 0), None, "golds.0 (expected a mapping"),
        ("config-of-model", ("recipe", "epochs"), "x", "epochs (expected a whole number"),
    ],
)
def test_what_once_ended_in_a_traceback_is_named_with_its_place(top, name, path, new, place):
    target = commands.TARGETS[name]
    right = yaml.safe_load(commands.valid(target, top))  # JSON is YAML, too
    seen = commands.run(target, top, json.dumps(contents.changed(right, path, new)).encode())
    assert seen.problems == []
    assert place in seen.text
    assert target.file.rpartition("/")[2].partition("*")[0] in seen.text


def test_what_is_right_is_read(top):
    """Else nothing would be learnt from the other tests."""
    for name, target in commands.TARGETS.items():
        seen = commands.run(target, top, commands.valid(target, top))
        well = seen.status == 0 or "all was well" in seen.text
        assert well, f"{name}: {seen.text}"
        assert seen.problems == []


def test_memory_stays_bounded(top):
    before = commands.megabytes()
    target = commands.TARGETS["config"]
    bomb = commands.contents.BOMB.encode()
    assert "by references to others" in commands.run(target, top, bomb).text
    assert commands.megabytes() - before < 300
