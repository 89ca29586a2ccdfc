"""``webdataset:PATTERN``, on tar shards as people have them."""

import gzip
import io
import os
import tarfile

import fsspec
import pytest
import tar_shards
import torch
from tar_shards import SIZE, pixels, png, samples, write

from lotus_unlearning import Finetune, Splits, datasets, unlearn
from lotus_unlearning.datasets import shards
from lotus_unlearning.images import StreamedImages

PATTERN = "train-{000..003}.tar"


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    """Of this test alone."""
    monkeypatch.setattr("lotus_unlearning.datasets.shards.CACHE", tmp_path / "cache")


@pytest.fixture
def streamed(monkeypatch):
    """As if no image fitted in memory."""
    monkeypatch.setattr("lotus_unlearning.datasets.files.MEMORY_SHARE", 0.0)


def load(folder, pattern=PATTERN, **options):
    return datasets.load(f"webdataset:{pattern}", root=str(folder), size=SIZE, **options)


def of_key(images, key):
    """The pixels ``[SIZE, SIZE, 3]`` of the image called ``key``, before they are normalised."""
    position = images.names.index(key)
    if not isinstance(images, StreamedImages):
        return images.images[position].permute(1, 2, 0)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    x = next(images.batches([torch.tensor([position])]))[0]
    return ((x * std + mean) * 255).round().byte().permute(1, 2, 0)


@pytest.mark.parametrize("where", ["memory", "shards"])
def test_an_image_is_read_by_its_key_as_it_was_written(tmp_path, where, request):
    if where == "shards":
        request.getfixturevalue("streamed")
    data = load(tar_shards.shards(tmp_path))
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [34, 6, 10]
    assert data.classes == ("0", "1")
    keys = sorted([*data.train.names, *data.unseen.names])
    assert keys == [f"{n:06}" for n in range(40)]
    for part in (data.train, data.unseen, data.test):
        for key in (part.names[0], part.names[3], part.names[len(part) - 1]):
            assert torch.equal(of_key(part, key), torch.from_numpy(pixels(int(key))))
            assert part.labels[part.names.index(key)] == int(key) % 2
    official = data.train.official.ids
    assert [int(name) for name in data.train.names] == official.tolist()


def test_shards_are_read_again_only_if_they_have_changed(tmp_path, monkeypatch):
    seen = []
    read = shards.read_shard
    monkeypatch.setattr(shards, "read_shard", lambda f, a: seen.append(a) or read(f, a))
    folder = tar_shards.shards(tmp_path, train=20, test=10)
    first = load(folder, "train-*.tar")
    assert len(seen) == 3
    assert load(folder, "train-*.tar").train.names == first.train.names
    assert len(seen) == 3
    write(folder / "train-001.tar", samples(range(50, 60)))
    os.utime(folder / "train-001.tar", (1, 1))
    assert "000055" in load(folder, "train-*.tar", unseen_share=0.1).train.names
    assert [address.rpartition("/")[2] for address in seen[3:]] == ["train-001.tar"]
    for kept in (tmp_path / "cache").glob("*/*"):
        kept.write_bytes(b"broken")
    load(folder, "train-*.tar")
    assert len(seen) == 7


LAYOUTS = {
    "train-{000..003}.tar": "{part}-{i:03}.tar",
    "train-*.tar": "{part}-{i:03}.tar",
    "train/{000..003}.tar": "{part}/{i:03}.tar",
    "photos-train-{0000..0003}.tar": "photos-{part}-{i:04}.tar",
    "photos": "photos/{part}/{i}.tar",
    "pictures": "pictures/all-{part}-{i}.tar",
}


@pytest.mark.parametrize("pattern", LAYOUTS)
@pytest.mark.parametrize("test", ["test", "val"])
def test_parts_are_shards_that_are_called_so(tmp_path, pattern, test):
    for part, count, first in (("train", 4, 0), (test, 1, 1000), ("unseen", 2, 2000)):
        for i in range(count):
            name = LAYOUTS[pattern].format(part=part, i=i)
            write(tmp_path / name, samples(range(first + 4 * i, first + 4 * i + 4)))
    data = load(tmp_path, pattern)
    found = [[int(n) for n in part.names] for part in (data.train, data.unseen, data.test)]
    assert found == [list(range(16)), list(range(2000, 2008)), list(range(1000, 1004))]


def test_shards_without_a_test_part_are_cut_by_the_seed(tmp_path):
    tar_shards.shards(tmp_path / "x", test=0)
    data, other = (load(tmp_path, "x", seed=seed) for seed in (0, 1))
    parts = data.train, data.unseen, data.test
    assert sum(len(part) for part in parts) == 40
    assert len({*data.train.names, *data.unseen.names, *data.test.names}) == 40
    assert data.test.names != other.test.names
    for part in parts:
        key = part.names[1]
        assert torch.equal(of_key(part, key), torch.from_numpy(pixels(int(key))))


