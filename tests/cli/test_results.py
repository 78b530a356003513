"""What a scored case prints, for a test of words and one of bits, with and without published statistics."""

import json
from pathlib import Path

import pytest

from forensics.cli.results import print_result, result_object
from forensics.evidence.bag import MANIFEST
from forensics.evidence.case import CaseFolder
from forensics.evidence.schema import Evidence
from tests.report.cases import HOSTILE, make_evidence, make_word_evidence


def folder(evidence: Evidence) -> CaseFolder:
    return CaseFolder(Path("CASE"), {MANIFEST: b""}, evidence)


def words(**choices: object) -> CaseFolder:
    return folder(make_word_evidence(n=60, chosen=10, **choices)[0])  # type: ignore[arg-type]


def test_words_are_counted_out_of_the_chosen_ones(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(words(outcome="SUPPORTED"), as_json=False)
    printed = capsys.readouterr().out
    assert "9 of the 10 words that the key chose are among the 10 highest-scoring of 60" in printed
    assert "9 of 10 chosen words among the 10 highest-scoring of 60 (rank sum of the trigger words)" in printed
    assert "AUC 0.984  (95 %: 0.924 to 0.996; chance 0.5)" in printed
    assert "none computed" in printed
    assert "at most 0.001 allowed)" in printed
    assert "undisclosed attempts leave the finding below one in a thousand" in printed


def test_the_first_published_statistic_is_said_to_decide_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(words(outcome="NOT_SUPPORTED", published=True), as_json=False)
    assert "Kolmogorov-Smirnov test p = 1.45e-11 (decides nothing)" in capsys.readouterr().out


def test_json_says_out_of_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(words(outcome="SUPPORTED"), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["matched"], found["chosen"], found["n"]) == (9, 10, 60)
    assert found["published"] is None
    assert found["effect_name"] == "AUC"
    bits = result_object(folder(make_evidence("SUPPORTED")))
    assert bits["chosen"] is None
    assert bits["published"]["name"] == "Pearson chi-square"


def test_bits_are_printed_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(folder(make_evidence("SUPPORTED")), as_json=False)
    printed = capsys.readouterr().out
    assert "121 of 128 bits agree with the key" in printed
    assert "121 of 128 (matched-bits)" in printed
    assert "chance alone would give as much" in printed


def test_hostile_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(words(outcome="INCONCLUSIVE", suspect=f"\x1b[31m{HOSTILE}\u202e\n", owner=HOSTILE), as_json=False)
    printed = capsys.readouterr().out
    assert "\x1b[31m" not in printed
    assert "\u202e" not in printed
