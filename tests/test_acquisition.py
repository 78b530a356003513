"""Acquisitions from a remote suspect: the whole line over a network, kills at any moment, secrets, certificates."""

import asyncio
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from forensics.acquisition import ask, ask_plan
from forensics.canonical import sha256
from forensics.cli import root
from forensics.errors import CaseError, ForensicsError, Unreachable, UsageError
from forensics.evidence import storage
from forensics.evidence.case import CaseFolder, replace_case
from forensics.evidence.chain import GENESIS, encode_line, head, verify_chain
from forensics.evidence.check import check_case
from forensics.evidence.journal import Journal
from forensics.examination import acquire, examine, make_kit, open_case, probes, repeat, score
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey
from forensics.keys.service import record_service
from forensics.progress import silent
from forensics.records import Plan, Probe
from forensics.registration import new_key
from forensics.suspects import Connection, open_suspect
from tests.forgery import retold
from tests.hostile import Asked, plain, response, serving, vector
from tests.services import SIZES, FakeService, service_marker, small_pool

PASSPHRASE = "correct horse"
SECRET = "sk-secret-of-the-examiner"
QUICK = Connection(concurrency=4, attempts=2, pause=0.001)


@pytest.fixture(scope="module")
def authority() -> DemonstrationAuthority:
    return DemonstrationAuthority.create()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory, authority: DemonstrationAuthority) -> UnlockedKey:
    folder = new_key(
        tmp_path_factory.mktemp("remote") / "key",
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


@pytest.fixture(scope="module")
def thief(key: UnlockedKey) -> Any:
    """A stolen, marked service behind a network, which also echoes the key it is given."""
    service = FakeService("thief", service_marker(key.secrets(0)[1], key.pool(0), dict(key.claim.parameters)))

    def behave(asked: Asked) -> bytes:
        probes = [Probe(text.encode(), "text/plain") for text in asked.inputs]
        echo = [("X-Echo", asked.headers.get("authorization", "none"))]
        return response(service.answer(probes).values.tolist(), headers=echo)

    return behave


def rewritten(case: Path, target: Path, change: Any, *, kind: str | None = None) -> Path:
    """A copy of a case whose transcript tells something else, with all digests made anew."""
    loaded = CaseFolder.load(case)
    entries = [dict(entry) for entry in verify_chain(loaded.content["data/transcript.jsonl"])]
    change(entries)
    raw, prev = b"", GENESIS
    for seq, entry in enumerate(entries):
        content = {name: value for name, value in entry.items() if name not in ("seq", "utc", "prev")}
        line = encode_line(seq, prev, content, datetime.fromisoformat(entry["utc"]))
        raw, prev = raw + line, sha256(line)
    files = {**loaded.files(), "data/transcript.jsonl": raw}
    files.pop("data/transcript.tst", None)
    evidence = loaded.evidence.revised(transcript_head=head(raw), transcript_token=None)
    if kind is not None:
        evidence = evidence.revised(suspect=evidence.suspect.model_copy(update={"kind": kind}))
    target.mkdir()
    for name, content in loaded.content.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    replace_case(target, retold(evidence, files))
    return target


def test_a_remote_case_is_scored_opened_checked_and_asked_again(
    key: UnlockedKey, thief: Any, authority: DemonstrationAuthority, tmp_path: Path
) -> None:
    case = tmp_path / "case"
    with serving(thief) as stub:
        suspect = open_suspect(f"tei+{stub.url}", replace(QUICK, api_key=SECRET))
        examine(key, suspect, case, authority=authority)
        opened = open_case(key, case)
        again = repeat(case, open_suspect(f"tei+{stub.url}", QUICK))
    evidence = opened.evidence
    assert again["probes"] == len(evidence.plan.probes)
    assert (again["disagreements"], again["same_model"]) == (0, True)
    assert evidence.score.verdict.gates["G2"] is True
    assert evidence.suspect.kind == "tei"
    facts = evidence.suspect.facts
    batches = -(-len(evidence.plan.probes) // 32)
    assert facts["attempts"] == str(batches + 1)
    assert facts["failed attempts"] == "0"
    assert facts["asked from"] <= facts["asked until"]
    result = check_case(case)
    assert result.ok, result.reasons
    assert result.reproduced
    for path in case.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
    replayed = acquire(make_kit(key), open_suspect(f"replay:{case}"), tmp_path / "replayed")
    assert replayed.evidence.answers == evidence.answers


def answer_to_nothing(entries: list[dict[str, Any]]) -> None:
    entries.pop(next(place for place, entry in enumerate(entries) if entry["event"] == "sent"))


def batch_without_answer(entries: list[dict[str, Any]]) -> None:
    entries.pop(next(place for place, entry in enumerate(entries) if entry["event"] == "received"))


def batch_twice(entries: list[dict[str, Any]]) -> None:
    entries.insert(-2, next(entry for entry in entries if entry["event"] == "batch"))


def attempt_hidden(entries: list[dict[str, Any]]) -> None:
    del entries[-4:-2]


def answered_twice(entries: list[dict[str, Any]]) -> None:
    place = next(place for place, entry in enumerate(entries) if entry["event"] == "received")
    entries.insert(place + 1, entries[place])


def never_repeated(entries: list[dict[str, Any]]) -> None:
    entries[:] = [entry for entry in entries if entry["event"] != "constancy" and not entry.get("again")]


def repeated_for_no_reason(entries: list[dict[str, Any]]) -> None:
    entries[:] = [entry for entry in entries if not entry.get("again")]
    next(entry for entry in entries if entry["event"] == "constancy")["differing"] = None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (answer_to_nothing, "transcript"),
        (batch_without_answer, "transcript"),
        (batch_twice, "transcript"),
        (attempt_hidden, "transcript"),
        (answered_twice, "a second answer to one request"),
        (never_repeated, "The first batch was not asked again at the end"),
        (repeated_for_no_reason, "does not say why the first batch could not be asked again"),
    ],
)
def test_a_transcript_whose_answers_were_never_received_is_noticed(
    key: UnlockedKey, thief: Any, tmp_path: Path, change: Any, words: str
) -> None:
    with serving(thief) as stub:
        examine(key, open_suspect(f"tei+{stub.url}", QUICK), tmp_path / "case")
    assert check_case(rewritten(tmp_path / "case", tmp_path / "same", lambda entries: None)).ok
    result = check_case(rewritten(tmp_path / "case", tmp_path / "forged", change))
    assert not result.ok
    assert any(words in reason for reason in result.reasons), result.reasons
    assert not any("Error)" in reason for reason in result.reasons), result.reasons


