"""Altered cases and reports: hundreds of the thousands of `bench tamper`, and whether the bench would see a mistake."""

import json
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from forensics.bench import tamper, tamper_attacks, tamper_entries, tamper_folders, tamper_reports, tampering
from forensics.bench.tables import rewrite
from forensics.bench.tamper_bases import Bases, add_reports, build, sample
from forensics.bench.tamper_cases import HANDS, Original
from forensics.bench.tamper_tables import totals
from forensics.bench.tamper_tools import run_script
from forensics.bench.tampering import Desk, Mutation, Outcome, lay, tally
from forensics.errors import CaseError
from forensics.evidence.check import check_case
from tests.test_outside_expert import commands, follow

__all__ = ["commands"]

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LEVEL = "B-LTA"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    made = build(tmp_path_factory.mktemp("tamper") / "bases")
    add_reports(made, [LEVEL])
    return made


@pytest.fixture(scope="module")
def original(bases: Bases) -> Original:
    return tamper.open_case(bases, "fresh")


@pytest.fixture(scope="module")
def desk(bases: Bases) -> Desk:
    return tamper.open_desk(bases, "fresh")


@pytest.fixture(scope="module")
def attacked(original: Original, bases: Bases) -> dict[str, Mutation]:
    """Attacks by name and hand, made when they are asked for."""
    return Attacked(original, bases)


class Attacked(dict[str, Mutation]):
    def __init__(self, original: Original, bases: Bases) -> None:
        super().__init__()
        self.original, self.others = original, tamper_attacks.others(bases)

    def __missing__(self, name: str) -> Mutation:
        what, _, hand = name.rpartition(", ")
        attack = next(each for each in tamper_attacks.ATTACKS if each.name == what)
        self[name] = tamper_attacks.finished(self.original, attack, hand, self.others)
        return self[name]


def test_what_nobody_altered_passes(desk: Desk, original: Original, bases: Bases) -> None:
    """The control: a bench that refuses everything would be as green."""
    assert desk.check(Mutation("nothing", original.files)).outcome is Outcome.ACCEPTED
    assert desk.check(Mutation("nothing", bases.report(LEVEL).read_bytes())).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("kind", "hand", "count"),
    [
        ("accidents", "kept", 40),
        ("listed", "kept", 25),
        *((kind, hand, 6) for kind in tamper.BY_HAND for hand in HANDS),
    ],
)
def test_no_altered_case_passes(desk: Desk, original: Original, kind: str, hand: str, count: int) -> None:
    found = tally(desk, original.files, tamper.draw(original, kind, hand), count)
    assert not found["wrong"], found["wrong"]
    assert found["tried"] == count


@pytest.mark.parametrize(("kind", "count"), [("accidents", 70), ("revisions", 5)])
def test_no_altered_report_passes(desk: Desk, bases: Bases, kind: str, count: int) -> None:
    raw = bases.report(LEVEL).read_bytes()
    found = tally(desk, raw, tamper.draw_reports(raw, kind), count)
    assert not found["wrong"], found["wrong"]
    assert found["refused"] == found["tried"] == count


def test_named_attacks_on_a_report_end_as_they_must(desk: Desk, bases: Bases) -> None:
    raw = bases.report(LEVEL).read_bytes()
    mutations = list(tamper_reports.attacks(raw, bases))
    assert len(mutations) > 30
    found = tally(desk, raw, mutations, len(mutations))
    assert not found["wrong"], found["wrong"]
    assert found[Outcome.UNIDENTIFIED] == 1


def test_odd_folders_and_seals_end_as_they_must(desk: Desk, bases: Bases, original: Original) -> None:
    mutations = [*tamper_folders.folders(original), *tamper_folders.seals(original, bases.case("other"))]
    found = tally(desk, original.files, mutations, len(mutations))
    assert not found["wrong"], found["wrong"]
    # Other bytes that say the same: an issuer's certificate left out, a later timestamp of the same authority.
    assert (found["tried"], found[Outcome.ACCEPTED], found[Outcome.UNIDENTIFIED]) == (len(mutations), 2, 1)


def test_attacks_on_a_signed_entry_end_as_they_must(desk: Desk, bases: Bases) -> None:
    noted = Original(bases.case("noted"), bases.authorities())
    assert desk.check(Mutation("nothing", noted.files)).outcome is Outcome.ACCEPTED
    drawn = [each for each in tamper_entries.entry_attacks(noted) if not each.name.endswith(("kept", "unsigned"))]
    mutations = [each for each in drawn if each.name.endswith("insider") or each.limit is Outcome.UNIDENTIFIED]
    found = tally(desk, noted.files, mutations, len(mutations))
    assert not found["wrong"], found["wrong"]
    assert (found["tried"], found[Outcome.UNIDENTIFIED]) == (9, 1)


AFTER_THE_FACT = {
    "another seed after the fact": "not among those that the claim commits to",
    "a payload that fits the answers and does not follow from the token": "matched is recorded as",
    "the payload in another order": "target",
    "another order of the pool": "The pool of the opened share is not the one that the claim commits to",
    "an image of the pool exchanged": "The pool of the opened share is not the one that the claim commits to",
    "another clean checkpoint than the claim names": "not those that the claim names",
    "the same, in the transcript as well, dated anew": "lies after the score",
    "no charge for silent attempts": "another marked model than asset.json",
    "a second claim with a milder rule, dated when the first was": "plan digest",
    "a second token over the same claim": "plan digest",
    "the token of another key": "over other content",
    "a token later than the suspect": "recomputed as INVALID_CLAIM",
    "a token whose lengths are not DER": "not the one accepted form",
    "seed, salt and proof of another key's": "not among those that the claim commits to",
    "seed, salt and proof of the second share": "not among those that the claim commits to",
    "another count at the transcript's end": "does not count the answers before it",
    "one independent model counted twice": "recorded twice",
}
"""Attacks that the case's own signer finishes, and what a check says of them."""


