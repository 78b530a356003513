"""Rows that were scored are read again from recorded bodies: honest transcripts agree, forged ones do not."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forensics import __version__
from forensics.acquisition import ask_plan
from forensics.canonical import now, sha256
from forensics.errors import ForensicsError
from forensics.evidence.bodies import BodiesRead, read_bodies
from forensics.evidence.case import EXHIBITS, TRANSCRIPT, CaseFolder, add_exhibit, replace_case
from forensics.evidence.chain import GENESIS, encode_line, head, verify_chain
from forensics.evidence.check import CheckResult, check_case
from forensics.evidence.exchanges import told_facts
from forensics.evidence.journal import Journal
from forensics.evidence.results import encode_measurement
from forensics.examination import acquire, examine, make_kit, open_case
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey
from forensics.keys.service import record_service
from forensics.progress import silent
from forensics.records import Plan, Probe
from forensics.registration import new_key
from forensics.suspects import Connection, open_suspect
from tests.forgery import retold
from tests.hostile import Asked, plain, response, serving, vectors
from tests.services import SIZES, FakeService, service_marker, small_pool
from tests.suspects.remote import fakes
from tests.suspects.remote.cases import CASES, Case
from tests.suspects.remote.drive import score_probe

PASSPHRASE = "correct horse"
QUICK = Connection(concurrency=4, attempts=2, pause=0.001)
FORGED = "The answers scored are not those in the recorded bodies: batch at probe 0."


class Asking:
    """One acquisition of a plan without a case around it, and what reading its bodies again gives."""

    def __init__(self, folder: Path, name: str, plan: Plan, labels: Sequence[str] = ()) -> None:
        self.folder, self.name, self.plan, self.labels = folder / "CASE.partial", name, plan, labels
        self.files: dict[str, bytes] = {}
        self.version = __version__

    def go(self, connection: Connection = QUICK) -> "Asking":
        suspect = open_suspect(self.name, connection)
        self.identity = suspect.identity
        names = {"plan_digest": self.plan.digest, "suspect_digest": suspect.identity.digest}
        with Journal.open(self.folder, **names, resume=True) as journal:
            try:
                ask_plan(journal, self.plan, suspect, self.labels, silent)
            except ForensicsError as error:
                self.error = error
            self.files[TRANSCRIPT] = journal.transcript()
        return self

    def read(self, *, opened: bool = True, change: Callable[[list[Any]], None] | None = None) -> BodiesRead:
        files = dict(self.files)
        if change is not None:
            entries = [dict(entry) for entry in verify_chain(files[TRANSCRIPT])]
            change(entries)
            files[TRANSCRIPT] = chained(entries)
        listed = SimpleNamespace(digest=self.plan.digest, probes=[probe.digest for probe in self.plan.probes])
        evidence: Any = SimpleNamespace(suspect=self.identity, plan=listed, tool={"version": self.version})
        claim: Any = SimpleNamespace(labels=self.labels, method="espew")
        entries = verify_chain(files.pop(TRANSCRIPT))
        found = read_bodies(claim, evidence, entries, files, self.plan if opened else None)
        assert found is not None
        return found


def chained(entries: Sequence[dict[str, Any]]) -> bytes:
    """A transcript of changed entries, with all links made anew."""
    raw, prev = b"", GENESIS
    for seq, entry in enumerate(entries):
        body = {name: value for name, value in entry.items() if name not in ("seq", "utc", "prev")}
        line = encode_line(seq, prev, body, datetime.fromisoformat(entry["utc"]))
        raw, prev = raw + line, sha256(line)
    return raw


def of(count: int) -> Plan:
    return Plan(tuple(Probe(f"probe {index}".encode(), "text/plain") for index in range(count)), 4)


def events(entries: Sequence[dict[str, Any]], name: str, first: int = 0) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["event"] == name and entry["first"] == first and not entry.get("again")]


def refilled(entry: dict[str, Any], body: bytes) -> None:
    """Puts another body into a line, with its digest."""
    entry["body"], entry["sha256"] = body.decode(), sha256(body)


@pytest.fixture(scope="module")
def fake() -> Iterator[fakes.Fake]:
    with fakes.serving(fakes.Fake()) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_protocols_bodies_are_read_again(case: Case, fake: fakes.Fake, tmp_path: Path) -> None:
    plan = Plan(tuple(case.probes), 4)
    if case.scheme == "json":
        case.adapter(tmp_path, fake.url)
        name = f"json:{tmp_path / case.name}.toml"
    else:
        query = "&".join(f"{key}={value.replace(' ', '%20')}" for key, value in case.options.items())
        name = f"{case.scheme}+{fake.url}{case.base}?{query}#{case.model}".replace("?#", "#").replace("#None", "")
    asking = Asking(tmp_path, name, plan, case.labels).go()
    entries = verify_chain(asking.files[TRANSCRIPT])
    bodies = sum(entry["event"] == "received" for entry in entries)
    assert bodies >= 2
    if case.scheme == "json":
        blind = asking.read()
        assert (blind.problems, blind.read, blind.not_readable) == ((), 0, bodies)
        assert "the file that describes the suspect's API" in blind.remarks[0]
        asking.files[f"{EXHIBITS}description.toml"] = (tmp_path / f"{case.name}.toml").read_bytes()
    for opened in (True, False):
        found = asking.read(opened=opened)
        assert (found.problems, found.read, found.not_readable) == ((), bodies, 0)
        assert ("the probes are not disclosed" in found.remarks[0]) is not opened

    def shift(entries: list[Any]) -> None:
        batch = events(entries, "batch")[0]
        row = batch["rows"][0]
        other = {int: lambda: 1 - row, str: lambda: f"{row}."}.get(type(row), lambda: ["0.015625", *row[1:]])
        batch["rows"][0] = other()

    for opened in (True, False):
        assert asking.read(opened=opened, change=shift).problems[0] == FORGED


@pytest.mark.parametrize("style", ["echo", "plain", "content", "refuse"])
@pytest.mark.parametrize("score", ["auto", "prompt_logprobs", "walk"])
def test_conversations_of_many_steps_are_held_again(style: str, score: str, tmp_path: Path) -> None:
    prompt, continuation = "Say hello", " fox and den"
    with fakes.serving(fakes.Fake(expected=[prompt + continuation], style=style)) as fake:
        plan = Plan((score_probe(prompt, continuation),), 1)
        asking = Asking(tmp_path, f"openai-completions+{fake.url}/v1?score={score}#m", plan).go()
    found = asking.read()
    assert found.problems == ()
    assert found.read >= 2
    hidden = asking.read(opened=False)
    assert (hidden.problems, hidden.read) == ((), 0)
    assert hidden.not_readable >= found.read
    assert "the reading depends on probes that are not disclosed" in hidden.remarks[0]

    def raise_score(entries: list[Any]) -> None:
        events(entries, "batch")[0]["rows"] = [["-0.25"]]

    assert asking.read(change=raise_score).problems[0] == FORGED


def busy_now_and_then(asked: Asked) -> bytes:
    """Too large for more than three; every fifth busy, every seventh no JSON, and some probes refused for good."""
    if len(asked.inputs) > 3:
        return response({"error": "too many"}, 413)
    if asked.number % 5 == 3:
        return response({"error": "busy"}, 503)
    if asked.number % 7 == 4:
        return response(b"{ no json")
    if "probe 7" in asked.inputs:
        return response({"error": "refused"}, 422)
    return plain(asked)


def test_halves_retries_and_refusals_are_followed(tmp_path: Path) -> None:
    with serving(busy_now_and_then) as stub:
        asking = Asking(tmp_path, f"tei+{stub.url}", of(23)).go(replace(QUICK, attempts=4))
    entries = verify_chain(asking.files[TRANSCRIPT])
    assert {entry["status"] for entry in entries if entry["event"] == "received"} >= {200, 413, 422, 503}
    for opened in (True, False):
        found = asking.read(opened=opened)
        assert found.problems == ()
        assert found.not_readable == 0
        assert found.read >= 7


def test_a_transcript_that_ends_anywhere_has_no_problem(tmp_path: Path) -> None:
    with serving(busy_now_and_then) as stub:
        asking = Asking(tmp_path, f"tei+{stub.url}", of(23)).go(replace(QUICK, attempts=4))
    lines = asking.files[TRANSCRIPT].splitlines(keepends=True)
    for count in range(1, len(lines)):
        asking.files[TRANSCRIPT] = b"".join(lines[:count])
        assert asking.read().problems == ()


def test_interrupted_and_resumed_conversations_are_followed(tmp_path: Path) -> None:
    prompts = [(f"Prompt {number}", " fox and den and hen") for number in range(4)]
    plan = Plan(tuple(score_probe(*each) for each in prompts), 1)
    with fakes.serving(fakes.Fake(expected=["".join(each) for each in prompts], style="plain")) as fake:
        asking = Asking(tmp_path, f"openai-completions+{fake.url}/v1#m", plan)
        for cap in range(1, 40, 3):
            asking.go(replace(QUICK, max_requests=cap, concurrency=2))
            assert asking.read().problems == ()
    entries = verify_chain(asking.files[TRANSCRIPT])
    assert sum(entry["event"] == "resume" for entry in entries) >= 5
    assert sum(entry["event"] == "batch" for entry in entries) == 4


def test_no_honest_transcript_is_doubted_whatever_the_server_does(tmp_path: Path) -> None:
    for seed in range(4):
        dice = random.Random(seed)

        def behave(asked: Asked, dice: random.Random = dice) -> bytes | None:
            chance = dice.random()
            if asked.number < 2 or chance < 0.6:
                return plain(asked)
            bodies: list[Any] = [vectors(asked.inputs, 5), vectors(asked.inputs)[1:], {"error": "x"}, b"", b"[[1e999]]"]
            return None if chance < 0.65 else response(dice.choice(bodies), dice.choice([200, 200, 413, 429, 500, 400]))

        with serving(behave) as stub:
            asking = Asking(tmp_path / str(seed), f"tei+{stub.url}?batch=3", of(30))
            for cap in (9, 25, 400):
                asking.go(replace(QUICK, max_requests=cap))
                for opened in (True, False):
                    assert asking.read(opened=opened).problems == ()


def test_bodies_without_the_examiners_secret_are_read_as_they_were_and_named(tmp_path: Path) -> None:
    secret = "sk-secret-of-the-examiner"

    def behave(asked: Asked) -> bytes:
        return response(json.dumps({"data": secret, "embeddings": vectors(asked.inputs)}).encode())

    with serving(behave) as stub:
        ollama = f"ollama+{stub.url}#m"
        stub_inputs = Asked.inputs
        try:
            Asked.inputs = property(lambda asked: json.loads(asked.body)["input"])  # type: ignore[assignment]
            asking = Asking(tmp_path, ollama, of(6)).go(replace(QUICK, api_key=secret))
        finally:
            Asked.inputs = stub_inputs  # type: ignore[method-assign]
    assert secret.encode() not in asking.files[TRANSCRIPT]
    found = asking.read()
    assert (found.problems, found.not_readable) == ((), 0)
    assert "3 bodies of answers were recorded and read without a secret" in found.remarks[1]


def other_row(entries: list[Any]) -> None:
    events(entries, "batch")[0]["rows"][1][2] = "0.25"


def suppressed_row(entries: list[Any]) -> None:
    events(entries, "batch")[0]["rows"][1] = None


def suppressed_batch(entries: list[Any]) -> None:
    batch = events(entries, "batch")[0]
    batch["rows"] = [None] * len(batch["rows"])


def rows_exchanged(entries: list[Any]) -> None:
    rows = events(entries, "batch")[0]["rows"]
    rows[0], rows[1] = rows[1], rows[0]


def other_body(entries: list[Any]) -> None:
    received = events(entries, "received")[0]
    rows = json.loads(received["body"])
    refilled(received, json.dumps([[0.25, *row[1:]] for row in rows]).encode())


def other_probes(entries: list[Any]) -> None:
    sent = events(entries, "sent")[0]
    refilled(sent, sent["body"].replace("probe 1", "other 1").encode())


def other_place(entries: list[Any]) -> None:
    sent = events(entries, "sent")[0]
    sent["url"] = sent["url"].replace("/embed", "/other")


def digest_of_another_body(entries: list[Any]) -> None:
    events(entries, "received")[0]["sha256"] = "0" * 64


def answer_set_aside(entries: list[Any]) -> None:
    """A valid answer, said to be none, and the same batch asked until another one came."""
    place = entries.index(events(entries, "received")[0])
    sent, received = entries[place - 1], entries[place]
    place_of = {name: received[name] for name in ("first", "count", "step", "attempt", "utc")}
    again = [{**sent, "attempt": 2}, {**received, "attempt": 2}]
    entries[place + 1 : place + 1] = [{"event": "failure", "reason": "no", **place_of}, *again]


def asked_until_it_fits(entries: list[Any]) -> None:
    place = entries.index(events(entries, "received")[0])
    entries[place + 1 : place + 1] = [{**entries[place - 1], "attempt": 2}, {**entries[place], "attempt": 2}]


def answered_again_later(entries: list[Any]) -> None:
    place = entries.index(events(entries, "received")[0])
    entries[-2:-2] = [entries[place - 1], entries[place]]


def other_form(entries: list[Any]) -> None:
    next(entry for entry in entries if entry["event"] == "form")["resolution"] = "0.1"


def other_constancy(entries: list[Any]) -> None:
    next(entry for entry in entries if entry["event"] == "constancy")["differing"] = 3


FORGERIES: Sequence[tuple[Callable[[list[Any]], None], str, bool]] = (
    (other_row, FORGED, True),
    (suppressed_row, FORGED, True),
    (suppressed_batch, FORGED, True),
    (rows_exchanged, FORGED, True),
    (other_body, FORGED, True),
    (other_probes, "sends another request than the suspect's protocol makes of these probes", False),
    (other_place, "sends another request than the suspect's protocol makes of these probes", False),
    (digest_of_another_body, "holds a body with another digest than it states", True),
    (answer_set_aside, "sets a valid answer aside", True),
    (asked_until_it_fits, "asks what no conversation of the suspect's protocol asks there", True),
    (answered_again_later, "belongs to a batch that was answered before", True),
    (other_form, "The form of the answers scored is not that of the recorded bodies", True),
    (other_constancy, "What the transcript tells of the first batch's repetition is not in the bodies", True),
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    with serving() as stub:
        return Asking(tmp_path_factory.mktemp("honest"), f"tei+{stub.url}?batch=4", of(10)).go()


@pytest.mark.parametrize(("change", "sentence", "sealed"), FORGERIES, ids=lambda value: getattr(value, "__name__", ""))
def test_what_does_not_follow_is_a_problem(
    change: Callable[[list[Any]], None], sentence: str, sealed: bool, honest: Asking
) -> None:
    assert any(sentence in problem for problem in honest.read(change=change).problems)
    hidden = honest.read(opened=False, change=change).problems
    assert any(sentence in problem for problem in hidden) if sealed else hidden == ()


@pytest.mark.parametrize("place", [{"count": 10**15}, {"first": -3}, {"first": 9, "count": 2}, {"count": 0}])
def test_a_batch_outside_the_plan_is_refused_at_once(place: dict[str, int], honest: Asking) -> None:
    def move(entries: list[Any]) -> None:
        events(entries, "sent")[0].update(place)

    with pytest.raises(ValueError, match="outside the plan"):
        honest.read(change=move)


def test_another_name_than_the_digests_is_a_problem(honest: Asking) -> None:
    same = honest.identity
    try:
        honest.identity = replace(same, name=same.name.replace("batch=4", "batch=5"))
        found = honest.read()
    finally:
        honest.identity = same
    assert "The suspect's name, digest and facts in evidence.json do not belong together." in found.problems
    assert found.read == 0


@pytest.fixture(scope="module")
def authority() -> DemonstrationAuthority:
    return DemonstrationAuthority.create()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory, authority: DemonstrationAuthority) -> UnlockedKey:
    folder = new_key(
        tmp_path_factory.mktemp("bodies") / "key",
        owner="Example service",
        method="espew",
        options=SIZES,
        pool=[small_pool(0)],
        references={},
        passphrase=PASSPHRASE,
        authorities=[authority],
        binding="demonstration",
        shares=1,
        rule={"grinding": 0, "examinations": 100, "references": 0, "alpha": "1e-6"},
    )
    record_service(folder.path, {"upstream": "http://127.0.0.1:1", "model": "hash"}, authority)
    return folder.unlock(PASSPHRASE)


def spoken(service: FakeService) -> Callable[[Asked], bytes]:
    def behave(asked: Asked) -> bytes:
        probes = [Probe(text.encode(), "text/plain") for text in asked.inputs]
        return response(service.answer(probes).values.tolist())

    return behave


@pytest.fixture(scope="module")
def innocent(
    key: UnlockedKey, authority: DemonstrationAuthority, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A scored case of a service that never saw the key: sealed up as it was, and opened."""
    folder = tmp_path_factory.mktemp("innocent")
    with serving(spoken(FakeService("innocent"))) as stub:
        for name in ("closed", "opened"):
            examine(key, open_suspect(f"tei+{stub.url}", QUICK), folder / name, authority=authority)
    open_case(key, folder / "opened")
    return folder / "closed", folder / "opened"