def test_keys_that_stand_in_several_shards_are_called_after_their_shard(tmp_path):
    for i in range(2):
        write(tmp_path / f"train-{i}.tar", samples(range(10)))
    data = load(tmp_path, "train-{0..1}.tar")
    assert {"train-0/000003", "train-1/000003"} <= {
        *data.train.names, *data.unseen.names, *data.test.names,
    }  # fmt: skip


def test_keys_that_are_not_even_told_apart_by_their_shards_are_refused(tmp_path):
    for folder in ("train-a", "train-b"):
        write(tmp_path / folder / "0.tar", samples(range(10)))
    with pytest.raises(ValueError, match=r"shards with names of their own.* got 0 more than once"):
        load(tmp_path, "train-{a,b}/0.tar")


def test_two_epochs_over_streamed_shards_give_the_same_bits_twice(tmp_path, streamed):
    data = load(tar_shards.shards(tmp_path))
    splits = Splits.random(data, fraction=0.2)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE * SIZE, 2))
    one, two = (
        unlearn(model, splits, Finetune(epochs=2), device="cpu", batch_size=7, progress=False)
        for _ in range(2)
    )
    assert torch.equal(one.model[1].weight, two.model[1].weight)
    assert not torch.equal(one.model[1].weight, model[1].weight)


def test_missing_shards_are_named(tmp_path):
    tar_shards.shards(tmp_path)
    with pytest.raises(
        ValueError, match=r"expected 12 shards .* but 8 are missing: .*train-004\.tar"
    ):
        load(tmp_path, "train-{000..011}.tar")
    with pytest.raises(ValueError, match=r"found no \.tar file for .*absent'"):
        load(tmp_path, "absent")
    with pytest.raises(ValueError, match=r"a range in braces from low to high.*\{9\.\.0\}"):
        load(tmp_path, "train-{9..0}.tar")
    write(tmp_path / "other" / "test-000.tar", samples(range(4)))
    with pytest.raises(ValueError, match=r"test-000\.tar and none called train"):
        load(tmp_path, "other")


def test_every_odd_sample_of_a_shard_is_named_in_one_message(tmp_path):
    members = samples(range(4))
    del members["000001.cls"], members["000002.png"]
    members |= {"a.png": png(1), "a.cls": b"cat", "b.png": png(1), "b.cls": b"-1"}
    members |= {"c.png": png(1), "c.cls": b"99999999999", "d.png": png(1), "d.cls": b"1" * 99}
    again = [*members.items(), ("000003.png", png(3)), ("000003.jpg", png(3))]
    write(tmp_path / "train-0.tar", again)
    with pytest.raises(ValueError, match=r"one image .* and one \.cls") as caught:
        load(tmp_path, "train-0.tar")
    message = str(caught.value)
    assert "1 have no .cls: 000001" in message
    assert "1 have no image: 000002" in message
    assert "1 are there twice: 000003" in message
    assert "4 have a .cls that is no whole number 0..999999: a, b, c, d" in message


@pytest.mark.parametrize("cut", [1, 511, 700, 1024, 5000, "members", "marks"])
def test_a_shard_that_is_cut_off_is_named(tmp_path, cut):
    path = write(tmp_path / "train-0.tar", samples(range(10)))
    content = path.read_bytes()
    with tarfile.open(path) as archive:
        ends = [m.offset_data + (m.size + 511) // 512 * 512 for m in archive.getmembers()]
    size = {"members": ends[-3], "marks": ends[-1]}.get(cut, cut)
    path.write_bytes(content[:size])
    with pytest.raises(ValueError, match=r"expected a whole .*tar file at .*train-0\.tar, but"):
        load(tmp_path, "train-0.tar")


def test_a_shard_that_is_broken_in_the_middle_is_named(tmp_path):
    path = write(tmp_path / "train-0.tar", samples(range(10)))
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        header = archive.getmembers()[6].offset
    content[header : header + 100] = b"x" * 100
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"cut off or broken at byte {header:,}; copy it again"):
        load(tmp_path, "train-0.tar")


def test_a_compressed_shard_is_refused(tmp_path):
    path = write(tmp_path / "train-0.tar", samples(range(10)))
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ValueError, match=r"uncompressed tar file .*unpack a \.tar\.gz with gunzip"):
        load(tmp_path, "train-0.tar")


def test_a_negative_size_does_not_loop_for_ever(tmp_path):
    member = tarfile.TarInfo("a.png")
    member.size = -512  # back to its own header
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    path = tmp_path / "train-0.tar"
    path.write_bytes(write(tmp_path / "x.tar", samples([0])).read_bytes()[:1024] + header * 4)
    with pytest.raises(ValueError, match="expected a whole"):
        load(tmp_path, "train-0.tar")


