from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.conclusion import chance_in_words, conclusion
from forensics.errors import UsageError
from forensics.keys.claim import ReferenceRule, Rule
from forensics.methods.bits import measure_bits
from forensics.records import Effect, Measurement, Outcome, Reading, Verdict
from forensics.statistics import FLOOR, binomial_test, labels_test
from forensics.verdict import ClaimDates, decide, parse_moment

RULE = Rule(
    deciding={"scores": "matched-bits"},
    access="the highest access obtained decides",
    ties="miss",
    missing="miss",
    missing_allowed="0.10",
    n=64,
    stopping="fixed",
    alpha="1e-6",
    examinations=1,
    grinding=20,
    minimum_effect="0.65",
    prior="Beta(1,1) truncated to (1/2, 1)",
    references=ReferenceRule(minimum=5, margin="0.05"),
)
NULLS = [(0.2, 0.55), (0.5, 0.5), (0.7, 0.48), (0.4, 0.52), (0.9, 0.44)]
DAY = "2026-11-22"


def measured(matched: int, n: int = 64, **changes: Any) -> Measurement:
    exact = binomial_test(matched, n)
    low, high = exact.confidence_interval(0.95)
    effect = Effect("share of payload bits that match", matched / n, low, high, exact.upper_limit(0.99), 0.5)
    whole = Measurement(
        test="bits",
        statistic="matched-bits",
        access="scores",
        null=exact.null,
        n=n,
        matched=matched,
        value=float(matched),
        p_value=exact.pvalue,
        log10_p=exact.log10_p,
        effect=effect,
        bayes_factor_log10=None,
        power=0.9,
        missing_share=0.0,
        items=(),
        target=(),
    )
    return replace(whole, **changes)


def with_effect(measurement: Measurement, **changes: float) -> Measurement:
    return replace(measurement, effect=replace(measurement.effect, **changes))


def judged(measurement: Measurement, rule: Rule = RULE, **changes: Any) -> Verdict:
    arguments: dict[str, Any] = {
        "binding": "timestamped",
        "opened": True,
        "dates": ClaimDates(parse_moment("2026-01-01"), parse_moment("2026-02-01"), parse_moment("2026-03-01")),
        "examinations": 1,
        "references": NULLS,
        "replayed": True,
    }
    return decide(measurement, rule, **{**arguments, **changes})


def altered(**changes: Any) -> Rule:
    return RULE.model_copy(update=changes)


def test_a_clear_finding_is_supported_with_all_gates_true() -> None:
    verdict = judged(measured(62))
    assert verdict.outcome is Outcome.SUPPORTED
    assert verdict.gates == {"G1": True, "G2": True, "G3": True, "G4": True, "G5": True}
    assert verdict.reasons == ("chance alone would give an agreement this close in fewer than one in a million cases",)
    assert verdict.adjusted_p == pytest.approx(binomial_test(62, 64).pvalue * 2**20)
    assert verdict.n_star > 2**20


def test_a_finding_at_chance_is_not_supported_and_says_what_that_does_not_show() -> None:
    verdict = judged(measured(30))
    assert verdict.outcome is Outcome.NOT_SUPPORTED
    assert verdict.gates["G2"] is False
    assert verdict.gates["G4"] is False
    assert "this is no evidence of independence, since a mark can be removed" in verdict.reasons


def test_a_weak_finding_is_inconclusive_while_the_minimum_is_not_excluded() -> None:
    verdict = judged(measured(42))
    assert measured(42).effect.upper_99 > 0.65
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any("too little was asked or answered" in reason for reason in verdict.reasons)


def test_alpha_alone_is_not_enough_without_room_for_undisclosed_attempts() -> None:
    verdict = judged(measured(51))
    assert measured(51).p_value <= 1e-6
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.gates["G2"] is False
    assert any("1,048,576 undisclosed attempts" in reason for reason in verdict.reasons)
    assert judged(measured(51), altered(grinding=0)).outcome is Outcome.SUPPORTED
    assert judged(measured(50), altered(grinding=0)).gates["G2"] is False


