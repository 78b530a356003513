"""The log of examinations under a claim: append-only, and the source of the charge for looking more than once."""

from datetime import datetime
from pathlib import Path

from forensics.canonical import canonical_json, parse_json, utc
from forensics.errors import KeyFolderError
from forensics.keys.claim import Frozen, Hex
from forensics.keys.storage import locked, read_file, replace_file

LOG = "examinations.jsonl"


class Examination(Frozen):
    """One scored transcript.

    Attributes:
        utc: when it was scored.
        case: name of the case folder.
        suspect: digest of what was examined.
        transcript: head of the transcript's hash chain.
        share: index of the share that was used.
    """

    utc: str
    case: str
    suspect: str
    transcript: str = Hex
    share: int


def read_log(folder: Path) -> tuple[Examination, ...]:
    """Returns the examinations in the order in which they were logged.

    Raises:
        KeyFolderError: the log is damaged.
    """
    if not (folder / LOG).exists():
        return ()
    try:
        return tuple(Examination.model_validate(parse_json(line)) for line in read_file(folder / LOG).splitlines())
    except ValueError as error:
        raise KeyFolderError(f"{folder / LOG} is damaged.", "Restore the key folder from a copy.") from error


def count_examinations(log: tuple[Examination, ...]) -> int:
    """Returns how many different transcripts were scored; scoring one again is no further look."""
    return len({entry.transcript for entry in log})


def append_log(folder: Path, *, moment: datetime, case: str, suspect: str, transcript: str, share: int) -> int:
    """Logs an examination, unless its transcript is logged already, and returns how many there are now.

    Raises:
        KeyFolderError: the log is damaged, or an earlier share was never used.
        StorageError: it cannot be written; the log is unchanged.
    """
    with locked(folder):
        log = read_log(folder)
        if any(entry.transcript == transcript for entry in log):
            return count_examinations(log)
        if share > max((entry.share for entry in log), default=-1) + 1:
            raise KeyFolderError(
                f"Share {share} cannot be used before the shares ahead of it.", "Shares are spent in order, from 0."
            )
        entry = Examination(utc=utc(moment), case=case, suspect=suspect, transcript=transcript, share=share)
        lines = [canonical_json(each.model_dump(mode="json")) + b"\n" for each in (*log, entry)]
        replace_file(folder / LOG, b"".join(lines))
        return count_examinations((*log, entry))
