"""The outcome of a check as one page that a lawyer can read; `--json` holds everything else."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forensics.conclusion import chance_in_words
from forensics.evidence.check import REPRODUCED
from forensics.evidence.entries import UNSIGNED
from forensics.evidence.findings import CheckResult
from forensics.plaintext import printable

WIDTH, HEIGHT = 100, 60
"""Columns and lines of the page."""

_MARGIN, _INDENT = 2, 14
_LEAST = 10
"""Lines that are kept for the remarks with their title."""

_NAME, _PROVENANCE, _SENTENCE = 60, 150, 500
"""Most characters of a name, of where a control comes from, and of a sentence; `--json` has more."""

_MEANING = {
    "SUPPORTED": "The answers support that information from the owner's secret key reached the suspect. They do not "
    "say how: a copy, a licence, training data with marked outputs, a leaked or planted key, or an error of the "
    "examiner would look alike.",
    "NOT_SUPPORTED": "The answers show too little of the owner's mark. That is no evidence of independence: a mark can "
    "be removed.",
    "INCONCLUSIVE": "The claim is left open. This speaks neither for the owner nor for the other side.",
    "INVALID_CLAIM": "The claim itself does not hold, so that the answers say nothing about the suspect.",
}
_UNKNOWN = "The answers are recorded and not yet scored: there is no finding."
_CAUTION = "The check FAILED: this may not be what was found. Rely on none of it before the reasons below are answered."
_COMMON_NAME = re.compile(r"(?:^|,)CN=((?:[^,\\]|\\.)+)")


@dataclass(frozen=True)
class _Control:
    """How one of the owner's two controls is told.

    Attributes:
        fault: how the verdict's reason begins where the control did not behave.
    """

    label: str
    name: str
    well: str
    badly: str
    fault: str


_CONTROLS = {
    "positive": _Control(
        "marked",
        "the owner's own marked model",
        "responds, as it must",
        "does NOT respond",
        "the owner's own marked model does not respond",
    ),
    "predecessor": _Control(
        "unmarked",
        "the owner's model before it was marked",
        "does not respond, as it must not",
        "RESPONDS without the mark",
        "the owner's model responds to the key even without the mark",
    ),
}


def render_page(path: Path, result: CheckResult, ok: bool, asked: Mapping[str, Any]) -> list[str]:
    """Returns the page, a line each: at most `HEIGHT` lines of at most `WIDTH` columns.

    Args:
        path: what was checked, as it was named.
        result: of the check.
        ok: whether all holds, the answers of models that were asked again included.
        asked: what came of asking again; empty where nobody was asked.
    """
    judged = replace(result, ok=ok)
    page = [*_wrapped(judged.headline, 0), printable(f"checked: {path}", WIDTH), ""]
    for title, lines in (
        ("WHAT WAS CHECKED", list(_checks(judged, asked))),
        ("WHAT THE RECORD SAYS", list(_finding(judged))),
        ("CONTROLS", list(_controls(judged.details)) if ok else []),
    ):
        page += [title, *lines, ""] if lines else []
    ending = ["", "NEXT STEP", *_wrapped(_next_step(judged, asked), _MARGIN)]
    room = HEIGHT - len(page) - len(ending)
    events = list(_events(judged.details, room - _LEAST))
    title = "WHO DATED AND SIGNED WHAT" if ok else "WHO DATED AND SIGNED WHAT, AS IT IS RECORDED"
    page += [title, *events, ""] if events else []
    room = HEIGHT - len(page) - len(ending) - 1
    return [*page, "REMARKS" if ok else "WHY IT FAILED, AND REMARKS", *_remarks(judged, asked, room), *ending]


def _checks(result: CheckResult, asked: Mapping[str, Any]) -> Iterator[str]:
    """Each question with its answer."""
    report = "case_check" in result.details
    dated = "the owner's claim is dated by a timestamp authority"
    rows: list[tuple[bool | None, str]] = [
        (result.intact, "nothing was changed, added or taken away since it was written (intact)"),
        (result.complete, "its parts say the same, and none is missing (complete)"),
        (result.timestamped, f"{dated} (timestamped)"),
        (result.reproduced, "every number follows from the recorded answers (reproduced)"),
        (result.trusted, "the signer is the one whom you expect (trusted)"),
    ]
    if asked:
        differ = f"{asked['disagreements']} of {asked['probes']} answers differ"
        rows.append((not asked["disagreements"], f"asked again, the model answers as recorded: {differ}"))
    else:
        rows.append((None, "asked again, the suspect answers as recorded"))
    if report:
        rows.append((None, "the words on the report's pages: compare them with the record yourself"))
    for value, text in rows:
        yield from _row("not checked" if value is None else "yes" if value else "NO", text)


def _finding(result: CheckResult) -> Iterator[str]:
    """The conclusion, what it means, and what replay does not show."""
    details = result.details
    if "suspect" not in details:
        return
    suspect = details["suspect"]
    yield from _row("suspect", f"{suspect['name'][:_NAME]} ({suspect['kind']}, SHA-256 {suspect['digest'][:16]}...)")
    verdict = details.get("verdict") or "none: not scored"
    yield from _row("verdict", verdict if result.ok else f"{verdict}, as it is recorded")
    if not result.ok:
        yield from _row("CAUTION", _CAUTION)
        return
    if "conclusion" in details:
        yield from _row("in a sentence", printable(details["conclusion"], _SENTENCE))
    yield from _row("it means", _MEANING.get(details.get("verdict") or "", _UNKNOWN))
    if result.reproduced:
        yield from _row("but", REPRODUCED)
    elif result.reproduced is None and details.get("verdict"):
        yield from _row("CAUTION", "The numbers were not recomputed: they are the owner's word.")


def _controls(details: Mapping[str, Any]) -> Iterator[str]:
    """Which models of known kind were examined beside the suspect, and which were not."""
    if "controls" not in details:
        return
    for role, told in _CONTROLS.items():
        found = next((each for each in details["controls"] if each["role"] == role), None)
        if found is None:
            yield from _row("NOT EXAMINED", told.name)
            continue
        # Whether a control responds is for the claim's rule to say; the verdict has a reason where it does not behave.
        failed = any(reason.startswith(told.fault) for reason in details["verdict_reasons"])
        size = f"{found['matched']} of {details['counted']}, by chance in {_chance(found)} cases"
        text = f"{told.name} ({found['name'][:_NAME]}) {told.badly if failed else told.well}: {size}; "
        yield from _row(told.label, text + found["provenance"][:_PROVENANCE])
    models = [each for each in details["controls"] if each["role"] == "reference"]
    wanted, documented = details["references_wanted"], sum(each["documented"] for each in models)
    state = {True: "none responds", False: "gate G3 failed", None: "gate G3 was not run"}[details["gates"].get("G3")]
    if not models:
        yield from _row("NOT EXAMINED", f"independent reference models: none, where the claim asks for {wanted}")
        return
    others = sum(not each["comparable"] for each in models)
    apart = f", {others} seen otherwise than the suspect" if others else ""
    said = f"{len(models)} independent, {documented} of documented provenance{apart}, "
    said += f"the claim asks for {wanted}; {state}"
    yield from _row("references", said)


def _events(details: Mapping[str, Any], room: int) -> Iterator[str]:
    """What happened when, by whose clock or signature, the earliest first; the middle goes where there is no room."""
    unknown = [
        name
        for key, name in (("release", "the release of what is marked"), ("earliest_evidence", "the suspect's origin"))
        if key in details and details[key]["value"] is None
    ]
    events = sorted(_told(details), key=lambda event: event[0])
    rows = [printable(f"{' ' * _MARGIN}{moment:<22}{text}", WIDTH) for moment, text in events]
    most = max(room - 2 - bool(unknown), 3)
    if len(rows) > most:
        more = f"{' ' * _MARGIN}... {len(rows) - most + 1} more: forensics check --json"
        rows = [*rows[: most // 2], more, *rows[len(rows) - (most - 1 - most // 2) :]]
    yield from rows
    if unknown:
        yield from _row("not dated", ", ".join(unknown))


def _told(details: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for token in details.get("tokens", ()):
        yield token["time"], f"owner's claim: timestamp by {_authority(token)}"
    release, origin, stamp = (details.get(name) for name in ("release", "earliest_evidence", "transcript_token"))
    if release and release["value"]:
        by = f"timestamp by {_authority(release['token'])}" if release["token"] else release["source"]
        yield release["value"], f"marked model recorded: {by}"
    if origin and origin["value"]:
        yield origin["value"], f"earliest evidence of the suspect: {origin['source']}"
    if details.get("acquired"):
        yield details["acquired"], "answers acquired: by the examiner's clock"
    if stamp:
        yield stamp["time"], f"answers: timestamp by {_authority(stamp)}"
    for row in (details.get("case_check") or details).get("custody", ()):
        if row["action"] != "acquire":
            yield row["utc"], _custody_words(row)
    if details.get("signature_timestamp"):
        yield details["signature_timestamp"], f"signature{_kind(details)}: by its timestamp"
    elif details.get("signing_time"):
        yield details["signing_time"], f"signature{_kind(details)}: by the signer's own clock"


def _custody_words(row: Mapping[str, Any]) -> str:
    item = f" {printable(row['item'], 40).rpartition('/')[2]}" if row["action"] == "add" else ""
    text = f"custody: {row['action']}{item} by {printable(row['actor'], 30)}"
    if row.get("signed_by"):
        return f"{text}, signed by {_short(row['signed_by'])}"
    return f"{text}, not signed" if row["action"] in UNSIGNED else text


def _authority(token: Mapping[str, Any]) -> str:
    name = _short(token["authority"])
    return f"{name} (DEMONSTRATION)" if token["demonstration"] and "DEMONSTRATION" not in name else name


def _short(subject: str) -> str:
    """A certificate's common name, where its subject has one."""
    found = _COMMON_NAME.search(subject)
    return printable(found[1] if found else subject, _NAME)


