"""Figures of a subset test: every candidate by its score, and the rank sum beside what chance gives."""

from collections.abc import Sequence
from fractions import Fraction

from forensics.nouns import Nouns
from forensics.report.assets import environment
from forensics.report.figures import PLOT_HEIGHT, WIDTH, Figure, scientific
from forensics.report.ranks import RankLaw
from forensics.report.tables import Table
from forensics.report.text import fixed, integer, number

_BARS = 110
_LEFT, _RIGHT = 52, 20
_LABEL = 95
_WIDE = 40
"""Ranks from which on the axis of average ranks is marked in whole ones."""

_BESIDE = 128
"""Width of the words beside the bars."""
_TABLE_ROWS = 40


def ranking(items: Sequence[float], target: Sequence[int]) -> list[int]:
    """Returns the positions of all items from the highest score to the lowest; a tie counts against the claim."""
    return sorted(range(len(items)), key=lambda place: (-items[place], target[place], place))


def top_matches(items: Sequence[float], target: Sequence[int]) -> int:
    """Returns how many chosen items are among as many highest-scoring ones; a tie counts against the claim."""
    return sum(target[place] for place in ranking(items, target)[: sum(target)])


def draw_words(
    items: Sequence[str], target: Sequence[int], words: Sequence[str], nouns: Nouns, *, turned: bool = False
) -> Figure:
    """Draws all candidates in the order of their scores, those that the key chose dark and marked.

    Args:
        items: (n,) item scores as decimal strings, in pool order.
        target: (n,) 1 where the key chose the candidate.
        words: (n,) cleaned texts, or empty where they cannot be printed.
        turned: begin with the lowest score: the chosen ones lie at that end, and which end it is means nothing.
    """
    scores = [float(item) for item in items]
    order = ranking([-score for score in scores] if turned else scores, target)
    first, last = ("lowest", "highest") if turned else ("highest", "lowest")
    chosen, n = sum(target), len(scores)
    high, low = max(*scores, 0.0), min(*scores, 0.0)
    span = (high - low) or 1.0
    top, step = 22, (WIDTH - _LEFT - _RIGHT) / n
    zero = top + PLOT_HEIGHT * high / span
    bars = [
        {
            "x": f"{_LEFT + rank * step:.2f}",
            "width": f"{max(step * 0.78, 0.3):.2f}",
            "y": f"{min(zero, zero - PLOT_HEIGHT * scores[place] / span):.2f}",
            "height": f"{max(PLOT_HEIGHT * abs(scores[place]) / span, 0.4):.2f}",
            "chosen": bool(target[place]),
            "middle": f"{_LEFT + (rank + 0.39) * step:.2f}",
        }
        for rank, place in enumerate(order)
    ]
    base = top + PLOT_HEIGHT + 16
    levels = sorted({high, 0.0, low})
    ranks = sorted({1, *(round(n * part / 8) for part in range(1, 9))} - {0})
    svg = (
        environment()
        .get_template("figures/words.svg.j2")
        .render(
            width=WIDTH,
            height=base + 66,
            left=_LEFT,
            right=WIDTH - _RIGHT,
            top=top,
            base=base,
            zero=f"{zero:.2f}",
            edge=f"{_LEFT + chosen * step - step * 0.11:.2f}",
            cut=f"rank {chosen}",
            bars=bars,
            size=f"{min(2.2, max(step * 0.45, 0.9)):.2f}",
            levels=[
                {"y": f"{zero - PLOT_HEIGHT * level / span:.2f}", "text": number(repr(level), 2)}
                for level in levels
                if level == 0.0 or abs(level) / span > 0.12
            ],
            axis=[{"x": f"{_LEFT + (rank - 0.61) * step:.2f}", "text": str(rank)} for rank in ranks],
            middle=f"{(WIDTH + _LEFT - _RIGHT) / 2:.1f}",
            label=f"candidate {nouns.many} from the {first} item score to the {last}",
        )
    )
    matched = sum(target[place] for place in order[:chosen])
    rest = [rank for rank, place in enumerate(order, 1) if target[place] and rank > chosen]
    below = f" The other {nouns.many} that the key chose are at the ranks {_listed(rest)}." if rest else ""
    if len(rest) == 1:
        below = f" The other {nouns.one} that the key chose is at rank {rest[0]}."
    listed = "" if chosen <= _TABLE_ROWS else f"first {_TABLE_ROWS} of the "
    end = f" The sign of a score is arbitrary; the chosen {nouns.many} lie at the {first} end." if turned else ""
    return Figure(
        name="words.svg",
        svg=svg,
        height=base + 66,
        alt=f"Bars: the item scores of {n} candidate {nouns.many} from the {first} to the {last}; {matched} of the "
        f"{chosen} {nouns.many} that the key chose are among the {chosen} {first}.",
        caption=f"All {integer(n)} candidate {nouns.many} by item score, {first} first. Dark bars with a dot below are "
        f"the {integer(chosen)} {nouns.many} that the key chose; light ones are the rest.{end} The table gives the "
        f"{listed}{nouns.many} left of the dashed line.{below}",
        table=_table(order[: min(chosen, _TABLE_ROWS)], scores, target, words, nouns),
    )


