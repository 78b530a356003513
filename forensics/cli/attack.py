"""`forensics attack`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.cli.common import bar, folder, json_option, print_json

if TYPE_CHECKING:
    from forensics.attacks.opened import OpenedShare


@click.command()
@click.argument("name")
@click.option("--model", required=True, type=folder(), help="Model folder to attack; it is not changed.")
@click.option(
    "--data",
    type=folder(),
    help="The attacker's data, for attacks that train: a folder that `datasets` reads, with a column image or text, "
    "and for a new task a column label.",
)
@click.option(
    "--base", type=folder(), help="A public model's folder, for reset-words and for extract of a text classifier."
)
@click.option("--case", "cases", multiple=True, type=folder(), help="A case with an opened share, for unlearn.")
@click.option("--out", required=True, type=folder(), help="Folder for the attacked model; must not exist.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the attack; may be repeated."
)
@json_option
def attack(
    name: str,
    model: Path,
    data: Path | None,
    base: Path | None,
    cases: tuple[Path, ...],
    out: Path,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the removal attack NAME on a model.

    Image classifiers and encoders of images or texts: prune, quantise, fp16, and with labelled --data of a new task
    migrate, migrate-head, migrate-last. Image classifiers alone: finetune, overwrite, extract (--set queries=mixed,
    answers=hard, student=vit and so on; --data needs no labels), and with an opened --case (ofsw) unlearn.
    Text classifiers: extract (--base, a public encoder; --set answers=hard, way=head). Encoders: distil. Text
    encoders: migrate-lora, reset-words.
    """
    from forensics.attacks.folders import attack_folder
    from forensics.errors import UsageError

    if out.exists():
        raise UsageError(f"{out} exists already.", "Choose another --out, or remove it.")
    if not all("=" in setting for setting in settings):
        raise UsageError("A setting is not NAME=VALUE.", "Write for instance --set epochs=10.")
    chosen = {key: _value(text) for key, _, text in (setting.partition("=") for setting in settings)}
    opened = _read_opened(cases)
    digest = attack_folder(name, model, out, data=data, base=base, opened=opened, settings=chosen, progress=bar)
    if as_json:
        print_json({"attack": name, "settings": chosen, "out": str(out), "digest": digest})
    else:
        click.echo(f"Wrote {out} ({digest[:16]}…).")


def _value(text: str) -> float | str:
    """Returns the number that a setting's text says, or the text."""
    try:
        return float(text)
    except ValueError:
        return text


def _read_opened(cases: tuple[Path, ...]) -> "list[OpenedShare]":
    if not cases:
        return []
    from forensics.disclosure import read_disclosed

    return [read_disclosed(case) for case in cases]
