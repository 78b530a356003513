"""`forensics attack`."""

from pathlib import Path

import click

from forensics.cli.common import bar, folder, json_option, print_json


@click.command()
@click.argument("name")
@click.option("--model", required=True, type=folder(), help="Model folder to attack; it is not changed.")
@click.option("--data", type=folder(), help="The attacker's data, for attacks that train.")
@click.option("--out", required=True, type=folder(), help="Folder for the attacked model; must not exist.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the attack; may be repeated."
)
@json_option
def attack(name: str, model: Path, data: Path | None, out: Path, settings: tuple[str, ...], as_json: bool) -> None:
    """Run the removal attack NAME (finetune, prune, quantise, fp16) on a model."""
    from forensics.attacks import run_attack
    from forensics.checkpoints import load_classifier, read_identity, save_classifier
    from forensics.errors import UsageError
    from forensics.training.data import load_images

    if out.exists():
        raise UsageError(f"{out} exists already.", "Choose another --out, or remove it.")
    try:
        chosen = {key: float(value) for key, value in (item.split("=", 1) for item in settings)}
    except ValueError as error:
        raise UsageError("A setting is not NAME=NUMBER.", "Write for instance --set epochs=10.") from error
    classifier = load_classifier(model)
    run_attack(name, classifier, load_images(data, classifier.labels) if data else None, chosen, bar)
    save_classifier(classifier, out, f"# {model.resolve().name} after {name}\n")
    digest = read_identity(out).digest
    if as_json:
        print_json({"attack": name, "settings": chosen, "out": str(out), "digest": digest})
    else:
        click.echo(f"Wrote {out} ({digest[:16]}…).")
