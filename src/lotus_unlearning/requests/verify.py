"""Verify an exported record: needs its folder and ``cryptography``, nothing else.

What is checked can be checked without this package, too::

    openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
    sha256sum --check --strict SHA256SUMS
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lotus_unlearning.requests.canonical import file_digest
from lotus_unlearning.requests.signing import PUBLIC, is_signed, key_fingerprint

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
_LONGEST = 1 << 16
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class Verified:
    """What became of a verification.

    Attributes:
        problems: What is wrong, one sentence each; empty: every file is as it was signed, and no
            other is there.
        files: The names of the files that were signed.
        fingerprint: The fingerprint of the key that the signature was checked against; empty: there
            was none.
        given: Whether that key was given by the caller. The one in the folder could be anybody's.
    """

    problems: list[str]
    files: list[str]
    fingerprint: str
    given: bool


def verify(folder: str | Path, key: str | Path | None = None) -> Verified:
    """Check the signature and the hash of every file in ``folder``.

    Args:
        folder: The folder that ``lotus request export`` made.
        key: The issuer's public key, got by another way than the folder itself; ``None``: the one
            in the folder.

    Raises:
        ValueError: If ``folder`` is none of these, or ``key`` is no public key.
    """
    place = Path(folder)
    if not (place / SUMS).is_file() or not (place / SIGNATURE).is_file():
        raise ValueError(
            f"expected a folder made by lotus request export, with {SUMS} and {SIGNATURE}, at "
            f"{str(folder)!r}; got none"
        )
    sums = _small(place / SUMS)
    listed, problems = _listed(sums)
    fingerprint, problem = _signed(place, sums, key)
    problems = [*problem, *problems, *_changed(place, listed)]
    return Verified(problems, sorted(listed), fingerprint, key is not None)


def listed_sums(files: Mapping[str, str]) -> bytes:
    """The text of ``SHA256SUMS``: a digest and a name per line, by name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items())).encode("ascii")


def _small(path: Path) -> bytes:
    """The bytes of a file; of a huge one only the first, which make no signature right."""
    with path.open("rb") as file:
        return file.read(_LONGEST)


def _listed(sums: bytes) -> tuple[dict[str, str], list[str]]:
    """Digest by name, and what is wrong with the list."""
    try:
        lines = sums.decode("ascii").split("\n")
    except UnicodeDecodeError:
        return {}, [f"{SUMS}: expected lines of a digest and a name, got other bytes"]
    matches = [_LINE.fullmatch(line) for line in lines[:-1]]
    if lines[-1] or not all(matches):
        return {}, [f"{SUMS}: expected lines of a digest and a name, got others"]
    found = {match[2]: match[1] for match in matches if match}
    twice = len(found) < len(matches)
    return found, [f"{SUMS}: expected each name once, got one twice"] if twice else []


def _signed(place: Path, sums: bytes, key: str | Path | None) -> tuple[str, list[str]]:
    """Fingerprint of the key that was checked against, and what is wrong with the signature."""
    path = place / PUBLIC if key is None else Path(key)
    if not path.is_file():
        if key is not None:
            raise ValueError(f"key: expected a file with a public key at {str(key)!r}, found none")
        return "", [f"{PUBLIC}: expected in the folder, found none; pass the issuer's with --key"]
    pem = _small(path)
    try:
        fingerprint = key_fingerprint(pem)
    except ValueError as error:
        if key is not None:
            raise ValueError(f"key: {path}: {error}") from None
        return "", [f"{PUBLIC}: {error}"]
    if is_signed(pem, _small(place / SIGNATURE), sums):
        return fingerprint, []
    whose = "the key in the folder" if key is None else f"the key {str(key)!r}"
    return fingerprint, [f"{SIGNATURE}: expected a signature of {SUMS} by {whose}, got another"]


def _changed(place: Path, listed: Mapping[str, str]) -> list[str]:
    there = {path.relative_to(place).as_posix(): path for path in sorted(place.rglob("*"))}
    found = []
    for name, path in there.items():
        if name in (SUMS, SIGNATURE) and path.is_file() and not path.is_symlink():
            continue
        if name not in listed:
            found.append(f"{name}: not among the files that were signed; it was added later")
        elif path.is_symlink() or not path.is_file():
            found.append(f"{name}: expected a file, got something else")
        elif file_digest(path) != listed[name]:
            found.append(f"{name}: was changed after it was signed")
    return [*found, *(f"{name}: was removed" for name in sorted(listed.keys() - there.keys()))]
