"""Which figures a case gets, and why one is absent."""

from collections.abc import Sequence

from forensics.conclusion import RANKS, SUBSET, chosen_items
from forensics.evidence.schema import Evidence, MeasurementRecord
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.report.familyfigures import draw_families, draw_sum_null, drawn_ranks
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
from forensics.report.language import Language
from forensics.report.projection import draw_projection
from forensics.report.ranks import doubled_ranks, rank_law
from forensics.report.registration import make_events
from forensics.report.wordfigures import draw_rank_null, draw_words, top_matches
from forensics.wording import noted

_MOST_UNITS = 4096
"""Beyond this many units a figure of single counts, bits or candidates shows nothing."""

_CONTRADICTED = noted("The disclosed items do not give the recorded count, so that no figure of them is printed.")


def make_figures(
    evidence: Evidence, claim: Claim, words: Sequence[str], say: Language
) -> tuple[dict[str, Figure], dict[str, str]]:
    """Returns the figures by name, and for each absent one of `null` and `single` the reason.

    Args:
        words: candidate texts of the disclosed pool, cleaned; empty where none may be printed.

    Raises:
        ValueError: a number cannot be read.
    """
    figures = {"timeline": draw_timeline(make_events(evidence, say), say)}
    if evidence.score is None:
        return figures, dict.fromkeys(("null", "single"), say("Nothing was scored."))
    measurement = evidence.score.measurement
    if measurement.n > _MOST_UNITS:
        many = say("The case has too many units for a figure of single ones.")
        return figures, dict.fromkeys(("null", "single"), many)
    if measurement.test == SUBSET:
        return _subset(evidence, claim, measurement, words, figures, nouns_of(claim, say), say)
    if measurement.test == RANKS:
        return _ranks(evidence, claim, measurement, figures, say)
    notes: dict[str, str] = {}
    if measurement.test in COUNT_TESTS:
        limit = passing_limit(claim, evidence.score.verdict.examinations)
        chance, p_value = measurement.effect.chance, measurement.p_value
        figures["null"] = draw_null(measurement.n, chance, measurement.matched, p_value, limit, say)
    else:
        notes["null"] = say("The deciding statistic is no count, so that the distribution by chance is not drawn.")
    if measurement.items is None or measurement.target is None:
        notes["single"] = say("Payload and item scores are sealed, so that no figure of single bits is printed.")
    elif measurement.test != "bits":
        notes["single"] = say(
            "The payload of this method does not consist of bits, so that no grid of bits is printed."
        )
    elif sum(score > TIE for score in signed_scores(measurement.items, measurement.target)) != measurement.matched:
        notes["single"] = say(_CONTRADICTED)
    else:
        figures["bits"] = draw_bits(measurement.items, measurement.target, say)
        figures["scores"] = draw_scores(measurement.items, measurement.target, say)
    return figures, notes


def _ranks(
    evidence: Evidence, claim: Claim, measurement: MeasurementRecord, figures: dict[str, Figure], say: Language
) -> tuple[dict[str, Figure], dict[str, str]]:
    notes: dict[str, str] = {}
    total, classes = ratio(measurement.value), len(claim.labels)
    if measurement.items is None or measurement.target is None:
        notes["single"] = say("The drawn classes and the shifts are sealed, so that no figure of them is printed.")
    else:
        ranks = drawn_ranks(measurement.items, measurement.target)
        fits = ranks is not None and len(ranks) == measurement.n and len(measurement.items) == classes * len(ranks)
        if ranks is None or not fits or sum(ranks) != total or ranks.count(classes - 1) != measurement.matched:
            notes["single"] = say(_CONTRADICTED)
        else:
            names = [say.clean(label, 40) for label in claim.labels]
            figures["families"] = draw_families(ranks, measurement.target, names, say)
    verdict = evidence.score.verdict if evidence.score else None
    drawn = (
        draw_sum_null(
            measurement.n, classes, int(total), measurement.p_value, passing_limit(claim, verdict.examinations), say
        )
        if verdict is not None and total.denominator == 1
        else None
    )
    if drawn is None:
        notes["null"] = say("The distribution of the sum by chance is not drawn.")
    else:
        figures["null"] = drawn
    return figures, notes


def _subset(
    evidence: Evidence,
    claim: Claim,
    measurement: MeasurementRecord,
    words: Sequence[str],
    figures: dict[str, Figure],
    nouns: Nouns,
    say: Language,
) -> tuple[dict[str, Figure], dict[str, str]]:
    notes: dict[str, str] = {}
    n, chosen = measurement.n, chosen_items(measurement.test, measurement.context)
    items, target = measurement.items, measurement.target
    if chosen is None or not chosen < n:
        unsaid = say(
            "The evidence does not say how many %(many)s the key chose, so that nothing is drawn.", many=nouns.many
        )
        return figures, dict.fromkeys(("null", "single"), unsaid)
    scores = [float(item) for item in items] if items is not None else []
    fits = target is not None and len(scores) == len(target) == n and sum(target) == chosen
    # Where both ends count, the chosen ones are counted from the end that was seen.
    turned = nouns.two_sided and ratio(measurement.value) < chosen * (n + 1)
    if items is None or target is None:
        notes["single"] = say(
            "The %(many)s and their scores are sealed, so that no figure of single %(many)s is printed.",
            many=nouns.many,
        )
    elif not fits or top_matches([-score for score in scores] if turned else scores, target) != measurement.matched:
        notes["single"] = say(_CONTRADICTED)
    else:
        figures["words"] = draw_words(items, target, words if len(words) == n else (), nouns, say, turned=turned)
        if measurement.projection is not None and len(measurement.projection) == 2 * n:
            figures["projection"] = draw_projection(measurement.projection, target, nouns, say)
    ranks = doubled_ranks(scores) if "words" in figures else []
    own = bool(ranks) and ratio(measurement.value) == sum(
        rank for rank, drawn in zip(ranks, target or (), strict=True) if drawn
    )
    law = rank_law(ranks if own else range(2, 2 * n + 1, 2), chosen)
    if law is None or evidence.score is None:
        notes["null"] = say("The case has too many %(many)s for a figure of what chance gives.", many=nouns.many)
    else:
        limit = passing_limit(claim, evidence.score.verdict.examinations)
        figures["null"] = draw_rank_null(
            law, n, measurement.value, measurement.p_value, limit, nouns, say, exact_ranks=own
        )
    return figures, notes
