"""Strategies: what may stand in a file that somebody else wrote."""

import json
import struct
import tarfile
from io import BytesIO

import yaml
from hypothesis import strategies as st
from safetensors.torch import load, save

from lotus_unlearning.runtime import nested

ODD = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[2J", b"\r", b"\n", b'"', b"'", b",", b";", b"\t",
    b"#", b"{", b"}", b"[", b"]", b": ", b"- ", b"&a ", b"*a", b"!!bool x", b"!!int ",
    b"!!python/object/apply:os.system ['touch touched']", b"../../canary.txt", b"/etc/passwd",
    b"2001-99-99", b"-1", b"1e400", b"nan", b"null", b"true", b"9" * 30, b"9" * 5000,
    b"id", b"path,id", b"index",
    b"<script>alert(1)</script>", "\u202e".encode(), "é😀".encode(), "é".encode("latin-1"),
    b"[" * 3000, b"x" * 200_000,
]  # fmt: skip
_VALUES = [
    None, True, -1, 0, 3, 2**70, 1e308, "", "x", "../../canary.txt", "/etc/passwd", "\x1b[2J", "\0",
    "<script>", [], [[]], {}, {"a": 1}, [1, "a", None], "9" * 5000, "😀",
]  # fmt: skip


@st.composite
def edited(draw, valid):
    """Bytes that are nearly right: cut off, doubled, or with something odd in the middle."""
    found = valid
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(found)))
        to = min(len(found), at + draw(st.sampled_from([0, 1, 4, 30, 10_000])))
        new = draw(st.sampled_from([*ODD, found[at:to] * 2]) | st.binary(max_size=4))
        found = found[:at] + new + found[to:]
    return found


def _places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*path, key))


