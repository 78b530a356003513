"""Figures of a subset test: every candidate by its score, and the rank sum beside what chance gives."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from forensics.nouns import Nouns
from forensics.report.figures import PLOT_HEIGHT, WIDTH, Figure, draw, scientific
from forensics.report.language import ENGLISH, Language
from forensics.report.ranks import RankLaw
from forensics.report.tables import Table
from forensics.report.text import integer
from forensics.wording import capital

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
    items: Sequence[str],
    target: Sequence[int],
    words: Sequence[str],
    nouns: Nouns,
    say: Language = ENGLISH,
    *,
    turned: bool = False,
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
    svg = draw(
        "words.svg.j2",
        say,
        height=base + 66,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=top,
        base=base,
        zero=f"{zero:.2f}",
        edge=f"{_LEFT + chosen * step - step * 0.11:.2f}",
        cut=say("rank %(number)s", number=chosen),
        bars=bars,
        size=f"{min(2.2, max(step * 0.45, 0.9)):.2f}",
        levels=[
            {"y": f"{zero - PLOT_HEIGHT * level / span:.2f}", "text": say.number(repr(level), 2)}
            for level in levels
            if level == 0.0 or abs(level) / span > 0.12
        ],
        axis=[{"x": f"{_LEFT + (rank - 0.61) * step:.2f}", "text": str(rank)} for rank in ranks],
        middle=f"{(WIDTH + _LEFT - _RIGHT) / 2:.1f}",
        label=say("candidate %(many)s from the lowest item score to the highest", many=nouns.many)
        if turned
        else say("candidate %(many)s from the highest item score to the lowest", many=nouns.many),
    )
    matched = sum(target[place] for place in order[:chosen])
    rest = [rank for rank, place in enumerate(order, 1) if target[place] and rank > chosen]
    places = {"n": n, "many": nouns.many, "matched": matched, "chosen": chosen}
    return Figure(
        name="words.svg",
        svg=svg,
        height=base + 66,
        alt=say(
            "Bars: the item scores of %(n)s candidate %(many)s from the lowest to the highest; %(matched)s of the "
            "%(chosen)s %(many)s that the key chose are among the %(chosen)s lowest.",
            **places,
        )
        if turned
        else say(
            "Bars: the item scores of %(n)s candidate %(many)s from the highest to the lowest; %(matched)s of the "
            "%(chosen)s %(many)s that the key chose are among the %(chosen)s highest.",
            **places,
        ),
        caption=" ".join(_about_words(n, chosen, rest, nouns, say, turned=turned)),
        table=_table(order[: min(chosen, _TABLE_ROWS)], scores, target, words, nouns, say),
    )


def _about_words(
    n: int, chosen: int, rest: Sequence[int], nouns: Nouns, say: Language, *, turned: bool
) -> Iterator[str]:
    """Gives the sentences of the caption.

    Args:
        rest: ranks of the chosen ones that are not among as many first ones.
    """
    places = {"n": integer(n), "many": nouns.many, "chosen": integer(chosen)}
    if turned:
        yield say(
            "All %(n)s candidate %(many)s by item score, lowest first. Dark bars with a dot below are the %(chosen)s "
            "%(many)s that the key chose; light ones are the rest.",
            **places,
        )
        yield say("The sign of a score is arbitrary; the chosen %(many)s lie at the lowest end.", many=nouns.many)
    else:
        yield say(
            "All %(n)s candidate %(many)s by item score, highest first. Dark bars with a dot below are the %(chosen)s "
            "%(many)s that the key chose; light ones are the rest.",
            **places,
        )
    if chosen <= _TABLE_ROWS:
        yield say("The table gives the %(many)s left of the dashed line.", many=nouns.many)
    else:
        yield say(
            "The table gives the first %(number)s of the %(many)s left of the dashed line.",
            number=_TABLE_ROWS,
            many=nouns.many,
        )
    if len(rest) == 1:
        yield say("The other %(one)s that the key chose is at rank %(rank)s.", one=nouns.one, rank=rest[0])
    elif rest:
        yield say(
            "The other %(many)s that the key chose are at the ranks %(ranks)s.",
            many=nouns.many,
            ranks=_listed(rest, say),
        )


def draw_rank_null(
    law: RankLaw,
    n: int,
    observed: str,
    p_value: str,
    limit: Fraction,
    nouns: Nouns,
    say: Language = ENGLISH,
    *,
    exact_ranks: bool,
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
    svg = draw(
        "null.svg.j2",
        say,
        height=top + PLOT_HEIGHT + 44,
        base=top + PLOT_HEIGHT,
        top=top,
        left=left,
        right=WIDTH - left,
        bars=shown,
        observed=mark(seen, say("observed: %(value)s", value=_rank(seen, say)), 12, needed_rank),
        needed=[mark(rank, say("needed: %(value)s", value=_rank(rank, say)), 32, seen) for rank in needs],
        axis=[{"x": f"{place_of(tick):.1f}", "text": _tick(tick, high - low, say)} for tick in ticks],
        beside=_beside(edge, lines),
        label=say("average rank of the chosen %(many)s (out of %(n)s)", many=nouns.many, n=n)
        if nouns.two_sided
        else say("average rank of the chosen %(many)s (out of %(n)s, the highest)", many=nouns.many, n=n),
    )
    rows = [(_rank(middle, say), say("expected by chance"), say.number(scientific(tails[centre])))]
    if needed is not None and nouns.two_sided:
        ranks = f"{_rank(mirrored, say)}, {_rank(needed_rank, say)}"
        rows.append((ranks, say("nearest to the middle that pass gate G2"), say.number(scientific(tails[needed]))))
    elif needed is not None:
        meaning = say("smallest that passes gate G2")
        rows.append((_rank(needed_rank, say), meaning, say.number(scientific(tails[needed]))))
    rows.append((_rank(seen, say), say("observed in this examination"), say.number(p_value)))
    tail = (
        say("Probability of at least as far out by chance")
        if nouns.two_sided
        else say("Probability of at least as high by chance")
    )
    return Figure(
        name="null.svg",
        svg=svg,
        height=top + PLOT_HEIGHT + 44,
        alt=_rank_null_alt(law, n, middle, seen, needs, nouns, say),
        caption=" ".join(_about_ranks(law, n, nouns, say, exact_ranks=exact_ranks)),
        table=Table((say("Average rank"), say("Meaning"), tail), tuple(rows)),
    )


def _rank_null_alt(
    law: RankLaw, n: int, middle: Fraction, seen: Fraction, needs: Sequence[Fraction], nouns: Nouns, say: Language
) -> str:
    places = {
        "chosen": law.chosen,
        "many": nouns.many,
        "n": n,
        "middle": _rank(middle, say),
        "seen": _rank(seen, say),
    }
    if not needs:
        return say(
            "Bars: probability of each average rank of %(chosen)s %(many)s drawn by chance out of %(n)s, centred on "
            "%(middle)s. The observed average rank is %(seen)s.",
            **places,
        )
    if nouns.two_sided:
        return say(
            "Bars: probability of each average rank of %(chosen)s %(many)s drawn by chance out of %(n)s, centred on "
            "%(middle)s. The observed average rank is %(seen)s; %(low)s or %(high)s is needed.",
            low=_rank(min(needs), say),
            high=_rank(max(needs), say),
            **places,
        )
    return say(
        "Bars: probability of each average rank of %(chosen)s %(many)s drawn by chance out of %(n)s, centred on "
        "%(middle)s. The observed average rank is %(seen)s; %(needed)s is needed.",
        needed=_rank(needs[0], say),
        **places,
    )


def _about_ranks(law: RankLaw, n: int, nouns: Nouns, say: Language, *, exact_ranks: bool) -> Iterator[str]:
    """Gives the sentences of the caption."""
    places = {"chosen": integer(law.chosen), "many": nouns.many, "n": integer(n)}
    if nouns.two_sided:
        yield say(
            "How high %(chosen)s %(many)s drawn by chance out of %(n)s would rank on average (bars), the average "
            "nearest to the middle that passes gate G2 (dashed), and the one observed for the %(many)s that the key "
            "chose (solid line).",
            **places,
        )
        yield say("Which end of the ranking is called high is arbitrary, so that both ends count.")
    else:
        yield say(
            "How high %(chosen)s %(many)s drawn by chance out of %(n)s would rank on average (bars), the smallest "
            "average that passes gate G2 (dashed), and the one observed for the %(many)s that the key chose (solid "
            "line).",
            **places,
        )
    if not exact_ranks:
        yield say("The bars are drawn for scores without ties.")


def _beside(edge: float, lines: Sequence[float]) -> str:
    """Returns where the words beside the bars end: left of these and of every line that they would cross."""
    end = edge - 8.0
    for line in sorted(lines, reverse=True):
        if end - _BESIDE < line < end + 4.0:
            end = line - 8.0
    return f"{end:.1f}" if end > _BESIDE else ""


def _table(
    order: Sequence[int],
    scores: Sequence[float],
    target: Sequence[int],
    words: Sequence[str],
    nouns: Nouns,
    say: Language,
) -> Table:
    rows = [
        (
            str(rank),
            words[place] if words else say("%(one)s %(number)s of the pool", one=nouns.one, number=place + 1),
            say.fixed(repr(scores[place]), 4),
            say("yes") if target[place] else say("no"),
        )
        for rank, place in enumerate(order, 1)
    ]
    half = -(-len(rows) // 2)
    blank = ("", "", "", "")
    pairs = tuple((*rows[at], *(rows[at + half] if at + half < len(rows) else blank)) for at in range(half))
    return Table((say("Rank"), capital(nouns.one), say("Score"), say("Chosen")) * 2, pairs)


def _binned(law: RankLaw) -> list[float]:
    """Merges neighbouring sums, so that a bar is wide enough to be seen; heights are probabilities."""
    size = -(-len(law.counts) // _BARS)
    total = law.total
    return [float(Fraction(sum(law.counts[at : at + size]), total)) for at in range(0, len(law.counts), size)]


def _rank(value: Fraction, say: Language) -> str:
    return f"{float(value):.1f}".replace(".", say.mark)


def _tick(value: Fraction, span: Fraction, say: Language) -> str:
    return str(round(value)) if span >= _WIDE else _rank(value, say)


def _listed(ranks: Sequence[int], say: Language) -> str:
    shown = ", ".join(map(str, ranks[:12]))
    more = len(ranks) - 12
    return say("%(shown)s and %(more)s more", shown=shown, more=more) if more > 0 else shown