def _kind(details: Mapping[str, Any]) -> str:
    return " (DEMONSTRATION)" if details.get("signature_demonstration") else ""


def _chance(control: Mapping[str, Any]) -> str:
    try:
        return chance_in_words(float(control["p_value"]))
    except ValueError:
        return "an unknown share of"


def _remarks(result: CheckResult, asked: Mapping[str, Any], room: int) -> Iterator[str]:
    """The reasons as far as there is room, those for which it failed first."""
    signer = f"Signed by {result.signed_by}." if result.signed_by else "Signed by nobody."
    others = [each for each in result.reasons if each not in result.problems and each != REPRODUCED]
    said, lines = [*_asked_again(asked), *result.problems, signer, *others], 0
    for place, sentence in enumerate(said):
        wrapped = textwrap.wrap(printable(sentence, 3 * WIDTH), WIDTH - _MARGIN - 2)
        lines += len(wrapped)
        if lines > room - (place < len(said) - 1):
            yield f"{' ' * _MARGIN}- ... and {len(said) - place} more: forensics check --json"
            return
        for number, line in enumerate(wrapped):
            yield f"{' ' * _MARGIN}{'  ' if number else '- '}{line}"


def _asked_again(asked: Mapping[str, Any]) -> Iterator[str]:
    if asked and not asked["same_model"]:
        yield "A model that was asked again is not the one that the case records: other files or another address."
    if asked and asked["disagreements"]:
        yield f"{asked['disagreements']} answers differ by more than the tolerance, so the check failed."