@pytest.mark.parametrize("name", AFTER_THE_FACT)
def test_the_signature_of_its_own_signer_helps_no_forgery(desk: Desk, attacked: dict[str, Mutation], name: str) -> None:
    mutation = attacked[f"{name}, insider"]
    assert desk.check(mutation).outcome is Outcome.REFUSED
    result = check_case(desk.place / "CASE", trust=desk.root, expect_fingerprint=desk.fingerprint)
    assert not result.ok
    assert any(AFTER_THE_FACT[name] in reason for reason in result.reasons), result.reasons


def test_an_early_count_and_a_late_scoring_are_told_apart(desk: Desk, attacked: dict[str, Mutation]) -> None:
    """By a stranger's authority, which states any time, the count alone is what is wrong."""
    found = desk.check(attacked["another count at the transcript's end, stranger"])
    assert found.outcome is Outcome.REFUSED
    assert "does not count the answers" in found.reason


@pytest.mark.parametrize("name", ["sealed", "other", "foreign", "second", "sample", "tampered"])
def test_the_script_agrees_with_the_check_on_every_case(bases: Bases, name: str) -> None:
    place = {"sample": "case", "tampered": "tampered"}.get(name)
    case = sample(place) if place else bases.folder / name
    assert (run_script(case) == "agrees") is (check_case(case).reproduced is True)
    assert (run_script(case) == "agrees") is (name != "tampered")


BOTH = {
    "another seed after the fact": False,
    "a payload that fits the answers and does not follow from the token": False,
    "one bit of the payload": False,
    "a label of the pool changed": False,
    "a second token over the same claim": False,
    "seed, salt and proof of another key's": False,
    "two answers exchanged in the transcript too, its timestamp dropped": False,
    "a smaller p-value": False,
    "a token without the root's certificate": True,
    "the same, in the transcript too, dated anew": True,
    "a forged environment": True,
}
"""Forgeries, and whether the deciding number still follows from the records."""


@pytest.mark.parametrize("name", BOTH)
def test_the_script_agrees_with_the_check_on_forged_numbers(
    desk: Desk, attacked: dict[str, Mutation], name: str
) -> None:
    desk.check(attacked[f"{name}, unsigned"])
    case = desk.place / "CASE"
    assert (run_script(case) == "agrees") is BOTH[name]
    assert (check_case(case).reproduced is True) is BOTH[name]


def test_the_outside_experts_page_leads_through_an_archived_report(
    bases: Bases, commands: Path, tmp_path: Path
) -> None:
    shutil.copytree(bases.folder / "sealed", tmp_path / "case")
    shutil.copy(bases.report(LEVEL), tmp_path / "report.pdf")
    shutil.copy(bases.root, tmp_path / "root.pem")
    done = follow(tmp_path, commands)
    assert done.ok, (done.section, done.output[-1000:])
    assert "report-2: signature 2 of 2" in done.output


def test_the_same_alterations_are_drawn_again(original: Original) -> None:
    for kind, hand in (("accidents", "kept"), ("edits", "unsigned"), ("logs", "kept")):
        first, second = (islice(tamper.draw(original, kind, hand), 12) for _ in range(2))
        assert [each.name for each in first] == [each.name for each in second]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (lambda result: result, Outcome.ACCEPTED),
        (lambda result: {}["lost"], Outcome.UNCAUGHT),
    ],
)
def test_the_bench_sees_a_check_that_is_wrong(
    desk: Desk,
    original: Original,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[object], object],
    outcome: Outcome,
) -> None:
    """A check that looks at the unaltered case instead, and one that fails over what it reads."""
    honest = check_case

    def check(path: Path, **named: object) -> object:
        lay(path, original.files)
        return answer(honest(path, **named))

    monkeypatch.setattr(tampering, "check_case", check)
    found = tally(desk, original.files, tamper.draw(original, "accidents", "kept"), 3)
    assert found[outcome] == len(found["wrong"]) == 3


def test_a_refusal_in_words_is_none(desk: Desk, original: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(path: Path, **named: object) -> None:
        raise CaseError("There is no case.", "Check the name.")

    monkeypatch.setattr(tampering, "check_case", check)
    assert desk.check(Mutation("gone", original.files)).outcome is Outcome.REFUSED


def test_an_alteration_that_alters_nothing_is_a_mistake(desk: Desk, original: Original) -> None:
    with pytest.raises(ValueError, match="nothing is altered"):
        tally(desk, original.files, [Mutation("nothing", dict(original.files))], 1)


def test_what_passes_for_nobody_in_particular_counts_as_accepted_where_it_must_be_refused(
    desk: Desk, attacked: dict[str, Mutation], original: Original
) -> None:
    stranger = attacked["a forged environment, stranger"]
    strict = Mutation(stranger.name, stranger.content, Outcome.REFUSED)
    assert tally(desk, original.files, [stranger], 1)[Outcome.UNIDENTIFIED] == 1
    assert tally(desk, original.files, [strict], 1)[Outcome.ACCEPTED] == 1


def test_the_page_shows_thousands_and_no_false_accept() -> None:
    folder = ROOT / "docs" / "results" / "tamper"
    rows = [row for path in folder.glob("*.json") for row in json.loads(path.read_bytes())["rows"]]
    found = totals(rows)
    assert found["tried"] >= 5000
    assert found[Outcome.ACCEPTED] == found[Outcome.UNCAUGHT] == 0
    page = (ROOT / "docs" / "tampering.md").read_text(encoding="utf-8")
    assert page.count("<!-- table: ") == 1
    assert rewrite(page, folder.parent) == page
