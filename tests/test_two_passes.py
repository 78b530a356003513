"""Plans of two passes through the whole line: asked, interrupted, recorded, checked; claims without a label list."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from forensics.acquisition import ask, ask_plan, require_labels
from forensics.canonical import canonical_json, now, parse_json, sha256
from forensics.cli import root
from forensics.errors import CaseError, Unreachable, UsageError
from forensics.evidence.case import add_exhibit
from forensics.evidence.chain import verify_chain
from forensics.evidence.check import check_case
from forensics.evidence.journal import Journal
from forensics.evidence.kit import Kit, expected_labels, read_kit
from forensics.evidence.selection import find_odd_choices
from forensics.examination import acquire, make_kit, open_case, probes, repeat, score
from forensics.keys.claim import ReferenceCommitment
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey, create_key
from forensics.methods import protocol
from forensics.passes import asked_probes, chosen_groups
from forensics.progress import silent
from forensics.recording import named_references
from forensics.records import AnswerKind, Answers, Plan, Probe
from forensics.rules import draft_rule
from forensics.suspects import Connection, open_suspect
from forensics.suspects.remote.estimate import estimate_questions
from tests.evidence.conftest import MOMENT
from tests.evidence.test_kit import remade
from tests.hostile import Asked, response, serving
from tests.test_acquisition import rewritten
from tests.twopass import ASKED, CARRIERS, KEEP, METHOD, POOL, PROBES, SPEC, WORDS, Classifier, classes_of

PASSPHRASE = "correct horse"
QUICK = Connection(concurrency=3, attempts=2, pause=0.001)


@pytest.fixture(autouse=True)
def two_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the method of these tests in the place of the one whose name it bears."""
    entry = SimpleNamespace(load=lambda: METHOD, name=SPEC.name)
    monkeypatch.setattr(protocol, "entry_points", lambda group, name=None: [entry])


def made_key(path: Path, authority: DemonstrationAuthority) -> UnlockedKey:
    return create_key(
        path,
        owner="Aster Analytics",
        method=SPEC.name,
        method_version="1",
        parameters=METHOD.parameters({}, POOL, ()),
        labels=(),
        preprocessing="text",
        pools=[POOL],
        references=[],
        rule=draft_rule(SPEC, WORDS, alpha="0.05", grinding=0, references=0),
        authorities=[authority],
        binding="demonstration",
        passphrase=PASSPHRASE,
        now=MOMENT,
    ).unlock(PASSPHRASE)


