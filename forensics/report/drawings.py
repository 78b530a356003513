"""Which figures a case gets, and why one is absent."""

from collections.abc import Sequence

from forensics.conclusion import SUBSET, chosen_items
from forensics.evidence.schema import Evidence, MeasurementRecord
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.report.figures import (
    TIE,
    Figure,
    draw_bits,
    draw_null,
    draw_scores,
    draw_timeline,
    ratio,
    signed_scores,
)
from forensics.report.findings import COUNT_TESTS, passing_limit
from forensics.report.projection import draw_projection
from forensics.report.ranks import doubled_ranks, rank_law
from forensics.report.registration import make_events
from forensics.report.wordfigures import draw_rank_null, draw_words, top_matches

_MOST_UNITS = 4096
"""Beyond this many units a figure of single counts, bits or candidates shows nothing."""


def make_figures(evidence: Evidence, claim: Claim, words: Sequence[str]) -> tuple[dict[str, Figure], dict[str, str]]:
    """Returns the figures by name, and for each absent one of `null` and `single` the reason.

    Args:
        words: candidate texts of the disclosed pool, cleaned; empty where none may be printed.

    Raises:
        ValueError: a number cannot be read.
    """
    figures = {"timeline": draw_timeline(make_events(evidence))}
    if evidence.score is None:
        return figures, {"null": "Nothing was scored.", "single": "Nothing was scored."}
    measurement = evidence.score.measurement
    if measurement.n > _MOST_UNITS:
        return figures, dict.fromkeys(("null", "single"), "The case has too many units for a figure of single ones.")
    if measurement.test == SUBSET:
        return _subset(evidence, claim, measurement, words, figures, nouns_of(claim))
    notes: dict[str, str] = {}
    if measurement.test in COUNT_TESTS:
        limit = passing_limit(claim, evidence.score.verdict.examinations)
        chance, p_value = measurement.effect.chance, measurement.p_value
        figures["null"] = draw_null(measurement.n, chance, measurement.matched, p_value, limit)
    else:
        notes["null"] = "The deciding statistic is no count, so that the distribution by chance is not drawn."
    if measurement.items is None or measurement.target is None:
        notes["single"] = "Payload and item scores are sealed, so that no figure of single bits is printed."
    elif measurement.test != "bits":
        notes["single"] = "The payload of this method does not consist of bits, so that no grid of bits is printed."
    elif sum(score > TIE for score in signed_scores(measurement.items, measurement.target)) != measurement.matched:
        notes["single"] = "The disclosed items do not give the recorded count, so that no figure of them is printed."
    else:
        figures["bits"] = draw_bits(measurement.items, measurement.target)
        figures["scores"] = draw_scores(measurement.items, measurement.target)
    return figures, notes


def _subset(
    evidence: Evidence,
    claim: Claim,
    measurement: MeasurementRecord,
    words: Sequence[str],
    figures: dict[str, Figure],
    nouns: Nouns,
) -> tuple[dict[str, Figure], dict[str, str]]:
    notes: dict[str, str] = {}
    n, chosen = measurement.n, chosen_items(measurement.test, measurement.context)
    items, target = measurement.items, measurement.target
    if chosen is None or not chosen < n:
        return figures, dict.fromkeys(
            ("null", "single"),
            f"The evidence does not say how many {nouns.many} the key chose, so that nothing is drawn.",
        )
    scores = [float(item) for item in items] if items is not None else []
    fits = target is not None and len(scores) == len(target) == n and sum(target) == chosen
    # Where both ends count, the chosen ones are counted from the end that was seen.
    turned = nouns.two_sided and ratio(measurement.value) < chosen * (n + 1)
    if items is None or target is None:
        notes["single"] = (
            f"The {nouns.many} and their scores are sealed, so that no figure of single {nouns.many} is printed."
        )
    elif not fits or top_matches([-score for score in scores] if turned else scores, target) != measurement.matched:
        notes["single"] = "The disclosed items do not give the recorded count, so that no figure of them is printed."
    else:
        figures["words"] = draw_words(items, target, words if len(words) == n else (), nouns, turned=turned)
        if measurement.projection is not None and len(measurement.projection) == 2 * n:
            figures["projection"] = draw_projection(measurement.projection, target, nouns)
    ranks = doubled_ranks(scores) if "words" in figures else []
    own = bool(ranks) and ratio(measurement.value) == sum(
        rank for rank, drawn in zip(ranks, target or (), strict=True) if drawn
    )
    law = rank_law(ranks if own else range(2, 2 * n + 1, 2), chosen)
    if law is None or evidence.score is None:
        notes["null"] = f"The case has too many {nouns.many} for a figure of what chance gives."
    else:
        limit = passing_limit(claim, evidence.score.verdict.examinations)
        figures["null"] = draw_rank_null(law, n, measurement.value, measurement.p_value, limit, nouns, exact_ranks=own)
    return figures, notes