def draw_rank_null(
    law: RankLaw, n: int, observed: str, p_value: str, limit: Fraction, nouns: Nouns, *, exact_ranks: bool
) -> Figure:
    """Draws what chance alone would give for the average rank of the chosen ones, with observed and needed value.

    Args:
        law: of the sum of doubled ranks.
        n: number of candidates.
        observed: sum of doubled ranks as the evidence has it, a decimal string.
        p_value: of the observed sum, as the evidence has it.
        limit: the largest p-value that passes gate G2.
        exact_ranks: whether `law` is that of the case's own ranks, ties included; otherwise of ranks without ties.
    """
    tails = law.both_tails() if nouns.two_sided else law.tails()
    found, middle = Fraction(observed), Fraction(n + 1, 2)
    centre = law.place(2 * middle * law.chosen)
    needed = next((place for place, tail in enumerate(tails) if place >= centre and tail <= limit), None)
    bars, top, left = _binned(law), 40, 24
    peak = max(bars)
    step = (WIDTH - 2 * left) / len(bars)

    def place_of(average: Fraction) -> float:
        low, high = law.average(0), law.average(len(law.counts) - 1)
        share = float((average - low) / (high - low)) if high > low else 0.5
        return left + min(max(share, 0.0), 1.0) * (WIDTH - 2 * left)

    def mark(average: Fraction, text: str, y: int, other: Fraction) -> dict[str, str]:
        x = place_of(average)
        # The label goes to the side away from the other line, where there is room for it.
        away = "start" if average >= other else "end"
        side = "end" if x > WIDTH - _LABEL else "start" if x < _LABEL else away
        shift = 5 if side == "start" else -5
        return {"x": f"{x:.1f}", "tx": f"{x + shift:.1f}", "y": str(y), "anchor": side, "text": text}

    seen = found / (2 * law.chosen)
    needed_rank = middle if needed is None else law.average(needed)
    mirrored = 2 * middle - needed_rank  # the same distance on the other side, where both tails count
    shown = [
        {
            "x": f"{left + index * step:.2f}",
            "width": f"{max(step - 0.6, 0.4):.2f}",
            "y": f"{top + PLOT_HEIGHT * (1 - part / peak):.2f}",
            "height": f"{PLOT_HEIGHT * part / peak:.2f}",
        }
        for index, part in enumerate(bars)
        if part / peak > 1 / 500
    ]
    edge = float(shown[0]["x"])
    needs = [] if needed is None else [needed_rank, mirrored] if nouns.two_sided else [needed_rank]
    lines = [place_of(rank) for rank in (seen, *needs)]
    low, high = law.average(0), law.average(len(law.counts) - 1)
    ticks = [low + (high - low) * part / 8 for part in range(9)]
    svg = (
        environment()
        .get_template("figures/null.svg.j2")
        .render(
            width=WIDTH,
            height=top + PLOT_HEIGHT + 44,
            base=top + PLOT_HEIGHT,
            top=top,
            left=left,
            right=WIDTH - left,
            bars=shown,
            observed=mark(seen, f"observed: {_rank(seen)}", 12, needed_rank),
            needed=[mark(rank, f"needed: {_rank(rank)}", 32, seen) for rank in needs],
            axis=[{"x": f"{place_of(tick):.1f}", "text": _tick(tick, high - low)} for tick in ticks],
            beside=_beside(edge, lines),
            label=f"average rank of the chosen {nouns.many} (out of {n}{'' if nouns.two_sided else ', the highest'})",
        )
    )
    rows = [(_rank(middle), "expected by chance", number(scientific(tails[centre])))]
    if needed is not None and nouns.two_sided:
        ranks, meaning = (
            f"{_rank(mirrored)}, {_rank(needed_rank)}",
            "nearest to the middle that pass gate G2",
        )
        rows.append((ranks, meaning, number(scientific(tails[needed]))))
    elif needed is not None:
        rows.append((_rank(needed_rank), "smallest that passes gate G2", number(scientific(tails[needed]))))
    rows.append((_rank(seen), "observed in this examination", number(p_value)))
    ties = "" if exact_ranks else " The bars are drawn for scores without ties."
    nearest, far, arbitrary = "smallest average", "high", ""
    if nouns.two_sided:
        nearest, far = "average nearest to the middle", "far out"
        arbitrary = " Which end of the ranking is called high is arbitrary, so that both ends count."
    return Figure(
        name="null.svg",
        svg=svg,
        height=top + PLOT_HEIGHT + 44,
        alt=f"Bars: probability of each average rank of {law.chosen} {nouns.many} drawn by chance out of {n}, centred "
        f"on {_rank(middle)}. The observed average rank is {_rank(seen)}"
        + ("." if needed is None else f"; {rows[1][0].replace(', ', ' or ')} is needed."),
        caption=f"How high {integer(law.chosen)} {nouns.many} drawn by chance out of {integer(n)} would rank on "
        f"average (bars), the {nearest} that passes gate G2 (dashed), and the one observed for the "
        f"{nouns.many} that the key chose (solid line).{arbitrary}{ties}",
        table=Table(("Average rank", "Meaning", f"Probability of at least as {far} by chance"), tuple(rows)),
    )


