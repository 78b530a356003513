"""The tables of `bench tamper`: how many of each class, and every named attack with what other programs say."""

from collections.abc import Iterable, Sequence
from typing import Any

from forensics.bench.results import Row
from forensics.bench.tamper_cases import HANDS
from forensics.bench.tampering import Outcome

_SHORT = {Outcome.UNIDENTIFIED: "not identified", Outcome.UNCAUGHT: "UNCAUGHT"}
_WRONG = (Outcome.ACCEPTED.value, Outcome.UNCAUGHT.value)
_NUMBERS = ("tried", *(outcome.value for outcome in Outcome))


def render(rows: Sequence[Row], classes: dict[tuple[str, str], str]) -> str:
    """Returns all tables as Markdown.

    Args:
        classes: what each class is, by document and name.
    """
    drawn = [row for row in rows if "tried" in row]
    named = [row for row in rows if "hands" in row]
    parts = [
        _counts(drawn, named, classes),
        "**Reports.** What `check` says of each level's report, and what other programs say of that of level B-LT.",
        _reports([row for row in named if row["document"] == "report"]),
        "**Cases.** What `check` says by who finished the forgery, and what other programs say of the last of these.",
        _cases([row for row in named if row["document"] == "case"]),
        "**Folders, manifests and signatures** of a sealed case.",
        _folders([row for row in named if row["document"] == "folder"]),
    ]
    return "\n\n".join(part for part in parts if part)


def totals(rows: Iterable[Row]) -> dict[str, int]:
    """Returns how many altered documents were tried, and how many were wrongly accepted or raised an exception."""
    found = dict.fromkeys(("tried", *_WRONG), 0)
    for row in rows:
        if "tried" in row:
            for name in found:
                found[name] += row[name]
            continue
        for answer in row["hands"].values():
            if answer["limit"] != Outcome.ACCEPTED:
                found["tried"] += 1
                found[_fault(answer)] += not answer["right"]
    return found


def _fault(answer: dict[str, Any]) -> str:
    return (Outcome.UNCAUGHT if answer["check"] == Outcome.UNCAUGHT else Outcome.ACCEPTED).value


def _counts(drawn: Sequence[Row], named: Sequence[Row], classes: dict[tuple[str, str], str]) -> str:
    lines = [
        "| altered | what happens to it | tried | refused | signer not identified | wrongly accepted | uncaught |",
        "|---|---|---|---|---|---|---|",
    ]
    for (document, kind), words in classes.items():
        group = [row for row in drawn if (row["document"], row["kind"]) == (document, kind)]
        if group:
            numbers = [f"{sum(row[name] for row in group):,}" for name in _NUMBERS]
            lines.append(f"| {document} | {words} | {' | '.join(numbers)} |")
    for document, what in (("case", "named attacks"), ("folder", "odd folders"), ("report", "named attacks")):
        answers = [each for row in named if row["document"] == document for each in row["hands"].values()]
        altered = [each for each in answers if each["limit"] != Outcome.ACCEPTED]
        if altered:
            refused = sum(each["check"] == Outcome.REFUSED for each in altered)
            passed = sum(each["check"] == Outcome.UNIDENTIFIED and each["right"] for each in altered)
            wrong = [_fault(each) for each in altered if not each["right"]]
            lines.append(
                f"| {document} | {what}, below | {len(altered):,} | {refused:,} | {passed:,} | "
                f"{' | '.join(str(wrong.count(name)) for name in _WRONG)} |"
            )
    found = totals([*drawn, *named])
    wrong = [str(found[name]) for name in _WRONG]
    lines.append(f"| **all** | | **{found['tried']:,}** | | | **{'** | **'.join(wrong)}** |")
    return "\n".join(lines)


def _reports(rows: Sequence[Row]) -> str:
    levels = list(dict.fromkeys(row["base"] for row in rows))
    asked = "B-LT" if "B-LT" in levels else levels[-1]
    lines = [f"| what was done | {' | '.join(levels)} | pdfsig | openssl cms |", "|---" * (len(levels) + 3) + "|"]
    for what in dict.fromkeys(row["what"] for row in rows):
        found = {row["base"]: row for row in rows if row["what"] == what}
        shown = [_shown(found[level]["hands"]["kept"]) if level in found else "-" for level in levels]
        others = (found.get(asked) or next(iter(found.values())))["others"]
        lines.append(f"| {what} | {' | '.join(shown)} | {others['pdfsig']} | {others['openssl cms']} |")
    return "\n".join(lines)


def _cases(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    tools = list(rows[0]["others"])
    heads = ("signature kept", "no signature", "another signer", "its own signer")
    lines = [f"| what was done | {' | '.join([*heads, *tools])} |", "|---" * (1 + len(heads) + len(tools)) + "|"]
    for row in rows:
        shown = [_shown(row["hands"][hand]) if hand in row["hands"] else "-" for hand in HANDS]
        lines.append(f"| {row['what']} | {' | '.join([*shown, *row['others'].values()])} |")
    return "\n".join(lines)


def _folders(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = ["| what was done | check |", "|---|---|"]
    return "\n".join([*lines, *(f"| {row['what']} | {_shown(row['hands']['kept'])} |" for row in rows)])


def _shown(answer: dict[str, Any]) -> str:
    word = _SHORT.get(Outcome(answer["check"]), answer["check"])
    return word if answer["right"] else f"**{word}**"