def test_every_further_examination_is_charged() -> None:
    first, fourth = judged(measured(56)), judged(measured(56), examinations=4)
    assert (first.examinations, fourth.examinations) == (1, 4)
    assert fourth.adjusted_p == 4 * first.adjusted_p
    assert first.outcome is Outcome.SUPPORTED
    assert fourth.outcome is Outcome.INCONCLUSIVE
    assert "the owner's log counts 4 examinations under this claim, and all are charged" in fourth.reasons
    assert judged(measured(56), altered(examinations=9)).examinations == 9


def test_six_of_six_labels_meets_one_in_a_million_exactly() -> None:
    exact = labels_test(6, 6, 10)
    hit = measured(6, 6, test="labels", p_value=exact.pvalue, log10_p=exact.log10_p)
    rule = altered(grinding=0, n=6)
    assert judged(hit, rule, references=()).gates["G2"] is True
    assert judged(replace(hit, p_value=1.0000000001e-6), rule, references=()).gates["G2"] is False


def test_the_limit_of_one_in_a_thousand_is_reached_inclusively() -> None:
    exact = replace(measured(60), p_value=2.0**-20 / 1000)
    assert judged(exact).gates["G2"] is True
    assert judged(replace(exact, p_value=2.0**-20 / 1000 * (1 + 1e-12))).gates["G2"] is False


def test_a_key_that_does_not_open_the_commitment_makes_the_claim_invalid() -> None:
    verdict = judged(measured(64), opened=False, replayed=False)
    assert verdict.outcome is Outcome.INVALID_CLAIM
    assert verdict.gates["G1"] is False
    assert verdict.reasons[0] == "the key does not open the commitment"


@pytest.mark.parametrize(("name", "outcome"), [("opened", Outcome.INCONCLUSIVE), ("replayed", Outcome.INCONCLUSIVE)])
def test_a_needed_check_that_was_not_run_leaves_it_open_and_is_named(name: str, outcome: Outcome) -> None:
    verdict = judged(measured(64), **{name: None})
    gate = {"opened": "G1", "replayed": "G5"}[name]
    assert verdict.outcome is outcome
    assert verdict.gates[gate] is None
    assert f"gate {gate} was not run" in verdict.reasons[0]


def test_numbers_that_do_not_replay_support_nothing() -> None:
    verdict = judged(measured(64), replayed=False)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons[0] == "the numbers are not reproduced from the recorded answers"


def test_an_effect_below_the_minimum_is_inconclusive_and_compared_as_decimals() -> None:
    rule = altered(minimum_effect="0.7", alpha="0.01", grinding=0)
    assert judged(measured(70, 100), rule, references=()).gates["G4"] is True
    low = judged(measured(69, 100), rule, references=())
    assert low.gates["G4"] is False
    assert low.outcome is Outcome.INCONCLUSIVE
    assert low.reasons[0] == "the share of payload bits that match is 0.69, below the minimum of 0.7"


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_references_leave_the_third_gate_open_and_are_named(count: int) -> None:
    verdict = judged(measured(62), references=NULLS[:count])
    assert verdict.gates["G3"] is None
    assert verdict.outcome is Outcome.SUPPORTED
    words = "only 3 of at least 5 reference models" if count else "no independent reference model was examined"
    assert any(words in reason and "gate G3 was not run" in reason for reason in verdict.reasons)


def test_a_reference_that_responds_stops_the_finding() -> None:
    for references in ([*NULLS, (1e-3 / 6, 0.6)], [(1e-3, 0.6)]):
        verdict = judged(measured(62), references=references)
        assert verdict.gates["G3"] is False
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.reasons[0] == "a reference model responds to the key"
    assert judged(measured(62), references=[*NULLS, (1.01e-3 / 6, 0.6)]).gates["G3"] is True
    assert judged(measured(62), references=[*NULLS, (0.0, 0.6)]).gates["G3"] is False


