"""A page in a real browser, as wide as asked: a window is never narrower than 500 pixels.

So the page, as it is, stands in a frame; it runs no script of its own, the frame's looks at it.
"""

import html
import json
import re
import shutil
import subprocess

import pytest

needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed"
)
_FRAME = """<!doctype html><title>frame</title><body style="margin:0">
<iframe id="f" src="page.html" style="border:0;width:{width}px;height:900px"></iframe><script>
window.addEventListener('load', () => {{
  const inner = document.getElementById('f').contentDocument, root = inner.documentElement;
  const cut = element => {{
    for (let e = element.parentElement; e && e !== root; e = e.parentElement)
      if (inner.defaultView.getComputedStyle(e).overflowX !== 'visible' && e.clientWidth) return e;
    return null;
  }};
  const outside = [...inner.body.querySelectorAll('*')].filter(e => {{
    const box = e.getBoundingClientRect();
    return box.width && (box.right > {width} + 1 || box.left < -1) && !cut(e);
  }}).map(e => e.tagName + ' ' + (e.textContent || '').trim().slice(0, 40));
  const seen = {{width: root.clientWidth, wide: root.scrollWidth, outside: outside.slice(0, 9)}};
  document.body.setAttribute('data-seen', JSON.stringify(seen));
}});
</script></body>"""


def look(text, folder, width):
    """Shows a page.

    Args:
        text: HTML.
        folder: For files.
        width: Of its place, in pixels.

    Returns:
        ``width`` that there was, ``wide``: what the page needs, and elements ``outside`` of it
        that no scrollbar leads to; nothing is to be in the browser's log.
    """
    (folder / "page.html").write_text(text, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(_FRAME.format(width=width), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    options += ["--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        ["chromium", *options, "--window-size=1400,1000", "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found is not None
    return json.loads(html.unescape(found[1]))


def overflows(text, folder, width):
    """What does not fit into ``width`` pixels; nothing is to."""
    seen = look(text, folder, width)
    assert 0 < seen["width"] <= width
    too_wide = [f"the page is {seen['wide']} wide"] if seen["wide"] > seen["width"] else []
    return [*too_wide, *seen["outside"]]
