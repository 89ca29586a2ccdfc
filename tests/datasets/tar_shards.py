"""Writes tar shards as WebDataset's users have them."""

import io
import tarfile

import numpy as np
from PIL import Image

SIZE = 8


def pixels(number):
    """``[SIZE, SIZE, 3]``, other ones for each number."""
    return np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def png(number):
    stream = io.BytesIO()
    Image.fromarray(pixels(number)).save(stream, "PNG")
    return stream.getvalue()


def samples(numbers, classes=2):
    """Members of samples ``000007.png``, ``000007.cls`` for each number."""
    return {
        name: content
        for n in numbers
        for name, content in ((f"{n:06}.png", png(n)), (f"{n:06}.cls", str(n % classes).encode()))
    }


def write(path, members):
    """A tar file of members, which are a mapping or, to repeat a name, pairs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def shards(folder, train=40, test=10, per_shard=10):
    """``folder/train-000.tar``, ... and ``folder/test-000.tar``, ... of so many images."""
    for part, numbers in (("train", range(train)), ("test", range(10_000, 10_000 + test))):
        for i in range(0, len(numbers), per_shard):
            write(folder / f"{part}-{i // per_shard:03}.tar", samples(numbers[i : i + per_shard]))
    return folder
