import ast
import hashlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from forensics.canonical import canonical_json, parse_json, through_decimals
from forensics.codec import decode_answers, encode_answers
from forensics.errors import UsageError
from forensics.evidence.recompute import LONGEST, common, ofsw, render_recompute
from forensics.evidence.recompute.ofsw import measure
from forensics.examination import acquire, make_kit, open_case, score
from forensics.keys import derive, shares
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.form import TST_INFO, algorithms, encode
from forensics.keys.timestamp import token_salt, verify_token
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ofsw import METHOD
from forensics.records import AnswerKind, Answers, Pool
from forensics.rules import draft_rule
from tests.evidence.conftest import LABELS, Line, RecordedSuspect, clean_checkpoint, make_key, marked_logits

Copy = Callable[[Path], Path]


def run(case: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["python3", "-I", "data/recompute.py"], cwd=case, capture_output=True, text=True)


def test_the_script_of_a_case_recomputes_its_number(line: Line) -> None:
    result = run(line.sealed)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("agrees ") == 9
    assert "DIFFERS" not in result.stdout
    assert "agrees   p-value" in result.stdout
    assert "not that the suspect gave them" in result.stdout


def test_the_script_is_short_and_needs_the_standard_library_alone() -> None:
    script = render_recompute("ofsw").decode()
    assert len(script.splitlines()) <= LONGEST
    assert max(map(len, script.splitlines())) <= 120
    imported = set()
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    assert "subprocess" not in imported
    assert "open(" not in script


@pytest.mark.parametrize("method", ["common", "__init__", "../ofsw", "nothing", "", "ofsw.py", "os.path"])
def test_a_method_without_a_script_is_refused(method: str) -> None:
    with pytest.raises(UsageError, match="no recompute script"):
        render_recompute(method)


CHANGES = {
    "claim": (b'"owner":"Aster Analytics"', b'"owner":"Aster Analytica"', "data/claim/claim.json"),
    "digest": (b'"claim_digest":"', b'"claim_digest":"0', "data/evidence.json"),
    "matched": (b'"matched":', b'"matched":1', "data/evidence.json"),
    "p-value": (b'"p_value":"', b'"p_value":"3', "data/evidence.json"),
    "seed": (b'"seed":"', b'"seed":"00', "data/evidence.json"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_record_makes_it_fail(line: Line, copy_of: Copy, change: str) -> None:
    case = copy_of(line.opened)
    old, new, name = CHANGES[change]
    raw = (case / name).read_bytes()
    assert old in raw
    (case / name).write_bytes(raw.replace(old, new))
    assert run(case).returncode == 1


@pytest.mark.parametrize("place", [("answers", "values"), ("score", "measurement", "items")])
def test_a_changed_answer_or_score_makes_it_fail(line: Line, copy_of: Copy, place: tuple[str, ...]) -> None:
    case = copy_of(line.opened)
    body = parse_json((case / "data/evidence.json").read_bytes())
    node = body
    for step in place:
        node = node[step]
    node[0] = ["9.0", "0.0", "0.0", "1.0"] if place[0] == "answers" else repr(float(node[0]) + 1e-6)
    (case / "data/evidence.json").write_bytes(canonical_json(body))
    result = run(case)
    assert result.returncode == 1
    assert "DIFFERS" in result.stdout


def test_a_changed_target_makes_it_fail(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    body = parse_json((case / "data/evidence.json").read_bytes())
    body["score"]["measurement"]["target"][0] ^= 1
    (case / "data/evidence.json").write_bytes(canonical_json(body))
    assert "DIFFERS  what the key drew" in run(case).stdout


def test_another_token_makes_it_fail(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    claim = (case / "data/claim/claim.json").read_bytes()
    (case / "data/claim/claim.tst").write_bytes(line.authority.stamp(hashlib.sha256(claim).digest()))
    assert "DIFFERS  what the key drew" in run(case).stdout


def test_two_timestamps_and_two_shares_are_understood(tmp_path: Path, digits_pool: Pool) -> None:
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    authorities = [DemonstrationAuthority.create(clock=lambda: moment) for _ in range(2)]
    key = make_key(tmp_path / "key", digits_pool, authorities, shares=2)
    kit = make_kit(key)
    case = tmp_path / "CASE"
    suspect = RecordedSuspect("suspect", kit.plan, marked_logits(key, key.pool(), 2.0))
    acquire(kit, suspect, case, named=[clean_checkpoint(kit.plan)])
    score(key, case)
    open_case(key, case)
    result = run(case)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(parse_json((case / "data/evidence.json").read_bytes())["share"]["proof"]) == 1


def test_the_streams_are_those_of_the_tool() -> None:
    key = bytes(range(32))
    ours, theirs = derive.Stream(key, "a/b"), common.Stream(key, "a/b")
    assert ours.permutation(37).tolist() == theirs.permutation(37)
    assert ours.bits(77).tolist() == ofsw.bits(theirs, 77)
    assert ours.integers(10**15, 20).tolist() == [theirs.integer(10**15) for _ in range(20)]
    ours, theirs = derive.Stream(key, "c"), common.Stream(key, "c")
    assert np.allclose(ours.normals(1001), ofsw.normals(theirs, 1001), rtol=1e-14, atol=0)


def test_trees_of_every_size_have_the_root_of_the_tool() -> None:
    for count in range(1, 18):
        leaves = [hashlib.sha256(bytes([index])).digest() for index in range(count)]
        root = shares.merkle_root(leaves)
        for index in range(count):
            proof = list(shares.merkle_proof(leaves, index))
            assert common.merkle_root(leaves[index], index, count, proof) == root
        with pytest.raises(ValueError, match="zip"):
            common.merkle_root(leaves[0], 0, count, [*shares.merkle_proof(leaves, 0), leaves[0]])
        assert count == 1 or common.merkle_root(leaves[1], 0, count, list(shares.merkle_proof(leaves, 0))) != root


def elliptic_token(curve: ec.EllipticCurve, digest: bytes) -> bytes:
    """A timestamp token signed on an elliptic curve, self-signed certificate."""
    key, now = ec.generate_private_key(curve), datetime.now(UTC).replace(microsecond=0)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stamp")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    info = {
        "version": "v1",
        "policy": "1.2.3.4",
        "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest},
        "serial_number": 5,
        "gen_time": now,
    }
    content = tsp.TSTInfo(info).dump()
    values = {
        "content_type": "tst_info",
        "signing_time": cms.Time({"utc_time": core.UTCTime(now)}),
        "message_digest": hashlib.sha256(content).digest(),
        "signing_certificate_v2": {"certs": [{"cert_hash": hashlib.sha256(certificate).digest()}]},
    }
    attributes = cms.CMSAttributes(
        [cms.CMSAttribute({"type": kind, "values": (value,)}) for kind, value in values.items()]
    )
    return encode(
        content_type=TST_INFO,
        content=content,
        certificates=[certificate],
        signer=certificate,
        algorithms=algorithms(key.public_key(), "sha256", TST_INFO, {}),
        attributes=attributes.contents,
        signature=key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        token=None,
    )


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda curve: curve.name)
@pytest.mark.parametrize("turn", range(6))
def test_elliptic_tokens_give_the_salt_of_the_tool(curve: ec.EllipticCurve, turn: int) -> None:
    digest = hashlib.sha256(bytes([turn])).digest()
    der = elliptic_token(curve, digest)
    parts = common.signed_parts(der)
    salt = hashlib.sha256(
        b"forensics/v1/tst" + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    ).digest()
    assert salt == token_salt([verify_token(der, digest)])


PROBE, SCORE = derive.ProbeKey(b"p" * 32), derive.ScoreKey(b"s" * 32)


def answered(kind: AnswerKind, seed: int, missing: tuple[int, ...] = (), resolution: float = 0.0) -> Answers:
    rng = np.random.default_rng(seed)
    gone = np.zeros(48, dtype=np.bool_)
    gone[list(missing)] = True
    if kind is AnswerKind.LABELS:
        picks = rng.integers(0, 4, 48)
        picks[gone] = -1
        return Answers(kind, picks, gone, LABELS)
    values = through_decimals(rng.normal(scale=3.0, size=(48, 4)))
    if kind is not AnswerKind.LOGITS:
        values = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
        if resolution:
            values = np.round(values / resolution) * resolution
        values = values if kind is AnswerKind.PROBABILITIES else np.log(values)
    values[gone] = np.nan
    return Answers(kind, values, gone, LABELS, resolution)


PAIRS = {
    "logits": (answered(AnswerKind.LOGITS, 1), answered(AnswerKind.LOGITS, 2)),
    "log-probabilities": (answered(AnswerKind.LOG_PROBABILITIES, 1), answered(AnswerKind.LOGITS, 2)),
    "rounded probabilities": (answered(AnswerKind.PROBABILITIES, 1, (), 0.01), answered(AnswerKind.LOGITS, 2)),
    "labels": (answered(AnswerKind.LABELS, 1), answered(AnswerKind.LABELS, 2)),
    "labels against logits": (answered(AnswerKind.LABELS, 1), answered(AnswerKind.LOGITS, 2)),
    "logits against labels": (answered(AnswerKind.LOGITS, 1), answered(AnswerKind.LABELS, 2)),
    "missing views": (answered(AnswerKind.LOGITS, 1, (0, 5, 47)), answered(AnswerKind.LOGITS, 2, (9,))),
    "a missing bank": (answered(AnswerKind.LOGITS, 1, tuple(range(16, 32))), answered(AnswerKind.LOGITS, 2)),
    "one view left in a bank": (answered(AnswerKind.LOGITS, 1, tuple(range(1, 16))), answered(AnswerKind.LOGITS, 2)),
    "nothing answered": (answered(AnswerKind.LOGITS, 1, tuple(range(48))), answered(AnswerKind.LOGITS, 2)),
    "the clean model itself": (answered(AnswerKind.LOGITS, 2), answered(AnswerKind.LOGITS, 2)),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("order", [LABELS, ("three", "one", "zero", "two"), ("w", "x", "y", "z")])
def test_the_script_reads_every_kind_of_answers_like_the_method(
    pair: str, order: tuple[str, ...], digits_pool: Pool
) -> None:
    suspect, clean = PAIRS[pair]
    suspect = Answers(suspect.kind, suspect.values, suspect.missing, order, suspect.resolution)
    parameters = METHOD.parameters({"bits": 16, "banks": 3}, digits_pool, LABELS)
    records = encode_answers(suspect), encode_answers(clean)
    evidence = {"answers": records[0], "references": [{"role": CLEAN, "answers": records[1]}]}
    share = {"pool": [item.entry for item in digits_pool.items]}
    items, bits, matched, p = measure(PROBE, SCORE, {"parameters": parameters, "labels": list(LABELS)}, share, evidence)
    reading = METHOD.read(
        PROBE, digits_pool, parameters, LABELS, decode_answers(records[0]), {CLEAN: decode_answers(records[1])}
    )
    found = METHOD.measure(SCORE, parameters, reading, draft_rule(METHOD.spec, 16).model_dump())
    assert np.allclose(items, found.items, rtol=1e-9, atol=1e-9)
    assert bits == list(found.target)
    assert matched == found.matched
    assert float(p) == found.p_value