def test_names_are_no_paths_and_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(7))
    tricks = {f"{name}{i}": i for i, name in enumerate(["../../out", "/etc/x", "a/../../b", "<b>"])}
    members = {f"{key}.{end}": c for key, i in tricks.items()
               for end, c in (("png", png(i)), ("cls", str(i % 2).encode()))}  # fmt: skip
    path = write(tmp_path / "shards" / "train-0.tar", members | samples(range(100, 120)))
    data = load(tmp_path / "shards", "train-0.tar", unseen_share=0.1)
    every = {*data.train.names, *data.unseen.names, *data.test.names}
    assert tricks.keys() < every
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "secret.png", "shards"]
    with tarfile.open(path, "a") as archive:
        for kind, name in ((tarfile.SYMTYPE, "link.png"), (tarfile.LNKTYPE, "hard.png")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, str(secret)
            archive.addfile(link)
        label = tarfile.TarInfo("link.cls")
        label.size = 1
        archive.addfile(label, io.BytesIO(b"1"))
    with pytest.raises(ValueError, match="1 have no image: link"):
        load(tmp_path / "shards", "train-0.tar")


def test_members_of_other_kinds_are_left_alone(tmp_path):
    more = {"000001.json": b"{}", "000001.seg.png": png(9), "._000001.png": b"?", "README": b"x"}
    write(tmp_path / "train-0.tar", {**more, **samples(range(20))})
    data = load(tmp_path, "train-0.tar")
    assert sum(len(part) for part in (data.train, data.unseen, data.test)) == 20


@pytest.mark.parametrize("where", ["memory", "shards"])
def test_a_broken_image_is_named_by_its_key_and_shard(tmp_path, where, request):
    members = samples(range(20))
    members["000004.png"] = b"no image"
    write(tmp_path / "train-0.tar", members)
    message = r"expected an image in '000004' of .*train-0\.tar, but it cannot be read.*; repair"
    if where == "memory":
        with pytest.raises(ValueError, match=message):
            load(tmp_path, "train-0.tar")
        return
    request.getfixturevalue("streamed")
    data = load(tmp_path, "train-0.tar")
    part = next(p for p in (data.train, data.unseen, data.test) if "000004" in p.names)
    with pytest.raises(ValueError, match=message):
        list(part.batches([torch.tensor([part.names.index("000004")])]))


def test_shards_are_read_from_any_file_system_that_fsspec_knows(tmp_path, streamed):
    memory = fsspec.filesystem("memory")
    for path in tar_shards.shards(tmp_path, train=20).iterdir():
        if path.suffix == ".tar":
            memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    try:
        data = datasets.load("webdataset:memory://bucket/train-{000..001}.tar", size=SIZE)
        assert [len(part) for part in (data.train, data.unseen, data.test)] == [17, 3, 10]
        key = data.test.names[2]
        assert torch.equal(of_key(data.test, key), torch.from_numpy(pixels(int(key))))
    finally:
        memory.rm("/bucket", recursive=True)


def test_a_shard_that_has_shrunk_since_says_so(tmp_path, streamed):
    data = load(tar_shards.shards(tmp_path))
    for path in tmp_path.glob("*.tar"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"expected .* bytes .* got 0; the shard was changed"):
        data.train.dataset[0]


def test_keys_of_digits_are_names_where_one_of_them_is(tmp_path):
    """``000013`` is a key, though number 13 is another image."""
    write(tmp_path / "train-0.tar", samples(range(10, 50)))
    write(tmp_path / "test-0.tar", samples(range(60, 70)))
    data = load(tmp_path, "train-*.tar")
    keys = [data.train.names[2], data.train.names[9]]
    for column in ("", "path\n", "id\n"):
        (tmp_path / "ids.csv").write_text(column + "\n".join(keys))
        splits = Splits.from_ids(data, tmp_path / "ids.csv")
        assert splits.forget.official_ids == keys
        assert Splits.from_ids(data, keys).forget.official_ids == keys
    numbers = data.train.official.ids[[2, 9]].tolist()
    assert numbers == [int(key) - 10 for key in keys]
    for ids in (numbers, [str(number) for number in numbers]):  # no key is written so
        assert Splits.from_ids(data, ids).forget.official_ids == keys
    write(tmp_path / "train-1.tar", {"7.png": png(7), "7.cls": b"1", **samples(range(80, 99))})
    mixed = load(tmp_path, "train-*.tar")
    (tmp_path / "ids.csv").write_text(f"index\n{mixed.train.official.ids[7]}\n")
    asked = Splits.from_ids(mixed, tmp_path / "ids.csv").forget.official_ids
    assert asked == [mixed.train.names[7]]
    with pytest.raises(ValueError, match="000065 is among the test images"):
        Splits.from_ids(data, ["000065"])
    with pytest.raises(ValueError, match=r"names of training images \(.*keys of shards\), such as"):
        Splits.from_ids(data, ["cat/7"])
