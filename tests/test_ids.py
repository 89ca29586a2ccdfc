"""What people write as ids, in files and in Python."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lotus_unlearning import ImageTensors, Splits, datasets
from lotus_unlearning.datasets.data import numbered
from lotus_unlearning.files.id_lists import read_ids

NAMES = tuple(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(10))


def images(size=20, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(size, 1, 4, 4, generator=g), torch.arange(size) % 2


def named(names=NAMES):
    """As an image folder that was loaded by name: with paths, and official ids."""
    return numbered(ImageTensors(*images(len(names)), names=tuple(names)))


def forgotten(data, forget, **others):
    return Splits.from_ids(data, forget, **others).forget.ids.tolist()


def written(tmp_path, text, name="ids.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_paths_win_over_numbers_of_another_register(tmp_path):
    table = written(tmp_path, "id,path\n1017,cat/1.png\n1093,dog/3.png\n")
    assert forgotten(named(), table) == [1, 13]
    table = written(tmp_path, "id,path\na7f3,cat/1.png\n")
    assert forgotten(named(), table) == [1]


def test_columns_that_name_two_images_are_refused_with_the_line(tmp_path):
    table = written(tmp_path, "# asked by mail\nid,path\n13,dog/3.png\n17,cat/1.png\n")
    with pytest.raises(ValueError, match=r"in line 4 path 'cat/1.png' and id 17 \('dog/7.png'\)"):
        forgotten(named(), table)
    table = written(tmp_path, "id,index\n3,3\n5,6\n")
    with pytest.raises(ValueError, match=r"line 3 id 5 and index 6 .* are two; remove one"):
        forgotten(images(), table)


def test_columns_that_agree_are_taken(tmp_path):
    table = written(tmp_path, "id,path\n13,dog/3.png\n1,cat/1.png\n")
    assert forgotten(named(), table) == [13, 1]
    table = written(tmp_path, "id,path\n13,dog/3.png\n1,cat/1.png\n")
    assert forgotten(images(), table) == [13, 1]  # without names, paths say nothing


def test_a_wrong_path_is_not_replaced_by_the_number_beside_it(tmp_path):
    table = written(tmp_path, "id,path\n13,dog/99.png\n")
    with pytest.raises(ValueError, match=r"not there: dog/99\.png \(line 2\)"):
        forgotten(named(), table)


@pytest.mark.parametrize(
    "text",
    [
        "3\n7\n",
        "# two images\n\n3\n   # and\n7\n\n",
        "id\n3\n7\n",
        "\ufeffID;reason\r\n3;asked\r\n7;asked\r\n",
        "reason\tindex\nasked\t3\nasked\t7\n",
        ",id\n0,3.0\n1,7.0\n",
        "3.0\n7.0",
        'reason,id\n"asked, twice",3\n"a ""b""",7\n',
        "id,\n3,\n7,\n",
        "3\r7\r",
    ],
)
def test_files_as_people_and_programs_write_them(tmp_path, text):
    assert forgotten(images(), written(tmp_path, text)) == [3, 7]


@pytest.mark.parametrize(
    "text",
    [
        "cat/1.png\nb, c/7;8.png\n",
        '"cat/1.png"\n"b, c/7;8.png"\n',
        'path\ncat/1.png\n"b, c/7;8.png"\n',
        "path\treason\n./cat/1.png\tasked\nb, c/7;8.png\tasked\n",
        "cat\\1.png\n.\\b, c\\7;8.png\n",
    ],
)
def test_paths_as_people_and_programs_write_them(tmp_path, text):
    data = named((*NAMES[:5], "b, c/7;8.png"))
    assert forgotten(data, written(tmp_path, text)) == [1, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,reason\n3,asked\n7\n", r"expected 2 cells in ids\.csv, line 3, .* got 1"),
        ("path,reason\ncat/a,b.png,asked\n", "line 2, .* got 3; put quotes around a path"),
        ("id,reason\n3,asked\n,asked\n", r"expected an id in ids\.csv, line 3, got none"),
        ('id,reason\n3,"asked\n7,asked\n', "but the row in line 2 is broken: unexpected end"),
        ("3\n²\n", r"whole numbers, got ² \(line 2\)"),
        ("3.0\n7\n", r"whole numbers, got 3\.0 \(line 1\)"),
        ("3.5\n7\n", r"whole numbers, got 3\.5 \(line 1\)"),
        (
            "3,7\n",
            r"got 3,7 \(line 1\).* a column path, id or index in its first row, got '3', '7'",
        ),
        ("number,why\n3,x\n", r"3,x \(line 2\).* in its first row, got 'number', 'why'"),
        ("number\n3\n", r"number \(line 1\).* in its first row, got 'number'$"),
        ("3\n\n# x\n99\n", r"positions 0\.\.19, got 1 out of range: 99 \(line 4\)"),
        ("3\n5\n3\n", r"each image once, got 1 more than once: 3 \(line 3\)"),
        ("9" * 30, "whole numbers, got 9999"),
        ("", "at least one image, got none"),
        ("id\n", "at least one image, got none"),
        ("# nothing\n", "at least one image, got none"),
        ("3\n".encode("utf-16"), "expected text in UTF-8 in ids.csv, got UTF-16"),
        ("3\n7\n".encode("utf-16-le"), "got NUL characters, as in UTF-16; save it as UTF-8"),
        (b"3\ncaf\xe9\n", "got other bytes in line 2; save it as UTF-8"),
    ],
)
def test_broken_files_are_refused_with_the_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        forgotten(images(), written(tmp_path, text))


