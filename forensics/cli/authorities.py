"""Timestamp authorities as the command line names them."""

from collections.abc import Sequence
from pathlib import Path

from forensics.errors import UsageError
from forensics.keys.claim import Binding
from forensics.keys.timestamp import HttpAuthority, TimestampAuthority


def open_authorities(
    urls: Sequence[str], no_timestamp: bool, demonstration: Path | None
) -> tuple[Binding, list[TimestampAuthority]]:
    """Returns the binding and the authorities that were asked for; exactly one kind must be.

    Raises:
        UsageError: none or several kinds were named, or more than two authorities.
    """
    if sum((bool(urls), no_timestamp, demonstration is not None)) != 1:
        raise UsageError(
            "It is not clear how the key is to be dated.",
            "Give --tsa URL (once or twice), or --demonstration DIR, or --no-timestamp.",
        )
    if len(urls) > 2:
        raise UsageError("More than two timestamp authorities were named.", "Name one or two.")
    if urls:
        return "timestamped", [HttpAuthority(url) for url in urls]
    if demonstration is not None:
        return "demonstration", [open_demonstration(demonstration)]
    return "self-dated", []


def open_authority(url: str | None, demonstration: Path | None) -> TimestampAuthority | None:
    """Returns the authority for a single later stamp, or None where none was named."""
    if url:
        return HttpAuthority(url)
    return open_demonstration(demonstration) if demonstration is not None else None


def open_demonstration(path: Path) -> TimestampAuthority:
    """Opens the demonstration authority of a folder, or makes one there."""
    from forensics.keys.demonstration import DemonstrationAuthority

    if path.exists():
        return DemonstrationAuthority.load(path)
    authority = DemonstrationAuthority.create()
    authority.save(path)
    return authority
