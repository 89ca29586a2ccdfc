"""Charts of tables, as files beside the pages that show them."""

from measured import ROOT

from lotus_unlearning.report.entropies import entropies
from lotus_unlearning.report.epochs import epochs
from lotus_unlearning.report.intervals import intervals
from lotus_unlearning.report.palette import symbols
from lotus_unlearning.report.scatters import scatter

FIGURES = ROOT / "docs" / "figures"
ALL = ["paper", "authors", "tuned"]
"""Settings, in the order of their symbols."""
ALONE = 'xmlns="http://www.w3.org/2000/svg" style="background: #fff; font-family: sans-serif"'
"""What a drawing needs that stands outside a page."""
ENTROPIES = ("original", "gold", "lotus", "bad-teacher")


def clear(pattern):
    """Remove the charts of an earlier run."""
    FIGURES.mkdir(exist_ok=True)
    for old in FIGURES.glob(pattern):
        old.unlink()


def charts(name, drawn, cloud=0):
    """A section's first intervals, one scatter, its temperatures and entropies, as files."""
    for number, made in enumerate(_drawn(name, drawn, cloud)):
        file = FIGURES / f"{name}-{number}.svg"
        svg = str(made.svg)
        svg = svg.replace("<svg ", f"<svg {ALONE} ", 1)
        file.write_text(svg, encoding="utf-8")
        title = made.title or _axes(drawn["scatters"][cloud])
        words = f"{title}. {made.caption}" if made.caption else title
        yield f"![{title}](figures/{file.name})\n\n*{words}*\n"


def _drawn(name, drawn, cloud):
    rows = [row for row in drawn["table"]["rows"] if row["kind"] == "method"]
    looks = symbols([*ALL, *(row["settings"] for row in rows)])
    found = [intervals(name, data, looks) for data in drawn.get("intervals", ())[:1]]
    clouds = drawn.get("scatters", ())[cloud : cloud + 1]
    found += [scatter(f"{name}-s", data, looks, (400, 310)) for data in clouds]
    if drawn.get("epochs"):
        found += epochs(f"{name}-e", drawn["epochs"])
    panels = [p for p in drawn.get("entropies", ()) if p["label"] in ENTROPIES]
    found += entropies(f"{name}-h", panels) if panels else []
    return [chart for chart in found if chart is not None]


def _axes(cloud):
    return f"{cloud['y']['label']}, against {cloud['x']['label']}"
