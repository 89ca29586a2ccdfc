"""A folder with the record of one request, signed."""

from hashlib import sha256
from pathlib import Path

from lotus_unlearning.files import folders
from lotus_unlearning.requests.canonical import canonical, settle
from lotus_unlearning.requests.page import render
from lotus_unlearning.requests.record import record
from lotus_unlearning.requests.signing import PUBLIC, key_fingerprint, sign
from lotus_unlearning.requests.verify import SIGNATURE, SUMS, listed_sums
from lotus_unlearning.requests.workspace import KEYS, Workspace

EXPORTS = "exports"


def export(workspace: Workspace, number: int, out: str | None = None) -> Path:
    """Write the record of a request as JSON and HTML, with the signature of both.

    Args:
        workspace: The workspace that holds the request.
        number: The id of the request.
        out: The new folder; ``None``: the next free one among the workspace's exports.

    Returns:
        The folder: complete, or not there.

    Raises:
        ValueError: If there is no such request, no key to sign with, or something at ``out``.
    """
    final = _free(workspace, number) if out is None else folders.destination(out, "")
    found = record(workspace, number)
    keys = workspace.folder / KEYS
    _, public = sign(keys, b"")
    page = render(found, key_fingerprint(public))
    files = {
        "record.json": canonical(found),
        "record.html": page.encode("utf-8"),
        PUBLIC: public,
    }
    sums = listed_sums({name: sha256(data).hexdigest() for name, data in files.items()})
    signature, _ = sign(keys, sums)
    with folders.folder(final) as folder:
        for name, data in {**files, SUMS: sums, SIGNATURE: signature}.items():
            (folder / name).write_bytes(data)
        settle(folder)
    return final


def _free(workspace: Workspace, number: int) -> Path:
    first = workspace.folder / EXPORTS / f"request-{number}"
    path, count = first, 2
    while path.exists():
        path, count = first.with_name(f"{first.name}-{count}"), count + 1
    return path
