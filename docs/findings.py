"""What can be said of the tables of results, by rule."""

from measured import BLOCKS, SCENARIOS, cell, paired, seeds

from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.ranking import rank
from lotus_unlearning.benchmark.significance import paired_p_value, stouffer
from lotus_unlearning.benchmark.summary import by_split, estimate
from lotus_unlearning.benchmark.tables import tables
from lotus_unlearning.metrics import mean_and_interval
from lotus_unlearning.metrics.holm import holm


def sentences(done):
    """What can be said of each block, by rule."""
    for name, block, grid, parts in done:
        if name == "table7":
            yield from of_correlations(BLOCKS[block], tables(grid, parts)[0])
        if name == "table10":
            yield from of_smoothing(BLOCKS[block], parts[0])
        if name == "streisand":
            yield from of_entropies(BLOCKS[block], parts[0])
        if name in SCENARIOS:
            for part in parts:
                yield from of_part(SCENARIOS[name].capitalize(), BLOCKS[block], part)


def of_correlations(where, table):
    """Whether retraining wins RF-JSD, and whether it orders methods as JSD does."""
    at = {head: i for i, head in enumerate(table.heads)}
    ranks = [row[at["Rank of gold's RF-JSD"]].text for row in table.rows]
    places = [int(rank.partition(" ")[0]) for rank in ranks]
    means = f"1 in {places.count(1)} of {len(places)} rows and {max(places)} at most"
    said = [
        f"{row[at['Data']].text}, {row[at['Settings']].text}: rank {rank}, r = "
        f"{row[at['Spearman']].text}"
        for row, rank in zip(table.rows, ranks, strict=True)
    ]
    yield (
        f"RF-JSD on {where}, where retraining should have the least: gold's rank is {means}. With "
        f"Spearman's correlation with JSD over methods: {'; '.join(said)}."
    )


def of_smoothing(where, part):
    """Gumbel-softmax minus softmax, in the divergence from gold."""
    lines = {(ln.label, ln.settings): ln for ln in part.lines if ln.is_method and ln.values}
    told = set()
    for (label, settings), line in lines.items():
        other = lines.get(("lotus, softmax", settings))
        if label != "lotus, gumbel-softmax" or other is None:
            continue
        mine, theirs = (paired(ln, "js_divergence") for ln in (line, other))
        both = mine.keys() & theirs.keys()
        gap = mean_and_interval([1e3 * (mine[k] - theirs[k]) for k in sorted(both)])
        if len(both) < 2 or (alike := tuple(mine.values())) in told:
            continue
        told.add(alike)
        yield (
            f"LoTUS with Gumbel-softmax minus with softmax on {where}, {', '.join(settings)} "
            f"settings, JSD to gold x1e3: {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}] over "
            f"{len(both)} seeds."
        )


def of_entropies(where, part):
    """Whose entropies give forgotten images away more than gold's do."""
    measure = "entropy_distance"
    gold, original = (
        next(line for line in part.lines if line.name == name) for name in ("gold", "original")
    )
    limit = estimate(gold.values[measure]).high
    rows = [ln for ln in part.lines if ln.is_method and measure in ln.values]
    shown = [ln for ln in rows if estimate(ln.values[measure]).low > limit]
    shown.sort(key=lambda line: -estimate(line.values[measure]).value)
    yield (
        f"Entropies of forget and unseen images on {where} are further apart than gold's "
        f"({cell(gold, measure)}; the original's: {cell(original, measure)}), interval beyond "
        f"interval, for {listed(shown[:6], measure)}"
        + (f" and {len(shown) - 6} more." if len(shown) > 6 else ".")
    )