def test_the_suspect_must_exceed_the_strongest_reference_by_the_margin() -> None:
    rule = altered(minimum_effect="0.6", alpha="0.01", grinding=0)
    suspect = with_effect(measured(64), value=0.7)
    assert judged(suspect, rule, references=[(0.2, 0.65)] * 5).gates["G3"] is True
    assert judged(suspect, rule, references=[(0.2, 0.651)] * 5).gates["G3"] is False
    none = altered(references=ReferenceRule(minimum=5, margin="0"))
    assert judged(suspect, none, references=[(0.2, 0.7)] * 5).gates["G3"] is False


def test_a_reference_that_could_not_be_measured_does_not_count() -> None:
    verdict = judged(measured(62), references=[*NULLS[:4], (float("nan"), 0.5)])
    assert verdict.gates["G3"] is None
    assert any("only 4 of at least 5" in reason for reason in verdict.reasons)


def test_references_without_documented_provenance_do_not_count_and_can_contradict() -> None:
    verdict = judged(measured(62), references=NULLS[:2], uncounted=NULLS[2:])
    assert verdict.gates["G3"] is None
    assert verdict.outcome is Outcome.SUPPORTED
    words = "only 2 of 5 reference models examined are of documented provenance and were seen as the suspect was, "
    words += "where at least 5 are needed"
    assert f"{words} (gate G3 was not run)" in verdict.reasons
    responding = judged(measured(62), references=NULLS, uncounted=[(1e-9, 0.6)])
    assert responding.gates["G3"] is False
    assert responding.reasons[0] == "a reference model responds to the key"
    strong = judged(measured(62), references=NULLS, uncounted=[(0.2, 0.95)])
    assert strong.gates["G3"] is False
    assert judged(measured(62), references=NULLS, uncounted=[(0.2, 0.5)]).gates["G3"] is True
    none = altered(references=ReferenceRule(minimum=0, margin="0.05"))
    assert judged(measured(62), none, references=(), uncounted=NULLS).gates["G3"] is None


def test_the_conclusion_names_the_controls_that_are_missing() -> None:
    verdict, found = judged(measured(62)), measured(62)

    def said(*roles: str, of: Verdict = verdict) -> str:
        return conclusion(of, found, "Ada", "timestamped", controls=roles)

    assert "controls" not in conclusion(verdict, found, "Ada", "timestamped")
    assert "controls" not in said("positive", "predecessor", "reference")
    assert said("positive", "reference").endswith("; not examined as controls: the owner's model before it was marked.")
    everything = "the owner's marked model, the owner's model before it was marked, independent reference models."
    assert said().endswith(f"; not examined as controls: {everything}")
    alone = said("positive", "predecessor", of=judged(measured(62), references=()))
    assert alone.endswith("; not run: G3 (independent reference models).")


def test_the_owners_own_models_are_controls() -> None:
    assert judged(measured(62), positive=1e-15, predecessor=0.3).gates["G3"] is True
    for controls in ({"positive": 0.3}, {"positive": float("nan")}, {"predecessor": 1e-15}):
        verdict = judged(measured(62), **controls)
        assert verdict.gates["G3"] is False
        assert verdict.outcome is Outcome.INCONCLUSIVE


def test_more_missing_answers_than_declared_leave_it_open() -> None:
    assert judged(measured(62, missing_share=0.1)).outcome is Outcome.SUPPORTED
    for matched in (62, 30):
        verdict = judged(measured(matched, missing_share=0.101))
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.reasons[0] == "10.1% of the answers are missing, and the claim allows 10.0%"
    assert judged(measured(62, missing_share=float("nan"))).outcome is Outcome.INCONCLUSIVE


def test_a_self_dated_key_reaches_inconclusive_at_best() -> None:
    verdict = judged(measured(64), binding="self-dated")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons[0] == "the key does not bind its owner"
    assert judged(measured(30), binding="self-dated").outcome is Outcome.NOT_SUPPORTED
    agreed = judged(measured(64), binding="self-dated", owner_undisputed=True)
    assert agreed.outcome is Outcome.SUPPORTED
    assert any("the owner is not in dispute" in reason for reason in agreed.reasons)


