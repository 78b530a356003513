"""The owner's side before and after embedding: making a key, and marking a model with it."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.canonical import now
from forensics.errors import UsageError
from forensics.keys.claim import Binding, Claim, ReferenceCommitment
from forensics.keys.creation import Targets, committed_carriers
from forensics.keys.folder import KeyFolder, create_key
from forensics.keys.timestamp import TimestampAuthority
from forensics.methods import load_method
from forensics.methods.espew import committed_texts
from forensics.progress import Progress, silent
from forensics.records import Identity, Pool
from forensics.rules import draft_rule, marks_service, require_reachable

if TYPE_CHECKING:
    from forensics.training.data import ImageData
    from forensics.training.embed import Data, Embedded

POOL_SIZE = 64
POOL_SIZES: Mapping[str, int] = {"ksl": 500}
"""Labelled images a share: of most methods, and of those that are asked the images themselves."""

_IMAGES = "the suspect's own preprocessor decodes 8-bit PNG images"
_TEXTS = "texts are sent as UTF-8; the suspect's own tokeniser splits them"
_PREPROCESSING = {
    "labelled images": _IMAGES,
    "patterns": _IMAGES,
    "words": _TEXTS,
    "phrases": _TEXTS,
    "passages": _TEXTS,
    "labelled texts": _TEXTS,
}

_EXCHANGEABLE = (
    "A model that a claim names must be a file or folder: what answers behind an address can be exchanged.",
    "Name the model's folder with --reference-checkpoint.",
)


def new_key(
    path: Path,
    *,
    owner: str,
    method: str,
    options: Mapping[str, Any],
    pool: "ImageData | Sequence[Pool]",
    references: Mapping[str, Path],
    passphrase: str,
    authorities: Sequence[TimestampAuthority],
    binding: Binding,
    shares: int = 1,
    labels: tuple[str, ...] = (),
    pool_size: int | None = None,
    rule: Mapping[str, Any] | None = None,
    moment: datetime | None = None,
) -> KeyFolder:
    """Makes a key and has it timestamped.

    Args:
        pool: labelled images, of which each share takes the next `pool_size`, by default the method's own number; or,
            for a method whose pools are made of something else, the finished pools of the shares, in order
            (`wordpools.make_pools`, `phrasepools.make_phrase_pools`, `patternpools.make_pattern_pools`,
            `passagepools.make_passage_pools`, `textpools.make_text_pools`).
        labels: class names of finished pools whose items have labels.
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
    names = labels if isinstance(pool, Sequence) else pool.names
    if (chosen.spec.pool == "labelled images") == isinstance(pool, Sequence):
        raise UsageError(
            f"The pools of {chosen.spec.title} are made of {chosen.spec.pool}.",
            "Give --pool for a method that needs a data set, --corpus for one that draws from running text.",
        )
    size = pool_size or POOL_SIZES.get(method, POOL_SIZE)
    pools = list(pool) if isinstance(pool, Sequence) else _pools(pool, shares, size)
    if len(pools) != shares:
        raise UsageError(f"{shares} shares need as many pools; {len(pools)} were given.", "Give one pool a share.")
    # Every share's pool must suit the method; the parameters are the same for all.
    parameters, *_ = [chosen.parameters(options, each, names) for each in pools]
    chosen_rule = draft_rule(chosen.spec, chosen.items(parameters), **(rule or {}))
    if chosen.spec.test in ("subset", "ranks") and not chosen.spec.may_fall_short:
        require_reachable(chosen_rule, parameters)
    roles = [role for role in (*chosen.spec.references, *chosen.spec.optional_references) if role in references]
    if unknown := references.keys() - set(roles):
        raise UsageError(f"{chosen.spec.title} has no {min(unknown)}.", "Leave --reference-checkpoint out.")
    for place in references.values():
        require_local(place)
    models = {role: open_suspect(str(references[role])) for role in roles}
    for model in models.values():
        if model.identity.kind not in ("folder", "onnx"):
            raise UsageError(*_EXCHANGEABLE)
        labels = getattr(getattr(model, "classifier", None), "labels", names)
        if len(labels) != len(names):
            raise UsageError(
                f"The reference checkpoint has {len(labels)} classes, the pool {len(names)}.",
                "Take the pool from the model's own task.",
            )
    if len({model.identity.digest for model in models.values()}) < len(models):
        raise UsageError("Two reference checkpoints are one and the same model.", "Give different ones, or fewer.")
    key = create_key(
        path,
        owner=owner,
        method=method,
        method_version=chosen.spec.version,
        parameters=parameters,
        labels=names,
        preprocessing=_PREPROCESSING[chosen.spec.pool],
        pools=pools,
        references=[
            ReferenceCommitment(
                role=role,
                digest=models[role].identity.digest,
                description=models[role].identity.facts.get("architecture", models[role].identity.kind),
            )
            for role in roles
        ],
        rule=chosen_rule,
        authorities=authorities,
        binding=binding,
        passphrase=passphrase,
        now=moment or now(),
        targets=_targets(chosen.spec.pool, pools, parameters),
    )
    for role, folder in references.items():
        key.remember(role, folder)
    return key


