"""Evidence of keyed soft labels built by hand, with figures that follow from each other."""

import math

import numpy as np

from forensics.canonical import decimal
from forensics.evidence.results import encode_measurement
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Rule
from forensics.methods.ksl import SPEC
from forensics.methods.ranks import measure_ranks
from forensics.records import Reading
from forensics.rules import draft_rule
from tests.report.cases import HOSTILE, make_claim, make_evidence

FAMILIES, CLASSES = 24, 10
NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
LEADING = {"SUPPORTED": 22, "NOT_SUPPORTED": 2, "INCONCLUSIVE": 13, "INVALID_CLAIM": 22}


def make_family_evidence(
    outcome: str = "SUPPORTED", *, opened: bool = True, binding: str = "timestamped", hostile: bool = False
) -> Evidence:
    """Returns evidence of a case in which the drawn class leads in `LEADING[outcome]` families."""
    base = make_evidence(outcome, binding=binding, opened=opened, bits=FAMILIES)
    assert base.score is not None
    rng = np.random.default_rng(6)
    drawn, shifts = rng.integers(0, CLASSES, FAMILIES), rng.normal(size=(FAMILIES, CLASSES))
    for family in range(FAMILIES):
        order = np.sort(shifts[family])
        mine = LEADING[outcome] > family
        place = CLASSES - 1 if mine else int(rng.integers(0, CLASSES - 1))
        other = int(np.flatnonzero(shifts[family] == order[place])[0])
        shifts[family, [drawn[family], other]] = shifts[family, [other, drawn[family]]]
    rule: Rule = draft_rule(SPEC, FAMILIES)
    reading = Reading("scores", SPEC.deciding["scores"], shifts, np.zeros(FAMILIES, dtype=np.bool_), 0.0)
    found = measure_ranks(SPEC, drawn, reading, rule.model_dump())
    names = tuple(f"{HOSTILE}{index}" for index in range(CLASSES)) if hostile else NAMES
    parameters = {"families": FAMILIES, "classes": CLASSES, "grid": 7}
    claim = make_claim(binding, FAMILIES).model_copy(
        update={"method": "ksl", "parameters": parameters, "labels": names, "rule": rule}
    )
    claim = type(claim).model_validate(claim.model_dump(mode="json"))
    record = encode_measurement(found, disclose=opened)
    said = base.score.verdict.model_copy(update={"adjusted_p": decimal(min(found.p_value * 2**20, 1.0))})
    controls = [
        control.model_copy(update={"effect": decimal(math.floor(control.matched) / FAMILIES)})
        for control in base.score.controls
    ]
    score = base.score.model_copy(update={"measurement": record, "verdict": said, "controls": controls})
    return base.revised(claim=claim.model_dump(mode="json"), claim_digest=claim.digest, score=score)