def test_a_demonstration_says_so() -> None:
    verdict = judged(measured(64), binding="demonstration", replayed=None)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert not verdict.reasons[0].startswith("this is a demonstration"), "the first reason is the one that decides"
    assert any(reason.startswith("this is a demonstration") for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("token", "release", "suspect", "valid"),
    [
        ("2026-01-01", "2026-02-01", "2026-03-01", True),
        ("2026-02-02", "2026-02-01", "2026-03-01", False),
        ("2026-01-01", "2026-03-02", "2026-03-01", False),
        (None, "2026-03-02", "2026-03-01", False),
        ("2026-03-02", None, "2026-03-01", False),
        ("2026-11-22T10:00:00Z", DAY, DAY, True),
        ("2026-11-22T10:00:00Z", DAY, "2026-11-22T09:59:59Z", False),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z", None, True),
        ("2026-11-22T10:00:01Z", "2026-11-22T10:00:00Z", None, False),
        ("2026-11-22T10:00:00.9Z", "2026-11-22T10:00:00.1Z", None, True),
        ("2026-11-22T11:30:00+02:00", "2026-11-22T09:30:01Z", None, True),
        ("2026-11-23", DAY, None, False),
        (None, None, None, True),
    ],
)
def test_only_a_provably_wrong_order_of_dates_fails(
    token: str | None, release: str | None, suspect: str | None, valid: bool
) -> None:
    dates = ClaimDates(*(None if text is None else parse_moment(text) for text in (token, release, suspect)))
    verdict = judged(measured(64), dates=dates)
    assert verdict.gates["G1"] is valid
    assert verdict.outcome is (Outcome.SUPPORTED if valid else Outcome.INVALID_CLAIM)
    assert valid or "lies after" in verdict.reasons[0]


def test_unknown_and_overlapping_dates_are_named() -> None:
    verdict = judged(measured(64), dates=ClaimDates(parse_moment(DAY), None, parse_moment(DAY)))
    assert "the release date of the marked model is unknown" in verdict.reasons
    assert any(reason.startswith("the dates do not show whether") for reason in verdict.reasons)
    unknown = judged(measured(64), dates=ClaimDates())
    assert sum(reason.endswith("is unknown") for reason in unknown.reasons) == 3


def test_moments_are_whole_days_or_single_seconds() -> None:
    start, end = parse_moment(DAY)
    assert (start, end) == (datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC))
    assert parse_moment("2026-11-22T10:00:00.75+02:00") == (datetime(2026, 11, 22, 8, tzinfo=UTC),) * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "22.11.2026",
        "2026-13-01",
        "2026-02-30",
        "20261122",
        "2026-11-22T10:00:00",
        "2026-11-22 10:00:00Z",
    ],
)
def test_other_dates_are_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a date"):
        parse_moment(text)


def test_extreme_dates_neither_crash_nor_pass_for_something_else() -> None:
    assert parse_moment("9999-12-31")[1].year == 9999
    with pytest.raises(UsageError, match="is not a date"):
        parse_moment("0001-01-01T00:00:00+14:00")


def test_periods_need_time_zones_and_order() -> None:
    moment = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    with pytest.raises(ValueError, match="invalid dates"):
        ClaimDates(token=(moment, moment - timedelta(seconds=1)))
    with pytest.raises(ValueError, match="invalid dates"):
        ClaimDates(token=(moment.replace(tzinfo=None),) * 2)


