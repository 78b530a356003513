"""`forensics examine`."""

from pathlib import Path
from typing import Any

import click

from forensics.cli.acquire import acquisition_options
from forensics.cli.common import bar, folder, json_option, passphrase_option, read_passphrase
from forensics.cli.score import scoring_options


@click.command()
@click.argument("key", metavar="KEY", type=folder())
@click.argument("suspect", metavar="SUSPECT")
@acquisition_options
@scoring_options
@click.option("--share", type=click.IntRange(0), default=0, show_default=True, help="Which share to use.")
@passphrase_option
@json_option
def examine(
    key: Path,
    suspect: str,
    references: tuple[str, ...],
    positive: str | None,
    owner_undisputed: bool,
    share: int,
    passphrase_file: Path | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Probes, acquire and score in a row, for SUSPECT (a model folder, or replay:CASE)."""
    from forensics.cli.acquisition import announce, settings
    from forensics.cli.results import print_result
    from forensics.examination import examine as run
    from forensics.examination import make_kit
    from forensics.keys.folder import KeyFolder
    from forensics.suspects import open_suspect

    unlocked = KeyFolder.open(key).unlock(read_passphrase(passphrase_file))
    if choices["dry_run"]:
        kit = make_kit(unlocked, share)
        announce(kit.claim, kit.plan, as_json)
        return
    scored = run(
        unlocked,
        open_suspect(suspect),
        choices["case"],
        share=share,
        references=references,
        positive=positive,
        owner_undisputed=owner_undisputed,
        progress=bar,
        **settings(choices),
    )
    print_result(scored, as_json)
