"""`forensics key new` and `forensics key show`."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensics.cli.common import bar, folder, json_option, passphrase_option, print_json, read_passphrase

if TYPE_CHECKING:
    from forensics.keys.claim import Claim
    from forensics.records import FloatArray, Pool
    from forensics.training.data import ImageData
    from forensics.wordchoice import Embed

NEXT_STEPS = {
    "image": "forensics embed {key} --model DIR --data DATA --out DIR",
    "embedding": "forensics protect serve {key} --upstream URL",
}
"""What comes after `key new`, by what a method is asked in."""

_AT_ONCE = 256


@click.group()
def key() -> None:
    """Make a key, or show its public part."""


@key.command("new")
@click.argument("path", metavar="KEY", type=folder())
@click.option("--method", default="ofsw", show_default=True, help="See `forensics methods`.")
@click.option("--owner", required=True, help="Whom the key binds, as it shall stand in the report.")
@click.option("--pool", type=folder(), help="Data set of candidates: labelled images (ofsw).")
@click.option("--pool-size", type=click.IntRange(1), default=64, show_default=True, help="Candidates a share (ofsw).")
@click.option(
    "--corpus", type=folder(), help="Text file, one document a line, to draw words and sentences from (espew)."
)
@click.option("--candidates-file", type=folder(), help="Your own candidate words, one a line (espew).")
@click.option("--carriers-file", type=folder(), help="Your own carrier sentences, one a line (espew).")
@click.option("--target-file", type=folder(), help="Your own target text, one line a share (espew).")
@click.option(
    "--reference-checkpoint",
    type=folder(),
    help="The owner's unmarked model (ofsw); or the unmarked encoder behind the service, a folder or an ONNX file "
    "(espew: optional, chooses the words and makes an examination far stronger).",
)
@click.option(
    "--tsa",
    multiple=True,
    metavar="URL",
    help="RFC 3161 timestamp authority, which proves that the key was there by then; twice for two of them.",
)
@click.option("--no-timestamp", is_flag=True, help="Self-dated: the key will not bind its owner.")
@click.option(
    "--demonstration",
    type=folder(),
    metavar="DIR",
    help="Use a local demonstration authority kept in DIR (made if missing); it proves nothing to others.",
)
@click.option("--shares", type=click.IntRange(1), default=1, show_default=True, help="Units of disclosure.")
@click.option("--bits", type=click.IntRange(1), help="Payload length (ofsw), by default 64; 128 or more for court.")
@click.option("--banks", type=click.IntRange(1), help="Trigger images (ofsw), by default 8.")
@click.option(
    "--option",
    "extra",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another option of the method; `forensics methods NAME` lists them.",
)
@click.option("--alpha", default="1e-6", show_default=True, help="Largest p-value that supports the claim.")
@click.option("--min-effect", help="Smallest effect that supports the claim; by default the method's.")
@click.option("--grinding", type=click.IntRange(0, 64), default=20, show_default=True, help="g: p is charged 2**g.")
@click.option("--examinations", type=click.IntRange(1), default=1, show_default=True, help="M: p is charged M.")
@passphrase_option
@json_option
def new(path: Path, passphrase_file: Path | None, as_json: bool, **choices: Any) -> None:
    """Make the key folder KEY: secret, public claim, timestamp."""
    from forensics.cli.authorities import open_authorities
    from forensics.errors import UsageError
    from forensics.keys.folder import show
    from forensics.methods import load_method
    from forensics.registration import new_key

    if path.exists():
        raise UsageError(f"{path} exists already.", "Choose another name; a key is never overwritten.")
    spec = load_method(choices["method"]).spec
    try:
        options = {name: choices[name] for name in ("bits", "banks") if choices[name] is not None}
        options |= dict(item.split("=", 1) for item in choices["extra"])
    except ValueError as error:
        raise UsageError("An option is not NAME=VALUE.", "Write for instance --option bits=128.") from error
    binding, authorities = open_authorities(choices["tsa"], choices["no_timestamp"], choices["demonstration"])
    checkpoint = choices["reference_checkpoint"]
    made = new_key(
        path,
        owner=choices["owner"],
        method=choices["method"],
        options=options,
        pool=_image_pool(choices) if spec.modality == "image" else _text_pools(choices, options),
        references={named: checkpoint for named in (*spec.references, *spec.optional_references)[:1] if checkpoint},
        passphrase=read_passphrase(passphrase_file, confirm=True),
        authorities=authorities,
        binding=binding,
        shares=choices["shares"],
        pool_size=choices["pool_size"],
        rule={
            "alpha": choices["alpha"],
            "minimum_effect": choices["min_effect"],
            "grinding": choices["grinding"],
            "examinations": choices["examinations"],
        },
    )
    if as_json:
        print_json(show(made))
        return
    click.echo(f"Made {path} for {made.claim.owner}: {made.claim.method}, {_size(made.claim)}, {binding}.")
    click.echo(f"Claim {made.claim.digest}")
    step = NEXT_STEPS.get(spec.modality, NEXT_STEPS["image"]).format(key=shlex.quote(str(path)))
    click.echo(f"Next: {step}{_dating(choices)}")


@key.command("show")
@click.argument("path", metavar="KEY", type=folder())
@json_option
def show_key(path: Path, as_json: bool) -> None:
    """Show the public part of KEY; no passphrase is needed."""
    from forensics.keys.folder import KeyFolder, show

    facts = show(KeyFolder.open(path))
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        click.echo(f"{name:<22}{value}")


def _size(claim: "Claim") -> str:
    """Returns what the scoring secret draws, in words."""
    if "words" in claim.parameters:
        return f"{claim.rule.n} candidate words, {claim.parameters['words']} drawn"
    return f"{claim.rule.n} units"


def _dating(choices: Mapping[str, Any]) -> str:
    """Returns the option that dates the next step as the key was dated; the first of two authorities."""
    if choices["tsa"]:
        return f" --tsa {shlex.quote(choices['tsa'][0])}"
    return f" --demonstration {shlex.quote(str(choices['demonstration']))}" if choices["demonstration"] else ""


def _image_pool(choices: Mapping[str, Any]) -> "ImageData":
    from forensics.errors import UsageError
    from forensics.training.data import load_images

    if choices["pool"] is None:
        raise UsageError("This method needs labelled images.", "Name their data set with --pool.")
    return load_images(choices["pool"])


def _text_pools(choices: Mapping[str, Any], options: dict[str, Any]) -> "tuple[Pool, ...]":
    """Draws the pools of a method that is asked in text; own files set the number of words and carriers."""
    from random import SystemRandom

    from forensics.errors import UsageError
    from forensics.methods import load_method
    from forensics.wordpools import OwnTexts, make_pools, read_lines

    if choices["corpus"] is None and None in (
        choices["candidates_file"],
        choices["carriers_file"],
        choices["target_file"],
    ):
        raise UsageError(
            "This method draws words and sentences from text like that of the service.",
            "Name a text file with --corpus, one document a line, or all three of --candidates-file, --carriers-file "
            "and --target-file.",
        )
    words, carriers, targets = (
        read_lines(choices[name]) if choices[name] else ()
        for name in ("candidates_file", "carriers_file", "target_file")
    )
    for name, given in (("candidates", words), ("carriers", carriers)):
        if given:
            options.setdefault(name, len(given) // choices["shares"])
    defaults = {option.name: option.default for option in load_method(choices["method"]).spec.options}
    try:
        sizes = {name: int(options.get(name, defaults.get(name, 1))) for name in ("candidates", "carriers")}
    except ValueError as error:
        raise UsageError(
            "A number of candidates or carriers is no number.", "Write --option candidates=200."
        ) from error
    if min(sizes.values()) < 1:
        raise UsageError("There are fewer words or carriers than shares.", "Give more, or fewer --shares.")
    return make_pools(
        read_lines(choices["corpus"]) if choices["corpus"] else (),
        generator=SystemRandom(),
        shares=choices["shares"],
        own=OwnTexts(words, carriers, targets),
        candidates=sizes["candidates"],
        carriers=sizes["carriers"],
        embed=_embed(choices["reference_checkpoint"]) if choices["reference_checkpoint"] else None,
    )


def _embed(checkpoint: Path) -> "Embed":
    """Returns the service's encoder as a function, which loads it when it is first asked."""
    from functools import cache

    import numpy as np

    from forensics.encoders import Encoder, load_encoder, load_onnx
    from forensics.registration import require_local

    require_local(checkpoint)

    @cache
    def encoder() -> Encoder:
        return load_onnx(checkpoint) if checkpoint.suffix == ".onnx" else load_encoder(checkpoint)

    def embed(texts: Sequence[str]) -> "FloatArray":
        rows = []
        with bar("Asking the encoder", len(texts)) as advance:
            for start in range(0, len(texts), _AT_ONCE):
                batch = texts[start : start + _AT_ONCE]
                rows.append(encoder().embed(batch).astype(np.float64))
                advance(len(batch))
        return np.concatenate(rows)

    return embed
