"""Every method on several processes is what it is on one; no batch is cut into equal shards."""

import many_processes
import pytest
from many_processes import ALL, MODELS

from worlds import together

TOGETHER = {"2": (2, False), "4": (4, False), "2, in shards": (2, True)}
EXACT = 1e-9
"""Of float64: what the order of sums makes of a few dozen steps."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    many_processes.write(folder)
    return many_processes.read(folder)


@pytest.fixture(scope="module", params=TOGETHER.values(), ids=TOGETHER)
def both(request, alone, tmp_path_factory):
    """Weights and numbers by one process, and by several."""
    folder, (count, shard) = tmp_path_factory.mktemp("many"), request.param
    assert together(count, many_processes.write, folder, shard) == [0] * count
    return alone, many_processes.read(folder)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", ALL)
def test_many_processes_agree_with_one(kind, name, both):
    (one, rows), (many, others) = both
    mine = [key for key in one if key.startswith(f"{kind}: {name}: ")]
    assert mine
    for key in mine:
        assert (one[key] - many[key]).abs().max() <= EXACT, key
    # a step of theirs has two passes, and the mean that is logged weighs both as the last one
    left_out = {"loss"} if name in ("neg-grad-plus", "zipped", "dreaming") else set()
    same(rows[f"{kind}: {name}"], others[f"{kind}: {name}"], left_out)


@pytest.mark.parametrize("kind", MODELS)
def test_many_processes_measure_what_one_does(kind, both):
    (_, rows), (_, others) = both
    same(rows[f"{kind}: evaluate"], others[f"{kind}: evaluate"])


def test_four_processes_with_a_shard_each_agree_with_one(alone, tmp_path):
    names = ("lotus", "scrub", "salun", "understudy", "retrain with views")
    assert together(4, many_processes.write, tmp_path, True, names) == [0] * 4
    (one, rows), (many, others) = alone, many_processes.read(tmp_path)
    assert {key.split(": ")[1] for key in many} == set(names)
    for key, found in many.items():
        assert (one[key] - found).abs().max() <= EXACT, key
    for key in others.keys() - {f"{kind}: evaluate" for kind in MODELS}:  # of another model
        same(rows[key], others[key])


def test_batches_that_are_joined_are_refused_at_once(tmp_path):
    assert together(2, many_processes.refused, tmp_path) == [0, 0]
    said = [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)]
    assert said[0] == said[1]
    assert "got 7, 5 images in the 2 processes, shards of no batch" in said[0]


def same(rows, others, left_out=frozenset()):
    assert rows
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys()
        for key in row.keys() - left_out:
            assert row[key] == pytest.approx(other[key], abs=EXACT), key
