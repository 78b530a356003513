"""`bench shares`: three shares of an OFSW key in one model of handwritten digits, and a thief who saw the first opened.

A cell is a key and an attack. The model is marked with all shares; the thief, who has images of his own, unlearns the
opened share; every share is scored before and after. A control, trained as long without a mark, goes through the same
attacks. They were chosen on a development key and on a split of its own; all settings that were tried are rows.
"""

import hashlib
import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from forensics.attacks import run_attack
from forensics.attacks.opened import OpenedShare, unlearn
from forensics.bench.classifiers import suspect_answers
from forensics.bench.keys import BenchKey
from forensics.bench.models import cached, clone, digit_base, digit_parts
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.checkpoints import Classifier
from forensics.disclosure import disclosed_share
from forensics.keys.claim import Claim, PoolCommitment, ReferenceCommitment, ShareCommitment
from forensics.keys.derive import generator_digest, master_secret, split
from forensics.keys.shares import Share, leaf, merkle_root
from forensics.keys.timestamp import self_dated_salt
from forensics.methods import load_method
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ofsw import CONTRAST
from forensics.progress import Progress, silent
from forensics.records import Answers
from forensics.rules import draft_rule
from forensics.statistics import clopper_pearson
from forensics.training.classifier import train
from forensics.training.data import ImageData
from forensics.training.loop import Schedule, accuracy, optimise
from forensics.training.material import Together
from forensics.training.ofsw import DEFAULT, Embedding

COMMAND = "forensics bench shares"
KEYS, DEVELOPMENT_KEY, DEVELOPMENT_SPLIT = range(100, 105), 0, 9
SHARES, POOL, BITS, BANKS = 3, 64, 64, 8
FIRST_INVENTED = 20_000
"""Number of the first key that a thief makes up."""

Settings = Mapping[str, float]
UNLEARN: Settings = {"epochs": 10, "learning-rate": 1e-4, "weight": 1, "invert": 1, "own": 0, "seed": 7}
FROZEN: Settings = {**UNLEARN, "freeze": 1}
TRIED: Mapping[str, Settings] = {
    "none": {},
    "fine-tuning, 10 epochs, 1e-3": {"epochs": 10, "learning-rate": 1e-3, "seed": 7},
    "unlearning, inverted bits, 1e-4": UNLEARN,
    "unlearning, inverted bits, 1e-3": {**UNLEARN, "learning-rate": 1e-3},
    "unlearning and own views, 1e-3": {**UNLEARN, "learning-rate": 1e-3, "own": 2},
    "unlearning, inverted bits, frozen norm, 1e-4": FROZEN,
    "unlearning, inverted bits, frozen norm, 1e-3": {**FROZEN, "learning-rate": 1e-3},
    "unlearning a made-up share, frozen norm, 1e-3": {**FROZEN, "learning-rate": 1e-3, "made-up": 1},
    "unlearning, random bits, frozen norm, 1e-3": {**FROZEN, "learning-rate": 1e-3, "invert": 0},
    "unlearning and own views, frozen norm, 1e-4": {**FROZEN, "own": 2},
    "unlearning and own views, frozen norm, 1e-3": {**FROZEN, "learning-rate": 1e-3, "own": 2},
}
"""Settings by the name of the attack; those with a weight are of `attacks.opened`, others of `finetune`. With `made-up`
the thief has seen no share and unlearns one of his own making: what is left is the harm that disclosure did not do."""

