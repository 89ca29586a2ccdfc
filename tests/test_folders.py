import os
import stat

import pytest

from lotus_unlearning.files.folders import replace_text, replacing, share


@pytest.mark.parametrize("alone", [True, False])
def test_a_file_takes_the_place_of_the_old_one_when_it_is_complete(tmp_path, alone):
    path = tmp_path / "found.json"
    path.write_text("old")
    with replacing(path, alone=alone) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("written", [True, False])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, alone, written):
    path = tmp_path / "found.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path, alone=alone) as temporary:  # noqa: PT012
        if written:
            temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_one_file_do_not_meet(tmp_path):
    path = tmp_path / "found.json"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # the last to be complete
    assert list(tmp_path.iterdir()) == [path]


def test_one_that_writes_alone_writes_over_what_a_killed_run_left(tmp_path):
    path = tmp_path / "checkpoint"
    with replacing(path, alone=True) as temporary:
        name = temporary.name
        temporary.write_text("")
    (tmp_path / name).write_text("half of a killed run")
    with replacing(path, alone=True) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_into_a_new_folder_and_lines_stay_as_they_are(tmp_path):
    replace_text(tmp_path / "new" / "a.txt", "é\n\r\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "é\n\r\n".encode()


def test_what_was_made_private_is_shared_as_the_umask_says(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch(0o600)
    folder.mkdir(0o700)
    before = os.umask(0o027)
    try:
        share(file)
        share(folder)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (file, folder)] == [0o640, 0o750]
