"""The owner's side before and after embedding: making a key, and marking a model with it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.canonical import now
from forensics.errors import UsageError
from forensics.keys.claim import Binding, ReferenceCommitment
from forensics.keys.folder import KeyFolder, create_key
from forensics.keys.timestamp import TimestampAuthority
from forensics.methods import load_method
from forensics.progress import Progress, silent
from forensics.records import Identity, Pool
from forensics.rules import draft_rule

if TYPE_CHECKING:
    from forensics.training.data import ImageData
    from forensics.training.embed import Embedded

POOL_SIZE = 64
"""Candidates a share."""


def new_key(
    path: Path,
    *,
    owner: str,
    method: str,
    options: Mapping[str, Any],
    pool: "ImageData",
    references: Mapping[str, Path],
    passphrase: str,
    authorities: Sequence[TimestampAuthority],
    binding: Binding,
    shares: int = 1,
    pool_size: int = POOL_SIZE,
    rule: Mapping[str, Any] | None = None,
    moment: datetime | None = None,
) -> KeyFolder:
    """Makes a key and has it timestamped.

    Args:
        pool: labelled images; each share takes the next `pool_size` of them.
        references: folder of each model that the method's claim must name, by role.
        rule: choices for `rules.draft_rule`.

    Raises:
        UsageError: an option, the pool or a reference does not suit the method.
        AuthorityError: an authority could not be reached or answered rubbish; nothing is left behind.
    """
    from forensics.suspects import open_suspect

    if not owner.strip():
        raise UsageError("The owner has no name.", "Give --owner as it shall stand in the report.")
    chosen = load_method(method)
    missing = [role for role in chosen.spec.references if role not in references]
    if missing:
        raise UsageError(f"{chosen.spec.title} needs a {missing[0]}.", "Name its folder with --reference-checkpoint.")
    pools = _pools(pool, shares, pool_size)
    parameters = chosen.parameters(options, pools[0], pool.names)
    models = {role: open_suspect(str(folder)) for role, folder in references.items()}
    for model in models.values():
        labels = getattr(getattr(model, "classifier", None), "labels", pool.names)
        if len(labels) != len(pool.names):
            raise UsageError(
                f"The reference checkpoint has {len(labels)} classes, the pool {len(pool.names)}.",
                "Take the pool from the model's own task.",
            )
    key = create_key(
        path,
        owner=owner,
        method=method,
        method_version=chosen.spec.version,
        parameters=parameters,
        labels=pool.names,
        preprocessing="the suspect's own preprocessor decodes 8-bit PNG images",
        pools=pools,
        references=[
            ReferenceCommitment(
                role=role, digest=models[role].identity.digest, description=models[role].identity.facts["architecture"]
            )
            for role in chosen.spec.references
        ],
        rule=draft_rule(chosen.spec, chosen.items(parameters), **(rule or {})),
        authorities=authorities,
        binding=binding,
        passphrase=passphrase,
        now=moment or now(),
    )
    for role, folder in references.items():
        key.remember(role, folder)
    return key


def embed_key(
    path: Path,
    model: Path,
    data: "ImageData",
    out: Path,
    *,
    passphrase: str,
    authority: TimestampAuthority | None,
    share: int = 0,
    max_accuracy_drop: float = 0.02,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> "Embedded":
    """Marks a model with a share of a key and records the marked model's digest in the key folder.

    Raises:
        UsageError: model, data or accuracy do not allow it; nothing is left behind.
    """
    from forensics.training.embed import Marking, embed

    if not 0.0 <= max_accuracy_drop <= 1.0:
        raise UsageError("The accepted loss of accuracy is no share.", "Give 0 to 100 percentage points.")
    key = KeyFolder.open(path)
    if key.asset is not None and not out.with_name(out.name + ".partial").exists():
        raise UsageError("This key has marked a model already; a key marks one.", "Make a new key for another model.")
    unlocked = key.unlock(passphrase)

    def record(identity: Identity) -> None:
        key.record_asset(identity.digest, now(), authority)

    marking = Marking(
        key.claim.method,
        unlocked.secrets(share),
        unlocked.pool(share),
        dict(key.claim.parameters),
        key.claim.labels,
        key.claim.digest,
    )
    return embed(
        model,
        data,
        out,
        marking,
        max_accuracy_drop=max_accuracy_drop,
        steps=steps,
        seed=seed,
        progress=progress,
        record=record,
    )


def _pools(data: "ImageData", shares: int, size: int) -> list[Pool]:
    if len(data.labels) < shares * size:
        raise UsageError(
            f"{shares} shares of {size} candidates need {shares * size} images; the pool has {len(data.labels)}.",
            "Give a larger pool, or a smaller --pool-size.",
        )
    items = data.pool(shares * size).items
    return [Pool(items[index * size : (index + 1) * size]) for index in range(shares)]
