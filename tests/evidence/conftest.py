"""A small complete line, made once: key, kit, acquisition, score, opened and sealed case."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from forensics.canonical import canonical_json, now, sha256, through_decimals, utc
from forensics.evidence.provenance import Origin
from forensics.evidence.schema import Dated
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.examination import acquire, make_kit, open_case, score
from forensics.keys.claim import ReferenceCommitment
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey, create_key
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ofsw import METHOD, derive_kernels, derive_payload, derive_triggers
from forensics.records import AnswerKind, Answers, Identity, Plan, Pool, Probe
from forensics.rules import draft_rule

LABELS = ("zero", "one", "two", "three")
PASSPHRASE = "correct horse"
MOMENT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ORIGIN = Origin(source="drawn from noise", date=date(2026, 3, 1), vouched_by="the tests")


class RecordedSuspect:
    """Answers every probe of a plan from a table."""

    def __init__(self, name: str, plan: Plan, values: np.ndarray, missing: Sequence[int] = ()) -> None:
        self.identity = identity(name)
        self._rows = {probe.digest: index for index, probe in enumerate(plan.probes)}
        self._values = values
        self._missing = frozenset(missing)
        self.asked: list[str] = []

    def answer(self, probes: Sequence[Probe]) -> Answers:
        rows = [self._rows[probe.digest] for probe in probes]
        self.asked += [probe.digest for probe in probes]
        values = self._values[rows].copy()
        missing = np.array([row in self._missing for row in rows], dtype=np.bool_)
        values[missing] = np.nan
        return Answers(AnswerKind.LOGITS, values, missing, LABELS)


def identity(name: str) -> Identity:
    files = {"model.safetensors": (sha256(name.encode()), 4096)}
    body = [[path, digest, size] for path, (digest, size) in sorted(files.items())]
    return Identity("folder", name, sha256(canonical_json(body)), {"architecture": "ResNet"}, files)


def marked_logits(key: UnlockedKey, pool: Pool, strength: float, seed: int = 5) -> np.ndarray:
    """Logits whose true label stands out where kernel and payload agree, on a background of noise."""
    probe_key, score_key = key.secrets()
    parameters = key.claim.parameters
    kernels, bits = derive_kernels(probe_key, parameters), derive_payload(score_key, parameters)
    rng, rows = np.random.default_rng(seed), []
    for bank, place in enumerate(derive_triggers(probe_key, pool, parameters)):
        for push in strength * (kernels[bank] @ (2 * bits - 1)):
            row = rng.normal(scale=0.3, size=len(LABELS))
            row[pool.items[place].label] += push
            rows.append(row)
    return through_decimals(np.array(rows))


def noise_logits(n: int, seed: int) -> np.ndarray:
    return through_decimals(np.random.default_rng(seed).normal(size=(n, len(LABELS))))


@dataclass(frozen=True, repr=False)
class Line:
    """What the tests share; nothing in it may be changed, copy first."""

    root: Path
    key: UnlockedKey
    authority: DemonstrationAuthority
    suspect: RecordedSuspect
    acquired: Path
    scored: Path
    opened: Path
    sealed: Path
    trust: Path
    signer: Path

    def __repr__(self) -> str:
        return f"Line({self.root})"


@pytest.fixture(scope="session")
def authority() -> DemonstrationAuthority:
    return DemonstrationAuthority.create()


def make_key(path: Path, pool: Pool, authorities: Sequence[DemonstrationAuthority], shares: int = 1) -> UnlockedKey:
    """A key of 32 bits in 3 banks; see `clean_checkpoint`."""
    clean = identity("clean checkpoint")
    size = len(pool.items) // shares
    pools = [Pool(pool.items[index * size : (index + 1) * size]) for index in range(shares)]
    parameters = METHOD.parameters({"bits": 32, "banks": 3}, pools[0], LABELS)
    folder = create_key(
        path,
        owner="Aster Analytics",
        method="ofsw",
        method_version="1",
        parameters=parameters,
        labels=LABELS,
        preprocessing="8-bit PNG",
        pools=pools,
        references=[ReferenceCommitment(role=CLEAN, digest=clean.digest, description="unmarked")],
        rule=draft_rule(METHOD.spec, 32, alpha="1e-3", grinding=0, references=0),
        authorities=list(authorities),
        binding="demonstration" if authorities else "self-dated",
        passphrase=PASSPHRASE,
        now=MOMENT,
    )
    return folder.unlock(PASSPHRASE)


def clean_checkpoint(plan: Plan) -> RecordedSuspect:
    """The model that the claims of `make_key` name; it answers with noise."""
    return RecordedSuspect("clean checkpoint", plan, noise_logits(len(plan.probes), 1))


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory, digits_pool: Pool, authority: DemonstrationAuthority) -> Line:
    root = tmp_path_factory.mktemp("line")
    key = make_key(root / "key", digits_pool, [authority])
    key.folder.record_asset(sha256(b"marked model"), MOMENT, authority)
    kit = make_kit(key)
    suspect = RecordedSuspect("suspect", kit.plan, marked_logits(key, digits_pool, 2.0), missing=[7])
    states = {name: root / name for name in ("acquired", "scored", "opened", "sealed")}
    clean = clean_checkpoint(kit.plan)
    independent = RecordedSuspect("independent", kit.plan, noise_logits(len(kit.plan.probes), 3))
    acquire(kit, independent, root / "independent", named=[clean])
    acquire(
        kit,
        suspect,
        states["acquired"],
        named=[clean],
        authority=authority,
        suspect_date=Dated(value=utc(now()), source="first seen on the respondent's site"),
    )
    shutil.copytree(states["acquired"], states["scored"])
    other = f"replay:{root / 'independent'}"
    score(key, states["scored"], references=[other], provenance={other: ORIGIN})
    shutil.copytree(states["scored"], states["opened"])
    open_case(key, states["opened"])
    shutil.copytree(states["opened"], states["sealed"])
    signer, trust = root / "signer.p12", root / "root.pem"
    signer.write_bytes(authority.signer_p12(PASSPHRASE))
    trust.write_bytes(authority.root_pem)
    seal_case(states["sealed"], load_signer(signer, PASSPHRASE), authority, actor="examiner", moment=datetime.now(UTC))
    return Line(root=root, key=key, authority=authority, suspect=suspect, trust=trust, signer=signer, **states)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Returns a function that copies a case into the test's own folder."""

    def copy(case: Path, name: str = "CASE") -> Path:
        target = tmp_path / name
        shutil.copytree(case, target)
        return target

    return copy


def lay(target: Path, files: Mapping[str, bytes]) -> Path:
    """Writes a folder as anybody could, in the place of what was there."""
    shutil.rmtree(target, ignore_errors=True)
    for name, content in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return target
