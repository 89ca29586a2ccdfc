"""Where tar shards are: the host stays with the address, and a kept index with its shard."""

import fsspec
import pytest
from fsspec.utils import infer_storage_options
from tar_shards import SIZE, png, samples, write

from lotus_unlearning import datasets
from lotus_unlearning.datasets import shards


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    """Of this test alone."""
    monkeypatch.setattr("lotus_unlearning.datasets.shards.CACHE", tmp_path / "cache")


class Hosts(fsspec.AbstractFileSystem):
    """Folders of this machine as hosts: paths are without them, as those of ftp and sftp."""

    protocol = "hosts"
    tells = True

    def __init__(self, host="", **options):
        super().__init__(**options)
        self.host = host

    @classmethod
    def _strip_protocol(cls, path):
        return infer_storage_options(path)["path"]

    @staticmethod
    def _get_kwargs_from_urls(path):
        return {"host": infer_storage_options(path)["host"]}

    def info(self, path, **_):
        place = HOSTS[self.host] / path.lstrip("/")
        kind = "directory" if place.is_dir() else "file"
        when = {"modify": place.stat().st_mtime_ns} if self.tells else {}
        return {"name": path, "size": place.stat().st_size, "type": kind, **when}

    def ls(self, path, detail=True, **_):
        names = [f"{path.rstrip('/')}/{p.name}" for p in (HOSTS[self.host] / path[1:]).iterdir()]
        return [self.info(name) for name in names] if detail else names

    def _open(self, path, mode="rb", **_):
        return (HOSTS[self.host] / path.lstrip("/")).open(mode)


HOSTS = {}


@pytest.fixture
def hosts(tmp_path):
    fsspec.register_implementation("hosts", Hosts, clobber=True)
    for i, name in enumerate(("one", "two")):
        HOSTS[name] = tmp_path / name
        write(tmp_path / name / "data" / "train-0.tar", samples(range(30 * i, 30 * i + 20)))
        write(tmp_path / name / "data" / "test-0.tar", samples(range(900 + 9 * i, 909 + 9 * i)))


@pytest.mark.parametrize("pattern", ["train-{0..0}.tar", "train-*.tar", ""])
def test_the_host_of_an_address_is_kept(hosts, pattern):
    """By every pattern, and in the cache: the files of both hosts have one path."""
    for host, first in (("one", 0), ("two", 30)):
        data = datasets.load(f"webdataset:hosts://{host}/data/{pattern}", size=SIZE)
        assert min(int(key) for key in data.test.names) >= 900
        keys = sorted(int(key) for key in (*data.train.names, *data.unseen.names))
        assert keys == list(range(first, first + 20))


def test_the_index_of_a_shard_whose_changes_nobody_tells_is_read_again(hosts, monkeypatch):
    monkeypatch.setattr(Hosts, "tells", False)
    address = "hosts://one/data/train-0.tar"
    assert shards.open_shard(address).keys[0] == "000000"
    write(HOSTS["one"] / "data" / "train-0.tar", samples(range(50, 70)))
    assert shards.open_shard(address).keys[0] == "000050"


def test_a_kept_index_that_is_damaged_is_made_again(tmp_path):
    path = str(write(tmp_path / "train-0.tar", samples(range(3))))
    keys = list(shards.open_shard(path).keys)
    (kept,) = (tmp_path / "cache").glob("*/*.npz")
    content = kept.read_bytes()
    for place in range(0, len(content), 3):
        for bits in (0xFF, 0x01):
            broken = bytearray(content)
            broken[place] ^= bits
            kept.write_bytes(broken)
            found = shards.open_shard(path)
            assert list(found.keys) == keys
            assert found.sizes.tolist() == [len(png(n)) for n in range(3)]
