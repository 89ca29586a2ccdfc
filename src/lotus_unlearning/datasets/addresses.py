"""Which tar shards a folder or a pattern means: those to train on, and those set aside."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from lotus_unlearning.ids import some

_WORDS = {"train": ("train",), "test": ("test", "val"), "unseen": ("unseen",)}
"""Part -> what its shards are called; the first word that there are shards for."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_MOST = 1_000_000
_LONGEST = 300
_MARKS = re.compile(r"[*\[]")
_CLOSED = (403, 404, 405)
"""What web servers answer that do not list a folder, or do not have a file or give it to nobody."""
_LAYOUT = (
    "expected PATTERN as in shards/train-{000..099}.tar or shards/*.tar, or a folder with "
    "train/*.tar or train*.tar in it, and shards called test or val, and unseen, alike"
)


def parts_of(pattern: str, root: str | None) -> dict[str, list[str]]:
    """Addresses of the shards of ``"train"`` and, where there are some, ``"test"``, ``"unseen"``.

    Args:
        pattern: Names the shards to train on, with ranges in braces, ``*`` or ``?``; the others
            are called the same with another word in place of the last ``train``. Or a folder.
        root: What it begins at, unless it is an address.

    Raises:
        ValueError: If there are none, some of a range are missing, or one is in two parts; if a
            server does not answer, or fails.
    """
    whole = pattern if root is None or "://" in pattern else f"{root.rstrip('/')}/{pattern}"
    if whole.endswith(".tar"):
        template, train = whole, _expanded(whole)
    else:
        template, train = _in_folder(whole.rstrip("/"))
    if not train:
        raise ValueError(f"webdataset: {_LAYOUT}; found no .tar file for {whole!r}")
    found = {"train": train}
    before, word, after = template.rpartition("train")
    if word:
        for part in ("test", "unseen"):
            named = (_matching(_any(f"{before}{w}{after}")) for w in _WORDS[part])
            shards = next(filter(None, named), None)
            if shards:
                found[part] = shards
        if len(found) == 1 and _listed(_any(template)) is None:
            warnings.warn(
                "webdataset: test and unseen shards were not looked for, as the server does not "
                f"list its files beside {train[0]}; test images are taken from the training shards",
                stacklevel=5,
            )
    _require_apart(found)
    return found


def _in_folder(folder: str) -> tuple[str, list[str]]:
    """The first layout that has shards to train on: its pattern, and these shards."""
    for template in (f"{folder}/train/*.tar", f"{folder}/*train*.tar"):
        shards = _matching(template)
        if shards:
            return template, shards
    layouts = [
        f"{folder}/{w}" for w in ("test/*", "*test*", "val/*", "*val*", "unseen/*", "*unseen*")
    ]
    others = [shard for layout in layouts for shard in _matching(f"{layout}.tar")]
    if others:
        raise ValueError(
            f"webdataset: {_LAYOUT}; got {some(others)} and none called train: what a model was "
            "trained on is needed to forget some of it"
        )
    return f"{folder}/*.tar", _matching(f"{folder}/*.tar")


def _expanded(pattern: str) -> list[str]:
    """Shards of a pattern, in the order that its braces give, else sorted."""
    addresses = list(_without_braces(pattern))
    if any(mark in pattern for mark in "*?["):
        return [shard for address in addresses for shard in _matching(address)]
    missing = [address for address in addresses if not _exists(address)]
    if missing:
        raise ValueError(
            f"webdataset: expected {len(addresses):,} shards of {pattern!r}, but "
            f"{len(missing):,} are missing: {some(missing)}; get them or name fewer"
        )
    return addresses


def _without_braces(pattern: str) -> Iterator[str]:
    """What each choice of the braces gives.

    >>> list(_without_braces("{a,b}-{08..10}.tar"))[:4]
    ['a-08.tar', 'a-09.tar', 'a-10.tar', 'b-08.tar']
    """
    texts = _BRACES.split(pattern)
    choices: list[Sequence[str]] = [
        _choices(text, pattern) if i % 2 else [text] for i, text in enumerate(texts)
    ]
    return map("".join, product(*choices))


def _choices(inside: str, pattern: str) -> Sequence[str]:
    ends = _RANGE.fullmatch(inside)
    if ends is None:
        return inside.split(",")
    low, high = (int(end) for end in ends.groups())
    if not low <= high < low + _MOST:
        raise ValueError(
            f"webdataset: expected a range in braces from low to high, as in {{000..099}}, got "
            f"{{{inside}}} in {pattern!r}"
        )
    return [str(number).zfill(len(ends[1])) for number in range(low, high + 1)]


def _any(pattern: str) -> str:
    """Ranges stand for any number: there are fewer test shards than training shards."""
    return _BRACES.sub("*", pattern)


def _matching(pattern: str) -> list[str]:
    """Addresses of all files that ``pattern`` with ``*`` and ``?`` means, sorted."""
    return _listed(pattern) or []


def _listed(pattern: str) -> list[str] | None:
    """As :func:`_matching`; ``None`` where a web server does not list what it has."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(pattern)
    if pattern.startswith("http"):
        before, *rest = _MARKS.split(pattern, maxsplit=1)
        if not rest:
            return [pattern] if _exists(pattern) else []
        if not _answer(system.ls, before[: before.rindex("/") + 1]):
            return None
        names = _answer(system.glob, path) or []
    else:
        names = system.glob(path)
    found = sorted(str(name) for name in names if str(name).endswith(".tar"))
    return [_beginning(pattern, path) + name for name in found]


def _beginning(pattern: str, path: str) -> str:
    """What a pattern has before its path on its file system: the protocol and, of most, the host.

    >>> _beginning("ftp://host/shards/*.tar", "/shards/*.tar"), _beginning("*.tar", "/here/*.tar")
    ('ftp://host', '')
    """
    if "://" not in pattern:
        return ""
    if not pattern.endswith(path):
        raise ValueError(
            f"webdataset: expected an address that ends with the path of the shards, got "
            f"{pattern!r}, whose path is {path!r}; name the shards by ranges in braces, without "
            "* and ?"
        )
    return pattern.removesuffix(path)


def _exists(address: str) -> bool:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(address)
    if address.startswith("http"):  # whose exists() is False where a server fails
        return _answer(system.info, path) is not None
    return bool(system.exists(path))


def _answer(ask: Callable[[str], Any], address: str) -> Any | None:
    """What a web server tells of ``address``; ``None`` if it says that it has no such thing.

    Raises:
        ValueError: If it cannot be reached, or fails.
    """
    try:
        return ask(address)
    except NotImplementedError:
        return None
    except Exception as error:  # of fsspec, and of the library below it
        # fsspec says "not found" of any failure, and why behind it
        why = error.__cause__ if isinstance(error, FileNotFoundError) else error
        if why is None or getattr(why, "status", None) in _CLOSED:
            return None
        reason = " ".join(str(why).split())[:_LONGEST]
        raise ValueError(
            f"webdataset: expected the server to answer for {address}, but "
            f"({type(why).__name__}: {reason}); try again when it does"
        ) from None


def _require_apart(parts: Mapping[str, Sequence[str]]) -> None:
    for part in ("test", "unseen"):
        both = sorted({*parts["train"]} & {*parts.get(part, ())})
        if both:
            raise ValueError(
                f"webdataset: expected each shard in one part, got {some(both)} in train and "
                f"{part}; name the shards to train on by a pattern"
            )
