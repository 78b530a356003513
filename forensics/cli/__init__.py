"""The command line: one file a verb, loaded when it is asked for; no logic of its own."""

import errno
import os
import sys
import traceback
from importlib import import_module

import click

from forensics import __version__
from forensics.errors import ForensicsError
from forensics.plaintext import printable

VERBS = {
    "key": ("forensics.cli.key", "make a key, show its public part"),
    "embed": ("forensics.cli.embed", "mark a model with a key, by training"),
    "protect": ("forensics.cli.protect", "mark what an embedding service gives out, with a key"),
    "probes": ("forensics.cli.probes", "write a kit without the scoring secret, for a blind examiner"),
    "acquire": ("forensics.cli.acquire", "put a kit's probes to a suspect and record the answers"),
    "score": ("forensics.cli.score", "score the recorded answers with the key"),
    "examine": ("forensics.cli.examine", "probes, acquire and score in a row"),
    "case": ("forensics.cli.case", "disclose a share, add an exhibit, close and sign a case"),
    "report": ("forensics.cli.report", "write a case's signed PDF"),
    "check": ("forensics.cli.check", "check a case or a PDF without trusting who made it"),
    "attack": ("forensics.cli.attack", "run a removal attack on a model"),
    "bench": ("forensics.cli.bench", "make the tables of the documentation"),
    "power": ("forensics.cli.power", "how many units a key needs for alpha and power"),
    "methods": ("forensics.cli.methods", "what can be embedded and tested, with assumptions"),
    "demo": ("forensics.cli.demo", "the whole story on small real data, in minutes"),
}

_INTERRUPTED = "Interrupted; give the same command again, with --resume where it was asking a suspect."


class _Verbs(click.Group):
    """Imports a verb's file only when it is used, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(VERBS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="forensics")
def root() -> None:
    """Settle whether a model carries an owner's mark, with evidence the other side can check.

    Exit codes: 0 done, whatever the verdict; 1 a check that failed; 2 wrong usage or input, or a full disk; 3 the
    suspect or a timestamp authority could not be reached; 130 interrupted (give the same
    command again, with --resume where it was asking a suspect).
    """


def main() -> None:
    """Runs the command line and turns every expected failure into one sentence and an exit code."""
    try:
        code = root.main(standalone_mode=False)
    except click.exceptions.Abort:
        _fail(_INTERRUPTED, 130)
    except KeyboardInterrupt:
        _fail(_INTERRUPTED, 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ForensicsError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail("The disk is full. Free some space and run the same command again.", 2)
        _fail(f"{error.strerror or 'A file cannot be used'}: {error.filename or ''}".rstrip(": ") + ".", 2)
    except Exception as error:  # noqa: BLE001 - the last resort: a defect must not end in a page of code
        if os.environ.get("FORENSICS_DEBUG"):
            traceback.print_exc()
        text = printable(" ".join(str(error).split()), 300).rstrip(". ")
        _fail(f"An unexpected error: {': '.join(filter(None, (type(error).__name__, text)))}. Please report it.", 2)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str, code: int) -> None:
    click.echo(f"forensics: {printable(sentence, 2000)}", err=True)
    sys.exit(code)