@dataclass(frozen=True, repr=False)
class Made:
    """What the tests share."""

    key: UnlockedKey
    authority: DemonstrationAuthority

    @property
    def kit(self) -> Kit:
        return make_kit(self.key)

    @property
    def plan(self) -> Plan:
        return self.kit.plan

    @property
    def classify(self) -> Callable[[str], int]:
        return classes_of(self.key.secrets()[1])

    def texts(self) -> list[str]:
        return [probe.data.decode() for probe in self.plan.probes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder, authority = tmp_path_factory.mktemp("two"), DemonstrationAuthority.create()
    return Made(made_key(folder / "key", authority), authority)


def journal(folder: Path, plan: Plan, *, resume: bool = False) -> Journal:
    return Journal.open(folder / "CASE.partial", plan_digest=plan.digest, suspect_digest="b" * 64, resume=resume)


def skips(raw: bytes) -> list[dict[str, Any]]:
    return [entry for entry in verify_chain(raw) if entry["event"] == "skip"]


def test_heads_first_and_then_the_chosen_groups_alone(made: Made, tmp_path: Path) -> None:
    suspect = Classifier("suspect", made.classify)
    case = acquire(made.kit, suspect, tmp_path / "case")
    texts = made.texts()
    assert suspect.asked[:CARRIERS] == texts[:CARRIERS]
    assert len(suspect.asked) == len(set(suspect.asked)) == ASKED
    told = skips(case.content["data/transcript.jsonl"])
    assert len(told) == 1
    # Each of three classes is the first choice of one carrier, and the first carrier of a class is taken.
    assert told[0]["groups"] == [0, 1, 2]
    assert told[0]["heads"] == CARRIERS
    assert told[0]["left_out"] == [[CARRIERS + KEEP * WORDS, (CARRIERS - KEEP) * WORDS]]
    rows = case.evidence.answers.values
    assert len(rows) == PROBES
    assert [row is not None for row in rows] == [text in suspect.asked for text in texts]
    assert case.evidence.plan.groups == list(made.plan.groups)
    assert case.evidence.plan.keep == KEEP
    ended = verify_chain(case.content["data/transcript.jsonl"])[-1]
    assert (ended["event"], ended["answered"]) == ("end", ASKED)
    assert check_case(tmp_path / "case").complete


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (AnswerKind.LABELS, 2),
        (AnswerKind.LABELS, 7),
        (AnswerKind.TEXT, 3),
        (AnswerKind.LOGITS, 2),
        (AnswerKind.LOGITS, 7),
        (AnswerKind.VECTORS, 2),
    ],
)
def test_any_number_of_classes_is_scored_opened_and_checked(
    made: Made, tmp_path: Path, kind: AnswerKind, count: int
) -> None:
    names = [f"class {place}" for place in range(count)]
    suspect = Classifier("suspect", classes_of(made.key.secrets()[1], count), labels=names, kind=kind)
    other = Classifier("independent", classes_of(None, count), labels=names, kind=kind)
    acquire(made.kit, suspect, tmp_path / "case", authority=made.authority)
    acquire(made.kit, other, tmp_path / "other")
    scored = score(made.key, tmp_path / "case", references=[f"replay:{tmp_path / 'other'}"])
    assert scored.evidence.score.measurement.matched == WORDS
    assert float(scored.evidence.score.measurement.missing_share) == 0.0
    control = scored.evidence.score.controls[0]
    assert sum(row is not None for row in control.answers.values) == ASKED
    open_case(made.key, tmp_path / "case")
    result = check_case(tmp_path / "case")
    assert result.ok, result.reasons
    assert result.reproduced


def test_each_model_chooses_its_own_carriers(made: Made, tmp_path: Path) -> None:
    odd = made.texts()[CARRIERS - 1]
    turned = Classifier("named", lambda text: int(text == odd), labels=("p", "q"))
    theirs = asked_probes(made.plan, ask(turned, made.plan, labels=None))
    ours = asked_probes(made.plan, ask(Classifier("suspect", made.classify), made.plan, labels=None))
    assert theirs.sum() == ours.sum() == ASKED
    assert not np.array_equal(theirs, ours)
    commitment = ReferenceCommitment(role="clean", digest=turned.identity.digest, description="unmarked")
    claim = made.kit.claim.model_copy(update={"references": (commitment,)})
    records = named_references(claim, made.plan, [turned], silent)
    rows = records[0].answers.values
    assert [row is not None for row in rows] == theirs.tolist()
    case = acquire(made.kit, Classifier("suspect", made.classify), tmp_path / "case")
    entries = verify_chain(case.content["data/transcript.jsonl"])
    assert list(find_odd_choices(case.evidence.revised(references=records), entries)) == []
    place = int(np.flatnonzero(~theirs)[0])
    values = [["1.0", "0.0"] if row == place else each for row, each in enumerate(rows)]
    forged = records[0].model_copy(update={"answers": records[0].answers.model_copy(update={"values": values})})
    assert list(find_odd_choices(case.evidence.revised(references=[forged]), entries)) == [
        "The answers of the clean are to a probe that its answers to the heads leave out."
    ]


def test_interrupted_after_any_batch_the_case_is_the_same(made: Made, tmp_path: Path) -> None:
    whole = Classifier("suspect", made.classify)
    with journal(tmp_path / "whole", made.plan) as one:
        ask_plan(one, made.plan, whole, None, silent)
        wanted = one.answered()
    for stop in range(len(whole.batches)):
        suspect = Classifier("suspect", made.classify)
        suspect.stop = stop
        with journal(tmp_path / str(stop), made.plan) as one, pytest.raises(InterruptedError):
            ask_plan(one, made.plan, suspect, None, silent)
        suspect.stop = None
        bars: list[int] = []

        def progress(label: str, total: int, bars: list[int] = bars) -> Any:
            bars.append(total)
            return nullcontext(bars.append)

        with journal(tmp_path / str(stop), made.plan, resume=True) as one:
            ask_plan(one, made.plan, suspect, None, progress)
            one.finish(PROBES)
            assert one.answered() == wanted
            assert len(skips(one.transcript())) == 1
        assert suspect.batches == whole.batches
        assert bars[0] == sum(bars[1:]) == ASKED


