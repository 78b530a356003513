"""Documents that `bench tamper` alters: a small line of our own, made afresh, and the samples of the project."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forensics.canonical import canonical_json, now, parse_json, sha256, through_decimals, utc
from forensics.errors import UsageError
from forensics.evidence.bag import render_bag
from forensics.evidence.case import CaseFolder, add_exhibit
from forensics.evidence.custody import EVIDENCE
from forensics.evidence.entries import entry_signer
from forensics.evidence.longterm import Profile, SignatureOptions
from forensics.evidence.schema import Dated, Evidence
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.examination import acquire, make_kit, open_case, score
from forensics.images import encode_png
from forensics.keys.claim import ReferenceCommitment
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey, create_key
from forensics.keys.timestamp import TimestampAuthority
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ofsw import METHOD, derive_kernels, derive_payload, derive_triggers
from forensics.records import AnswerKind, Answers, FloatArray, Identity, Plan, Pool, PoolItem, Probe
from forensics.report import write_report
from forensics.rules import draft_rule

SAMPLES = Path(__file__).parents[2] / "evidence_samples"
PASSPHRASE = "bench"  # noqa: S105 - the keys of a bench protect nothing
PROFILES: Mapping[str, Profile | None] = {"B-B": None, "B-T": None, "B-LT": "court", "B-LTA": "archive"}
"""Levels of the fresh reports' signatures, and the profiles that lead to them."""

EXHIBIT = "data/exhibits/letter.txt"

FORGED = ("copied", "forged")
"""Reports that a stranger makes: of the sealed case, and of a copy of it with another verdict."""

_LABELS = ("zero", "one", "two", "three")
_BITS, _BANKS, _SHARES, _IMAGES = 36, 6, 2, 12


class RecordedSuspect:
    """Answers every probe of a plan from a table of logits.

    Args:
        values: (n, classes), in plan order.
    """

    def __init__(self, name: str, plan: Plan, values: FloatArray) -> None:
        files = {"model.safetensors": (sha256(name.encode()), 4096)}
        listed = [[path, digest, size] for path, (digest, size) in sorted(files.items())]
        self.identity = Identity("folder", name, sha256(canonical_json(listed)), {"architecture": "ResNet"}, files)
        self._rows = {probe.digest: place for place, probe in enumerate(plan.probes)}
        self._values = values

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Returns the table's rows for these probes."""
        values = self._values[[self._rows[probe.digest] for probe in probes]]
        return Answers(AnswerKind.LOGITS, values, np.zeros(len(values), dtype=np.bool_), _LABELS)


@dataclass(frozen=True)
class Bases:
    """What `build` left in a folder.

    Attributes:
        folder: cases `acquired`, `scored`, `opened`, `sealed`, `other` (a second suspect's), `foreign` (of another
            key), `second` (of another share) and `noted` (with a signed entry in its custody log); authorities `owner`
            and `stranger`.
    """

    folder: Path

    def case(self, name: str) -> dict[str, bytes]:
        """Returns every file of a case."""
        return dict(CaseFolder.load(self.folder / name).content)

    def report(self, level: str) -> Path:
        """Returns the path of a report; see `add_reports`."""
        return self.folder / f"report-{level}.pdf"

    def authorities(self) -> dict[str, Path]:
        """Returns the folders of the authorities with which forgers of either kind seal."""
        return {"stranger": self.folder / "stranger", "insider": self.folder / "owner"}

    @property
    def root(self) -> Path:
        """The certificate of whom a reader of the fresh documents trusts."""
        return self.folder / "owner" / "root.pem"


def build(folder: Path) -> Bases:
    """Makes keys and cases; some seconds.

    Args:
        folder: does not exist yet.
    """
    owner, stranger = DemonstrationAuthority.create(), DemonstrationAuthority.create()
    folder.mkdir(parents=True)
    for name, authority in (("owner", owner), ("stranger", stranger)):
        authority.save(folder / name)
        (folder / name / "signer.p12").write_bytes(authority.signer_p12(PASSPHRASE))
    key, foreign = _make_key(folder / "key", owner, 1), _make_key(folder / "foreign-key", owner, 2)
    _acquire(key, "independent", folder / "independent", owner, None, 3)
    for name, made, share in (("other", key, 0), ("sealed", key, 0), ("foreign", foreign, 0), ("second", key, 1)):
        seed = 17 if name == "other" else 5
        _acquire(made, f"suspect {seed}", folder / name, owner, share, seed)
        if name == "sealed":
            shutil.copytree(folder / name, folder / "acquired")
        independent = [f"replay:{folder / 'independent'}"] if made is key and share == 0 else []
        score(made, folder / name, references=independent)
        if name == "sealed":
            shutil.copytree(folder / name, folder / "scored")
        open_case(made, folder / name)
        if name == "sealed":
            shutil.copytree(folder / name, folder / "opened")
    shutil.copytree(folder / "opened", folder / "noted")
    note(folder / "noted", folder / "owner")
    for name in ("sealed", "other", "noted"):
        seal(folder / name, folder / "owner")
    return Bases(folder)


