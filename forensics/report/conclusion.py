"""The conclusion in words a judge can read, and the warnings that stand beside it; no number is computed."""

from dataclasses import replace

from forensics.conclusion import agreement, chosen_items, conclusion
from forensics.evidence.results import decode_measurement, decode_verdict
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim
from forensics.records import Measurement
from forensics.report.nouns import Nouns, nouns_of, ranked_by
from forensics.report.text import clean

WARNINGS = {
    "timestamped": "",
    "demonstration": "DEMONSTRATION: the key’s time stamp comes from the tool’s own demonstration authority and proves "
    "no date. This is not a finding for use in court.",
    "self-dated": "SELF-DATED KEY: no authority vouches for when the key was made.",
}


def conclude(evidence: Evidence, claim: Claim) -> str:
    """Returns the conclusion as `conclusion.conclusion` words it, in the method's nouns, or that there is none yet."""
    if evidence.score is None:
        suspect = f"“{clean(evidence.suspect.name, 80)}”"
        return f"No conclusion: the answers of {suspect} were recorded and sealed; they have not been scored."
    verdict, measurement = decode_verdict(evidence.score.verdict), decode_measurement(evidence.score.measurement)
    short = replace(verdict, reasons=tuple(clean(reason, 120).rstrip(".") for reason in verdict.reasons[:1]))
    said = conclusion(short, measurement, clean(claim.owner, 60), evidence.binding)
    return clean(_named(said, measurement, nouns_of(claim)), 900)


def _named(said: str, measurement: Measurement, nouns: Nouns) -> str:
    """Puts the method's own nouns and its ranking in the place of the general ones."""
    found, chosen = agreement(measurement), chosen_items(measurement.test, measurement.context)
    if chosen is None:
        return said
    effect, ranking = measurement.effect, ranked_by(nouns, measurement.access)
    where = f"the {chosen} highest-scoring of {measurement.n}"
    if nouns.two_sided:
        how = f" ranked by {ranking}" if ranking else ""
        where = f"the {chosen} at one end of all {measurement.n}{how}"
    ours = (
        f"{measurement.matched} of the {chosen} {nouns.many} that the key chose are among {where} "
        f"(the {effect.name} is {effect.value:.3g}, where chance gives {effect.chance:.3g})"
    )
    rank, apart = "and chance alone would rank them as high", "and chance alone would set them as far apart"
    if nouns.two_sided:
        said = said.replace(f"{found}, {rank}", f"{ours}, {apart}")
    return said.replace(found, ours)
