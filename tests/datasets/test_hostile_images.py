"""Images made to do harm: a file of few bytes does not fill the memory."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from lotus_unlearning.datasets import decoding


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (3, 5000)])
def test_a_strip_of_few_bytes_does_not_fill_the_memory(shape, monkeypatch):
    resized, seen = F.resize, []

    def watched(image, *args, **kwargs):
        seen.append(image.size)
        return resized(image, *args, **kwargs)

    monkeypatch.setattr(F, "resize", watched)
    pixels = np.zeros((*shape, 3), np.uint8)
    long = int(np.argmax(shape))
    middle = slice(shape[long] // 2 - 12, shape[long] // 2 + 12)
    pixels[(slice(None), middle) if long else middle] = 200
    Image.fromarray(pixels).save("strip.png")
    found = decoding.Reader("photos", 32)("strip.png")
    assert max(seen[0]) <= 20 * min(seen[0]) + 1
    assert found.shape == (3, 32, 32)
    assert (found == 200).all()


@pytest.mark.parametrize("shape", [(8, 8), (7, 140), (41, 30), (33, 400)])
def test_of_other_images_no_pixel_is_cut_off_before_they_are_resized(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("image.png")
    found = decoding.Reader("photos", 16, shorter=20)("image.png")
    whole = F.center_crop(F.resize(Image.fromarray(pixels), [20], antialias=True), [16])
    assert torch.equal(found, torch.from_numpy(np.array(whole)).permute(2, 0, 1))