def of_part(what, where, part):
    """How LoTUS and the best method did, and what could be told apart."""
    original = next(line for line in part.lines if line.name == "original")
    measure = "closes"
    if not original.values.get(measure):
        yield f"{what} of {where}: {together(original)}; {harm(part)}"
        return
    ranking = rank(part.lines, measure)
    if ranking is None:
        return
    rows = [line for line in part.lines if line.is_method and measure in line.values]
    best = [part.lines[i] for i in sorted(ranking.best)]
    ours = [line for line in rows if line.name == "lotus"]
    away = [ln for ln in rows if estimate(ln.values[measure]).high < -0.005]
    against = "" if any(line in best for line in ours) else ", and is not the best"
    yield (
        f"{what} of {where}: {listed(best, measure)} closes most, with {of_test(part, best[0])}. "
        f"LoTUS closes {listed(ours, measure)}{against}; of {len(rows)} rows, {ahead(rows, ours)} "
        f"have a higher mean. Away from gold, with the whole interval: {listed(away, measure)}. "
        f"{tested(part, ranking)}{not_run(part, rows)}"
    )


def together(original):
    """What all seeds say of an original that in no single one is further than golds are."""
    p = stouffer(list(original.values["p_something_to_close"].values()))
    said = "in no seed alone could it be measured that there was something to close"
    return f"{said}; all seeds together, p = {p:.2g} (Stouffer)"


def not_run(part, rows):
    """Methods of which nothing was run, where others were."""
    ran = {line.label for line in rows}
    missing = [ln.label for ln in part.lines if ln.is_method and ln.label not in ran]
    names = ", ".join(f"`{label}`" for label in dict.fromkeys(missing))
    return f" Not run: {names}." if names else ""


def ahead(rows, ours):
    """How many rows of other methods close more than LoTUS at its best."""
    most = max(estimate(line.values["closes"]).value for line in ours)
    return sum(estimate(ln.values["closes"]).value > most for ln in rows if ln not in ours)


def tested(part, ranking):
    """What the tests between methods say."""
    if not ranking.tests:
        return f"With {seeds(part)} there are no tests between methods."
    alike, open_ = (len(distinct(part, of)) for of in (ranking.as_good, ranking.undecided))
    worse = f", nor {open_ - alike} more that are worse than the original" if open_ > alike else ""
    return (
        f"{alike} of {ranking.tests} other results cannot be told from the best by paired tests "
        f"over {seeds(part)}{worse}."
    )


def distinct(part, lines):
    """The results at ``lines``: settings that come to the same are one."""
    return {tuple(part.lines[i].values["closes"].values()) for i in lines}


def of_test(part, line):
    """The test accuracy of a method beside gold's."""
    gold = next(found for found in part.lines if found.name == "gold")
    mine, theirs = (cell(found, "test_accuracy") for found in (line, gold))
    return f"{mine} % of test images right (gold: {theirs})"


def listed(rows, measure):
    """Methods and their values."""
    return ", ".join(said(line, measure) for line in rows) or "none"


def harm(part):
    """Which methods are significantly further from gold than the original is."""
    original = next(line for line in part.lines if line.name == "original")
    before = by_split(original.values["js_divergence"])
    rows = [ln for ln in part.lines if ln.is_method and ln.values.get("js_divergence")]
    further = [
        {
            split: value - before[split]
            for split, value in by_split(ln.values["js_divergence"]).items()
        }
        for ln in rows
    ]
    p = holm([paired_p_value(values, dict.fromkeys(values, 0.0)) for values in further])
    worse = [
        f"`{line.label}` ({', '.join(line.settings)})"
        for line, values, value in zip(rows, further, p, strict=True)
        if value < 0.05 and sum(values.values()) > 0
    ]
    if not worse:
        return "no method is significantly further from gold than the original is."
    return f"significantly further from gold than the original: {', '.join(worse)}."


def said(line, measure):
    """A method and its value."""
    found, column = estimate(line.values[measure]), COLUMNS[measure]
    half = (found.high - found.low) / 2
    spread = f" ± {column.text(half)}" if half == half else ""
    return f"`{line.label}` ({', '.join(line.settings)}) {column.text(found.value)}{spread}"
