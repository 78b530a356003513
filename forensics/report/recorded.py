"""Sentences that the tool itself recorded, in English, put into the language of a report.

Evidence holds reasons, null hypotheses, rules and sources as English text, some with numbers in them. The forms below
are all that verdicts and the methods described in this report write; a test holds them against the code that writes
them. Text in another form is printed as it is recorded, in quotation marks and marked as English.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from forensics.conclusion import REMOVED
from forensics.report.text import clean
from forensics.wording import noted

if TYPE_CHECKING:
    from forensics.report.language import Language

REASONS = (
    noted("%(date)s is unknown"),
    noted("%(earlier)s lies after %(later)s"),
    noted("the dates do not show whether %(earlier)s lies before %(later)s"),
    noted("the key does not open the commitment"),
    noted("it was not checked whether the key opens the commitment"),
    noted("chance alone would give an agreement this close in %(chance)s cases"),
    noted(
        "chance alone would give an agreement this close in %(chance)s cases, more often than the claim allows "
        "(%(alpha)s)"
    ),
    noted(
        "after the charge for %(charged)s examination and %(attempts)s undisclosed attempts the chance is %(p)s, above "
        "one in a thousand"
    ),
    noted(
        "after the charge for %(charged)s examinations and %(attempts)s undisclosed attempts the chance is %(p)s, "
        "above one in a thousand"
    ),
    noted("the %(effect)s is at most %(upper)s with 99 %% confidence, below the minimum of %(least)s"),
    noted("too little was asked or answered to exclude that the %(effect)s reaches the minimum of %(least)s"),
    noted("a reference model responds to the key"),
    noted("the suspect does not exceed the strongest reference model by the margin of %(margin)s"),
    noted("the owner's own marked %(marked)s does not respond to the key"),
    noted("the owner's model responds to the key even without the mark"),
    noted("no independent reference model was examined"),
    noted("only %(count)s of at least %(least)s reference models were examined"),
    noted(
        "only %(count)s of %(all)s reference models examined are of documented provenance and were seen as the suspect "
        "was, where at least %(least)s are needed"
    ),
    noted("the %(effect)s is %(value)s, below the minimum of %(least)s"),
    noted("the numbers are not reproduced from the recorded answers"),
    noted("the numbers were not recomputed from the recorded answers"),
    noted("the share of missing answers is unknown"),
    noted("%(n)s families of %(classes)s classes are too few: no answers could meet the claim's rule"),
    noted("%(share)s%% of the answers are missing, and the claim allows %(allowed)s%%"),
    noted("the key does not bind its owner"),
    noted("the key does not bind its owner, but by the instructions the owner is not in dispute"),
    noted("this is a demonstration: its timestamp comes from no independent authority and dates nothing"),
    noted("the claim charges for %(attempts)s undisclosed attempts only, where %(usual)s are usual"),
    noted("the claim allows a chance of %(alpha)s, where %(usual)s is usual"),
    noted("the claim asks for %(asked)s of the usual %(usual)s reference models"),
    noted("the claim allows %(allowed)s%% of the answers to be missing, where %(usual)s%% are usual"),
    noted("the owner's log counts %(count)s examinations under this claim, and all are charged"),
    noted("%(reason)s (gate %(gate)s was not run)"),
    REMOVED,
)
"""Every reason that a verdict can record."""

DATES = (
    noted("the date of the claim's timestamp"),
    noted("the release date of the marked model"),
    noted("the release date of the marked service"),
    noted("the date of the earliest evidence of the suspect"),
    noted("the date of the suspect's answers"),
)

CHANCES = (
    noted("fewer than one in a million"),
    noted("fewer than one in %(number)s"),
    noted("at least one in ten"),
)

STATEMENTS = (
    noted("share of payload bits that match"),
    noted("share of other classes that the drawn class exceeds"),
    noted("AUC"),
    noted("AUC in either direction"),
    noted("matched-bits"),
    noted("matched-bits-labels"),
    noted("rank sum of the trigger words"),
    noted("rank sum of log-probability shifts"),
    noted("rank sum of class shifts"),
    noted("two-sided rank sum on PC1 of vector shifts"),
    noted("two-sided rank sum on PC1 of log-probability shifts"),
    noted("two-sided rank sum on PC1 of class shifts"),
    noted("features"),
    noted("scores"),
    noted("labels"),
    noted("the answers do not depend on the payload bits given the probes: matches follow Binomial(k, 1/2)"),
    noted(
        "the answers do not depend on which candidate words are triggers, given the probes: every subset of that size "
        "is equally likely"
    ),
    noted(
        "the answers do not depend on which half of the candidate %(many)s are triggers, given the probes: every half "
        "is equally likely; two-sided, since the sign of a principal component is arbitrary"
    ),
    noted("the answers do not depend on the drawn classes given the probes: each rank is uniform on 0 .. C - 1"),
    noted("the highest access obtained decides; others are context"),
    noted("fixed n"),
    noted("Beta(1,1) truncated to (p0,1)"),
    noted("a score nearer to zero than 1e-9 is a miss"),
    noted("classes with equal shifts are ranked against the claim; shifts are rounded to a step of 2**-20 first"),
    noted("equal scores share their mid-rank; scores are rounded to a step of 2**-30 first"),
    noted("equal scores share their mid-rank; scores are rounded to a step of 2**-30 of the largest first"),
    noted("a missing view counts as the mean of its bank; a bit without any view is a miss"),
    noted("a missing answer counts as the mean of its class; with no answer at all every rank is 0"),
    noted("a missing answer is left out; a family without any answer has rank 0"),
    noted("a word without any valid answer gets the pool's mid-rank"),
    noted(
        "a missing answer counts as the mean of its column, a carrier without an answer of its own is left out, and a "
        "%(one)s without any valid answer gets the pool's mid-rank"
    ),
)
"""What the methods described here state in claims and measurements: effects, statistics, levels, nulls, rules."""

FIGURES = (
    noted("cosine with the secret direction"),
    noted("mean silhouette of triggers against decoys"),
    noted("mean cosine of pairs, triggers"),
    noted("mean cosine of pairs, decoys"),
    noted("resultant length, triggers"),
    noted("resultant length, decoys"),
    noted("share in the commonest class, triggers"),
    noted("share in the commonest class, decoys"),
    noted("Pearson chi-square"),
    noted("Fisher's exact test"),
    noted("two-sample Kolmogorov-Smirnov"),
    noted("difference of mean cosines"),
    noted("difference of mean squared distances"),
)
"""Names of figures beside the test."""

CAVEATS = (
    noted("two-sided and asymptotic: a fully inverted extraction has the same p-value as a perfect one"),
    noted("conditions on the number of ones extracted; printed for comparison"),
    noted(
        "decides nothing: two-sided, so a move away from the target counts as well; 1.45e-11 is the smallest value "
        "that 20 against 20 can give; bags share words, so that the p-value does not hold: models that were never "
        "marked fall below any level too often (docs/espew.md has measured shares)"
    ),
    noted(
        "decides nothing: no threshold goes with it; one random set of words differs from another in models that were "
        "never marked"
    ),
    noted("decides nothing: for vectors of unit length it is minus twice the difference of mean cosines"),
    noted("decides nothing: a turned copy has another frame, in which the cosine says nothing"),
    noted(
        "decides nothing: pairs of outputs share inputs and are not independent; models that were never marked draw "
        "together whatever shares words or spots; compare with the decoys'"
    ),
    noted(
        "decides nothing: models that were never marked draw together whatever shares words or spots; compare with the "
        "decoys'"
    ),
    noted("decides nothing: outputs share inputs and are not independent, and no threshold goes with it"),
    noted(
        "decides nothing: classifiers that were never marked put most odd inputs into one class; compare with the "
        "decoys'"
    ),
)
"""Why such a figure decides nothing."""

SOURCES = (
    noted("clock of the examining machine"),
    noted("timestamp over the claim"),
    noted("not stated"),
    noted("no record of a marked %(marked)s"),
    noted("timestamp over the record of the marked %(marked)s"),
    noted("the owner's record of the marked %(marked)s"),
    noted("made by this demonstration"),
    noted("recorded by the owner after embedding"),
    noted("named by the owner as the marked service"),
    noted("named by the owner at scoring; nothing in the case dates it"),
    noted("recorded by the owner, with the marked model, as what it was before embedding"),
    noted(
        "named in the claim, before the key existed; what is measured is the difference from it, so that it cannot "
        "respond"
    ),
    noted("given at scoring as independent"),
    noted("ours: mean shift of triggers less that of decoys; exact for a uniform direction"),
    noted("usual measure of a cluster; the paper's own test is not known"),
    noted("usual measure of a backdoor; the paper's own test is not known"),
    noted("length of the mean of unit vectors (Mardia and Jupp, Directional Statistics, 2000)"),
    noted("Rousseeuw, J. Comput. Appl. Math. 20 (1987), with cosine distance"),
    noted("R. A. Fisher (1935), one-sided"),
    noted("OFSW (Electronics 2025, 14(19), 3888), section 3.4"),
    noted("ESpeW, arXiv 2410.17552: 20 bags of 4 trigger words against 20 of 4 other words"),
)
"""Where the tool itself says that a date, a model or a figure comes from; other sources are what people wrote."""

KINDS = (
    noted("vectors"),
    noted("logits"),
    noted("log-probabilities"),
    noted("probabilities"),
    noted("top-k"),
    noted("labels"),
    noted("text"),
)

NOUNS = (
    *DATES,
    noted("model"),
    noted("service"),
    noted("phrase"),
    noted("phrases"),
    noted("pattern"),
    noted("patterns"),
)
"""What can fill a place and takes the form that the sentence needs."""

_NUMBER = r"-?[0-9][0-9,.]*(?:e[+-]?[0-9]+)?|nan|inf"
_PLACES = {
    "reason": ".+",
    "effect": ".{1,80}?",
    "gate": "G[1-5]",
    "chance": r"fewer than one in (?:a million|[0-9,]+)|at least one in ten",
    "date": "|".join(map(re.escape, DATES)),
    "earlier": "|".join(map(re.escape, DATES)),
    "later": "|".join(map(re.escape, DATES)),
    "marked": "model|service",
    "many": "phrases|patterns",
    "one": "phrase|pattern",
}
"""What may stand in a place; in every other place stands a number."""

_LONGEST = 600
_PLACE = re.compile(r"%\((\w+)\)s")


def recorded(text: str, say: "Language", limit: int = 160) -> str:
    """Returns a recorded sentence in a language; one of unknown form as it is, quoted and marked as English.

    Args:
        text: as recorded; may come from a hostile case.
        limit: characters of an unknown form that are kept.
    """
    if say.code == "en":
        return say.clean(text, limit)
    found = known(text, say)
    return quoted(say.clean(text, limit), say) if found is None else found


def sourced(text: str, say: "Language", limit: int = 160) -> str:
    """Returns where something comes from: in the language where the tool recorded it, otherwise as people wrote it."""
    shown = say.clean(text, limit)
    return shown if say.code == "en" else known(text, say) or shown


def quoted(text: str, say: "Language") -> str:
    """Returns cleaned text in quotation marks, marked as English."""
    return Markup('<span lang="en">{}</span>').format(say.quoted(text)) if text else text


def known(text: str, say: "Language") -> str | None:
    """Returns the translation of a recorded sentence, or None where its form is not known."""
    plain = clean(text, _LONGEST)
    for message, pattern in forms():
        match = pattern.fullmatch(plain)
        if match:
            return say(message, **{name: _filling(name, value, say) for name, value in match.groupdict().items()})
    return None


@cache
def forms() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Returns every form with the pattern of what it records."""
    messages = dict.fromkeys((*REASONS, *DATES, *CHANCES, *STATEMENTS, *FIGURES, *CAVEATS, *SOURCES, *KINDS))
    # A form that any text begins or ends could hide one that says more: what is fixed is tried first.
    return tuple((message, _pattern(message)) for message in sorted(messages, key=lambda one: "%(reason)s" in one))


def _pattern(message: str) -> re.Pattern[str]:
    parts = _PLACE.split(message)
    literal = [re.escape(part.replace("%%", "%")) for part in parts[::2]]
    places = [f"(?P<{name}>{_PLACES.get(name, _NUMBER)})" for name in parts[1::2]]
    return re.compile("".join(piece for pair in zip(literal, [*places, ""], strict=True) for piece in pair))


def _filling(name: str, value: str, say: "Language") -> object:
    if name == "gate":
        return value
    if value in NOUNS:
        return say.noun(value)
    if re.fullmatch(_NUMBER, value):
        return say.number(value.replace(",", ""))
    return recorded(value, say, len(value))
