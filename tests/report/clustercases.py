"""Real cases of trigger clusters: keys, made-up suspects, and what a report is made from."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from forensics.canonical import now
from forensics.evidence.case import CaseFolder
from forensics.evidence.schema import Dated
from forensics.examination import acquire, make_kit, open_case, score
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey, create_key
from forensics.methods.clusters import TriggerClusters, derive_order, derive_triggers
from forensics.methods.tmrw import METHOD as TMRW
from forensics.methods.wpe import METHOD as WPE
from forensics.records import AnswerKind, Answers, Pool, Probe
from forensics.report.view import Report, make_report
from forensics.rules import draft_rule
from tests.clusters import SIZES, pattern_pool, phrase_pool
from tests.evidence.conftest import identity
from tests.report.cases import make_details

PASSPHRASE = "correct horse"
MOMENT = datetime(2026, 2, 3, 9, 12, 44, tzinfo=UTC)
CLASSES = ("arts", "business", "health", "science")
METHODS: dict[str, TriggerClusters] = {"tmrw": TMRW, "wpe": WPE}


def small_pool(method: str) -> Pool:
    return phrase_pool() if method == "tmrw" else pattern_pool()


def make_key(
    path: Path,
    method: str,
    pool: Pool | None = None,
    sizes: dict[str, int] = SIZES,
    authorities: Sequence[DemonstrationAuthority] = (),
) -> UnlockedKey:
    """A key of a small pool, or of the one given; demonstration where it is dated, else self-dated."""
    spec, pool = METHODS[method].spec, pool or small_pool(method)
    return create_key(
        path,
        owner="Aster Analytics GmbH",
        method=method,
        method_version=spec.version,
        parameters=METHODS[method].parameters(sizes, pool, ()),
        labels=(),
        preprocessing="as it is sent",
        pools=[pool],
        references=[],
        rule=draft_rule(spec, sizes["candidates"], alpha="1e-4", grinding=3, references=1),
        authorities=list(authorities),
        binding="demonstration" if authorities else "self-dated",
        passphrase=PASSPHRASE,
        now=MOMENT,
    ).unlock(PASSPHRASE)


class ClusterModel:
    """A suspect in memory: every candidate moves its answers a little, and triggers move them one way by `shift`.

    Attributes:
        digests: of the plan's probes, in its order.
        silent: digests of probes that it does not answer.
    """

    def __init__(
        self, key: UnlockedKey, kind: AnswerKind, shift: float, *, name: str = "boreal-sort", seed: int = 0
    ) -> None:
        plan, claim = make_kit(key).plan, key.claim
        sizes = claim.parameters
        n, heads = int(sizes["candidates"]), plan.heads
        width = int(sizes["dimension"]) if kind is AnswerKind.VECTORS else len(CLASSES)
        rng = np.random.default_rng(seed)
        own, base = 0.3 * rng.normal(size=(n, width)), rng.normal(size=(heads, width))
        if kind is AnswerKind.LABELS:
            own *= 0.2
            # Whatever key is drawn, only triggers reach the last class, and all of them do.
            base[:, -1] = base[:, :-1].max(axis=1) - shift / 2.0
        own[:, -1] += shift * derive_triggers(claim.method, key.secrets()[1], sizes)
        order = derive_order(claim.method, key.secrets()[0], sizes).items
        moved = base[:, None] + own[order][None] + 0.1 * rng.normal(size=(heads, n, width))
        values = np.concatenate([base, moved.reshape(-1, width)])
        self.identity, self.kind = identity(name), kind
        self.digests = [probe.digest for probe in plan.probes]
        self._rows = dict(zip(self.digests, values, strict=True))
        self.silent: frozenset[str] = frozenset()

    def answer(self, probes: Sequence[Probe]) -> Answers:
        values = np.stack([self._rows[probe.digest] for probe in probes])
        missing = np.array([probe.digest in self.silent for probe in probes], dtype=np.bool_)
        if self.kind is AnswerKind.VECTORS:
            return Answers(self.kind, np.where(missing[:, None], np.nan, values), missing)
        if self.kind is AnswerKind.LABELS:
            found = np.argmax(values, axis=1).astype(np.int64)
            return Answers(self.kind, np.where(missing, -1, found), missing, CLASSES)
        return Answers(self.kind, np.where(missing[:, None], np.nan, values), missing, CLASSES)


def examined(
    key: UnlockedKey,
    folder: Path,
    suspect: ClusterModel,
    *,
    references: Sequence[str] = (),
    scored: bool = True,
    opened: bool = True,
    authority: DemonstrationAuthority | None = None,
) -> CaseFolder:
    """Acquires, scores and opens a case."""
    case = acquire(
        make_kit(key),
        suspect,
        folder,
        suspect_date=Dated(value=now().date().isoformat(), source="first upload according to the hub, Exhibit K 7"),
        authority=authority,
    )
    if scored:
        case = score(key, folder, references=references, owner_undisputed=True)
    return open_case(key, folder) if scored and opened else case


def report_of(case: CaseFolder) -> Report:
    return make_report(case.evidence, make_details(), manifest_sha256=case.manifest_sha256, files=case.content)
