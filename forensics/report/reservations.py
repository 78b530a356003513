"""What else could explain the answers, and what the examination cannot show: sections 10 and 11."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from forensics.conclusion import chance_in_words
from forensics.evidence.schema import Evidence, ScoreRecord
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.report.details import Details
from forensics.report.exhibits import CONTROL_ROLES
from forensics.report.findings import charged_in_words, counted
from forensics.report.fixation import about_fixation, stamped_before_scoring
from forensics.report.gates import GATE_TEXTS, dated_facts, gate_state, order_not_shown
from forensics.report.language import Language
from forensics.report.registration import marked
from forensics.report.remote import LIMITATIONS, is_remote, noun
from forensics.report.text import clean, power_of_two
from forensics.wording import Noun, capital, noted

GENERAL = (
    noted(
        "A verdict of support says that the answers depend on the owner’s secret; its absence does not show that they "
        "do not. Neither shows how information reached the suspect, who put it there, or whether that was permitted."
    ),
    noted(
        "Replaying the record shows that the numbers follow from the recorded answers. It does not show that the "
        "suspect gave those answers; asking the suspect again does."
    ),
    noted("A mark can be removed: a verdict of “not supported” is no evidence that the suspect is independent."),
)
"""What limits every examination of this kind; what applies to one case alone is printed before it."""


_UNSEEN = {
    "scores": noted(
        "The suspect gave probabilities of its classes, not vectors: a mark that does not reach its own task stays "
        "unseen."
    ),
    "labels": noted(
        "The suspect gave the names of its classes alone, not vectors: a mark that does not reach its own task stays "
        "unseen."
    ),
}


_BINDING_RESULTS = {
    "timestamped": noted("The key is time-stamped."),
    "demonstration": noted("The time stamp is a demonstration."),
    "self-dated": noted("The key is self-dated."),
}


@dataclass(frozen=True)
class Alternative:
    """Another explanation, what speaks to it, and what the case shows."""

    explanation: str
    safeguard: str
    result: str


def make_alternatives(evidence: Evidence, claim: Claim, say: Language) -> tuple[Alternative, ...]:
    """Returns section 10: each alternative of section 6 with what the case shows of it."""
    score = evidence.score
    suspect, source, remote = noun(evidence.suspect, say), marked(evidence, say), is_remote(evidence.suspect)
    scored, unexamined = say("Not tested: nothing was scored."), say("Not tested: the finding would look the same.")
    return (
        Alternative(
            say("Chance"),
            say(
                "The payload was drawn at random; the exact test gives the probability of so much agreement by chance."
            ),
            say("%(chance)s.", chance=capital(chance_in_words(float(score.measurement.p_value), say)))
            if score
            else scored,
        ),
        Alternative(
            say("A peculiarity of the suspect"),
            _peculiarity(suspect, nouns_of(claim, say), say),
            _controls_result(score, say) if score else scored,
        ),
        Alternative(
            say("Many attempts by the owner"),
            say(
                "p is multiplied by the number of examinations charged and by %(power)s; N* says how many more "
                "attempts the finding survives.",
                power=power_of_two(claim.rule.grinding),
            ),
            say(
                "%(charge)s. N* = %(attempts)s.",
                charge=charged_in_words(score, claim, say),
                attempts=say.number(score.verdict.n_star),
            )
            if score
            else scored,
        ),
        Alternative(
            say("A key made after the suspect was known"),
            say(
                "The claim is to be time-stamped before the marked %(marked)s is released, and the release is to "
                "precede the suspect (G1).",
                marked=source,
            ),
            f"{_order_result(evidence, say)} {say(_BINDING_RESULTS[evidence.binding])}",
        ),
        Alternative(
            say("A licence, or a marked %(marked)s upstream of both", marked=source),
            say("Not a question of measurement: contracts and provenance decide it."),
            unexamined,
        ),
        Alternative(
            say("Training on answers of the marked %(marked)s", marked=source),
            say("Not distinguished: marked answers can carry the payload into another model."),
            unexamined,
        ),
        *_about_origin(score, source, remote, say),
        Alternative(
            say("Invented answers"),
            _about_inventing(evidence, say),
            say("Not tested: the record holds no repeat by the other side."),
        ),
        Alternative(
            say("A leaked key, or a planted mark"),
            say(
                "Whoever held the key could have put the mark into the suspect, or passed the key on. Such a suspect "
                "gives the same answers in a live repeat: dates and provenance speak to it."
            ),
            unexamined,
        ),
        Alternative(
            say("An error of the examiner"),
            say("Positive and negative controls, the replay of the transcript (G5), technical review."),
            say("%(gate)s: %(state)s.", gate="G5", state=gate_state(score, "G5", say)) if score else scored,
        ),
        Alternative(
            say("Another %(suspect)s than the one asserted", suspect=suspect),
            say("The suspect is pinned by the digest of what was read or of the endpoint’s description."),
            say("Not tested: the digest covers the endpoint’s description alone; which weights answered is not shown.")
            if remote
            else say(
                "Not tested: compare the digest, which begins %(digest)s, with that of the party’s own copy.",
                digest=clean(evidence.suspect.digest, 64)[:16],
            ),
        ),
    )


def _about_origin(score: ScoreRecord | None, source: Noun, remote: bool, say: Language) -> tuple[Alternative, ...]:
    """Returns the explanations by material, models or answers that others have in common with the owner."""
    as_chance = say("Tested as chance is, above.")
    return (
        Alternative(
            say("Training data that both have in common"),
            say(
                "The payload was drawn at random when the key was made, so that data from elsewhere cannot agree with "
                "it more often than chance. Data that hold answers of the marked %(marked)s can.",
                marked=source,
            ),
            say("Tested as chance is, above. Not tested: whether the data hold marked answers."),
        ),
        Alternative(
            say("Somebody else’s mark with the same public material"),
            say(
                "Whoever marks with the same questions draws another secret; the test asks for agreement with this one."
            ),
            as_chance,
        ),
        Alternative(
            say("A marked %(marked)s among the references", marked=source),
            say(
                "A reference that carries the mark responds, and G3 fails: this can hide a finding and cannot make one."
            ),
            say("%(gate)s: %(state)s.", gate="G3", state=gate_state(score, "G3", say))
            if score
            else say("Not tested: nothing was scored."),
        ),
        Alternative(
            say("An endpoint that passes questions on, or mixes in answers of others"),
            say("A service that forwards requests to a marked one answers as that one does."),
            say("Not tested: which weights answer is not shown.")
            if remote
            else say("Does not apply: the model was read from its files."),
        ),
    )


def _about_inventing(evidence: Evidence, say: Language) -> str:
    """Returns what speaks to answers that nobody gave: a live repeat, and what was fixed before the scoring."""
    repeat = say(
        "Whoever held the scoring secret could have written answers that the suspect never gave. A live repeat by the "
        "other side tests it."
    )
    if not stamped_before_scoring(evidence):
        return repeat
    fixed = say(
        "The transcript’s head was time-stamped before the answers were scored: from then on they were fixed. "
        "Whoever scored held the secret all along."
    )
    token = evidence.transcript_token
    warning = say("The time stamp is a demonstration.") if token is not None and token.demonstration else ""
    return f"{repeat} {fixed} {warning}".rstrip()


def make_limitations(
    evidence: Evidence, claim: Claim, details: Details, files: Mapping[str, bytes], say: Language
) -> tuple[str, ...]:
    """Returns section 11: only what applies to this case.

    Args:
        files: content by path in the case folder; its custody log says who acquired and who scored.
    """
    score, remote = evidence.score, [say(one) for one in LIMITATIONS] if is_remote(evidence.suspect) else []
    general = [say(one) for one in GENERAL]
    found = [*_about_key(evidence, say), *about_fixation(evidence, files, say)]
    if score is None:
        first = say("The answers were recorded but not scored, so that this report has no finding.")
        return (first, *found, *remote, *general)
    found += _about_measurement(evidence, score, claim, say)
    not_run = [name for name in GATE_TEXTS if score.verdict.gates.get(name) is None]
    if not_run:
        found.append(
            say("Not run: %(gates)s. A gate that was not run is neither passed nor failed.", gates=", ".join(not_run))
        )
    if not details.validation.reference:
        general.append(say("No validation study of this laboratory is named: its own rate of error is not quantified."))
    return (*found, *remote, *general)


def _about_key(evidence: Evidence, say: Language) -> list[str]:
    found = []
    if evidence.binding == "demonstration":
        found.append(say("The key is a demonstration key: its time stamp comes from no independent authority."))
    if evidence.binding == "self-dated":
        found.append(say("The key is self-dated: nobody but the owner vouches for when it was made."))
    if evidence.share is None:
        found.append(
            say("No share is opened: the payload is sealed, so that the other side cannot yet recompute the result.")
        )
    unknown = [name for name, dated in dated_facts(evidence, say) if dated is None]
    if unknown:
        listed = unknown[0]
        for name in unknown[1:]:
            listed = say("%(first)s, of %(second)s", first=listed, second=name)
        found.append(say("Not known: the date of %(events)s.", events=listed))
    return found


def _about_measurement(evidence: Evidence, score: ScoreRecord, claim: Claim, say: Language) -> list[str]:
    found, measurement, rule = [], score.measurement, claim.rule
    if Decimal(measurement.missing_share) > 0:
        missing = say.share(measurement.missing_share)
        found.append(say("%(share)s of the answers are missing and count against the claim.", share=missing))
    if nouns_of(claim).clusters and measurement.access in _UNSEEN:
        found.append(say(_UNSEEN[measurement.access]))
    references = sum(one.role == "reference" for one in score.controls)
    if not references:
        found.append(say("No independent reference model was scored."))
    elif references < rule.references.minimum:
        found.append(
            say(
                "Only %(number)s independent reference models were scored, fewer than the claim asks for.",
                number=references,
            )
        )
    undocumented = sum(one.role == "reference" and not one.documented for one in score.controls)
    if undocumented:
        found.append(
            say(
                "Of the reference models %(number)s are of undocumented provenance; they do not count towards gate G3.",
                number=undocumented,
            )
        )
    apart = sum(one.role == "reference" and not one.comparable(evidence.answers) for one in score.controls)
    if apart:
        found.append(
            say(
                "%(number)s of the reference models answer otherwise than the suspect (vectors, scores or labels); "
                "they do not count towards gate G3.",
                number=apart,
            )
        )
    roles = {one.role: one for one in score.controls}
    if "positive" not in roles:
        found.append(
            say(
                "The positive control (the owner’s own marked %(marked)s) is not in the case.",
                marked=marked(evidence, say),
            )
        )
    if "predecessor" not in roles:
        found.append(
            say(
                "The negative control (the owner’s %(marked)s before it was marked) is not in the case.",
                marked=marked(evidence, say),
            )
        )
    elif roles["predecessor"].identity.digest in {one.identity.digest for one in evidence.references}:
        found.append(
            say("The negative control is named in the claim and takes part in the read-out, so that it cannot respond.")
        )
    if Decimal(measurement.power) < Decimal("0.8"):
        found.append(
            say(
                "The power at the minimum effect is %(power)s: a weak mark could have been missed, so that an absence "
                "of agreement is no evidence of independence.",
                power=say.share(measurement.power),
            )
        )
    if score.verdict.examinations > 1:
        found.append(say("Examinations under this claim: %(charge)s.", charge=charged_in_words(score, claim, say)))
    return found


def _peculiarity(suspect: Noun, nouns: Nouns, say: Language) -> str:
    if nouns.clusters:
        return say(
            "The answers are held fixed and only the payload is redrawn, so that bias or dependence in the %(suspect)s "
            "cannot create agreement. Decoys, made like the drawn %(many)s, were asked in the same %(carriers)s. "
            "References and controls test the same in practice.",
            suspect=suspect,
            many=nouns.many,
            carriers=nouns.carriers,
        )
    return say(
        "The answers are held fixed and only the payload is redrawn, so that bias or dependence in the %(suspect)s "
        "cannot create agreement. References and controls test the same in practice.",
        suspect=suspect,
    )


def _order_result(evidence: Evidence, say: Language) -> str:
    if evidence.score is None:
        return say("Not tested: nothing was scored.")
    note = order_not_shown(evidence, evidence.score, say)
    return note or say("%(gate)s: %(state)s.", gate="G1", state=gate_state(evidence.score, "G1", say))


def _controls_result(score: ScoreRecord, say: Language) -> str:
    state = say("%(gate)s: %(state)s.", gate="G3", state=gate_state(score, "G3", say))
    if not score.controls:
        none = say("No control was scored.")
        return f"{state} {none}"
    found = [
        say(
            "%(role)s: %(matched)s of %(n)s",
            role=say(CONTROL_ROLES[one.role]),
            matched=one.matched,
            n=counted(one.n, score.measurement),
        )
        for one in score.controls
        if one.role != "reference"
    ]
    references = [one.matched for one in score.controls if one.role == "reference"]
    if references:
        found.append(
            say(
                "%(number)s references: %(least)s to %(most)s of %(n)s",
                number=len(references),
                least=min(references),
                most=max(references),
                n=counted(score.measurement.n, score.measurement),
            )
        )
    facts = say("%(facts)s.", facts=capital(say.clauses(found)))
    return f"{state} {facts}"