def stolen_rows(key: UnlockedKey, plan_probes: Sequence[Probe]) -> list[list[str]]:
    """What a marked service would have answered: an examiner with the key can compute it."""
    mark = service_marker(key.secrets(0)[1], key.pool(0), dict(key.claim.parameters))
    return [[repr(value) for value in row] for row in FakeService("x", mark).answer(plan_probes).values.tolist()]


def forge(case: Path, target: Path, key: UnlockedKey, *, rows: bool, bodies: bool) -> Path:
    """A case rewritten by its own examiner: rows, bodies or both of a guilty service, and everything that follows."""
    from forensics.evidence.reproduce import judge, measure_answers
    from forensics.evidence.results import encode_verdict

    loaded = CaseFolder.load(case)
    probes = make_kit(key).plan.probes
    guilty = stolen_rows(key, probes)
    entries = [dict(entry) for entry in verify_chain(loaded.content[TRANSCRIPT])]
    for entry in entries:
        if entry["event"] == "batch" and rows:
            entry["rows"] = guilty[entry["first"] : entry["first"] + len(entry["rows"])]
        if entry["event"] == "received" and bodies:
            told = [[float(text) for text in row] for row in guilty[entry["first"] : entry["first"] + entry["count"]]]
            refilled(entry, json.dumps(told).encode())
    raw = chained(entries)
    evidence = loaded.evidence.revised(transcript_head=head(raw), transcript_token=None)
    if rows:
        answers = evidence.answers.model_copy(update={"values": guilty})
        probe_key, score_key = key.secrets(0)
        measured = measure_answers(key.claim, key.pool(0), probe_key, score_key, answers, [])
        verdict = judge(
            key.claim,
            evidence.dates,
            measured,
            [],
            evidence,
            opened=True,
            replayed=True,
            examinations=evidence.score.examinations,
            owner_undisputed=evidence.score.owner_undisputed,
        )
        score = evidence.score.model_copy(
            update={
                "measurement": encode_measurement(measured, disclose=evidence.share is not None),
                "verdict": encode_verdict(verdict),
            }
        )
        evidence = evidence.revised(answers=answers, score=score)
    assert told_facts(entries).items() <= evidence.suspect.facts.items()
    files = {**loaded.files(), TRANSCRIPT: raw}
    files.pop("data/transcript.tst", None)
    target.mkdir()
    for name, content in loaded.content.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    replace_case(target, retold(evidence, files))
    return target


