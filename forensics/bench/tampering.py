"""Mutations: what is done to a document, what a check must make of it, and what it does make of it."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from forensics.errors import ForensicsError
from forensics.evidence.check import check_case
from forensics.evidence.check_pdf import check_pdf
from forensics.evidence.findings import CheckResult

Files = Mapping[str, bytes]
"""Content of a folder by relative path."""


class Outcome(StrEnum):
    """What a check makes of a document, from the strictest to the laxest."""

    REFUSED = "refused"
    UNIDENTIFIED = "signer not identified"
    """Passes for who names nobody to trust, with a first line that says so; refused for who does."""
    ACCEPTED = "accepted"
    UNCAUGHT = "uncaught exception"


@dataclass(frozen=True)
class Mutation:
    """One altered document.

    Attributes:
        name: what was done.
        content: files of a case, or the bytes of a PDF.
        limit: the laxest outcome that is right; whatever is laxer is a false accept. `ACCEPTED` is that of other bytes
            that say the same: who signed, what, and when at the latest.
        arrange: what is done to the folder after its files were written, such as putting a link.
        beside: a case folder that the report is checked with.
    """

    name: str
    content: Files | bytes
    limit: Outcome = Outcome.REFUSED
    arrange: Callable[[Path], None] | None = None
    beside: Path | None = None


@dataclass(frozen=True)
class Found:
    """What became of a mutation.

    Attributes:
        reason: the first reason that the check gave, or the exception.
    """

    outcome: Outcome
    reason: str

    def is_right(self, limit: Outcome) -> bool:
        """Tells whether the outcome is at least as strict as the limit, and no exception."""
        ranks = list(Outcome)
        return self.outcome is not Outcome.UNCAUGHT and ranks.index(self.outcome) <= ranks.index(limit)


@dataclass
class Desk:
    """Where altered documents are laid and checked.

    Args:
        place: a folder of its own, which need not exist.
        root: certificate of whom the reader trusts.
        fingerprint: SHA-256 of the certificate that the reader expects.
    """

    place: Path
    root: Path
    fingerprint: str

    def check(self, mutation: Mutation) -> Found:
        """Checks an altered document as a reader who trusts nobody, and where it passes, as one who trusts."""
        path, check = self._lay(mutation)
        try:
            alone = check(path)
            if not alone.ok:
                return Found(Outcome.REFUSED, alone.reasons[0])
            if "NOT identified" not in alone.headline:
                return Found(Outcome.ACCEPTED, alone.headline)
            named = [check(path, trust=self.root), check(path, expect_fingerprint=self.fingerprint)]
        except ForensicsError as error:
            return Found(Outcome.REFUSED, error.cause)
        except Exception as error:  # noqa: BLE001 - an exception of any other kind is what is looked for
            return Found(Outcome.UNCAUGHT, f"{type(error).__name__}: {error}"[:200])
        outcome = Outcome.ACCEPTED if any(result.ok for result in named) else Outcome.UNIDENTIFIED
        return Found(outcome, alone.headline)

    def _lay(self, mutation: Mutation) -> tuple[Path, Callable[..., CheckResult]]:
        if isinstance(mutation.content, bytes):
            self.place.mkdir(parents=True, exist_ok=True)
            path = self.place / "report.pdf"
            path.write_bytes(mutation.content)
            return path, partial(check_pdf, case=mutation.beside)
        path = self.place / "CASE"
        lay(path, mutation.content)
        if mutation.arrange is not None:
            mutation.arrange(path)
        return path, check_case


def lay(folder: Path, files: Files) -> None:
    """Writes a folder as anybody could, in the place of what was there."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def tally(desk: Desk, original: Files | bytes, mutations: Iterable[Mutation], count: int) -> dict[str, Any]:
    """Checks up to `count` mutations of a document and counts outcomes.

    Returns:
        Numbers of those tried and of each outcome, with a sentence for each that is wrong.

    Raises:
        ValueError: a mutation alters nothing.
    """
    found: Counter[str] = Counter()
    wrong: list[str] = []
    for _, mutation in zip(range(count), mutations):
        if mutation.content == original and mutation.arrange is None and mutation.beside is None:
            raise ValueError(f"nothing is altered: {mutation.name}")
        each = desk.check(mutation)
        right = each.is_right(mutation.limit)
        # What passes for nobody in particular although it must be refused is as wrong as what passes for somebody.
        lax = not right and each.outcome is Outcome.UNIDENTIFIED
        found[Outcome.ACCEPTED if lax else each.outcome] += 1
        if not right:
            wrong.append(f"{mutation.name}: {each.reason}")
    return {"tried": found.total(), **{outcome.value: found[outcome] for outcome in Outcome}, "wrong": wrong}


def alter(raw: bytes, chance: random.Random, first: int = 0, end: int | None = None) -> tuple[str, bytes]:
    """Returns bytes with one accident in them, and what it was: a bit or byte, an insertion, a loss, a cut.

    Args:
        first: the accident falls at this position or later.
        end: and before this one; None for anywhere.
    """
    end = len(raw) if end is None else end
    place = chance.randrange(first, max(end, first + 1))
    length = chance.choice((1, 1, 2, 16, 300))
    kind = chance.choice(("bit", "byte", "inserted", "lost", "cut", "doubled", "zeroed", "appended"))
    if kind == "bit" and place < len(raw):
        changed = raw[:place] + bytes([raw[place] ^ 1 << chance.randrange(8)]) + raw[place + 1 :]
    elif kind == "byte" and place < len(raw):
        changed = raw[:place] + bytes([raw[place] ^ chance.randrange(1, 256)]) + raw[place + 1 :]
    elif kind == "lost":
        changed = raw[:place] + raw[place + length :]
    elif kind == "cut":
        changed = raw[:place]
    elif kind == "doubled":
        changed = raw[: place + length] + raw[place:]
    elif kind == "zeroed":
        changed = raw[:place] + bytes(min(length, len(raw) - place)) + raw[place + length :]
    elif kind == "appended":
        changed = raw + chance.choice((b"\n", b"\x00", b" ", b"\r\n", raw[-length:], chance.randbytes(length)))
    else:
        changed = raw[:place] + chance.randbytes(length) + raw[place:]
    if changed == raw:
        return alter(raw, chance, first, end)
    return f"{kind} at {place}", changed


def shuffled(mutations: Iterable[Mutation], chance: random.Random) -> Iterator[Mutation]:
    """Returns mutations in an order drawn by chance, so that a small run sees some of every kind."""
    listed = list(mutations)
    chance.shuffle(listed)
    return iter(listed)