@pytest.mark.parametrize("kind", ["encoder", "folder", "onnx", "replay"])
def test_a_remote_suspect_that_is_called_a_local_one_is_noticed(
    key: UnlockedKey, thief: Any, tmp_path: Path, kind: str
) -> None:
    with serving(thief) as stub:
        examine(key, open_suspect(f"tei+{stub.url}", QUICK), tmp_path / "case")
    forged = rewritten(
        tmp_path / "case",
        tmp_path / "forged",
        lambda entries: entries.__setitem__(
            slice(None), [each for each in entries if each["event"] in ("start", "form", "batch", "end")]
        ),
        kind=kind,
    )
    result = check_case(forged)
    assert not result.ok
    words = "was not asked again" if kind == "encoder" else "The digest of the suspect is not that of its list of files"
    assert any(words in reason for reason in result.reasons), result.reasons


def test_a_case_too_large_to_be_read_is_not_written_and_the_journal_stays(
    key: UnlockedKey, thief: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(thief) as stub:
        suspect = open_suspect(f"tei+{stub.url}", QUICK)
        with monkeypatch.context() as limits:
            limits.setattr(storage, "TOTAL_LIMIT", 10_000)
            with pytest.raises(CaseError, match="larger than a case may be"):
                acquire(make_kit(key), suspect, tmp_path / "case")
        assert not (tmp_path / "case").exists()
        asked = len(stub.asked)
        acquire(make_kit(key), suspect, tmp_path / "case", resume=True)
        assert len(stub.asked) == asked
    assert score(key, tmp_path / "case").evidence.score is not None


def test_silence_of_some_is_missing_and_enters_the_verdict(key: UnlockedKey, thief: Any, tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        return thief(asked) if asked.number == 0 else response({"error": "no"}, 422)

    with serving(behave) as stub:
        examine(key, open_suspect(f"tei+{stub.url}", QUICK), tmp_path / "case")
    evidence = CaseFolder.load(tmp_path / "case").evidence
    assert sum(row is None for row in evidence.answers.values) == len(evidence.plan.probes) - 32
    assert evidence.score.verdict.outcome == "INCONCLUSIVE"
    assert check_case(tmp_path / "case").complete


def test_a_case_that_cannot_be_had_leaves_a_journal_to_go_on_with(key: UnlockedKey, thief: Any, tmp_path: Path) -> None:
    case = tmp_path / "case"
    with serving(thief) as stub:
        name = f"tei+{stub.url}"
        with pytest.raises(UsageError, match="cap of 2 requests"):
            acquire(make_kit(key), open_suspect(name, replace(QUICK, max_requests=2)), case)
        assert not case.exists()
        acquire(make_kit(key), open_suspect(name, QUICK), case, resume=True)
    with pytest.raises(Unreachable):
        acquire(make_kit(key), open_suspect(name, QUICK), tmp_path / "other")
    assert check_case(case).complete


def certificates(folder: Path) -> tuple[ssl.SSLContext, Path, str]:
    """A server's context, the file of its own authority, and the SHA-256 of the server's certificate."""

    def made(subject: str, issuer: str, key: Any, signer: Any, ca: bool) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        of = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
        start = datetime.now(UTC) - timedelta(days=1)
        builder = x509.CertificateBuilder(of, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=30))
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(authority, False)
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, True)
        else:
            names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
            builder = builder.add_extension(names, False)
        return builder.sign(signer, hashes.SHA256())

    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = made("root", "root", root_key, root_key, True)
    leaf = made("server", "root", leaf_key, root_key, False)
    pem = serialization.Encoding.PEM
    private = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "root.pem").write_bytes(root.public_bytes(pem))
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem")
    return context, folder / "root.pem", sha256(leaf.public_bytes(serialization.Encoding.DER))


