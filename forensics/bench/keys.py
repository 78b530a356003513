"""Keys of the benches: derived in full, from numbers instead of chance, so that anyone can make them again."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.keys.claim import Claim, PoolCommitment, ReferenceCommitment, ReferenceRule, Rule, ShareCommitment
from forensics.keys.derive import ProbeKey, ScoreKey, generator_digest, master_secret, split
from forensics.keys.timestamp import self_dated_salt
from forensics.methods import load_method
from forensics.methods.cleancheckpoint import CLEAN, FURTHER
from forensics.methods.espew import ENCODER
from forensics.methods.ofsw import CONTRAST
from forensics.methods.sizes import chosen_sizes
from forensics.records import Answers, Measurement, Plan, Pool, Verdict
from forensics.registration import text_targets
from forensics.rules import draft_rule
from forensics.textpools import Vectors, make_text_pools
from forensics.training.data import ImageData
from forensics.training.labelledtexts import LabelledTexts
from forensics.verdict import ClaimDates, decide


@dataclass(frozen=True, eq=False)
class BenchKey:
    """One key: number, claim, secrets, pool and plan."""

    number: int
    claim: Claim
    secrets: tuple[ProbeKey, ScoreKey]
    pool: Pool
    plan: Plan

    def score(
        self,
        answers: Answers,
        clean: Answers | Sequence[Answers] | None = None,
        examinations: int = 1,
        replayed: bool = True,
    ) -> tuple[Measurement, Verdict]:
        """Scores answers as an examination would, the owner of the key not being in dispute.

        Args:
            clean: answers of the models that the claim names, in its order, where it names any.
            examinations: made so far under the claim, this one included.
        """
        method, parameters = load_method(self.claim.method), self.claim.parameters
        beside = () if clean is None else (clean,) if isinstance(clean, Answers) else clean
        references = {entry.role: each for entry, each in zip(self.claim.references, beside, strict=True)}
        reading = method.read(self.secrets[0], self.pool, parameters, self.claim.labels, answers, references)
        rule = self.claim.rule
        measurement = method.measure(self.secrets[1], parameters, reading, rule.model_dump())
        verdict = decide(
            measurement,
            rule,
            binding="self-dated",
            opened=True,
            dates=ClaimDates(None, None, None),
            examinations=examinations,
            references=(),
            replayed=replayed,
            owner_undisputed=True,
        )
        return measurement, verdict

    def figures(self, measurement: Measurement, verdict: Verdict) -> dict[str, Any]:
        """Returns what every bench's row says of an examination under this key."""
        return {
            "method": self.claim.method,
            "key": self.number,
            "access": measurement.access,
            "verdict": verdict.outcome.value,
            "p_value": measurement.p_value,
            "log10_p": measurement.log10_p,
            "statistic": measurement.statistic,
            "n": measurement.n,
            "matched": measurement.matched,
        }


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
    rows = np.random.default_rng([64, pool_seed]).permutation(len(data.labels))[:64]
    options = {"bits": bits, "banks": banks}
    return _image_key(number, "ofsw", data.subset(rows), (reference,), options, contrast=contrast)


def ksl_key(
    number: int, data: ImageData, references: Sequence[str], *, pool_seed: int, images: int = 500, families: int = 24
) -> BenchKey:
    """Makes the key of that number for keyed soft labels.

    Args:
        data: the owner's images; the pool is drawn from them by `pool_seed`.
        references: digests of the clean checkpoint and of further unmarked models.
        images: in the pool, all of which are asked.
    """
    rows = np.random.default_rng([49, pool_seed]).permutation(len(data.labels))[:images]
    return _image_key(number, "ksl", data.subset(rows), references, {"families": families})


def ksl_text_key(
    number: int, data: LabelledTexts, vectors: Vectors, references: Sequence[str], *, pool_seed: int, texts: int = 500
) -> BenchKey:
    """Makes the key of that number for keyed soft labels in texts.

    Args:
        data: the owner's texts; the pool is drawn from them by `pool_seed`.
        vectors: of words, from the owner's unmarked model.
        references: digests of the clean checkpoint and of further unmarked models.
        texts: in the pool, all of which are asked.
    """
    method, drawn = load_method("ksl-text"), random.Random(pool_seed)
    (pool,) = make_text_pools(data.texts, data.labels.tolist(), vectors, generator=drawn, size=texts)
    parameters = method.parameters({}, pool, data.names)
    return _classifier_key(number, "ksl-text", pool, parameters, data.names, references)


def t2s_key(number: int, data: ImageData, reference: str, *, pool_seed: int, kind: str, families: int) -> BenchKey:
    """Makes the key of that number for T2S.

    Args:
        data: the owner's images; the pool is drawn from them by `pool_seed`: no more than triggers of the kind need.
        reference: digest of the clean checkpoint.
        kind: of the trigger sets.
    """
    options = chosen_sizes(load_method("t2s").spec, {"kind": kind, "families": families})
    groups = int(options["families"]) + int(options["decoys"]) if kind == "in" else 1
    count = max(64, groups * int(options["carriers"]))
    rows = np.random.default_rng([50, pool_seed]).permutation(len(data.labels))[:count]
    return _image_key(number, "t2s", data.subset(rows), (reference,), {"kind": kind, "families": families})


def _image_key(
    number: int, name: str, drawn: ImageData, references: Sequence[str], options: Mapping[str, Any], **fixed: int
) -> BenchKey:
    """A key of a method for image classifiers; `fixed` are parameters that are no options."""
    method, pool = load_method(name), drawn.pool()
    parameters = method.parameters(options, pool, drawn.names) | fixed
    return _classifier_key(number, name, pool, parameters, drawn.names, references)


