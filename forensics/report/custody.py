"""The case's own custody log in section 4: who did what when, who signed for it, and which case is superseded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forensics.evidence.custody import CUSTODY
from forensics.evidence.entries import check_entries
from forensics.evidence.supersede import Superseded, read_superseded
from forensics.report.fixation import describe_hands
from forensics.report.language import Language
from forensics.report.tables import Row, Table, digest_row
from forensics.wording import noted

_ENTRIES = 60

_ACTIONS = {
    "acquire": noted("acquire"),
    "score": noted("score"),
    "open": noted("open"),
    "add": noted("add"),
    "seal": noted("seal"),
    "supersede": noted("supersede"),
}


@dataclass(frozen=True)
class Custody:
    """What section 4 prints of the log; without the log there is no table.

    Attributes:
        more: how many entries are left out, in words.
        hands: whether the answers were acquired and scored by the same hand; empty where the log does not say.
        superseded: of each case that this one supersedes, the earliest first.
    """

    entries: Table | None
    more: str
    hands: str
    superseded: tuple[Row, ...]


def make_custody(files: Mapping[str, bytes], say: Language) -> Custody:
    """Returns the custody part of section 4.

    Args:
        files: content by path in the case folder; where it has no log, nothing is told of it.

    Raises:
        CheckFailed: the log, or what is kept of a superseded case, is not as it was written.
    """
    if CUSTODY not in files:
        return Custody(None, "", "", ())
    rows = check_entries(files).rows
    head = (say("Time"), say("Action"), say("About"), say("By"), say("Signature"))
    more = len(rows) - _ENTRIES
    return Custody(
        Table(head, tuple(_entry(row, say) for row in rows[:_ENTRIES])),
        say.plural("%(count)s more entry is in the log.", "%(count)s more entries are in the log.", more)
        if more > 0
        else "",
        describe_hands(files, say),
        tuple(row for one in read_superseded(files) for row in _superseded(one, say)),
    )


def superseding(files: Mapping[str, bytes], say: Language) -> tuple[Row, ...]:
    """Returns what the cover says of the case that this one supersedes; nothing where there is none."""
    found = read_superseded(files) if CUSTODY in files else ()
    return tuple(digest_row(say("Supersedes the case"), one.record.manifest_sha256) for one in found[-1:])


def _entry(row: Mapping[str, Any], say: Language) -> tuple[str, ...]:
    signed = say("none")
    if row.get("signed_by"):
        signed = say.clean(row["signed_by"], 120)
        if row["demonstration"]:
            signed = say("%(signer)s (demonstration, not trusted)", signer=signed)
    elif row["action"] == "seal":
        signed = say("over the whole case")
    return (
        say.moment(row["utc"]),
        say(_ACTIONS[row["action"]]),
        say.clean(row["item"], 80),
        say.clean(row["actor"], 60),
        signed,
    )


def _superseded(one: Superseded, say: Language) -> tuple[Row, ...]:
    told = one.row
    return (
        digest_row(say("Supersedes the case with the manifest, SHA-256"), told["manifest_sha256"]),
        Row(
            say("That case was sealed"),
            say(
                "%(moment)s, by %(signer)s", moment=say.moment(told["sealed"]), signer=say.clean(told["sealed_by"], 120)
            ),
        ),
        Row(say("Why it is superseded"), say.clean(told["reason"], 600)),
    )