def require_local(place: Path) -> None:
    """Refuses a model that a claim shall name, unless it is a file or folder of this machine.

    Raises:
        UsageError: it is an address, a recorded case or nothing.
    """
    if place.exists():
        return
    if ":" in str(place):
        raise UsageError(*_EXCHANGEABLE)
    raise UsageError(f"{place} does not exist.", _EXCHANGEABLE[1])


def embed_key(
    path: Path,
    model: Path,
    data: "Data",
    out: Path,
    *,
    passphrase: str,
    authority: TimestampAuthority | None,
    max_accuracy_drop: float = 0.02,
    min_cosine: float = 0.96,
    max_perplexity_rise: float = 0.1,
    steps: int | None = None,
    seed: int = 0,
    fresh: bool = False,
    rehearse: Sequence[str] = (),
    last_blocks: int | None = None,
    frozen: bool = False,
    progress: Progress = silent,
) -> "Embedded":
    """Marks a model with all shares of a key and records the marked model's digest in the key folder.

    Args:
        data: what the key's method is trained with: labelled images or texts, texts, or plain images.
        max_accuracy_drop: largest loss of a classifier's held-out accuracy, as a share (0.02 is two points).
        min_cosine: smallest mean cosine of an encoder's held-out vectors with those before.
        max_perplexity_rise: largest rise of a language model's held-out perplexity, as a share of what it was.
        fresh: train an image classifier of the model's architecture from first weights of the seed, not the model.
        rehearse: thefts to be acted out in place of the recipe's, by the names of the method's training file.
        last_blocks: how many of a language model's last blocks are trained, and nothing else; None trains all weights.
        frozen: train what follows a text classifier's encoder, and nothing else.

    Raises:
        UsageError: model or data do not suit the key, or what must be kept cannot be kept; nothing is left behind.
    """
    if not 0.0 <= max_accuracy_drop <= 1.0:
        raise UsageError("The accepted loss of accuracy is no share.", "Give 0 to 100 percentage points.")
    if not 0.0 <= min_cosine <= 1.0:
        raise UsageError("The smallest mean cosine lies beyond 0 and 1.", "Give for instance 0.96.")
    if not 0.0 <= max_perplexity_rise < math.inf:
        raise UsageError("The accepted rise of the perplexity is no share.", "Give per cent from 0 on.")
    key = KeyFolder.open(path)
    require_training(key.claim)
    if key.asset is not None and not out.with_name(out.name + ".partial").exists():
        raise UsageError("This key has marked a model already; a key marks one.", "Make a new key for another model.")
    from forensics.training.embed import Limits, MarkedShare, Marking, embed

    unlocked = key.unlock(passphrase)

    def record(marked: Identity, unmarked: Identity) -> None:
        key.record_asset(marked.digest, now(), authority, unmarked.digest)

    marking = Marking(
        key.claim.method,
        tuple(MarkedShare(unlocked.secrets(share), unlocked.pool(share)) for share in range(len(unlocked.shares))),
        dict(key.claim.parameters),
        key.claim.labels,
        key.claim.digest,
    )
    return embed(
        model,
        data,
        out,
        marking,
        limits=Limits(max_accuracy_drop, min_cosine, max_perplexity_rise),
        steps=steps,
        seed=seed,
        fresh=fresh,
        rehearse=rehearse,
        last_blocks=last_blocks,
        frozen=frozen,
        progress=progress,
        record=record,
    )


def require_training(claim: Claim) -> None:
    """Refuses a key whose method trains no model.

    Raises:
        UsageError: the claim is of such a method.
    """
    if marks_service(claim):
        raise UsageError(
            f"Nothing is trained with a key for {claim.method}: the service marks its own answers.",
            "Use forensics protect serve.",
        )


def text_targets(pools: Sequence[Pool], parameters: Mapping[str, Any]) -> Targets:
    """Returns what a claim says of the carriers and target texts of its shares: one digest a share, blank between.

    A digest of a public sentence would tell a thief who guesses it that the guess is right. So carriers and target
    text are hashed together with the digest of the share's secret candidate words.
    """
    found = [committed_texts([item.entry for item in pool.items], parameters) for pool in pools]
    return Targets(
        carriers=" ".join(each.carriers for each in found),
        target_text=" ".join(each.target_text for each in found),
    )


def _targets(made_of: str, pools: Sequence[Pool], parameters: Mapping[str, Any]) -> Targets | None:
    """Returns what a claim says of its shares besides their pools, by what these are made of."""
    if made_of in ("labelled images", "labelled texts", "passages"):
        return None
    if made_of == "words":
        return text_targets(pools, parameters)
    candidates = int(parameters["candidates"])
    return Targets(
        carriers=" ".join(committed_carriers([item.entry for item in pool.items], candidates) for pool in pools)
    )


def _pools(data: "ImageData", shares: int, size: int) -> list[Pool]:
    if len(data.labels) < shares * size:
        raise UsageError(
            f"{shares} shares of {size} candidates need {shares * size} images; the pool has {len(data.labels)}.",
            "Give a larger pool, or a smaller --pool-size.",
        )
    items = data.pool(shares * size).items
    return [Pool(items[index * size : (index + 1) * size]) for index in range(shares)]