def _classifier_key(
    number: int,
    name: str,
    pool: Pool,
    parameters: Mapping[str, Any],
    labels: tuple[str, ...],
    references: Sequence[str],
) -> BenchKey:
    """A key of a method whose claim names classes and unmarked models."""
    method = load_method(name)
    return _derived(
        number,
        name,
        pool,
        parameters,
        draft_rule(method.spec, method.items(parameters)),
        labels=labels,
        preprocessing="the clean checkpoint's own",
        references=tuple(
            ReferenceCommitment(role=role, digest=digest, description="unmarked model")
            for role, digest in zip((CLEAN, *FURTHER), references)
        ),
    )


SERVICE_RULE = Rule(
    deciding={"features": "rank sum of the trigger words"},
    access="the highest access obtained decides; others are context",
    ties="equal scores share their mid-rank; scores are rounded to a step of 2**-30 first",
    missing="a word without any valid answer gets the pool's mid-rank",
    missing_allowed="0.1",
    n=200,
    stopping="fixed n",
    alpha="1e-6",
    examinations=1,
    grinding=20,
    minimum_effect="0.75",
    prior="Beta(1,1) truncated to (p0,1)",
    references=ReferenceRule(minimum=5, margin="0.1"),
)
"""The rule of the services bench, word for word: a key's secrets hang on its wording, and hours of training on them."""


LARGEST_P = 1e-3 / 2**SERVICE_RULE.grinding / SERVICE_RULE.examinations
"""The largest p-value that passes gate G2 under that rule."""

CLUSTER_RULE = {
    "deciding": {
        "features": "two-sided rank sum on PC1 of vector shifts",
        "scores": "two-sided rank sum on PC1 of log-probability shifts",
        "labels": "two-sided rank sum on PC1 of class shifts",
    },
    "missing": "a missing answer counts as the mean of its column",
}
"""What differs from it in the encoders bench; as above, its wording is part of the keys."""


def service_key(number: int, pool: Pool, options: Mapping[str, int], encoder: str | None = None) -> BenchKey:
    """Makes the key of that number for ESpeW.

    Args:
        pool: candidate words, carriers, target text (`methods.espew.text_pool`).
        options: of the method, by their names in the claim.
        encoder: digest of the service's encoder without a mark, if the claim shall name it.
    """
    parameters = load_method("espew").parameters(options, pool, ())
    targets = text_targets([pool], parameters)
    description = "the service's encoder without a mark"
    named = () if encoder is None else (ReferenceCommitment(role=ENCODER, digest=encoder, description=description),)
    return _derived(
        number,
        "espew",
        pool,
        parameters,
        SERVICE_RULE.model_copy(update={"n": int(parameters["candidates"])}),
        preprocessing="none",
        references=named,
        carriers=targets.carriers,
        target_text=targets.target_text,
    )


def cluster_key(number: int, method: str, pool: Pool, options: Mapping[str, int]) -> BenchKey:
    """Makes the key of that number for TMRW or WPE.

    Args:
        pool: candidates, then carriers.
        options: of the method, by their names in the claim.
    """
    chosen = load_method(method)
    parameters = chosen.parameters(options, pool, ())
    rule = SERVICE_RULE.model_copy(update={"n": chosen.items(parameters), **CLUSTER_RULE})
    return _derived(number, method, pool, parameters, rule, preprocessing="none")


def passage_key(number: int, pool: Pool, options: Mapping[str, int], reference: str) -> BenchKey:
    """Makes the key of that number for OFSW in language models.

    Args:
        pool: word table, then passages (`passagepools.make_passage_pools`).
        options: of the method, by their names in the claim.
        reference: digest of the clean checkpoint.
    """
    method = load_method("ofsw-text")
    parameters = method.parameters(options, pool, ())
    return _derived(
        number,
        "ofsw-text",
        pool,
        parameters,
        draft_rule(method.spec, method.items(parameters)),
        preprocessing="none",
        references=(ReferenceCommitment(role=CLEAN, digest=reference, description="unmarked model"),),
    )


def _derived(
    number: int,
    name: str,
    pool: Pool,
    parameters: Mapping[str, Any],
    rule: Rule,
    *,
    labels: tuple[str, ...] = (),
    preprocessing: str,
    references: tuple[ReferenceCommitment, ...] = (),
    carriers: str | None = None,
    target_text: str | None = None,
) -> BenchKey:
    method = load_method(name)
    seed = hashlib.sha256(b"forensics bench key %d" % number).digest()
    claim = Claim(
        format="forensics-claim/1",
        owner="Bench",
        method=name,
        method_version=method.spec.version,
        generator=generator_digest(),
        binding="self-dated",
        created="2026-01-01T00:00:00Z",
        parameters=dict(parameters),
        labels=labels,
        preprocessing=preprocessing,
        pools=(PoolCommitment(digest=pool.digest, count=len(pool.items)),),
        references=references,
        carriers=carriers,
        trigger_inputs=None,
        target_text=target_text,
        alignment=None,
        rule=rule,
        authorities=(),
        shares=ShareCommitment(count=1, root=hashlib.sha256(seed).hexdigest()),
    )
    salt = self_dated_salt(bytes.fromhex(claim.digest))
    secrets = split(master_secret(seed, salt, bytes.fromhex(claim.digest), 0))
    return BenchKey(number, claim, secrets, pool, method.plan(secrets[0], pool, parameters))