@pytest.mark.parametrize("path", ["no-such-file.txt", ".", "3" * 300, "a\0b"])
def test_what_is_no_file_is_refused(path):
    with pytest.raises(ValueError, match="expected a file of ids, found none at"):
        forgotten(images(), path)


def test_columns_of_other_names_are_left_alone(tmp_path):
    assert list(read_ids(written(tmp_path, "when,Index,note\n1,2,3\n"))) == ["index"]


@pytest.mark.parametrize(
    "forget",
    [
        (3, 7),
        {7, 3},
        range(3, 8, 4),
        (i for i in (3, 7)),
        ["3", "7"],
        np.array([3, 7], dtype=np.uint8),
        pd.Series([3, 7], index=[40, 2]),
        pd.Index([3, 7]),
        pd.Series([i in (3, 7) for i in range(20)], dtype="boolean"),
        [i in (3, 7) for i in range(20)],
        torch.tensor([3, 7]),
    ],
)
def test_ids_of_any_usual_type_are_taken(forget):
    assert forgotten(images(), forget) == [3, 7]


@pytest.mark.parametrize(
    ("forget", "got"),
    [
        (None, "NoneType"),
        (5, "int"),
        (lambda: [3], "function"),
        ({"id": 3}, "dict"),
        ([[3, 7]], r"int64 \[1, 2\]"),
        ([[3], [7, 8]], "list"),
        ({3, "a"}, "set"),
        ([3.0, 7.0], r"float64 \[2\]; convert them with .astype\(int\)"),
        ([3, None], r"object \[2\]"),
    ],
)
def test_ids_of_other_types_are_refused_in_one_sentence(forget, got):
    with pytest.raises(ValueError, match=f"as integers, a mask .* got {got}"):
        forgotten(images(), forget)


def test_numbers_beyond_all_data_are_out_of_range():
    with pytest.raises(ValueError, match="2 out of range: 1000000000000000000000000000000, -1"):
        forgotten(images(), [10**30, -1])


def test_a_path_into_another_folder_tells_the_near_one():
    with pytest.raises(ValueError, match=r"not there: train/cat/1\.png; did you mean 'cat/1\.png'"):
        forgotten(named(), ["train/cat/1.png"])


def parts(train, unseen, test, size=100):
    """Three sets cut from one published list, or of images with names."""
    made = []
    for ids in (train, unseen, test):
        whole = numbered(ImageTensors(*images(size)))
        at = torch.tensor(ids)
        made.append(ImageTensors(*(t[at] for t in images(size)), official=whole.official.take(at)))
    return made


def test_numbers_are_official_ids_where_there_are_some():
    train, unseen, test = parts(range(10, 50), range(60, 70), range(80, 90))
    assert forgotten(train, [12, 40], unseen=unseen, test=test) == [2, 30]
    mask = np.arange(40) == 5
    splits = Splits.from_ids(train, mask)
    assert splits.forget.ids.tolist() == [5]
    assert splits.forget.official_ids == [15]


def test_an_official_id_that_was_set_aside_says_where_it_is(tmp_path):
    train, unseen, test = parts(range(10, 50), range(60, 70), range(80, 90))
    path = written(tmp_path, "12\n61\n62\n85\n5\n300\n")
    with pytest.raises(ValueError, match="4 problems:") as raised:
        forgotten(train, path, unseen=unseen, test=test)
    text = str(raised.value)
    assert "expected official ids 0..99, got 1 out of range: 300 (line 6)" in text
    assert "61 (line 2), 62 (line 3) are among the unseen images, which were never trained" in text
    assert "85 (line 4) is among the test images" in text
    assert "5 (line 5) of the official images is not in train, as a limit or a split left" in text


def test_a_path_that_was_set_aside_says_where_it_is():
    train, unseen = named(NAMES[:15]), ImageTensors(*images(3, 1), names=NAMES[15:18])
    with pytest.raises(ValueError, match=r"dog/6\.png is among the unseen images"):
        forgotten(train, ["./dog/6.png"], unseen=unseen)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 9), limit=st.sampled_from([None, 200]), names=st.booleans())
def test_official_ids_name_the_same_images_again(seed, limit, names):
    data = datasets.load("digits", seed=seed, limit=limit)
    train = data.train
    if names:
        train = replace(train, names=tuple(f"{i}.png" for i in train.official.ids.tolist()))
    chosen = Splits.random(train, fraction=0.05, seed=seed).forget
    assert forgotten(train, chosen.official_ids) == chosen.ids.tolist()