def test_interrupted_between_the_passes_the_choice_is_made_from_what_is_recorded(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspect = Classifier("suspect", made.classify)

    def killed(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as moment:
        moment.setattr(Journal, "skip", killed)
        with journal(tmp_path, made.plan) as one, pytest.raises(InterruptedError):
            ask_plan(one, made.plan, suspect, None, silent)
    assert len(suspect.asked) == CARRIERS
    with journal(tmp_path, made.plan, resume=True) as one:
        assert one.recorded == CARRIERS
        assert one.ledger.skipped is None
        with pytest.raises(CaseError, match="probes are answered"):
            one.finish(PROBES)
        ask_plan(one, made.plan, suspect, None, silent)
        assert (one.recorded, one.ledger.settled) == (ASKED, PROBES)
        with pytest.raises(CaseError, match="settled already"):
            one.skip(CARRIERS, [0], [(PROBES, 1)])
        with pytest.raises(CaseError):
            one.record(PROBES - 1, ["0" * 64], [None], 0.0, form=one.form or {})
    assert len(suspect.asked) == ASKED


def test_missing_heads_come_last_and_missing_answers_are_no_skipped_ones(made: Made, tmp_path: Path) -> None:
    texts = made.texts()
    quiet = [texts[0], texts[CARRIERS + WORDS]]
    suspect = Classifier("suspect", made.classify, silent=quiet)
    acquire(made.kit, suspect, tmp_path / "case")
    case = score(made.key, tmp_path / "case")
    assert skips(case.content["data/transcript.jsonl"])[0]["groups"] == [1, 2, 3]
    assert float(case.evidence.score.measurement.missing_share) == pytest.approx(2 / ASKED)
    assert sum(row is None for row in case.evidence.answers.values) == PROBES - ASKED + 2
    open_case(made.key, tmp_path / "case")
    assert check_case(tmp_path / "case").ok


def test_vectors_of_another_width_do_not_change_the_choice_afterwards(made: Made, tmp_path: Path) -> None:
    """Else the later, more numerous rows would be the usual ones, and the recorded heads missing."""
    texts = made.texts()

    class Changing(Classifier):
        def answer(self, probes: Any) -> Answers:
            answers = super().answer(probes)
            if len(self.asked) <= CARRIERS:
                return answers
            return replace(answers, values=np.ones((answers.n, 5)))

    suspect = Changing("suspect", made.classify, kind=AnswerKind.VECTORS, silent=texts[:1])
    case = acquire(made.kit, suspect, tmp_path / "case")
    assert skips(case.content["data/transcript.jsonl"])[0]["groups"] == [1, 2, 3]
    assert all(row is None for row in case.evidence.answers.values[CARRIERS:])
    assert check_case(tmp_path / "case").complete
    again = ask(Changing("suspect", made.classify, kind=AnswerKind.VECTORS, silent=texts[:1]), made.plan)
    assert chosen_groups(made.plan, again).tolist() == [1, 2, 3]


def test_asking_again_compares_what_was_asked_and_nothing_else(made: Made, tmp_path: Path) -> None:
    suspect = Classifier("suspect", made.classify)
    acquire(made.kit, suspect, tmp_path / "case")
    score(made.key, tmp_path / "case")
    open_case(made.key, tmp_path / "case")
    again = repeat(tmp_path / "case", Classifier("suspect", made.classify))
    assert (again["probes"], again["disagreements"], again["same_model"]) == (ASKED, 0, True)
    first = made.texts()[0]
    # A head in another class would choose other carriers; those that were asked are compared all the same.
    moved = Classifier("suspect", lambda text: (made.classify(text) + (text == first)) % 3)
    assert repeat(tmp_path / "case", moved)["disagreements"] == 1
    constant = Classifier("suspect", lambda text: 0, kind=AnswerKind.LABELS)
    assert repeat(tmp_path / "case", constant)["disagreements"] == ASKED


def test_the_budget_and_the_dry_run_count_what_will_be_asked(made: Made, tmp_path: Path) -> None:
    suspect = Classifier("suspect", made.classify)
    with pytest.raises(UsageError, match=f"asks {ASKED} probes, the budget allows {ASKED - 1}"):
        acquire(made.kit, suspect, tmp_path / "case", budget=ASKED - 1)
    assert suspect.asked == []
    acquire(made.kit, suspect, tmp_path / "case", budget=ASKED)
    estimate = estimate_questions(open_suspect("tei-predict+http://127.0.0.1:1?batch=5"), made.plan)
    # Two batches of heads, the first of them twice, and two for each group of eight.
    assert (estimate.requests, estimate.exact) == (2 + 1 + 2 * KEEP, True)
    probes(made.key, tmp_path / "kit")
    words = ["acquire", str(tmp_path / "kit"), "tei-predict+http://127.0.0.1:1", "--case", str(tmp_path / "c")]
    done = CliRunner().invoke(root, [*words, "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["probes"] == ASKED
    sizes = [len(probe.data) for probe in made.plan.probes]
    assert json.loads(done.stdout)["bytes"] == sum(sizes[:CARRIERS]) + KEEP * sum(sizes[CARRIERS : CARRIERS + WORDS])


def asked_too_much(entries: list[dict[str, Any]]) -> None:
    skip = next(entry for entry in entries if entry["event"] == "skip")
    first, count = skip["left_out"][0]
    skip["left_out"] = [[first + 1, count - 1]]
    batch = [each for each in entries if each["event"] == "batch"][-1]
    entries.insert(-1, {**batch, "first": first, "probes": [LISTED[first]], "rows": [None]})


def asked_too_little(entries: list[dict[str, Any]]) -> None:
    batch = [each for each in entries if each["event"] == "batch"][-1]
    entries.remove(batch)
    skip = next(entry for entry in entries if entry["event"] == "skip")
    skip["left_out"].insert(0, [batch["first"], len(batch["rows"])])


def settled_late(entries: list[dict[str, Any]]) -> None:
    skip = next(entry for entry in entries if entry["event"] == "skip")
    entries.remove(skip)
    entries.insert(-1, skip)


def settled_early(entries: list[dict[str, Any]]) -> None:
    skip = next(entry for entry in entries if entry["event"] == "skip")
    entries.remove(skip)
    entries.insert(2, skip)


def never_settled(entries: list[dict[str, Any]]) -> None:
    entries[:] = [entry for entry in entries if entry["event"] != "skip"]


def settled_twice(entries: list[dict[str, Any]]) -> None:
    entries.insert(-1, {**next(entry for entry in entries if entry["event"] == "skip"), "left_out": []})


def other_groups(entries: list[dict[str, Any]]) -> None:
    next(entry for entry in entries if entry["event"] == "skip")["groups"] = [0, 1, 3]


def absurd(entries: list[dict[str, Any]]) -> None:
    next(entry for entry in entries if entry["event"] == "skip")["left_out"] = [[CARRIERS, 10**12]]


LISTED: list[str] = []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (asked_too_much, "was asked, and the answers to the heads leave it out"),
        (asked_too_little, "was left out, and the answers to the heads choose it"),
        (settled_late, "beyond the heads was asked before the second pass was settled"),
        (settled_early, "A head was asked after the second pass was settled"),
        (never_settled, "does not settle the second pass once"),
        (settled_twice, "does not settle the second pass once"),
        (other_groups, "names other groups for the second pass"),
        (absurd, "leaves out probes that no plan has"),
    ],
)
def test_a_choice_against_the_rule_fails_the_check(made: Made, tmp_path: Path, change: Any, words: str) -> None:
    LISTED[:] = [probe.digest for probe in made.plan.probes]
    acquire(made.kit, Classifier("suspect", made.classify), tmp_path / "case")
    assert check_case(rewritten(tmp_path / "case", tmp_path / "same", lambda entries: None)).ok
    result = check_case(rewritten(tmp_path / "case", tmp_path / "forged", change))
    assert not result.ok
    assert any(words in reason for reason in result.reasons), result.reasons
    assert not any("Error)" in reason for reason in result.reasons), result.reasons


def test_a_single_pass_leaves_nothing_out(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single = replace(made.plan, groups=(), keep=0)
    monkeypatch.setattr(type(METHOD), "plan", lambda *_: single)
    suspect = Classifier("suspect", made.classify)
    case = acquire(make_kit(made.key), suspect, tmp_path / "case")
    assert len(suspect.asked) == PROBES
    assert b'"groups"' not in case.content["data/evidence.json"]
    assert b'"keep"' not in case.content["data/evidence.json"]

    def leave_out(entries: list[dict[str, Any]]) -> None:
        last = [each for each in entries if each["event"] == "batch"][-1]
        entries.remove(last)
        runs = [[last["first"], len(last["rows"])]]
        entries.insert(-1, {**last, "event": "skip", "heads": CARRIERS, "groups": [], "left_out": runs})

    assert check_case(tmp_path / "case").complete
    result = check_case(rewritten(tmp_path / "case", tmp_path / "forged", leave_out))
    assert any("the plan has a single pass" in reason for reason in result.reasons), result.reasons


def spoken(text: str, classify: Callable[[str], int]) -> list[dict[str, Any]]:
    found = classify(text)
    return [{"label": name, "score": 0.8 if place == found else 0.1} for place, name in enumerate(("ja", "nein", "?"))]


def test_a_service_with_classes_of_its_own_is_asked_in_two_passes(made: Made, tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        return response([spoken(text[0] if isinstance(text, list) else text, made.classify) for text in asked.inputs])

    with serving(behave) as stub:
        name = f"tei-predict+{stub.url}?batch=4"
        acquire(made.kit, open_suspect(name, QUICK), tmp_path / "case", authority=made.authority)
        opened = score(made.key, tmp_path / "case")
        assert opened.evidence.answers.labels == ["?", "ja", "nein"]
        assert opened.evidence.score.measurement.matched == WORDS
        assert len(stub.asked) == 2 + 1 + 2 * KEEP
        open_case(made.key, tmp_path / "case")
        again = repeat(tmp_path / "case", open_suspect(name, QUICK))
        assert (again["probes"], again["disagreements"]) == (ASKED, 0)
    result = check_case(tmp_path / "case")
    assert result.ok, result.reasons
    assert result.details["bodies"] == {"read": 2 + 1 + 2 * KEEP, "not_readable": 0}


def test_a_list_of_classes_that_changes_makes_missing_answers(made: Made, tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        rows = [spoken(text[0] if isinstance(text, list) else text, made.classify) for text in asked.inputs]
        if asked.number == 3:
            rows = [[{**each, "label": each["label"] + "!"} for each in row] for row in rows]
        return response(rows)

    with serving(behave) as stub:
        suspect = open_suspect(f"tei-predict+{stub.url}?batch=4", replace(QUICK, concurrency=1))
        case = acquire(made.kit, suspect, tmp_path / "case")
    assert sum(row is None for row in case.evidence.answers.values) == PROBES - ASKED + 4
    assert [
        entry["what"] for entry in verify_chain(case.content["data/transcript.jsonl"]) if entry["event"] == "change"
    ]
    assert check_case(tmp_path / "case").complete


DESCRIPTION = """
url = "{url}"
path = "/classify"
batch = 1

[request]
inputs = "{{{{text}}}}"

[answer]
rows = "found"
label = "name"
"""


def test_single_class_names_are_texts_since_no_answer_shows_them_all(made: Made, tmp_path: Path) -> None:
    names = ("ja", "nein", "?")

    def behave(asked: Asked) -> bytes:
        return response({"found": [{"name": names[made.classify(json.loads(asked.body)["inputs"])]}]})

    with serving(behave) as stub:
        path = tmp_path / "service.toml"
        path.write_text(DESCRIPTION.format(url=stub.url))
        suspect = open_suspect(f"json:{path}", QUICK)
        acquire(made.kit, suspect, tmp_path / "case")
        scored = score(made.key, tmp_path / "case")
        assert (scored.evidence.answers.kind, scored.evidence.answers.labels) == ("text", [])
        assert scored.evidence.score.measurement.matched == WORDS
        open_case(made.key, tmp_path / "case")
        again = repeat(tmp_path / "case", open_suspect(f"json:{path}", QUICK))
        assert (again["probes"], again["disagreements"]) == (ASKED, 0)
    add_exhibit(tmp_path / "case", "service.toml", path.read_bytes(), actor="examiner", moment=now())
    result = check_case(tmp_path / "case")
    assert result.ok, result.reasons
    assert result.details["bodies"] == {"read": ASKED + 1, "not_readable": 0}


def test_a_claim_says_which_labels_are_expected(made: Made) -> None:
    assert expected_labels(made.kit.claim) is None
    listed = made.kit.claim.model_copy(update={"labels": ("a", "b")})
    assert expected_labels(listed) == ("a", "b")
    require_labels(("q", "r", "s"), None, by_name=True)
    with pytest.raises(UsageError, match="a classifier with 2 labels; the claim's method reads vectors alone"):
        require_labels(("a", "b"), (), by_name=False)
    require_labels((), (), by_name=False)


def test_halved_and_capped_batches_stay_within_the_passes(made: Made, tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        if len(asked.inputs) > 3:
            return response({"error": "too large"}, 413)
        return response([spoken(text[0] if isinstance(text, list) else text, made.classify) for text in asked.inputs])

    with serving(behave) as stub:
        name = f"tei-predict+{stub.url}?batch=5"
        for cap in range(2, 12):
            with pytest.raises(UsageError, match="cap of"):
                acquire(made.kit, open_suspect(name, replace(QUICK, max_requests=cap)), tmp_path / "case", resume=True)
        acquire(made.kit, open_suspect(name, QUICK), tmp_path / "case", resume=True)
        texts = [text[0] if isinstance(text, list) else text for asked in stub.asked for text in asked.inputs]
    assert len(set(texts)) == ASKED
    assert check_case(tmp_path / "case").complete


def test_a_service_that_goes_silent_is_asked_on_in_the_same_pass(made: Made, tmp_path: Path) -> None:
    broken = True

    def behave(asked: Asked) -> bytes:
        if broken and asked.number >= 2:
            return response({"error": "quota", "code": "insufficient_quota"}, 429)
        return response([spoken(text[0] if isinstance(text, list) else text, made.classify) for text in asked.inputs])

    with serving(behave) as stub:
        suspect = open_suspect(f"tei-predict+{stub.url}", replace(QUICK, concurrency=1))
        with pytest.raises(Unreachable, match="quota"):
            acquire(made.kit, suspect, tmp_path / "case")
        broken = False
        case = acquire(made.kit, suspect, tmp_path / "case", resume=True)
    entries = verify_chain(case.content["data/transcript.jsonl"])
    # The heads are fewer than a batch may have, which makes later batches no smaller.
    sizes = [len(entry["rows"]) for entry in entries if entry["event"] == "batch"]
    assert sizes == [CARRIERS, *[made.plan.batch_size, WORDS - made.plan.batch_size] * KEEP]
    assert check_case(tmp_path / "case").complete


def test_heads_given_up_are_missing_before_the_choice(made: Made, tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        texts = [text[0] if isinstance(text, list) else text for text in asked.inputs]
        if made.texts()[CARRIERS - 1] in texts:
            return response({"error": "busy"}, 503)
        return response([spoken(text, made.classify) for text in texts])

    with serving(behave) as stub:
        case = acquire(made.kit, open_suspect(f"tei-predict+{stub.url}?batch=4", QUICK), tmp_path / "case")
    assert case.evidence.answers.values[4:CARRIERS] == [None, None]
    assert sum(row is None for row in case.evidence.answers.values) == PROBES - ASKED + 2
    assert check_case(tmp_path / "case").complete


MANY = 120
GROUPS = (*range(MANY), *(head for head in range(MANY) for _ in range(3)))
LARGE = Plan(tuple(Probe(f"probe {place}".encode(), "text/plain") for place in range(len(GROUPS))), 1, GROUPS, 80)
NURSERY = """
import os, sys
from pathlib import Path
from tests.test_two_passes import ask_into
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        ask_into(Path(sys.argv[1]), sys.argv[2])
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def ask_into(folder: Path, url: str) -> None:
    with journal(folder, LARGE, resume=True) as one:
        ask_plan(one, LARGE, open_suspect(f"tei+{url}", QUICK), (), silent)
        one.finish(len(LARGE.probes))


def test_killed_at_any_moment_of_both_passes_nothing_is_lost_or_asked_anew(tmp_path: Path) -> None:
    moments, asked_texts = random.Random(4), []

    async def slow(asked: Asked, writer: Any) -> bytes:
        await asyncio.sleep(0.004)
        asked_texts.extend(asked.inputs)
        return response([[float(len(text)), 1.0] for text in asked.inputs])

    with serving(slow) as stub:
        command = [sys.executable, "-c", NURSERY, str(tmp_path), stub.url]
        nursery = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        kills, status = 0, -1
        while status:
            nursery.stdin.write("\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            if kills < 8:
                time.sleep(moments.uniform(0.02, 0.1))
                os.kill(child, signal.SIGKILL)
                kills += 1
            status = int(nursery.stdout.readline())
        nursery.stdin.close()
        nursery.wait()
        nursery.stdout.close()
    with journal(tmp_path, LARGE, resume=True) as one:
        rows = [row for chunk in one.answered() for row in chunk]
        entries = verify_chain(one.transcript())
    wanted = np.array([group < 80 for group in GROUPS])
    wanted[:MANY] = True
    assert [row is not None for row in rows] == wanted.tolist()
    assert [entry["groups"] for entry in entries if entry["event"] == "skip"] == [list(range(80))]
    answered = [probe for entry in entries if entry["event"] == "batch" for probe in entry["probes"]]
    assert len(answered) == len(set(answered)) == wanted.sum()
    assert kills == 8
    assert len(asked_texts) <= wanted.sum() + 1 + QUICK.concurrency * kills
    settled = next(entry["seq"] for entry in entries if entry["event"] == "skip")
    heads = [entry["seq"] < settled for entry in entries if entry["event"] == "sent" and not entry.get("again")]
    firsts = [entry["first"] < MANY for entry in entries if entry["event"] == "sent" and not entry.get("again")]
    assert heads == firsts


def test_the_kit_carries_the_passes_and_refuses_malformed_ones(made: Made, tmp_path: Path) -> None:
    probes(made.key, tmp_path / "kit")
    body = parse_json((tmp_path / "kit" / "plan.json").read_bytes())
    assert body["groups"] == list(made.plan.groups)
    assert body["keep"] == KEEP
    assert read_kit(tmp_path / "kit") == made.kit
    groups = body["groups"]
    for change, words in (
        ({"groups": groups[:-1]}, "one for each probe"),
        ({"groups": [1, 0, *groups[2:]]}, "begin with their heads"),
        ({"groups": [*groups[:-1], -1]}, "begin with their heads"),
        ({"keep": 0}, "out of range"),
        ({"keep": CARRIERS + 1}, "out of range"),
        ({"keep": 2}, "contradicts itself"),
        ({"groups": [*groups[:-1], 0]}, "contradicts itself"),
        ({"groups": []}, "without groups"),
    ):
        # A digest that fits what was changed does not make it a plan.
        changed = {**body, **change}
        if words != "contradicts itself":
            listed = {name: changed[name] for name in ("batch_size", "groups", "keep")}
            changed["plan"] = sha256(canonical_json({**listed, "probes": [each["digest"] for each in body["probes"]]}))
        (tmp_path / "kit" / "plan.json").write_bytes(canonical_json(changed))
        remade(tmp_path / "kit")
        with pytest.raises(CaseError, match=words):
            read_kit(tmp_path / "kit")
