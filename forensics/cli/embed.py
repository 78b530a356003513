"""`forensics embed`."""

from pathlib import Path

import click

from forensics.cli.common import bar, folder, json_option, passphrase_option, print_json, read_passphrase


@click.command()
@click.argument("key", metavar="KEY", type=folder())
@click.option("--model", required=True, type=folder(), help="The unmarked model's folder; it is not changed.")
@click.option("--data", required=True, type=folder(), help="Training data: anything `datasets` loads from disk.")
@click.option("--out", required=True, type=folder(), help="Folder for the marked model; must not exist.")
@click.option("--share", type=click.IntRange(0), default=0, show_default=True, help="Which share to embed.")
@click.option(
    "--max-accuracy-drop",
    type=float,
    default=2.0,
    show_default=True,
    help="Largest accepted loss on held-out data, in percentage points; kept, or nothing is written.",
)
@click.option("--steps", type=click.IntRange(1), help="Training steps; by default the recipe's.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the batches.")
@click.option("--tsa", metavar="URL", help="Timestamp authority for the record of the marked model.")
@click.option("--demonstration", type=folder(), metavar="DIR", help="Local demonstration authority instead.")
@passphrase_option
@json_option
def embed(
    key: Path,
    model: Path,
    data: Path,
    out: Path,
    share: int,
    max_accuracy_drop: float,
    steps: int | None,
    seed: int,
    tsa: str | None,
    demonstration: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Mark a model with KEY by training. Interrupted, the same command takes the work up again."""
    from forensics.cli.authorities import open_authority
    from forensics.keys.folder import KeyFolder
    from forensics.registration import embed_key, require_training
    from forensics.training.data import load_images

    claim = KeyFolder.open(key).claim
    require_training(claim)
    done = embed_key(
        key,
        model,
        load_images(data, claim.labels),
        out,
        passphrase=read_passphrase(passphrase_file),
        authority=open_authority(tsa, demonstration),
        share=share,
        max_accuracy_drop=max_accuracy_drop / 100.0,
        steps=steps,
        seed=seed,
        progress=bar,
    )
    if as_json:
        print_json(
            {
                "out": str(out),
                "digest": done.identity.digest,
                "accuracy_before": done.accuracy_before,
                "accuracy_after": done.accuracy_after,
                "held_out": done.held_out,
                "matched": done.matched,
                "n": done.of,
            }
        )
        return
    click.echo(
        f"Wrote {out}: {done.matched} of {done.of} units read back; accuracy {done.accuracy_before:.4f} before, "
        f"{done.accuracy_after:.4f} after, on {done.held_out} held-out images."
    )