def changed(value, path, new):
    """Plain data with ``new`` at ``path``; without what is there, if it is ``...``."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def plain(draw, valid):
    """Plain data with the right shape, but for one to three values in it."""
    found = valid
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([*_places(found)][:400]))
        new = draw(st.sampled_from([*_VALUES, ...] if path else _VALUES))
        found = changed(found, path, new)
        if not isinstance(found, dict | list):
            break
    return found


def jsons(valid):
    """JSON in the place of ``valid``."""
    written = plain(json.loads(valid)).map(lambda value: json.dumps(value, indent=1).encode())
    return written | edited(valid) | st.binary(max_size=60)


def json_lines(valid):
    """As :func:`jsons`, with a value in each line."""
    rows = [json.loads(line) for line in valid.splitlines()]
    lines = st.lists(plain(rows[0]).map(json.dumps), max_size=3)
    written = lines.map(lambda some: "\n".join(some).encode())
    return written | edited(valid) | st.binary(max_size=60)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)
)


def yamls(valid):
    """YAML in the place of ``valid``."""
    written = plain(yaml.safe_load(valid)).map(lambda value: yaml.safe_dump(value).encode())
    hostile = st.sampled_from([BOMB.encode(), b"a: &a [*a]", b"? [a]\n: b", b"a: !!bool x", b"{"])
    extended = hostile.map(lambda text: valid + b"\n" + text)
    return written | edited(valid) | hostile | extended | st.binary(max_size=60)


_OF_OTHER_SHAPES = [None, True, -1, 3, 0.5, float("nan"), [], [1, 2], {}, {"a": 1}]


@st.composite
def configs(draw, valid):
    """The options of a command with one of them, or a config within, of another shape."""
    found = yaml.safe_load(valid)
    places = [path for path in _places(found) if path]
    path = draw(st.sampled_from([*places, ("config",)]))
    new = draw(st.sampled_from(_OF_OTHER_SHAPES))
    found = {**found, **({"config": None} if path == ("config",) else {})}
    return yaml.safe_dump(changed(found, path, new)).encode()


def tables(valid):
    """CSV, or lines of text, in the place of ``valid``; also in other encodings."""
    encodings = st.sampled_from(["utf-8-sig", "utf-16", "utf-32"])
    encoded = encodings.map(lambda name: valid.decode().encode(name))
    return edited(valid) | encoded | st.binary(max_size=60)


_CELLS = ["0", "17", "-3", "+4", "3.0", "1e3", "9" * 40, "९", "cat/0.png", "../x", '"a"', "", " "]
_HEADS = ["", "id\n", "path,id\n", "index;x\n", "id\tpath\n", '"id"\n', "id,", "# more\n"]


@st.composite
def ids(draw, valid):
    """A list of ids as a person may have written it, some of them those of ``valid``."""
    right = st.sampled_from(valid.decode().split())
    cell = draw(st.sampled_from([right, right | st.sampled_from(_CELLS) | st.text(max_size=8)]))
    head, between = draw(st.sampled_from(_HEADS)), draw(st.sampled_from([",", ";", "\t"]))
    width = 1 + sum(head.count(one) for one in ",;\t")
    row = st.lists(cell, min_size=width, max_size=draw(st.sampled_from([width, width, 3])))
    rows = draw(st.lists(row.map(between.join), max_size=6))
    encoding = draw(st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-32"]))
    return (head + "".join(f"{one}\n" for one in rows)).encode(encoding, "surrogatepass")


_DTYPES = ["F32", "F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "F4", "C64", "X", "", 3]
_NUMBERS = st.sampled_from([0, 1, 8, 64, 2**31, 2**63, 2**64, -1, 1.5, "8"])


@st.composite
def safetensors(draw, valid):
    """A header that lies: other offsets, types, shapes, names, or another length."""
    (size,) = struct.unpack("<Q", valid[:8])
    header, body = json.loads(valid[8 : 8 + size]), valid[8 + size :]
    for name in draw(st.lists(st.sampled_from(sorted(header)), max_size=2)):
        if isinstance(header.get(name), dict):
            entry = dict(header[name])
            key = draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))
            numbers = st.lists(_NUMBERS, max_size=4)
            entry[key] = draw(st.sampled_from(_DTYPES) if key == "dtype" else numbers)
            header[draw(st.sampled_from([name, name, "__metadata__", "\x1b[2J", "../x"]))] = entry
    if draw(st.booleans()):
        header = draw(plain(header))
    text = json.dumps(header).encode()
    length = draw(st.sampled_from([len(text)] * 6 + [0, 1, 2**31, 2**40, 2**63, len(valid)]))
    end = draw(st.sampled_from([len(body)] * 4 + [0, 1, len(body) // 2]))
    return struct.pack("<Q", length) + text + body[:end]


def weights(valid):
    """In the place of a file of weights."""
    return safetensors(valid) | edited(valid) | st.binary(max_size=60)


def checkpoints(valid):
    """In the place of a checkpoint: broken, or whole and forged."""
    tensors, (size,) = load(valid), struct.unpack("<Q", valid[:8])
    tree = json.loads(json.loads(valid[8 : 8 + size])["__metadata__"]["tree"])

    def signed(value):
        text = json.dumps(value)
        return save(tensors, {"tree": text, "sha256": nested._digest(text, tensors)})

    inner = [pair for pair in tree["dict"] if pair[0] != "carried"]
    carried = [pair for pair in tree["dict"] if pair[0] == "carried"]
    forged = plain(inner).map(
        lambda some: signed({"dict": some + carried} if isinstance(some, list) else some)
    )
    return forged | weights(valid)


_NAMES = [
    "a.png",
    "000.cls",
    "../../canary.txt",
    "/etc/passwd",
    "\x1b[2J.png",
    "x" * 300,
    "é.cls",
    "",
]
_SIZES = st.sampled_from([0, 1, 100, 511, 2**31, 2**40, 2**62, 2**64, -1, -512])
_KINDS = [bytes([c]) for c in b"\x0001234567DKLMNSVgxX"]
_PAX = ["size", "path", "linkpath", "hdrcharset", "GNU.sparse.map", "GNU.sparse.size", "mtime"]


@st.composite
def archives(draw, valid):
    """A tar file whose members lie: other names, sizes, kinds, labels, or no end."""
    with tarfile.open(fileobj=BytesIO(valid)) as archive:
        members = [(member, archive.extractfile(member).read()) for member in archive]
    for at in draw(st.lists(st.integers(0, len(members) - 1), min_size=1, max_size=3)):
        member = members[at][0]
        what = draw(st.sampled_from(["name", "size", "type", "data", "pax"]))
        if what == "data":
            members[at] = member, draw(st.sampled_from([*ODD, *_CELL_BYTES]))
            member.size = len(members[at][1])
        elif what == "pax":
            value = draw(st.sampled_from(["-1", "9" * 30, "BINARY", "0,1", "\x1b[2J", ""]))
            member.pax_headers = {draw(st.sampled_from(_PAX)): value}
        else:
            drawn = {"name": st.sampled_from(_NAMES), "size": _SIZES}
            setattr(member, what, draw(drawn.get(what, st.sampled_from(_KINDS))))
    blocks = [m.tobuf(_format(m), "utf-8") + d + bytes(-len(d) % 512) for m, d in members]
    return b"".join(blocks) + bytes(512 * draw(st.sampled_from([2, 2, 2, 1, 0])))


_CELL_BYTES = [cell.encode() for cell in _CELLS]


def _format(member):
    return tarfile.PAX_FORMAT if member.pax_headers else tarfile.GNU_FORMAT


def tars(valid):
    """In the place of a tar file."""
    return archives(valid) | edited(valid) | st.binary(max_size=60)