def test_the_certificate_is_verified_and_recorded(key: UnlockedKey, thief: Any, tmp_path: Path) -> None:
    context, root, fingerprint = certificates(tmp_path)
    with serving(thief, tls=context) as stub:
        name = f"tei+{stub.url}"
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            acquire(make_kit(key), open_suspect(name, QUICK), tmp_path / "unknown")
        acquired = acquire(make_kit(key), open_suspect(name, replace(QUICK, authority=root)), tmp_path / "case")
    assert acquired.evidence.suspect.facts["certificate SHA-256"] == fingerprint
    entries = verify_chain(acquired.content["data/transcript.jsonl"])
    assert {entry["certificate"] for entry in entries if entry["event"] == "received"} == {fingerprint}
    with pytest.raises(UsageError, match="cannot be read"):
        open_suspect(name, replace(QUICK, authority=tmp_path / "none.pem")).answer([Probe(b"x", "text/plain")])


PROBES = 900
PLAN = Plan(tuple(Probe(f"probe {index}".encode(), "text/plain") for index in range(PROBES)), 1)

NURSERY = """
import os, sys
from pathlib import Path
from tests.test_acquisition import ask_into
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        ask_into(Path(sys.argv[1]), sys.argv[2])
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Loads everything once and gives birth to a process for each line; what a kill leaves is the same."""


def ask_into(folder: Path, url: str) -> None:
    with Journal.open(folder, plan_digest=PLAN.digest, suspect_digest="b" * 64, resume=True) as journal:
        ask_plan(journal, PLAN, open_suspect(f"tei+{url}", QUICK), (), silent)
        journal.finish(PROBES)


def recorded(folder: Path) -> tuple[bytes, dict[str, Any], int]:
    with Journal.open(folder, plan_digest=PLAN.digest, suspect_digest="b" * 64, resume=True) as journal:
        rows = [row for chunk in journal.answered() for row in chunk]
        return journal.transcript(), dict(enumerate(rows)), journal.ledger.attempts


