import dataclasses
import math

import pytest

from forensics.canonical import canonical_json
from forensics.evidence.case import CaseFolder
from forensics.evidence.results import decode_measurement, decode_verdict, encode_measurement, encode_verdict
from forensics.records import Effect, Measurement, Outcome, Published, Verdict
from tests.evidence.conftest import Line

MEASUREMENT = Measurement(
    test="bits",
    statistic="matched-bits",
    access="scores",
    null="no dependence",
    n=3,
    matched=2,
    value=2.0,
    p_value=2.0**-128,
    log10_p=-40.25,
    effect=Effect("share", 2 / 3, 0.1, 0.9, 0.95, 0.5),
    bayes_factor_log10=None,
    power=0.1 + 0.2,
    missing_share=0.0,
    items=(0.1, -1e-17, 5e300),
    target=(1, 0, 1),
    published=(Published("chi-square", 1.5, 0.5, "paper", "two-sided"),),
    context={"raw": -0.0},
)


def test_a_measurement_comes_back_to_the_last_digit() -> None:
    assert decode_measurement(encode_measurement(MEASUREMENT, disclose=True)) == MEASUREMENT


def test_a_statistic_without_a_p_value_has_none_when_it_comes_back() -> None:
    for absent in (None, math.nan):
        bare = (Published("silhouette", 0.25, absent, "paper", "no threshold"),)
        record = encode_measurement(dataclasses.replace(MEASUREMENT, published=bare), disclose=True)
        assert record.published[0].p_value == "nan"
        assert decode_measurement(record).published[0].p_value is None


def test_a_projection_is_shown_with_an_opened_share_alone() -> None:
    drawn = dataclasses.replace(MEASUREMENT, projection=((1.0, 0.5), (-0.25, 2.0**-30), (0.0, 0.0)))
    record = encode_measurement(drawn, disclose=True)
    assert record.projection == ["1.0", "0.5", "-0.25", repr(2.0**-30), "0.0", "0.0"]
    assert decode_measurement(record) == drawn
    assert encode_measurement(drawn, disclose=False).projection is None


def test_records_without_a_projection_are_what_they_were() -> None:
    for measurement, disclose in (
        (MEASUREMENT, True),
        (dataclasses.replace(MEASUREMENT, projection=((1.0, 0.0),)), False),
    ):
        record = encode_measurement(measurement, disclose=disclose)
        assert "projection" not in record.model_dump(mode="json")
        assert decode_measurement(record).projection == ()


def test_half_a_point_is_no_projection() -> None:
    record = encode_measurement(MEASUREMENT, disclose=True).model_copy(update={"projection": ["1.0", "0.5", "0.25"]})
    with pytest.raises(ValueError, match="shorter"):
        decode_measurement(record)


def test_what_the_key_drew_is_left_out_unless_disclosed() -> None:
    record = encode_measurement(MEASUREMENT, disclose=False)
    assert record.items is None
    assert record.target is None
    assert decode_measurement(record).items == ()
    canonical_json(record.model_dump(mode="json"))


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_verdict_comes_back(outcome: Outcome) -> None:
    verdict = Verdict(outcome, {"G1": True, "G2": False, "G3": None}, ("because",), 1e-30, 10**35 + 1, 2)
    record = encode_verdict(verdict)
    assert decode_verdict(record) == verdict
    canonical_json(record.model_dump(mode="json"))


def test_recorded_results_are_read_as_they_were_made(line: Line) -> None:
    recorded = CaseFolder.load(line.opened).evidence.score
    assert recorded is not None
    measurement, verdict = decode_measurement(recorded.measurement), decode_verdict(recorded.verdict)
    assert encode_measurement(measurement, disclose=True) == recorded.measurement
    assert encode_verdict(verdict) == recorded.verdict
    assert measurement.matched >= 15
    assert verdict.outcome is Outcome.SUPPORTED
