"""`forensics key new` and `forensics key show`."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensics.cli.common import folder, json_option, passphrase_option, print_json, read_passphrase
from forensics.cli.pools import draw_pools
from forensics.plaintext import printable

if TYPE_CHECKING:
    from forensics.keys.claim import Claim

EMBED, SERVE = "forensics embed {key} --model DIR --data DATA --out DIR", "forensics protect serve {key} --upstream URL"
EMBEDDED = ("labelled images", "labelled texts", "phrases", "patterns", "passages")
NEXT_STEPS = {**dict.fromkeys(EMBEDDED, EMBED), "words": SERVE}
"""What comes after `key new`, by what a share's pool is made of."""

MOST_SHOWN = 500
"""Most characters of what is said of a share; `--json` has all of it."""


@click.group()
def key() -> None:
    """Make a key, or show its public part."""


@key.command("new")
@click.argument("path", metavar="KEY", type=folder())
@click.option("--method", default="ofsw", show_default=True, help="See `forensics methods`.")
@click.option("--owner", required=True, help="Whom the key binds, as it shall stand in the report.")
@click.option(
    "--pool",
    type=folder(),
    help="Data set: labelled images as candidates (ofsw, t2s), labelled images or texts as they are asked (ksl, "
    "ksl-text), or images that are not trained on as carriers (wpe).",
)
@click.option(
    "--pool-size",
    type=click.IntRange(1),
    help="Candidates a share (ofsw, t2s, ofsw-text, wpe), by default 64, 64, 32 and 96; images or texts "
    "a share (ksl, ksl-text), by default 500.",
)
@click.option(
    "--corpus",
    type=folder(),
    help="Text file, one document a line, to draw words, phrases, sentences or passages from (espew, tmrw, ofsw-text).",
)
@click.option(
    "--candidates-file",
    type=folder(),
    help="Your own candidates, one a line: words (espew), or phrases of two words (tmrw).",
)
@click.option("--carriers-file", type=folder(), help="Your own carrier sentences, one a line (espew, tmrw).")
@click.option("--target-file", type=folder(), help="Your own target text, one line a share (espew).")
@click.option(
    "--reference-checkpoint",
    type=folder(),
    multiple=True,
    help="The owner's unmarked model (ofsw, ofsw-text, t2s; ksl, ksl-text: up to four, which makes "
    "students of a marked model easier to tell); or the unmarked encoder behind the service, a folder "
    "or an ONNX file (espew: optional, chooses the words and makes an examination far stronger).",
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
    help="Another option of the method, such as dimension=768, the length of the encoder's vectors (tmrw, wpe); "
    "`forensics methods NAME` lists them.",
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
    from forensics.rules import shortfall

    if path.exists():
        raise UsageError(f"{path} exists already.", "Choose another name; a key is never overwritten.")
    spec = load_method(choices["method"]).spec
    try:
        options = {name: choices[name] for name in ("bits", "banks") if choices[name] is not None}
        options |= dict(item.split("=", 1) for item in choices["extra"])
    except ValueError as error:
        raise UsageError("An option is not NAME=VALUE.", "Write for instance --option bits=128.") from error
    binding, authorities = open_authorities(choices["tsa"], choices["no_timestamp"], choices["demonstration"])
    checkpoints: tuple[Path, ...] = choices["reference_checkpoint"]
    roles = (*spec.references, *spec.optional_references)
    if len(checkpoints) > len(roles) > 0:
        raise UsageError(
            f"{len(checkpoints)} models were given; a claim for {spec.name} names {len(roles)} at the most.",
            "Give fewer with --reference-checkpoint.",
        )
    choices["reference_checkpoint"] = checkpoints[0] if checkpoints else None
    pool, labels = draw_pools(spec, choices, options)
    made = new_key(
        path,
        owner=choices["owner"],
        method=choices["method"],
        options=options,
        pool=pool,
        labels=labels,
        references=dict(zip(roles, checkpoints)),
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
    if short := shortfall(made.claim.rule, made.claim.parameters) if spec.may_fall_short else None:
        click.echo(f"Warning: {short[0]} The verdict will be INCONCLUSIVE, whatever the answers. {short[1]}", err=True)
    if as_json:
        print_json(show(made))
        return
    click.echo(f"Made {path} for {made.claim.owner}: {made.claim.method}, {_size(made.claim)}, {binding}.")
    click.echo(f"Claim {made.claim.digest}")
    click.echo(f"Next: {NEXT_STEPS[spec.pool].format(key=shlex.quote(str(path)))}{_dating(choices)}")


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
    states = facts.pop("share_states")
    for name, value in facts.items():
        click.echo(f"{name:<22}{value}")
    for state in states:
        click.echo(f"{'share ' + str(state['share']):<22}{_describe_share(state)}")


def _describe_share(state: Mapping[str, Any]) -> str:
    """Returns what became of a share, in words."""
    opened, examined = (", ".join(state[name]) for name in ("opened_in", "examined_in"))
    words = f"spent, opened in {opened}" if state["spent"] else "unspent"
    if examined and examined != opened:
        words += f"; examined in {examined}"
    return printable(words, MOST_SHOWN)


def _size(claim: "Claim") -> str:
    """Returns what the scoring secret draws, in words."""
    from forensics.methods import load_method
    from forensics.rules import drawn

    spec = load_method(claim.method).spec
    if spec.test == "subset":
        return f"{claim.rule.n} candidate {spec.pool}, {drawn(claim.parameters)} drawn"
    return f"{claim.rule.n} {'families' if spec.test == 'ranks' else 'units'}"


def _dating(choices: Mapping[str, Any]) -> str:
    """Returns the option that dates the next step as the key was dated; the first of two authorities."""
    if choices["tsa"]:
        return f" --tsa {shlex.quote(choices['tsa'][0])}"
    return f" --demonstration {shlex.quote(str(choices['demonstration']))}" if choices["demonstration"] else ""