def test_killed_fifty_times_at_any_moment_nothing_is_lost_or_asked_anew(tmp_path: Path) -> None:
    folder, moments, kills = tmp_path / "CASE.partial", random.Random(20261122), 50

    async def slow(asked: Asked, writer: Any) -> bytes:
        await asyncio.sleep(0.004)
        return plain(asked)

    with serving(slow) as stub:
        command = [sys.executable, "-c", NURSERY, str(folder), stub.url]
        nursery = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        killed, previous = 0, b""
        for number in range(kills):
            nursery.stdin.write("\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            time.sleep(moments.uniform(0.0, 0.12))
            os.kill(child, signal.SIGKILL)
            killed += int(nursery.stdout.readline()) == signal.SIGKILL
            if number % 10 == 9:
                transcript, rows, _ = recorded(folder)
                assert transcript.startswith(previous)
                assert len(rows) < PROBES
                previous = transcript
        nursery.stdin.write("\n")
        nursery.stdin.flush()
        nursery.stdout.readline()
        assert int(nursery.stdout.readline()) == 0
        nursery.stdin.close()
        nursery.wait()
        nursery.stdout.close()
        transcript, rows, attempts = recorded(folder)
    assert killed == kills
    entries = verify_chain(transcript)
    answered = Counter(probe for entry in entries if entry["event"] == "batch" for probe in entry["probes"])
    assert answered == Counter(probe.digest for probe in PLAN.probes)
    assert rows == {index: [repr(value) for value in vector(f"probe {index}")] for index in range(PROBES)}
    # The first batch is asked once more at the end; each kill may cost what was under way.
    assert PROBES + 1 <= len(stub.asked) <= attempts <= PROBES + 1 + QUICK.concurrency * kills
    finished = {entry["first"]: entry["seq"] for entry in entries if entry["event"] == "batch"}
    late = [
        entry
        for entry in entries
        if entry["event"] == "sent" and not entry.get("again") and entry["seq"] > finished[entry["first"]]
    ]
    assert late == []


def test_many_requests_take_linear_time_and_keep_no_bodies(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        with Journal.open(
            tmp_path / str(count), plan_digest="a" * 64, suspect_digest="b" * 64, resume=False
        ) as journal:
            journal.write([{"event": "form", "kind": "vectors", "labels": [], "resolution": "0.0"}])
            started = time.process_time()
            for first in range(0, count, 10):
                events: list[dict[str, Any]] = []
                for place in range(first, first + 10):
                    head = {"first": place, "count": 1, "step": 0, "attempt": 1}
                    events.append({"event": "sent", **head, "units": 1, "sha256": "0" * 64, "body": "x" * 100})
                    events.append({"event": "received", **head, "status": 200, "body": "y" * 1000})
                    events.append({"event": "batch", "first": place, "probes": ["p"], "rows": [["0.5"]]})
                journal.write(events)
            assert journal.recorded == count
            assert journal.ledger.replies == {}
            assert journal.ledger.remaining(count) == []
            return time.process_time() - started

    seconds(100)
    small, large = seconds(500), seconds(4000)
    assert large < 8 * small * 2.0


def test_the_order_of_questions_does_not_depend_on_the_scoring_secret(key: UnlockedKey, tmp_path: Path) -> None:
    """Two suspects that hold different marks are asked the same, in the same order."""
    bodies: list[list[bytes]] = []
    for name in ("one", "other"):
        service = FakeService(name)

        def behave(asked: Asked, service: FakeService = service, name: str = name) -> bytes:
            asked_probes = [Probe(text.encode(), "text/plain") for text in asked.inputs]
            return response((service.answer(asked_probes).values * (1 if name == "one" else -1)).tolist())

        with serving(behave) as stub:
            acquire(make_kit(key), open_suspect(f"tei+{stub.url}", Connection(concurrency=1)), tmp_path / name)
            bodies.append([asked.body for asked in stub.asked])
    assert bodies[0] == bodies[1]


def run(*words: object, **variables: str) -> Result:
    environment = {"FORENSICS_PASSPHRASE": PASSPHRASE, "FORENSICS_API_KEY": None, **variables}
    return CliRunner().invoke(root, [str(word) for word in words], env=environment)


def test_the_command_line_says_what_it_would_ask_and_sends_nothing(key: UnlockedKey, tmp_path: Path) -> None:
    plan = probes(key, tmp_path / "kit").plan
    with serving() as stub:
        words = ("acquire", tmp_path / "kit", f"tei+{stub.url}", "--case", tmp_path / "c", "--dry-run")
        done = run(*words, "--price", "0.02", "--rate", "60", "--json")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert told["probes"] == len(plan.probes)
        assert told["requests"] == -(-len(plan.probes) // 32) + 1
        assert told["tokens_at_most"] >= sum(len(probe.data) for probe in plan.probes)
        assert told["cost_at_most"] == told["tokens_at_most"] * 0.02 / 1e6
        assert told["seconds_at_least"] == 60.0 * (told["requests"] - 1) / 60.0
        assert 0.0 <= told["power"] <= 1.0
        spoken = run(*words)
        assert "No price is known" in spoken.stdout
        assert stub.asked == []
    for name in ("nosuch+http://127.0.0.1:1", "openai+http://127.0.0.1:1?x=1#m", str(tmp_path), str(tmp_path / "none")):
        assert isinstance(run("acquire", tmp_path / "kit", name, *words[3:]).exception, ForensicsError), name
    assert not (tmp_path / "c").exists()


def test_the_command_line_asks_with_a_key_from_the_environment(key: UnlockedKey, thief: Any, tmp_path: Path) -> None:
    case = tmp_path / "case"
    probes(key, tmp_path / "kit")
    with serving(thief) as stub:
        name = f"tei+{stub.url}"
        words = ("acquire", tmp_path / "kit", name, "--case", case, "--concurrency", "2", "--api-key-env", "MY_KEY")
        missing = run(*words)
        assert isinstance(missing.exception, UsageError)
        assert "not set" in str(missing.exception)
        done = run(*words, "--json", MY_KEY=SECRET)
        assert done.exit_code == 0, done.output
        assert stub.asked[0].headers["authorization"] == f"Bearer {SECRET}"
        score(key, case)
        open_case(key, case)
        checked = run("check", case, "--suspect", name, "--tolerance", "0", "--json")
        assert checked.exit_code == 0, checked.output
        assert json.loads(checked.stdout)["asked_again"]["disagreements"] == 0
        assert "authorization" not in stub.asked[-1].headers
    gone = run("acquire", tmp_path / "kit", name, "--case", tmp_path / "other", "--attempts", "1")
    assert isinstance(gone.exception, Unreachable)
    assert "did not answer" in str(gone.exception)
    assert SECRET not in done.output + gone.output + str(gone.exception)


def test_blocks_of_a_long_transcript_are_stamped(
    key: UnlockedKey, thief: Any, authority: DemonstrationAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forensics.evidence.scribe.BLOCK", 2)
    with serving(thief) as stub:
        suspect = open_suspect(f"tei+{stub.url}", replace(QUICK, concurrency=1))
        acquired = acquire(make_kit(key), suspect, tmp_path / "case", authority=authority)
    tokens = [entry for entry in verify_chain(acquired.content["data/transcript.jsonl"]) if entry["event"] == "token"]
    assert len(tokens) >= 1
    assert all(entry["head"] == entry["prev"] for entry in tokens)
    assert check_case(tmp_path / "case").complete

    def exchange(entries: list[dict[str, Any]]) -> None:
        place = next(place for place, entry in enumerate(entries) if entry["event"] == "token")
        entries[place - 1], entries[place] = entries[place], entries[place - 1]

    result = check_case(rewritten(tmp_path / "case", tmp_path / "forged", exchange))
    assert not result.ok


def test_another_number_of_labels_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        return response([[{"label": "a", "score": 0.5}, {"label": "b", "score": 0.5}] for _ in asked.inputs])

    plan = Plan(tuple(Probe(f"probe {index}".encode(), "text/plain") for index in range(6)), 2)
    folder = tmp_path / "CASE.partial"
    with serving(behave) as stub:
        suspect = open_suspect(f"tei-predict+{stub.url}", QUICK)
        with (
            Journal.open(folder, plan_digest=plan.digest, suspect_digest="b" * 64, resume=False) as journal,
            pytest.raises(UsageError, match="has 2 labels; the claim has 3"),
        ):
            ask_plan(journal, plan, suspect, ("a", "b", "c"), silent)
        assert not folder.exists()
        with Journal.open(folder, plan_digest=plan.digest, suspect_digest="b" * 64, resume=False) as journal:
            ask_plan(journal, plan, suspect, ("a", "b"), silent)
            assert journal.form == {"kind": "probabilities", "labels": ["a", "b"], "resolution": "0.1"}
            assert journal.recorded == 6


def test_classes_in_no_order_of_the_models_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    """What answers with names and scores gives no order; foreign names then say nothing of which class is which."""

    def behave(asked: Asked) -> bytes:
        return response([[{"label": "chat", "score": 0.5}, {"label": "chien", "score": 0.5}] for _ in asked.inputs])

    plan = Plan(tuple(Probe(f"probe {index}".encode(), "text/plain") for index in range(4)), 2)
    folder = tmp_path / "CASE.partial"
    with serving(behave) as stub:
        suspect = open_suspect(f"tei-predict+{stub.url}", QUICK)
        with (
            Journal.open(folder, plan_digest=plan.digest, suspect_digest="b" * 64, resume=False) as journal,
            pytest.raises(UsageError, match="names its classes otherwise"),
        ):
            ask_plan(journal, plan, suspect, ("dog", "cat"), silent)
        assert not folder.exists()
        with pytest.raises(UsageError, match="names its classes otherwise"):
            ask(suspect, plan, labels=("dog", "cat"))
        assert ask(suspect, plan, labels=("chien", "chat")).labels == ("chat", "chien")
        assert ask(suspect, plan).n == 4