def add_reports(bases: Bases, levels: Iterable[str] = PROFILES) -> None:
    """Adds a report for each level, `report-LEVEL.pdf`, and those that a stranger makes: `copied.pdf`, `forged.pdf`."""
    for level in levels:
        write(bases.folder / "sealed", bases.report(level), bases.folder / "owner", level)
    forged = bases.folder / "forged"
    case = bases.case("opened")
    body = parse_json(case[EVIDENCE])
    body["score"]["verdict"]["outcome"] = "SUPPORTED"
    payload = {**case, EVIDENCE: canonical_json(body)}
    for name, content in render_bag(payload, Evidence.parse(payload[EVIDENCE])).items():
        (forged / name).parent.mkdir(parents=True, exist_ok=True)
        (forged / name).write_bytes(content)
    for name, place in zip(FORGED, (bases.folder / "sealed", forged), strict=True):
        write(place, bases.folder / f"{name}.pdf", bases.folder / "stranger", "B-LT")


def note(case: Path, authority: Path) -> None:
    """Adds an exhibit to a case, by an entry that the signer of a saved authority signs and that this one dates."""
    stamps, moment = DemonstrationAuthority.load(authority), now()
    signer = entry_signer(load_signer(authority / "signer.p12", PASSPHRASE), stamps, moment)
    add_exhibit(case, Path(EXHIBIT).name, b"It was I.", actor="clerk", moment=moment, signer=signer)


def seal(case: Path, authority: Path) -> None:
    """Seals a case with the signer and the clock of a saved authority."""
    signer = load_signer(authority / "signer.p12", PASSPHRASE)
    seal_case(case, signer, DemonstrationAuthority.load(authority), actor="examiner", moment=now())


def write(case: Path, out: Path, authority: Path, level: str) -> None:
    """Writes a case's report, or two pages of it, signed by the signer of a saved authority on a level."""
    issuer = DemonstrationAuthority.load(authority)
    stamps: TimestampAuthority | None = {"B-B": None, "B-T": _WithoutLists(issuer)}.get(level, issuer)
    signer = load_signer(authority / "signer.p12", PASSPHRASE)
    options = SignatureOptions(profile=PROFILES[level])
    made = write_report(case, out, signer=signer, authority=stamps, signing=options, summary=level != "B-LT")
    if made.level != level:
        raise UsageError(f"The report reached {made.level} instead of {level}: {made.below}", "Report this.")


class _WithoutLists:
    """An authority that stamps and whose revocation lists are not at hand, so that B-T is what can be reached."""

    def __init__(self, authority: DemonstrationAuthority) -> None:
        self.name, self.stamp = authority.name, authority.stamp


def sample(name: str) -> Path:
    """Returns the path of a sample.

    Raises:
        UsageError: the samples are not part of this installation.
    """
    if not SAMPLES.is_dir():
        raise UsageError("The samples that this bench alters are not installed.", "Run it in a clone of the project.")
    return SAMPLES / name


def _make_key(path: Path, authority: DemonstrationAuthority, seed: int) -> UnlockedKey:
    """A key of two shares; its claim names a model that answers with noise."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (_SHARES, _IMAGES, 16, 16, 1), dtype=np.uint8)
    pools = [
        Pool(tuple(PoolItem(encode_png(image), "image/png", place % 4) for place, image in enumerate(share)))
        for share in images
    ]
    parameters = METHOD.parameters({"bits": _BITS, "banks": _BANKS}, pools[0], _LABELS)
    clean = RecordedSuspect("clean checkpoint", Plan(()), np.empty((0, len(_LABELS)))).identity
    folder = create_key(
        path,
        owner="Aster Analytics",
        method="ofsw",
        method_version="1",
        parameters=parameters,
        labels=_LABELS,
        preprocessing="8-bit PNG",
        pools=pools,
        references=[ReferenceCommitment(role=CLEAN, digest=clean.digest, description="unmarked")],
        rule=draft_rule(METHOD.spec, _BITS, references=1),
        authorities=[authority],
        binding="demonstration",
        passphrase=PASSPHRASE,
        now=now(),
    )
    folder.record_asset(sha256(b"marked model"), now(), authority)
    return folder.unlock(PASSPHRASE)


def _acquire(
    key: UnlockedKey, name: str, case: Path, authority: DemonstrationAuthority, share: int | None, seed: int
) -> None:
    """Asks a suspect that bears the key's mark, or none where no share is given."""
    kit = make_kit(key, share or 0)
    count = len(kit.plan.probes)
    clean = RecordedSuspect("clean checkpoint", kit.plan, _noise(count, 1))
    values = _noise(count, seed) if share is None else _marked(key, share, seed)
    acquire(
        kit,
        RecordedSuspect(name, kit.plan, values),
        case,
        named=[clean],
        authority=authority,
        suspect_date=Dated(value=utc(now()), source="first seen on the respondent's site"),
    )


def _marked(key: UnlockedKey, share: int, seed: int) -> FloatArray:
    """Logits whose true label stands out where kernel and payload agree, for all bits but the first."""
    probe_key, score_key = key.secrets(share)
    parameters, pool = key.claim.parameters, key.pool(share)
    kernels, bits = derive_kernels(probe_key, parameters), derive_payload(score_key, parameters)
    bits[0] ^= 1
    rng, rows = np.random.default_rng(seed), []
    for bank, place in enumerate(derive_triggers(probe_key, pool, parameters)):
        for push in 2.0 * (kernels[bank] @ (2 * bits - 1)):
            row = rng.normal(scale=0.3, size=len(_LABELS))
            row[pool.items[place].label] += push
            rows.append(row)
    return through_decimals(np.array(rows))


def _noise(count: int, seed: int) -> FloatArray:
    return through_decimals(np.random.default_rng(seed).normal(size=(count, len(_LABELS))))