def test_an_invalid_p_value_counts_as_one() -> None:
    verdict = judged(measured(64, p_value=float("nan")))
    assert verdict.gates["G2"] is False
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (verdict.adjusted_p, verdict.n_star) == (1.0, 0)
    assert judged(measured(64, p_value=0.0)).n_star == 2**128 // 1000
    nothing = with_effect(measured(64, p_value=float("nan")), value=float("nan"), upper_99=float("nan"))
    assert judged(nothing).outcome is Outcome.INCONCLUSIVE


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 128), st.data())
def test_an_inverted_mark_is_never_supported(k: int, data: st.DataObject) -> None:
    matched = data.draw(st.integers(0, k // 2))
    easy = altered(alpha="0.4", grinding=0, minimum_effect="0.5", references=ReferenceRule(minimum=0, margin="0"))
    verdict = judged(measured(matched, k), easy, references=())
    assert verdict.outcome is not Outcome.SUPPORTED
    assert verdict.gates["G2"] is False


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=32, max_size=64), st.sampled_from(["constant", "missing", "inverted"]))
def test_useless_answers_are_never_supported(payload: list[int], kind: str) -> None:
    import numpy as np

    from forensics.methods import load_method

    bits = np.array(payload, dtype=np.int64)
    scores = np.zeros(len(bits)) if kind != "inverted" else 1.0 - 2.0 * bits
    missing = np.full(len(bits), kind == "missing")
    reading = Reading("scores", "matched-bits", scores, missing, float(missing.mean()))
    measurement = measure_bits(load_method("ofsw").spec, bits, reading, RULE.model_dump(mode="json"))
    assert measurement.p_value == 1.0
    assert judged(measurement).outcome is not Outcome.SUPPORTED


@settings(deadline=None)
@given(
    st.integers(0, 64),
    st.sampled_from([True, False, None]),
    st.sampled_from([True, False, None]),
    st.sampled_from(["timestamped", "demonstration", "self-dated"]),
    st.booleans(),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.1, 0.2]),
)
def test_outcomes_follow_the_gates(
    matched: int,
    opened: bool | None,
    replayed: bool | None,
    binding: str,
    undisputed: bool,
    references: int,
    missing: float,
) -> None:
    measurement = measured(matched, missing_share=missing)
    verdict = judged(
        measurement,
        opened=opened,
        replayed=replayed,
        binding=binding,
        owner_undisputed=undisputed,
        references=NULLS[:references],
    )
    gates, bound = verdict.gates, binding != "self-dated" or undisputed
    if opened is False:
        expected = Outcome.INVALID_CLAIM
    elif missing > 0.1:
        expected = Outcome.INCONCLUSIVE
    elif gates["G1"] and gates["G2"] and gates["G4"] and gates["G5"] and gates["G3"] is not False and bound:
        expected = Outcome.SUPPORTED
    elif gates["G2"] is False and measurement.effect.upper_99 < 0.65:
        expected = Outcome.NOT_SUPPORTED
    else:
        expected = Outcome.INCONCLUSIVE
    assert verdict.outcome is expected
    assert verdict.reasons
    for name, passed in gates.items():
        assert (f"(gate {name} was not run)" in " ".join(verdict.reasons)) is (passed is None)
    sentence = conclusion(verdict, measurement, "Ada  Lovelace\nLtd", binding)  # type: ignore[arg-type]
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0
    assert "\n" not in sentence
    assert not any(word in sentence.lower() for word in ("stolen", "theft", "derive", "prove", "proof", "certain"))
    assert "information from the key of Ada Lovelace Ltd reached the suspect model" in sentence
    verbs = {Outcome.SUPPORTED: "support ", Outcome.NOT_SUPPORTED: "do not support "}
    assert verbs.get(expected, "leave open ") in sentence
    assert ("demonstration" in sentence.lower()) is (binding == "demonstration")
    for name, passed in gates.items():
        assert passed is not None or f"{name} (" in sentence