CHOSEN = (
    "none",
    "fine-tuning, 10 epochs, 1e-3",
    "unlearning, inverted bits, frozen norm, 1e-4",
    "unlearning, inverted bits, frozen norm, 1e-3",
    "unlearning a made-up share, frozen norm, 1e-3",
)
ATTACKS: Mapping[str, Settings] = {name: TRIED[name] for name in CHOSEN}


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: one key, few steps and epochs; nothing is kept.
    """
    single_thread()
    return run_cells("shares", COMMAND, 2026, _cells(quick), None if quick else folder, jobs=jobs, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(quick=False) if cell.name in present]


def _cells(quick: bool) -> list[Cell]:
    if quick:
        return [_cell(KEYS[0], 0, attack, quick=True) for attack in ATTACKS]
    tried = [_cell(DEVELOPMENT_KEY, DEVELOPMENT_SPLIT, attack) for attack in TRIED]
    return [_cell(key, key % 5, attack) for key in KEYS for attack in ATTACKS] + tried


def _cell(key: int, part: int, attack: str, quick: bool = False) -> Cell:
    slug = re.sub(r"[^a-z0-9]+", "-", attack.lower())
    return Cell(f"key-{key}-{slug}", attack_cell, {"key": key, "part": part, "attack": attack, "quick": quick})


def attack_cell(key: int, part: int, attack: str, quick: bool) -> list[Row]:
    """Scores every share of a marked model, and of its control, after one attack.

    Args:
        part: number of the split; that of development has no control.
    """
    _, thief, test = digit_parts(part)
    story, development = _story(key, part, quick), part == DEVELOPMENT_SPLIT
    settings = {**TRIED[attack], "epochs": 1} if quick and TRIED[attack] else TRIED[attack]
    rows: list[Row] = []
    for suspect, model in story.suspects.items():
        known = story.made_up if "made-up" in settings else story.opened
        attacked = _attacked(model, thief, known, settings)
        kept = accuracy(attacked.model, test.pixels(attacked), test.labels)
        for number, (share, clean) in enumerate(zip(story.shares, story.clean, strict=True)):
            # Each share that is scored is a further examination under the claim, and is charged as one.
            measurement, verdict = share.score(suspect_answers(attacked, share), clean, number + 1)
            rows.append(
                {
                    **share.figures(measurement, verdict),
                    "split": part,
                    "suspect": suspect,
                    "innocent": suspect == "control",
                    "attack": attack,
                    "settings": dict(settings),
                    "opened": 0,
                    "share": number,
                    "accuracy": kept,
                    "development": development,
                    "quick": quick,
                }
            )
    return rows


@dataclass(frozen=True)
class _Story:
    """A key, what of it was opened or made up, what the clean checkpoint answers, and who is attacked."""

    shares: tuple[BenchKey, ...]
    opened: OpenedShare
    made_up: OpenedShare
    clean: tuple[Answers, ...]
    suspects: Mapping[str, Classifier]


@lru_cache(maxsize=1)
def _story(key: int, part: int, quick: bool) -> _Story:
    (owner, thief, _), base = digit_parts(part), digit_base(part)
    shares = share_keys(key, owner, base.identity.digest, pool_seed=1000 * key + part)
    schedule = replace(DEFAULT.schedule, steps=20) if quick else DEFAULT.schedule

    def kept(name: str, build: Callable[[], Classifier]) -> Classifier:
        return build() if quick else cached(name, build)

    suspects = {"marked": kept(f"shares-{key}-{part}", lambda: _marked(base, shares, owner, schedule, part))}
    if part != DEVELOPMENT_SPLIT:
        suspects["control"] = kept(f"digits-control-{part}", lambda: _control(base, owner, schedule, part))
    invented = share_keys(FIRST_INVENTED + key, thief, base.identity.digest, pool_seed=key)
    opened, made_up = (disclosed_share(one.secrets, one.pool, one.claim.parameters) for one in (shares[0], invented[0]))
    return _Story(shares, opened, made_up, tuple(suspect_answers(base, share) for share in shares), suspects)


def share_keys(number: int, data: ImageData, reference: str, *, pool_seed: int) -> tuple[BenchKey, ...]:
    """Returns the shares of the key of that number: one claim, disjoint pools, secrets of their own.

    Args:
        data: the owner's images, of which the pools are drawn by `pool_seed`.
        reference: digest of the clean checkpoint.
    """
    method = load_method("ofsw")
    rows = np.random.default_rng([64, pool_seed]).permutation(len(data.labels))[: SHARES * POOL]
    pools = [data.subset(rows[start : start + POOL]).pool() for start in range(0, SHARES * POOL, POOL)]
    parameters = method.parameters({"bits": BITS, "banks": BANKS}, pools[0], data.names) | {"contrast": CONTRAST}
    drawn = [Share(_bytes(number, index, b"seed"), _bytes(number, index, b"salt")) for index in range(SHARES)]
    leaves = [
        leaf(share, index=index, count=SHARES, method="ofsw", pool=pool.digest)
        for index, (share, pool) in enumerate(zip(drawn, pools, strict=True))
    ]
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
        pools=tuple(PoolCommitment(digest=pool.digest, count=len(pool.items)) for pool in pools),
        references=(ReferenceCommitment(role=CLEAN, digest=reference, description="unmarked model"),),
        carriers=None,
        trigger_inputs=None,
        target_text=None,
        alignment=None,
        rule=draft_rule(method.spec, BITS),
        authorities=(),
        shares=ShareCommitment(count=SHARES, root=merkle_root(leaves).hex()),
    )
    digest = bytes.fromhex(claim.digest)
    found = []
    for index, (share, pool) in enumerate(zip(drawn, pools, strict=True)):
        secrets = split(master_secret(share.seed, self_dated_salt(digest), digest, index))
        found.append(BenchKey(number, claim, secrets, pool, method.plan(secrets[0], pool, parameters)))
    return tuple(found)


def _bytes(number: int, share: int, what: bytes) -> bytes:
    return hashlib.sha256(b"forensics bench key %d share %d %s" % (number, share, what)).digest()


def _marked(
    base: Classifier, shares: tuple[BenchKey, ...], owner: ImageData, schedule: Schedule, seed: int
) -> Classifier:
    marked = clone(base)
    together = Together(
        [
            Embedding(marked, owner, share.secrets, share.pool, share.claim.parameters, DEFAULT, seed + index)
            for index, share in enumerate(shares)
        ]
    )
    optimise(marked.model, together.step, schedule, label="Embedding")
    marked.model.eval()
    return marked


def _control(base: Classifier, owner: ImageData, schedule: Schedule, seed: int) -> Classifier:
    control = clone(base)
    train(control, owner, schedule, seed, frozen_norm=True)
    return control


def _attacked(model: Classifier, thief: ImageData, opened: OpenedShare, settings: Settings) -> Classifier:
    attacked = clone(model)
    if "weight" in settings:
        unlearn(attacked, thief, [opened], settings)
    elif settings:
        run_attack("finetune", attacked, thief, settings)
    return attacked


def table(rows: list[Row]) -> str:
    """Returns the tables of the documentation as Markdown, from rows alone."""
    final, tried = ([row for row in rows if row["development"] == which] for which in (False, True))
    return "\n\n".join(part for part in (_survival(final), _tried(tried)) if part)


def _survival(rows: list[Row]) -> str:
    lines = [
        "| suspect | attack | share | SUPPORTED (95 % lower limit) | bits of 64, median (least) | p, median (largest) "
        "| accuracy, mean | change, points |",
        "|---|---|---|---|---|---|---|---|",
    ]
    before = {
        suspect: statistics.mean(
            row["accuracy"] for row in rows if (row["suspect"], row["attack"]) == (suspect, "none")
        )
        for suspect in dict.fromkeys(row["suspect"] for row in rows)
    }
    for (suspect, attack, share), found in _grouped(rows, "suspect", "attack", "share").items():
        hits = sum(row["verdict"] == "SUPPORTED" for row in found)
        low = 100 * clopper_pearson(hits, len(found), 0.9).low
        bits, p_values = [row["matched"] for row in found], [row["p_value"] for row in found]
        kept = statistics.mean(row["accuracy"] for row in found)
        lines.append(
            f"| {suspect} | {attack} | {share}{', opened' * (share == 0)} | {hits} of {len(found)} ({low:.0f} %) "
            f"| {statistics.median(bits):g} ({min(bits)}) | {statistics.median(p_values):.1e} ({max(p_values):.1e}) "
            f"| {kept:.4f} | {100 * (kept - before[suspect]):+.2f} |"
        )
    return "\n".join(lines)


def _tried(rows: list[Row]) -> str:
    if not rows:
        return ""
    lines = [
        "| setting tried | key | bits of 64: share 0, opened / 1 / 2 | accuracy |",
        "|---|---|---|---|",
    ]
    for (attack, key), found in _grouped(rows, "attack", "key").items():
        bits = " / ".join(str(row["matched"]) for row in found)
        lines.append(f"| {attack} | {key} | {bits} | {found[0]['accuracy']:.4f} |")
    return "\n".join(lines)


def _grouped(rows: list[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups
