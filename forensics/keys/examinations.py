"""What happened under a claim, append-only: examinations, which are charged, and openings, which spend a share."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from forensics.canonical import canonical_json, parse_json, utc
from forensics.errors import KeyFolderError
from forensics.keys.claim import Frozen, Hex
from forensics.keys.storage import locked, read_file, replace_file

LOG, OPENINGS = "examinations.jsonl", "openings.jsonl"


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


class Opening(Frozen):
    """One disclosure of a share.

    Attributes:
        utc: when it was opened, or was about to be.
        case: name of the case folder that discloses it.
        transcript: head of that case's transcript.
        share: index of the share.
    """

    utc: str
    case: str
    transcript: str = Hex
    share: int


@dataclass(frozen=True)
class ShareState:
    """What a key folder knows of one share.

    Attributes:
        share: index, from 0.
        examined_in: names of the cases that were scored with it.
        opened_in: names of the cases that disclose it; a share is spent by the first.
    """

    share: int
    examined_in: tuple[str, ...]
    opened_in: tuple[str, ...]

    @property
    def spent(self) -> bool:
        """Whether others know the share's secrets."""
        return bool(self.opened_in)


Entry = TypeVar("Entry", Examination, Opening)


def read_log(folder: Path) -> tuple[Examination, ...]:
    """Returns the examinations in the order in which they were logged.

    Raises:
        KeyFolderError: the log is damaged.
    """
    return _read(folder / LOG, Examination)


def read_openings(folder: Path) -> tuple[Opening, ...]:
    """Returns the openings in the order in which they were logged.

    Raises:
        KeyFolderError: the log is damaged.
    """
    return _read(folder / OPENINGS, Opening)


def count_examinations(log: Sequence[Examination]) -> int:
    """Returns how many different transcripts were scored; scoring one again is no further look."""
    return len({entry.transcript for entry in log})


def share_states(log: Sequence[Examination], openings: Sequence[Opening], count: int) -> tuple[ShareState, ...]:
    """Returns the state of each of `count` shares, by their index."""
    return tuple(
        ShareState(
            share,
            tuple(dict.fromkeys(entry.case for entry in log if entry.share == share)),
            tuple(dict.fromkeys(entry.case for entry in openings if entry.share == share)),
        )
        for share in range(count)
    )


def require_turn(log: Sequence[Examination], share: int) -> None:
    """Refuses a share while one ahead of it was never used.

    Raises:
        KeyFolderError: so it is.
    """
    if share > max((entry.share for entry in log), default=-1) + 1:
        raise KeyFolderError(
            f"Share {share} cannot be used before the shares ahead of it.", "Shares are spent in order, from 0."
        )


def choose_share(
    states: Sequence[ShareState], log: Sequence[Examination], wanted: int | None, *, spent: bool = False
) -> int:
    """Returns the share to ask with next; see `KeyFolder.choose_share`.

    Raises:
        KeyFolderError: there is no such share, it is not its turn, or it is spent.
    """
    unspent = [state.share for state in states if not state.spent]
    if wanted is None:
        if not unspent:
            raise KeyFolderError(
                f"Every share of the key was opened, the last in {states[-1].opened_in[0]}.",
                "Make a new key, or name one with --share and --spent: whoever saw it opened knows its probes.",
            )
        return unspent[0]
    if wanted >= len(states):
        raise no_share(wanted, len(states))
    require_turn(log, wanted)
    if states[wanted].spent and not spent:
        other = f"Leave --share out to use share {unspent[0]}" if unspent else "Make a new key"
        raise KeyFolderError(
            f"Share {wanted} was opened in {states[wanted].opened_in[0]}: whoever saw that case knows its probes.",
            f"{other}, or add --spent to use it all the same.",
        )
    return wanted


def no_share(share: int, count: int) -> KeyFolderError:
    """Returns the error of a share that a key of `count` shares does not have."""
    return KeyFolderError(f"The key has no share {share}.", f"It has {count}, counted from 0.")


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
        require_turn(log, share)
        entry = Examination(utc=utc(moment), case=case, suspect=suspect, transcript=transcript, share=share)
        _write(folder / LOG, (*log, entry))
        return count_examinations((*log, entry))


def append_opening(folder: Path, *, moment: datetime, case: str, transcript: str, share: int) -> None:
    """Logs that a case discloses a share, unless that is logged already.

    It is logged before the share leaves the key: killed in between, the share counts as spent though nobody saw it,
    which does no harm, and opening the case again goes on.

    Raises:
        KeyFolderError: the log is damaged.
        StorageError: it cannot be written; the log is unchanged.
    """
    with locked(folder):
        log = read_openings(folder)
        if not any((entry.transcript, entry.share) == (transcript, share) for entry in log):
            entry = Opening(utc=utc(moment), case=case, transcript=transcript, share=share)
            _write(folder / OPENINGS, (*log, entry))


def _read(path: Path, kind: type[Entry]) -> tuple[Entry, ...]:
    if not path.exists():
        return ()
    try:
        return tuple(kind.model_validate(parse_json(line)) for line in read_file(path).splitlines())
    except ValueError as error:
        raise KeyFolderError(f"{path} is damaged.", "Restore the key folder from a copy.") from error


def _write(path: Path, entries: Sequence[Examination | Opening]) -> None:
    replace_file(path, b"".join(canonical_json(entry.model_dump(mode="json")) + b"\n" for entry in entries))
