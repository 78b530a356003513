"""`forensics embed`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.cli.common import FiniteRange, bar, folder, json_option, passphrase_option, print_json, read_passphrase

if TYPE_CHECKING:
    from forensics.keys.claim import Claim
    from forensics.training.embed import Data, Embedded


@click.command()
@click.argument("key", metavar="KEY", type=folder())
@click.option(
    "--model",
    required=True,
    type=folder(),
    help="The unmarked model's folder, which is not changed: an image classifier (ofsw, ksl, t2s), a text "
    "classifier (ksl-text), a language model (ofsw-text), a text encoder (tmrw) or an image encoder (wpe).",
)
@click.option(
    "--data",
    required=True,
    type=folder(),
    help="Training data: labelled images (ofsw, ksl, t2s), labelled texts (ksl-text) or images (wpe), anything that "
    "`datasets` loads from disk; "
    "or a text file, one document a line (ofsw-text, tmrw).",
)
@click.option("--out", required=True, type=folder(), help="Folder for the marked model; must not exist.")
@click.option(
    "--max-accuracy-drop",
    type=FiniteRange(0, 100),
    default=2.0,
    show_default=True,
    help="Largest accepted loss on held-out data, in percentage points (ofsw, ksl, ksl-text, t2s); kept, or nothing "
    "is written.",
)
@click.option(
    "--min-cosine",
    type=FiniteRange(0, 1),
    default=0.96,
    show_default=True,
    help="Least mean cosine of held-out vectors with those before (tmrw, wpe); kept, or nothing is written.",
)
@click.option(
    "--max-perplexity-rise",
    type=FiniteRange(0, 1000),
    default=10.0,
    show_default=True,
    help="Largest accepted rise of the perplexity of held-out text, in per cent (ofsw-text); kept, or nothing is "
    "written.",
)
@click.option("--steps", type=click.IntRange(1), help="Training steps; by default the recipe's.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the batches, and of first weights.")
@click.option(
    "--from-scratch",
    is_flag=True,
    help="Train a new image classifier of the model's architecture instead of the model itself (ksl).",
)
@click.option(
    "--rehearse",
    multiple=True,
    metavar="THIEF",
    help="Act out a theft while the mark is embedded, so that it lasts longer: finetuning, overwriting, extraction "
    "(ofsw), finetuning (ofsw-text), finetuning, extraction (wpe); may be repeated, and costs about as much again.",
)
@click.option(
    "--last-blocks",
    type=click.IntRange(1),
    metavar="N",
    help="Train the last N blocks of a language model and nothing else (ofsw-text): a large model, on a small machine.",
)
@click.option(
    "--frozen-encoder",
    is_flag=True,
    help="Train what follows a text classifier's encoder and nothing else (ksl-text): faster, and the encoder stays as "
    "it is.",
)
@click.option("--tsa", metavar="URL", help="Timestamp authority for the record of the marked model.")
@click.option("--demonstration", type=folder(), metavar="DIR", help="Local demonstration authority instead.")
@passphrase_option
@json_option
def embed(
    key: Path,
    model: Path,
    data: Path,
    out: Path,
    max_accuracy_drop: float,
    min_cosine: float,
    max_perplexity_rise: float,
    steps: int | None,
    seed: int,
    from_scratch: bool,
    rehearse: tuple[str, ...],
    last_blocks: int | None,
    frozen_encoder: bool,
    tsa: str | None,
    demonstration: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Mark a model with all shares of KEY by training. Interrupted, the same command takes the work up again."""
    from forensics.cli.authorities import open_authority
    from forensics.keys.folder import KeyFolder
    from forensics.registration import embed_key, require_training

    claim = KeyFolder.open(key).claim
    require_training(claim)
    done = embed_key(
        key,
        model,
        _read_data(claim, data),
        out,
        passphrase=read_passphrase(passphrase_file),
        authority=open_authority(tsa, demonstration),
        max_accuracy_drop=max_accuracy_drop / 100.0,
        min_cosine=min_cosine,
        max_perplexity_rise=max_perplexity_rise / 100.0,
        steps=steps,
        seed=seed,
        fresh=from_scratch,
        rehearse=rehearse,
        last_blocks=last_blocks,
        frozen=frozen_encoder,
        progress=bar,
    )
    if as_json:
        print_json(
            {
                "out": str(out),
                "digest": done.identity.digest,
                **done.figures,
                "held_out": done.held_out,
                "matched": done.matched,
                "n": done.of,
                "shares": [{"matched": matched, "n": of} for matched, of in done.read_back],
            }
        )
        return
    each = "" if len(done.read_back) == 1 else f" ({_by_share(done)})"
    click.echo(f"Wrote {out}: {done.matched} of {done.of} units read back{each}; {done.sentence}.")


def _by_share(done: "Embedded") -> str:
    """Returns what was read back of each share, in words."""
    return ", ".join(f"share {share}: {matched} of {of}" for share, (matched, of) in enumerate(done.read_back))


def _read_data(claim: "Claim", path: Path) -> "Data":
    """Reads what the claim's method is trained with."""
    from forensics.methods import load_method

    made_of = load_method(claim.method).spec.pool
    if made_of in ("phrases", "passages"):
        from forensics.wordpools import read_lines

        return read_lines(path)
    if made_of == "labelled texts":
        from forensics.training.labelledtexts import load_labelled_texts

        return load_labelled_texts(path)
    from forensics.training.data import load_images, load_plain_images

    return load_plain_images(path) if made_of == "patterns" else load_images(path, claim.labels)
