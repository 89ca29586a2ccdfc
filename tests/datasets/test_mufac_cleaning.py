import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dct

from lotus_unlearning.datasets.mufac import Photo
from lotus_unlearning.datasets.mufac_cleaning import (
    Print,
    find_copies,
    fingerprint,
    linked_persons,
    reasons,
)


def scene(seed, size=128):
    """A smooth colour picture; two seeds look quite different."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


def photo(part, name, person="F0001_M"):
    return Photo(part, name, person, {})


def print_of(image, tmp_path, **options):
    image.save(tmp_path / "image", options.pop("format", "PNG"), **options)
    return fingerprint(tmp_path / "image")


def distance(one, two):
    return int((one.bits != two.bits).sum())


def test_the_hash_is_the_published_one(tmp_path):
    """Sign of the 8 x 8 lowest frequencies against their median, by two one-dimensional DCTs."""
    for seed in range(5):
        grey = np.asarray(scene(seed).convert("L").resize((32, 32), Image.Resampling.LANCZOS))
        low = dct(dct(grey.astype(float), axis=0), axis=1)[:8, :8]
        assert np.array_equal(print_of(scene(seed), tmp_path).bits, (low > np.median(low)).ravel())


def test_equal_pixels_have_equal_digests_whatever_the_file(tmp_path):
    image = scene(0).convert("L")
    one = print_of(image, tmp_path)
    assert print_of(image, tmp_path, format="BMP").digest == one.digest
    assert print_of(image.convert("RGB"), tmp_path).digest == one.digest
    assert print_of(image.point(lambda v: v ^ 1), tmp_path).digest != one.digest


def test_saved_again_or_resized_photos_are_near_and_others_far(tmp_path):
    found = [print_of(scene(seed), tmp_path) for seed in range(30)]
    for seed, known in enumerate(found):
        buffer = io.BytesIO()
        scene(seed).save(buffer, "JPEG", quality=60)
        for again in (Image.open(buffer), scene(seed).resize((64, 64)).resize((128, 128))):
            assert distance(print_of(again, tmp_path), known) <= 4
    others = [distance(a, b) for i, a in enumerate(found) for b in found[:i]]
    assert min(others) > 8


def fake(digest, flipped=0):
    """A print made by hand: ``flipped`` bits away from the others of its kind."""
    bits = np.arange(64) % 2 == 0
    bits[:flipped] ^= True
    return Print(digest.encode(), bits)


FAR = Print(b"far", np.arange(64) < 32)
PHOTOS = [
    photo("forget", "train_images/0"),
    photo("retain", "train_images/1"),
    photo("val", "val_images/2"),
    photo("test", "test_images/3"),
]


@pytest.mark.parametrize(
    ("same", "kept"),
    [((0, 1), 1), ((0, 3), 0), ((1, 2), 1), ((2, 3), 3), ((0, 1, 2, 3), 1)],
    ids=[
        "retain before forget",
        "forget before test",
        "retain before val",
        "test before val",
        "all",
    ],
)
def test_of_copies_across_parts_the_one_that_was_trained_on_stays(same, kept):
    others = [Print(bytes([i]), np.roll(FAR.bits, 8 * i)) for i in range(4)]
    found = [fake("x") if i in same else other for i, other in enumerate(others)]
    dropped = find_copies(PHOTOS, found, distance=0)
    assert {d.photo for d in dropped} == {*same} - {kept}
    assert {d.kept for d in dropped} == {kept}
    assert all(d.distance is None for d in dropped)


def test_within_a_part_the_first_row_stays():
    photos = [photo("retain", f"train_images/{i}") for i in range(3)]
    dropped = find_copies(photos, [FAR, fake("x"), fake("x")], distance=0)
    assert [(d.photo, d.kept) for d in dropped] == [(2, 1)]


def test_the_distance_decides_what_is_similar():
    photos = [photo("retain", f"train_images/{i}") for i in range(3)]
    found = [fake("a"), fake("b", 2), fake("c", 6)]
    assert find_copies(photos, found, distance=0) == []
    assert [(d.photo, d.distance) for d in find_copies(photos, found, distance=2)] == [(1, 2)]
    assert [d.photo for d in find_copies(photos, found, distance=6)] == [1, 2]


def test_no_two_photos_that_stay_are_copies():
    draw = np.random.default_rng(0)
    base = draw.random((40, 64)) < 0.5
    bits = base[draw.integers(0, 40, 300)] ^ (draw.random((300, 64)) < 0.02)
    parts = draw.choice(["forget", "retain", "val", "test"], 300)
    photos = [photo(str(p), str(i)) for i, p in enumerate(parts)]
    found = [Print(bytes([i % 256, i // 256]), b) for i, b in enumerate(bits)]
    dropped = find_copies(photos, found, distance=4)
    left = sorted({*range(300)} - {d.photo for d in dropped})
    apart = (bits[left][:, None] != bits[left][None]).sum(-1) + 64 * np.eye(len(left))
    assert apart.min() > 4
    assert all((bits[d.photo] != bits[d.kept]).sum() == d.distance for d in dropped)
    assert not {d.photo for d in dropped} & {d.kept for d in dropped}


def test_names_that_share_a_photo_are_one_person():
    people = ["F1_M", "F1_D", "F2_M", "F3_GM", "F4_M", "F1_M"]
    photos = [photo("retain", str(i), person) for i, person in enumerate(people)]
    prints = [fake(d) for d in ("a", "b", "a", "c", "d", "c")]
    assert linked_persons(photos, prints) == ["F1_M", "F1_D", "F1_M", "F1_M", "F4_M", "F1_M"]


def test_reasons_count_pairs_of_parts():
    found = [fake("x"), fake("x"), fake("y", 2), fake("x")]
    dropped = find_copies(PHOTOS, found, distance=2)
    assert reasons(PHOTOS, dropped) == [
        ("forget", "retain", 1, 0),
        ("test", "retain", 1, 0),
        ("val", "retain", 0, 1),
    ]


def test_a_damaged_image_is_named(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"mufac: expected an image in .*bad\.jpg"):
        fingerprint(tmp_path / "bad.jpg")
