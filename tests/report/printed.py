"""A page as chromium prints it: the text on each sheet of the PDF."""

import re
import subprocess
import unicodedata
import zlib
from html.parser import HTMLParser

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\s(.*?)\nendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*)\nendstream", re.DOTALL)
_SHOWN = re.compile(rb"/(\w+) [\d.]+ Tf|<([0-9A-Fa-f]+)> Tj|\[(.*?)\] ?TJ")
_RANGE = re.compile(rb"<(\w+)> <(\w+)> <(\w+)>")


def squeezed(text):
    """Without white space and ligatures."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def pdf(text, folder):
    """Contents of the PDF of a page, which chromium makes without a script."""
    page, made = folder / "print.html", folder / "print.pdf"
    page.write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    options += [f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={made}"]
    subprocess.run(
        ["chromium", *options, page.as_uri()], capture_output=True, timeout=120, check=True
    )
    return made.read_bytes()


def sheets(contents):
    """Text of every sheet, without white space: where a line ends is the printer's choice."""
    objects = {int(number): body for number, body in _OBJECT.findall(contents)}
    fonts = {
        number: _letters(objects, body) for number, body in objects.items() if b"/ToUnicode" in body
    }
    found = []
    for body in objects.values():
        if not re.search(rb"/Type /Page\b", body):
            continue
        names = {
            name: fonts[int(number)]
            for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", _resources(objects, body))
            if int(number) in fonts
        }
        drawn = b"".join(_stream(objects[int(n)]) for n in _references(rb"Contents", body))
        found.append(_text(drawn, names))
    return found


def _resources(objects, body):
    inner = re.search(rb"/Resources (\d+) 0 R", body)
    return objects[int(inner[1])] if inner else body


def _references(key, body):
    part = re.search(rb"/" + key + rb" (\[.*?\]|\d+ 0 R)", body, re.DOTALL)
    return re.findall(rb"(\d+) 0 R", part[1])


def _stream(body):
    packed = _STREAM.search(body)[1]
    return zlib.decompress(packed) if b"/FlateDecode" in body else packed


def _letters(objects, font):
    """Glyph -> text."""
    (number,) = _references(rb"ToUnicode", font)
    table, found = _stream(objects[int(number)]), {}
    for part in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.DOTALL):
        for glyph, text in re.findall(rb"<(\w+)> <(\w+)>", part):
            found[int(glyph, 16)] = _unicode(text)
    for part in re.findall(rb"beginbfrange(.*?)endbfrange", table, re.DOTALL):
        for first, last, text in _RANGE.findall(part):
            for step in range(int(last, 16) - int(first, 16) + 1):
                found[int(first, 16) + step] = chr(int(text, 16) + step)
    return found


def _unicode(text):
    return bytes.fromhex(text.decode()).decode("utf-16-be")


def _text(drawn, names):
    letters, found = {}, []
    for font, one, several in _SHOWN.findall(drawn):
        if font:
            letters = names.get(font, {})
        for glyphs in [one] if one else re.findall(rb"<([0-9A-Fa-f]+)>", several):
            codes = (int(glyphs[i : i + 4], 16) for i in range(0, len(glyphs), 4))
            found += [letters.get(code, "") for code in codes]
    return squeezed("".join(found))


class _Written(HTMLParser):
    """Pieces of text of a page, with the classes of all that they are in."""

    def __init__(self):
        super().__init__()
        self.pieces, self._inside = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br", "path", "rect", "use"):
            self._inside.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag):
        while self._inside and self._inside[-1][0] != tag:
            self._inside.pop()
        if self._inside:
            self._inside.pop()

    def handle_data(self, text):
        if text.strip():
            self.pieces.append((text, [*self._inside]))


def written(text):
    """Pieces of text between the tags of a page: text, and ``(tag, class)`` of what is around."""
    reader = _Written()
    reader.feed(text)
    return reader.pieces


def not_for_paper(around):
    """Whether a piece of text is for a screen alone: what is clicked, or said again elsewhere."""
    tags, classes = [tag for tag, _ in around], [name for _, name in around]
    folded = ("summary", "") in around and around[around.index(("summary", "")) - 1][1] == "fold"
    said = {"screen", "glossed", "tr head", "scale"} & {*classes}
    return bool(said) or folded or bool({"nav", "style", "title"} & {*tags})


def differences(text, folder):
    """What of a page is not printed, or is printed without being for paper.

    Args:
        text: HTML.
        folder: For files.

    Returns:
        Pieces of text; and a sentence where there is only one sheet.
    """
    found = sheets(pdf(text, folder))
    printed, pieces = "".join(found), written(text)
    wanted = {squeezed(piece) for piece, around in pieces if not not_for_paper(around)}
    others = {squeezed(piece) for piece, around in pieces if not_for_paper(around)}
    lost = [piece for piece in sorted(wanted) if piece not in printed]
    elsewhere = " ".join(wanted)
    too_much = [piece for piece in sorted(others) if piece in printed and piece not in elsewhere]
    return [*lost, *too_much, *(["only one sheet"] if len(found) < 2 else [])]


def as_on_paper(text):
    """A page that looks on a screen as it does on paper; what charts clip counts as clipped."""
    style = "<style>figure > svg { overflow: hidden; }</style></head>"
    return text.replace("@media print", "@media all").replace("</head>", style)


PAPER = 672
"""Pixels across a sheet of A4 between the widest margins."""