def test_the_conclusion_reads_as_one_plain_sentence() -> None:
    found = measured(62)
    assert conclusion(judged(found, references=()), found, "Ada Ltd", "timestamped") == (
        "The answers support the claim that information from the key of Ada Ltd reached the suspect model: 62 of 64 "
        "bits agree with the key, and chance alone would give as much in fewer than one in a million cases; not run: "
        "G3 (independent reference models)."
    )
    shown = conclusion(judged(found, binding="demonstration"), found, "Ada Ltd", "demonstration")
    assert shown.startswith("Demonstration: the answers support the claim")
    agreed = judged(found, binding="self-dated", owner_undisputed=True)
    assert "not in dispute" in conclusion(agreed, found, "Ada Ltd", "self-dated")
    chance = measured(30)
    assert conclusion(judged(chance), chance, "Ada Ltd", "timestamped") == (
        "The answers do not support the claim that information from the key of Ada Ltd reached the suspect model: 30 "
        "of 64 bits agree with the key, less than the claim asks for; this is no evidence of independence, since a "
        "mark can be removed."
    )
    late = judged(found, dates=ClaimDates(parse_moment("2026-05-05"), None, parse_moment("2026-03-01")))
    assert conclusion(late, found, "Ada Ltd", "timestamped").startswith("The claim is not valid, because the date of")


def test_a_statistic_without_counts_is_told_by_its_effect() -> None:
    separated = with_effect(measured(0, test="subset", p_value=1e-12), value=0.93)
    assert "is 0.93, where chance gives 0.5" in conclusion(judged(separated), separated, "Ada", "timestamped")


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (FLOOR, "fewer than one in a million"),
        (9.9e-7, "fewer than one in a million"),
        (1e-6, "fewer than one in 100,000"),
        (0.0005, "fewer than one in 1,000"),
        (0.05, "fewer than one in 10"),
        (0.1, "at least one in ten"),
        (1.0, "at least one in ten"),
    ],
)
def test_chance_is_never_told_as_less_than_one_in_a_million(p: float, words: str) -> None:
    assert chance_in_words(p) == words


def test_a_claim_with_an_impossible_level_is_never_met() -> None:
    assert judged(measured(64), altered(alpha="0")).gates["G2"] is False


def test_a_malformed_count_of_examinations_is_named() -> None:
    with pytest.raises(ValueError, match="invalid examinations"):
        judged(measured(64), examinations=1.5)


def test_nothing_comes_after_the_suspects_answers() -> None:
    early, late = parse_moment("2026-01-05"), parse_moment("2026-12-24")
    answered = parse_moment("2026-03-01T10:00:00Z")
    for dates, why in (
        (ClaimDates(late, None, None, answered), "the date of the claim's timestamp lies after"),
        (ClaimDates(early, late, None, answered), "the release date of the marked model lies after"),
        (
            ClaimDates(early, late, parse_moment("2100-01-01"), answered),
            "the release date of the marked model lies after",
        ),
    ):
        verdict = judged(measured(62), dates=dates, references=NULLS)
        assert verdict.outcome is Outcome.INVALID_CLAIM
        assert verdict.reasons[0] == f"{why} the date of the suspect's answers"
    stated = judged(measured(62), dates=ClaimDates(early, early, late, answered))
    assert stated.outcome is Outcome.INVALID_CLAIM
    assert judged(measured(62), dates=ClaimDates(early, early, answered, answered)).gates["G1"] is True


def test_every_milder_rule_than_usual_is_named() -> None:
    plain = judged(measured(62), references=NULLS).reasons
    assert not any("usual" in reason for reason in plain)
    mild = RULE.model_copy(
        update={
            "alpha": "1e-3",
            "missing_allowed": "0.25",
            "grinding": 10,
            "references": ReferenceRule(minimum=1, margin="0.05"),
        }
    )
    named = [reason for reason in judged(measured(62), mild, references=NULLS).reasons if "usual" in reason]
    assert named == [
        "the claim charges for 1,024 undisclosed attempts only, where 1,048,576 are usual",
        "the claim allows a chance of 1e-3, where 1e-6 is usual",
        "the claim asks for 1 of the usual 5 reference models",
        "the claim allows 25.0% of the answers to be missing, where 10.0% are usual",
    ]