def failed_by_bodies_alone(result: CheckResult) -> bool:
    sentences = [reason for reason in result.reasons if "recorded bodies: batch at probe" in reason]
    others = result.intact and result.reproduced is not False and not result.complete
    return others and len(sentences) >= 2


@pytest.mark.parametrize("opened", [False, True])
def test_an_examiner_who_rewrites_rows_or_bodies_is_found_out(
    key: UnlockedKey, innocent: tuple[Path, Path], tmp_path: Path, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = innocent[opened]
    honest = check_case(case)
    assert honest.ok, honest.reasons
    assert honest.details["bodies"] == {"read": int(CaseFolder.load(case).evidence.suspect.facts["attempts"]), **NONE}
    rows = forge(case, tmp_path / "rows", key, rows=True, bodies=False)
    result = check_case(rows)
    assert result.details["p_value"] != honest.details["p_value"]
    assert failed_by_bodies_alone(result), result.reasons
    bodies = check_case(forge(case, tmp_path / "bodies", key, rows=False, bodies=True))
    assert failed_by_bodies_alone(bodies), bodies.reasons
    monkeypatch.setattr("forensics.evidence.check.read_bodies", lambda *_: None)
    assert check_case(rows).ok, "without the bodies nothing contradicts the forger"


def test_rows_and_bodies_forged_together_agree_but_the_dated_head_is_gone(
    key: UnlockedKey, innocent: tuple[Path, Path], tmp_path: Path
) -> None:
    """Bodies are the examiner's word: what limits it is the timestamp before scoring, and asking again."""
    result = check_case(forge(innocent[1], tmp_path / "both", key, rows=True, bodies=True))
    assert result.ok, result.reasons
    assert "The transcript was not timestamped before scoring." in result.reasons
    assert "The transcript was not timestamped before scoring." not in check_case(innocent[1]).reasons


NONE = {"not_readable": 0}


def test_a_described_suspect_is_read_again_with_its_description_as_an_exhibit(key: UnlockedKey, tmp_path: Path) -> None:
    file = tmp_path / "api.toml"
    with serving(spoken(FakeService("described"))) as stub:
        file.write_text(
            f'url = "{stub.url}"\nbatch = 64\npath = "/embed"\nrequest = {{ inputs = ["{{{{text}}}}"] }}\n'
            'answer = { rows = "@", vector = "@" }\n'
        )
        acquire(make_kit(key), open_suspect(f"json:{file}", QUICK), tmp_path / "case")
    unread = check_case(tmp_path / "case")
    assert unread.complete, unread.reasons
    assert unread.details["bodies"]["read"] == 0
    assert any("is not among the exhibits" in reason for reason in unread.reasons)
    add_exhibit(tmp_path / "case", "api.toml", file.read_bytes(), actor="examiner", moment=now())
    read = check_case(tmp_path / "case")
    assert read.complete, read.reasons
    assert read.details["bodies"] == {"read": unread.details["bodies"]["not_readable"], **NONE}


def test_two_thousand_vectors_are_read_again_quickly(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).normal(size=(64, 384)).astype(np.float32)
    body = json.dumps([[float(value) for value in row] for row in numbers]).encode()

    def behave(asked: Asked) -> bytes:
        return response(body if len(asked.inputs) == 64 else json.dumps(json.loads(body)[: len(asked.inputs)]).encode())

    with serving(behave) as stub:
        asking = Asking(tmp_path, f"tei+{stub.url}?batch=64", Plan(of(2000).probes, 64)).go()
    started = time.process_time()
    found = asking.read()
    seconds = time.process_time() - started
    assert (found.problems, found.read) == ((), 33)
    assert seconds < 5.0


def test_reading_bodies_again_loads_no_network_and_no_torch(innocent: tuple[Path, Path]) -> None:
    script = (
        "import sys; from pathlib import Path; from forensics.evidence.check import check_case\n"
        f"result = check_case(Path({str(innocent[1])!r}))\n"
        "assert result.ok and result.details['bodies']['read'] > 0, result\n"
        "heavy = {'torch', 'weasyprint', 'transformers', 'pyhanko', 'onnxruntime', 'httpx2', 'httpcore2', 'aiohttp'}\n"
        "loaded = heavy & sys.modules.keys()\n"
        "assert not loaded, loaded\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_an_unknown_protocol_is_unread_or_impossible(honest: Asking) -> None:
    same, version = honest.identity, honest.version
    try:
        honest.identity = replace(same, kind="other", name=same.name.replace("tei+", "other+"))
        ours = honest.read()
        honest.version = "99.0"
        later = honest.read()
    finally:
        honest.identity, honest.version = same, version
    assert "names a protocol that this version of the tool does not have" in ours.problems[0]
    assert later.problems == ()
    assert later.not_readable == ours.not_readable == 4
    assert "cannot be set up from the case" in later.remarks[0]
