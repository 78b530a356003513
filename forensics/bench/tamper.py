"""`bench tamper`: thousands of altered cases and reports against `check`, and what other programs say of them."""

import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from forensics.bench import tamper_attacks, tamper_cases, tamper_entries, tamper_folders, tamper_reports, tamper_tables
from forensics.bench.results import Cell, Row, run_cells
from forensics.bench.tamper_bases import PROFILES, Bases, add_reports, build, sample
from forensics.bench.tamper_cases import HANDS, Original
from forensics.bench.tamper_tools import ask_case_tools, ask_openssl_pdf, ask_pdfsig
from forensics.bench.tampering import Desk, Files, Mutation, Outcome, tally
from forensics.evidence.case import CaseFolder
from forensics.evidence.check import check_case
from forensics.progress import Progress, silent

COMMAND = "forensics bench tamper"
SEED = 2026

CASES = {
    "accidents": "a file suffers an accident: bits, bytes, insertions, losses, cuts",
    "listed": "the same, and the manifests are written anew",
    "edits": "any value of the evidence or the claim is replaced by another",
    "findings": "the same within the score: figures, gates, verdict, controls",
    "logs": "lines of transcript or custody log are replaced, moved, dropped, doubled",
}
"""Classes of altered cases that are drawn by chance, and what they are."""

REPORTS = {
    "accidents": "a report suffers an accident, one time in seven anywhere, else where signatures and revisions lie",
    "revisions": "a later revision draws, annotates, attaches, empties, renames",
}
"""Classes of altered reports that are drawn by chance."""

NAMED = "named"
COUNTS = {
    ("fresh", "accidents"): 900,
    ("fresh", "listed"): 700,
    ("fresh", "edits"): 350,
    ("fresh", "findings"): 175,
    ("fresh", "logs"): 175,
    ("sample", "accidents"): 400,
    ("sample", "listed"): 300,
    ("sample", "edits"): 60,
    ("sample", "logs"): 40,
    ("report", "accidents"): 500,
    ("report", "revisions"): 40,
}
"""How many are tried: of a class and a hand in the case of those that need one, of a class and a report."""

BY_HAND = ("edits", "findings", "logs")
QUICK = 8


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Makes the documents, runs what is missing and returns all rows."""
    with tempfile.TemporaryDirectory() as scratch:
        bases = Path(scratch) / "bases"
        cells = list(_cells(bases, quick))
        kept = None if quick else folder
        if kept is None or any(not (kept / f"{cell.name}.json").exists() for cell in cells):
            add_reports(build(bases), ("B-LT",) if quick else PROFILES)
        return run_cells("tamper", COMMAND, SEED, cells, kept, jobs=jobs, progress=progress)


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as Markdown tables."""
    classes = {("case", kind): words for kind, words in CASES.items()}
    return tamper_tables.render(rows, classes | {("report", kind): words for kind, words in REPORTS.items()})


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(Path(), quick=False) if cell.name in present]


def _cells(bases: Path, quick: bool) -> Iterator[Cell]:
    given: dict[str, Any] = {"bases": str(bases), "quick": quick}
    for level in ("B-LT",) if quick else PROFILES:
        yield Cell(f"report-{level}-{NAMED}", report_attacks, {**given, "level": level})
    for name, function in (("attacks", case_attacks), ("entries", entry_attacks), ("folders", folder_attacks)):
        yield Cell(f"case-{NAMED}-{name}", function, given)
    for base, kind in COUNTS:
        if base == "report":
            for level in ("B-LT",) if quick else (*PROFILES, "sample"):
                yield Cell(f"report-{level}-{kind}", report_cell, {**given, "level": level, "kind": kind})
            continue
        for hand in HANDS if kind in BY_HAND else ("kept",):
            # Nobody has the key that sealed the sample.
            if base == "fresh" or hand != "insider":
                yield Cell(f"case-{base}-{kind}-{hand}", case_cell, {**given, "base": base, "kind": kind, "hand": hand})


def case_cell(bases: str, base: str, kind: str, hand: str, quick: bool) -> list[Row]:
    """Tries one class of altered cases by one hand."""
    made = Bases(Path(bases))
    original = open_case(made, base)
    count = QUICK if quick else COUNTS[base, kind]
    mutations, desk = draw(original, kind, hand), open_desk(made, base)
    return [_counted(desk, original.files, mutations, count, "case", base, kind, quick)]


def draw(original: Original, kind: str, hand: str) -> Iterator[Mutation]:
    """Returns endless altered cases of one class by one hand; always the same of the same case."""
    chance = random.Random(f"{SEED} {kind} {hand}")
    if kind == "accidents":
        return tamper_cases.accidents(original, chance)
    if kind == "listed":
        return tamper_cases.listed_accidents(original, chance)
    if kind == "logs":
        return tamper_cases.logs(original, hand, chance)
    return tamper_cases.edits(original, hand, chance, ("score",) if kind == "findings" else ())


