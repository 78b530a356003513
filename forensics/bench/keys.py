"""Keys of the benches: derived in full, from numbers instead of chance, so that anyone can make them again."""

import hashlib
from dataclasses import dataclass

import numpy as np

from forensics.keys.claim import Claim, PoolCommitment, ReferenceCommitment, ShareCommitment
from forensics.keys.derive import ProbeKey, ScoreKey, generator_digest, master_secret, split
from forensics.keys.timestamp import self_dated_salt
from forensics.methods import load_method
from forensics.methods.ofsw import CLEAN, CONTRAST
from forensics.records import Answers, Measurement, Plan, Pool, Verdict
from forensics.rules import draft_rule
from forensics.training.data import ImageData
from forensics.verdict import ClaimDates, decide


@dataclass(frozen=True)
class BenchKey:
    """One key: number, claim, secrets, pool and plan."""

    number: int
    claim: Claim
    secrets: tuple[ProbeKey, ScoreKey]
    pool: Pool
    plan: Plan

    def score(self, answers: Answers, clean: Answers, replayed: bool = True) -> tuple[Measurement, Verdict]:
        """Scores answers as an examination would, the owner of the key not being in dispute."""
        method, parameters = load_method(self.claim.method), self.claim.parameters
        reading = method.read(self.secrets[0], self.pool, parameters, self.claim.labels, answers, {CLEAN: clean})
        rule = self.claim.rule
        measurement = method.measure(self.secrets[1], parameters, reading, rule.model_dump())
        verdict = decide(
            measurement,
            rule,
            binding="self-dated",
            opened=True,
            dates=ClaimDates(None, None, None),
            examinations=1,
            references=(),
            replayed=replayed,
            owner_undisputed=True,
        )
        return measurement, verdict


def bench_key(
    number: int,
    data: ImageData,
    reference: str,
    *,
    pool_seed: int,
    bits: int = 64,
    banks: int = 8,
    contrast: int = CONTRAST,
) -> BenchKey:
    """Makes the key of that number for OFSW.

    Args:
        data: the owner's images; 64 of them, drawn by `pool_seed`, are the pool.
        reference: digest of the clean checkpoint.
    """
    method = load_method("ofsw")
    rows = np.random.default_rng([64, pool_seed]).permutation(len(data.labels))[:64]
    pool = data.subset(rows).pool()
    parameters = method.parameters({"bits": bits, "banks": banks}, pool, data.names) | {"contrast": contrast}
    seed = hashlib.sha256(b"forensics bench key %d" % number).digest()
    claim = Claim(
        format="forensics-claim/1",
        owner="Bench",
        method="ofsw",
        method_version=method.spec.version,
        generator=generator_digest(),
        binding="self-dated",
        created="2026-01-01T00:00:00Z",
        parameters=parameters,
        labels=data.names,
        preprocessing="the clean checkpoint's own",
        pools=(PoolCommitment(digest=pool.digest, count=len(pool.items)),),
        references=(ReferenceCommitment(role=CLEAN, digest=reference, description="unmarked model"),),
        carriers=None,
        trigger_inputs=None,
        target_text=None,
        alignment=None,
        rule=draft_rule(method.spec, bits),
        authorities=(),
        shares=ShareCommitment(count=1, root=hashlib.sha256(seed).hexdigest()),
    )
    salt = self_dated_salt(bytes.fromhex(claim.digest))
    secrets = split(master_secret(seed, salt, bytes.fromhex(claim.digest), 0))
    return BenchKey(number, claim, secrets, pool, method.plan(secrets[0], pool, parameters))