def _next_step(result: CheckResult, asked: Mapping[str, Any]) -> str:
    if not result.intact:
        return "Ask for the file anew from whoever signed it, and compare its SHA-256 with the one that they give you."
    if not result.ok:
        return (
            "Put the first of the reasons above to whoever made this, and rely on nothing in it until it is answered."
        )
    if result.details.get("case_check", True) is None:
        return "Ask for the case folder, and check both: forensics check REPORT.pdf --case CASE"
    if result.signed_by is None:
        return "Ask whoever made the case to seal it (forensics case seal): until then nobody vouches for it."
    if result.trusted is None:
        return (
            "Get the signer's root certificate, or its fingerprint, from the signer and not from this file, and give "
            "it with --trust ROOT.pem or --expect-fingerprint HEX: until then nobody knows who signed."
        )
    if result.reproduced is None and result.details.get("verdict"):
        return "Ask the owner to open a share (forensics case open): until then nobody else can recompute the numbers."
    if not asked:
        return "Ask the suspect again, best with a share that is not yet spent: forensics check CASE --suspect MODEL"
    return "None: compare the SHA-256 of the manifest (--json) with the one that the report prints."


def _row(label: str, text: str) -> list[str]:
    lines = textwrap.wrap(printable(text, 9 * WIDTH), WIDTH - _MARGIN - _INDENT) or [""]
    head = f"{' ' * _MARGIN}{label:<{_INDENT}}"
    return [(head if number == 0 else " " * (_MARGIN + _INDENT)) + line for number, line in enumerate(lines)]


def _wrapped(text: str, margin: int) -> list[str]:
    return textwrap.wrap(printable(text, 4 * WIDTH), WIDTH, initial_indent=" " * margin, subsequent_indent=" " * margin)
