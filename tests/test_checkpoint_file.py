"""The file of a checkpoint: complete or as it was, and refused if it is not what was written."""

import errno
import json
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import stopped
from lotus_unlearning.runtime import nested
from lotus_unlearning.runtime.checkpoint import FILE
from lotus_unlearning.runtime.claimed import discard
from test_checkpoint import same


@pytest.mark.parametrize("where", [20, -20])
def test_a_changed_byte_is_found(where, tmp_path):
    stopped.run("train", tmp_path)
    contents = bytearray((tmp_path / FILE).read_bytes())
    contents[where] ^= 1
    (tmp_path / FILE).write_bytes(contents)
    with pytest.raises(ValueError, match=r"expected .*checkpoint.safetensors as it was written"):
        stopped.run("train", tmp_path)


def test_a_file_cut_off_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"\x10\x00")
    with pytest.raises(ValueError, match="remove it to begin anew"):
        stopped.run("train", tmp_path)


def test_a_full_disk_keeps_what_was_written_before(monkeypatch, tmp_path):
    import safetensors.torch

    save, left = safetensors.torch.save_file, [2]

    def full(tensors, path, notes):
        left[0] -= 1
        if left[0] < 0:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path, notes)

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(OSError, match=r"after epoch 3, but: .*No space left on device"):
            stopped.run("train", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert nested.read(tmp_path / FILE)["done"] == 2
    whole = stopped.run("train", tmp_path / "whole")
    assert same(stopped.run("train", tmp_path).model, whole.model)


def test_what_a_file_cannot_keep_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"value\['a'\]\[1\]: expected tensors, numbers"):
        nested.write(tmp_path / "file", {"a": [1, {2}]})
    assert list(tmp_path.iterdir()) == []


def test_nested_values_come_back_as_they_were(tmp_path):
    half = torch.rand(3, 2, 4, 4).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    value = {"a": {0: half, "b": (1, 2.5, None, True)}, "c": [float("inf"), "", []], "d": {}}
    nested.write(tmp_path / "file", value)
    found = nested.read(tmp_path / "file")
    assert torch.equal(found["a"].pop(0), half)
    del value["a"][0]
    assert found == value
    assert isinstance(found["a"]["b"], tuple)


def test_keys_may_be_tuples(tmp_path):
    value = {"a": {(1, "b"): torch.ones(2), (): 1, None: 2, 1.5: 3, True: 4}}
    nested.write(tmp_path / "file", value)
    found = nested.read(tmp_path / "file")
    assert found["a"].keys() == value["a"].keys()
    assert torch.equal(found["a"][1, "b"], torch.ones(2))


@contextmanager
def room_for(size):
    """No file may grow beyond ``size`` bytes: writes fail in the kernel, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_safetensors_says_of_a_full_disk_is_an_os_error(tmp_path):
    nested.write(tmp_path / "file", {"a": 1})
    with room_for(10_000), pytest.raises(OSError, match="File too large") as error:
        nested.write(tmp_path / "file", {"a": torch.zeros(10_000)})
    assert error.value.errno == errno.EFBIG
    assert nested.read(tmp_path / "file") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_run_on_a_full_disk_says_after_which_epoch(tmp_path):
    with room_for(1000), pytest.raises(OSError, match=r"after epoch 1, but: .*File too large"):
        stopped.run("train", tmp_path)


def forged(path, tree):
    """A file that is whole, with something else in it."""
    from safetensors.torch import save_file

    text = json.dumps(tree) if not isinstance(tree, str) else tree
    save_file({}, path, {"tree": text, "sha256": nested._digest(text, {})})


@pytest.mark.parametrize(
    "tree",
    [
        {"tensor": "nowhere"},
        {"other": []},
        {"dict": [[{"dict": []}, 1]]},
        {"dict": [1]},
        {"dict": 1},
        {"a": 1, "b": 2},
        [],
        3,
        "[" * 100_000 + "]" * 100_000,
        "{",
    ],
    ids=lambda tree: str(tree)[:20],
)
def test_a_file_with_another_structure_is_refused(tree, tmp_path):
    forged(tmp_path / FILE, tree)
    with pytest.raises(ValueError, match=r"as it was written, but its contents have another form"):
        stopped.run("train", tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("facts", None, "it holds other values of facts"),
        ("loop", "1", "it holds other values of loop"),
        ("done", 0, "it holds other values of done"),
        ("done", 100, "it holds other values of done"),
        ("history", [1] * 6, r"it holds other values of history.0 \(expected a mapping, got 1\)"),
        ("model", {3: 1}, r"it holds other values of model.3 \(expected text as a key, got 3\)"),
        ("model", {}, r"it does not fit \(RuntimeError"),
        ("carried", [], r"it does not fit \(ValueError"),
        ("carried", [1, 2, 3], "it does not fit"),
        ("generators", [], "it does not fit"),
        ("generators", [1], r"it holds other values of generators.0 \(expected a Tensor, got 1\)"),
        ("generators", [torch.zeros(2)] * 2, "it does not fit"),
    ],
)
def test_a_file_with_other_values_is_refused(key, value, told, tmp_path):
    stopped.run("train", tmp_path)
    found = nested.read(tmp_path / FILE)
    nested.write(tmp_path / FILE, {**found, key: value})
    with pytest.raises(ValueError, match=rf"as it was written, but {told}.*begin anew"):
        stopped.run("train", tmp_path)


def test_a_folder_that_is_a_link_is_emptied_and_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "link" / FILE).write_bytes(b"")
    discard(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert list((tmp_path / "real").iterdir()) == []
