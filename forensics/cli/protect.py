"""`forensics protect serve`."""

from pathlib import Path
from typing import Any

import click

from forensics.cli.common import FiniteRange, folder, json_option, passphrase_option, print_json, read_passphrase

_POLICY = click.Choice(["refuse", "pass"])


@click.group()
def protect() -> None:
    """Mark what an embedding service gives out."""


@protect.command("serve")
@click.argument("key", metavar="KEY", type=folder())
@click.option("--upstream", required=True, metavar="URL", help="Base URL of the service (OpenAI-compatible or TEI).")
@click.option(
    "--listen",
    default="127.0.0.1:8090",
    show_default=True,
    metavar="HOST:PORT",
    help="Where clients reach the marked service; port 0: any free one.",
)
@click.option("--admin", metavar="HOST:PORT", help="Loopback listener with /_protect/metrics and /_protect/health.")
@click.option("--service", metavar="NAME", help="Name in the key's record of what it marks; by default the URL.")
@click.option("--share", type=click.IntRange(0), help="Which share of the key marks; by default the first unspent.")
@click.option(
    "--token-ids",
    type=_POLICY,
    default="refuse",
    show_default=True,
    help="What to do with inputs of token numbers, whose words cannot be seen.",
)
@click.option(
    "--unmarkable",
    type=_POLICY,
    default="refuse",
    show_default=True,
    help="What to do with routes and forms whose vectors cannot be marked, such as /embed_all.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Most connections to the service at a time.",
)
@click.option(
    "--timeout",
    type=FiniteRange(0.1),
    default=60.0,
    show_default=True,
    help="Seconds that the service may take for an answer.",
)
@click.option(
    "--grace",
    type=FiniteRange(0.0),
    default=30.0,
    show_default=True,
    help="Seconds for requests under way to finish when the proxy is ended.",
)
@click.option(
    "--max-body", type=click.IntRange(1), default=16, show_default=True, help="Largest body of a request, in MiB."
)
@click.option("--access-log", is_flag=True, help="A line a request on standard error: route, status, time.")
@click.option(
    "--tsa",
    metavar="URL",
    help="Timestamp authority (RFC 3161) for the record of the service: shows since when it is marked.",
)
@click.option("--demonstration", type=folder(), metavar="DIR", help="Local demonstration authority instead.")
@passphrase_option
@json_option
def serve(key: Path, passphrase_file: Path | None, as_json: bool, **choices: Any) -> None:
    """Serve the embeddings of another service, marked with KEY.

    SIGTERM or SIGINT ends it once the requests under way are answered; a second signal ends it at once.
    """
    from forensics.cli.authorities import open_authority
    from forensics.protect.embeddings import Limits
    from forensics.protect.server import Address, Settings, Started, run
    from forensics.protect.service import FOLDER, open_marks, record
    from forensics.protect.upstream import check_url, import_aiohttp

    import_aiohttp()
    upstream = check_url(choices["upstream"])
    settings = Settings(
        upstream=upstream,
        listen=Address.parse(choices["listen"]),
        targets=key / FOLDER,
        admin=Address.parse(choices["admin"], loopback=True) if choices["admin"] else None,
        limits=Limits(
            connections=choices["connections"],
            timeout=choices["timeout"],
            largest_request=choices["max_body"] << 20,
            token_ids=choices["token_ids"],
            unmarkable=choices["unmarkable"],
        ),
        grace=choices["grace"],
        access_log=choices["access_log"],
    )
    marks = open_marks(key, read_passphrase(passphrase_file), choices["share"])
    authority = open_authority(choices["tsa"], choices["demonstration"])

    def announce(started: Started) -> None:
        # Only now: a start that failed must not count as the release of what is marked.
        recorded = record(key, choices["service"] or upstream, authority)
        if as_json:
            print_json(
                {
                    "listen": str(started.listen),
                    "admin": str(started.admin) if started.admin else None,
                    "upstream": upstream,
                    "asset": recorded,
                }
            )
            return
        private = f", metrics at {started.admin}" if started.admin else ""
        click.echo(f"Listening at {started.listen}, marking {upstream}{private}.")

    run(settings, marks, bytes(marks.score_key), announce)
