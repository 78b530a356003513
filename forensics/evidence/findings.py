"""The outcome of a check, and how it comes together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forensics.evidence.certificates import printable

_SHOWN = 20


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check; never raised, whatever the bytes.

    Attributes:
        ok: everything that had to hold does.
        intact: every byte is as the manifests and the signature say.
        complete: nothing is missing, superfluous or contradicts another part; None where only a part was there to be
            looked at, in which nothing contradicts itself.
        signed_by: subject of the certificate that signed, where a signature is valid.
        trusted: whether that is the expected signer; None when nobody said whom to expect.
        problems: those of the reasons for which it failed, as far as they are told apart.
        timestamped: whether the claim's timestamps verify, and their authorities are under the given roots, where
            roots are given; False for a self-dated claim.
        reproduced: whether every number follows from the answers; None when no share is opened.
        reasons: plain sentences.
        details: for experts; JSON values.
    """

    ok: bool
    intact: bool
    complete: bool | None
    signed_by: str | None
    trusted: bool | None
    timestamped: bool | None
    reproduced: bool | None
    reasons: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The first line of what is printed."""
        signer = {True: "signer identified", False: "signer NOT trusted", None: "signer NOT identified"}[self.trusted]
        if not self.signed_by:
            signer = f"not signed, {signer}"
        elif self.details.get("signature_demonstration"):
            signer = "DEMONSTRATION signature" if self.trusted else f"DEMONSTRATION signature, {signer}"
        unverified = self.reproduced is None and self.details.get("verdict") is not None
        numbers = " - NUMBERS NOT VERIFIED" if unverified else ""
        if self.details.get("named_models") and not self.details.get("named_models_asked"):
            numbers += " - NAMED MODELS NOT ASKED AGAIN"
        if self.details.get("unknown_texts"):
            numbers += f" - {' AND '.join(self.details['unknown_texts'])} NOT KNOWN TO THIS TOOL"
        return f"{'PASSED' if self.ok else 'FAILED'} - {signer}{numbers}"


class Findings:
    """What a check has found so far."""

    def __init__(self) -> None:
        self.damage: list[str] = []
        self.gaps: list[str] = []
        self.differences: list[str] = []
        self.remarks: list[str] = []
        self.details: dict[str, Any] = {}
        self.signed_by: str | None = None
        self.trusted: bool | None = None
        self.dated: bool | None = None
        self.must_be_dated = True
        self.reproduced: bool | None = None
        self.pressing = 0

    def note(self, name: str, value: Any) -> None:
        """Keeps a fact for experts."""
        self.details[name] = printable(value) if isinstance(value, str) else value

    def press(self, remark: str) -> None:
        """Puts a remark first: it says why something is not trusted."""
        self.remarks.insert(0, remark)
        self.pressing += 1

    def result(self, must_be_trusted: bool) -> CheckResult:
        """Draws the conclusion."""
        if must_be_trusted and self.trusted is None:
            self.trusted = False
            self.press("There is no valid signature, so the signer is not the one you expect.")
        ok = (
            not self.damage
            and not self.gaps
            and not self.differences
            and self.reproduced is not False
            and self.trusted is not False
            and (self.dated is True or not self.must_be_dated)
        )
        problems = [*_cut(self.damage), *_cut(self.gaps), *_cut(self.differences)]
        reasons = [*problems, *self.remarks]
        # What was put first is why a signer or an authority is not trusted.
        problems += [] if ok else self.remarks[: self.pressing]
        return CheckResult(
            ok=ok,
            intact=not self.damage,
            complete=not self.gaps,
            signed_by=self.signed_by,
            trusted=self.trusted,
            timestamped=self.dated,
            reproduced=self.reproduced,
            reasons=tuple(printable(reason) for reason in reasons),
            details=self.details,
            problems=tuple(printable(problem) for problem in problems),
        )


def _cut(sentences: list[str]) -> list[str]:
    """The first sentences, and how many there are beyond."""
    unique = list(dict.fromkeys(sentences))
    more = len(unique) - _SHOWN
    return unique if more <= 0 else [*unique[:_SHOWN], f"There are {more} more of this kind."]