def report_cell(bases: str, level: str, kind: str, quick: bool) -> list[Row]:
    """Tries one class of altered reports."""
    made, base = Bases(Path(bases)), "sample" if level == "sample" else "fresh"
    raw = (sample("report.pdf") if level == "sample" else made.report(level)).read_bytes()
    count = QUICK if quick else COUNTS["report", kind]
    return [_counted(open_desk(made, base), raw, draw_reports(raw, kind), count, "report", level, kind, quick)]


def draw_reports(raw: bytes, kind: str) -> Iterator[Mutation]:
    """Returns endless altered reports of one class; always the same of the same report."""
    chance = random.Random(f"{SEED} {kind}")
    return (tamper_reports.accidents if kind == "accidents" else tamper_reports.revisions)(raw, chance)


def _counted(
    desk: Desk,
    original: Files | bytes,
    mutations: Iterator[Mutation],
    count: int,
    document: str,
    base: str,
    kind: str,
    quick: bool,
) -> Row:
    return {"document": document, "base": base, "kind": kind, **tally(desk, original, mutations, count), "quick": quick}


def case_attacks(bases: str, quick: bool) -> list[Row]:
    """Tries every named attack on the fresh case by every hand, and asks other programs about the last of them."""
    made = Bases(Path(bases))
    original = open_case(made, "fresh")
    control = Mutation("nothing, kept", original.files, Outcome.ACCEPTED)
    return _by_hand(made, [control, *_some(tamper_attacks.attacks(original, made), quick)], quick)


def entry_attacks(bases: str, quick: bool) -> list[Row]:
    """Tries attacks on a signed entry of the custody log by every hand, and asks other programs as well."""
    made = Bases(Path(bases))
    original = Original(made.case("noted"), made.authorities())
    control = Mutation("nothing, with a signed entry, kept", original.files, Outcome.ACCEPTED)
    return _by_hand(made, [control, *_some(tamper_entries.entry_attacks(original), quick)], quick)


def _by_hand(made: Bases, mutations: Iterable[Mutation], quick: bool) -> list[Row]:
    desk = open_desk(made, "fresh")
    rows: dict[str, Row] = {}
    for mutation in mutations:
        name, _, hand = mutation.name.rpartition(", ")
        row = rows.setdefault(name, {"document": "case", "base": "fresh", "kind": NAMED, "what": name, "hands": {}})
        row["hands"][hand] = _answer(desk, mutation)
        row["files"] = mutation.content
        row["quick"] = quick
    for row in rows.values():
        row["others"] = ask_case_tools(row.pop("files"), made.root)
    return list(rows.values())


def folder_attacks(bases: str, quick: bool) -> list[Row]:
    """Tries odd folders, manifests and signatures of the fresh case."""
    made = Bases(Path(bases))
    original, desk = open_case(made, "fresh"), open_desk(made, "fresh")
    found = [*tamper_folders.folders(original), *tamper_folders.seals(original, made.case("other"))]
    return [
        {
            "document": "folder",
            "base": "fresh",
            "kind": NAMED,
            "what": mutation.name,
            "hands": {"kept": _answer(desk, mutation)},
            "quick": quick,
        }
        for mutation in _some(found, quick)
    ]


def report_attacks(bases: str, level: str, quick: bool) -> list[Row]:
    """Tries every named attack on one fresh report, and asks other programs about it."""
    made = Bases(Path(bases))
    raw, desk = made.report(level).read_bytes(), open_desk(made, "fresh")
    mutations = [Mutation("nothing", raw, Outcome.ACCEPTED), *_some(tamper_reports.attacks(raw, made), quick)]
    rows = []
    for mutation in mutations:
        answer = _answer(desk, mutation)
        path = desk.place / "report.pdf"
        rows.append(
            {
                "document": "report",
                "base": level,
                "kind": NAMED,
                "what": mutation.name,
                "hands": {"kept": answer},
                "others": {"pdfsig": ask_pdfsig(path), "openssl cms": ask_openssl_pdf(path, made.root)},
                "quick": quick,
            }
        )
    return rows


def _some(mutations: Iterable[Mutation], quick: bool) -> Iterator[Mutation]:
    """All of them, or one in six."""
    return (mutation for place, mutation in enumerate(mutations) if not quick or place % 6 == 0)


def _answer(desk: Desk, mutation: Mutation) -> dict[str, Any]:
    found = desk.check(mutation)
    right = found.is_right(mutation.limit)
    return {"check": found.outcome.value, "limit": mutation.limit.value, "right": right, "reason": found.reason}


def open_case(bases: Bases, base: str) -> Original:
    """Returns the fresh sealed case, or the sample."""
    if base == "fresh":
        return Original(bases.case("sealed"), bases.authorities())
    return Original(dict(CaseFolder.load(sample("case")).content), {"stranger": bases.folder / "stranger"})


def open_desk(bases: Bases, base: str) -> Desk:
    """A place to check in; the reader knows root and fingerprint of the fresh documents' signer, or of the sample's."""
    root, case = (bases.root, bases.folder / "sealed") if base == "fresh" else (sample("root.pem"), sample("case"))
    fingerprint = str(check_case(case).details["signer_fingerprint"])
    return Desk(Path(tempfile.mkdtemp(dir=bases.folder)), root, fingerprint)