def _beside(edge: float, lines: Sequence[float]) -> str:
    """Returns where the words beside the bars end: left of these and of every line that they would cross."""
    end = edge - 8.0
    for line in sorted(lines, reverse=True):
        if end - _BESIDE < line < end + 4.0:
            end = line - 8.0
    return f"{end:.1f}" if end > _BESIDE else ""


def _table(
    order: Sequence[int], scores: Sequence[float], target: Sequence[int], words: Sequence[str], nouns: Nouns
) -> Table:
    rows = [
        (
            str(rank),
            words[place] if words else f"{nouns.one} {place + 1} of the pool",
            fixed(repr(scores[place]), 4),
            "yes" if target[place] else "no",
        )
        for rank, place in enumerate(order, 1)
    ]
    half = -(-len(rows) // 2)
    blank = ("", "", "", "")
    pairs = tuple((*rows[at], *(rows[at + half] if at + half < len(rows) else blank)) for at in range(half))
    return Table(("Rank", nouns.one.capitalize(), "Score", "Chosen") * 2, pairs)


def _binned(law: RankLaw) -> list[float]:
    """Merges neighbouring sums, so that a bar is wide enough to be seen; heights are probabilities."""
    size = -(-len(law.counts) // _BARS)
    total = law.total
    return [float(Fraction(sum(law.counts[at : at + size]), total)) for at in range(0, len(law.counts), size)]


def _rank(value: Fraction) -> str:
    return f"{float(value):.1f}"


def _tick(value: Fraction, span: Fraction) -> str:
    return str(round(value)) if span >= _WIDE else _rank(value)


def _listed(ranks: Sequence[int]) -> str:
    shown = ", ".join(map(str, ranks[:12]))
    return f"{shown} and {len(ranks) - 12} more" if len(ranks) > 12 else shown
