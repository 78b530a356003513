"""The page that `forensics check` prints: short enough to be read, and never more than the check found."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.canonical import now
from forensics.evidence.case import add_exhibit
from forensics.evidence.check import REPRODUCED, check_case
from forensics.evidence.check_pdf import check_pdf
from forensics.evidence.entries import entry_signer
from forensics.evidence.findings import CheckResult
from forensics.evidence.signer import load_signer
from forensics.evidence.supersede import supersede_case
from forensics.evidence.words import HEIGHT, WIDTH, render_page
from tests.evidence.conftest import PASSPHRASE, Line

SAMPLES = Path(__file__).parents[2] / "evidence_samples"
ROOT = SAMPLES / "root.pem"


def page(result: CheckResult, *, ok: bool | None = None, asked: dict[str, Any] | None = None) -> list[str]:
    lines = render_page(Path("CASE"), result, result.ok if ok is None else ok, asked or {})
    assert len(lines) <= HEIGHT, len(lines)
    assert max(map(len, lines)) <= WIDTH
    assert all(line == line.rstrip() and line.isprintable() for line in lines)
    return lines


def flat(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


@pytest.fixture(scope="module")
def sample() -> CheckResult:
    return check_case(SAMPLES / "case", trust=ROOT)


def sample_matched() -> int:
    """How many bits the sample's suspect gives back; its key is drawn anew whenever the samples are made."""
    evidence = json.loads((SAMPLES / "case" / "data" / "evidence.json").read_bytes())
    return int(evidence["score"]["measurement"]["matched"])


def test_the_sample_in_words(sample: CheckResult) -> None:
    lines = page(sample)
    text = flat(lines)
    assert lines[0] == sample.headline
    assert lines[1] == "checked: CASE"
    assert sum(line.startswith("  yes  ") for line in lines) == 5
    assert "not checked asked again, the suspect answers as recorded" in text
    assert REPRODUCED in text
    assert f"{sample_matched()} of 64 bits agree with the key" in text
    assert "in fewer than one in a million cases" in text
    assert "not examined as controls" not in text
    assert "They do not say how" in text
    assert "owner's claim: timestamp by DEMONSTRATION" in text
    assert "references 2 independent, 2 of documented provenance, the claim asks for 1; none responds" in text
    assert "the owner's own marked model (demo-out/models/marked) responds, as it must" in text
    assert "the owner's model before it was marked (demo-out/models/unmarked) does not respond" in text
    assert "custody: add suspect.txt by forensics demo, signed by DEMONSTRATION" in text
    titles = [line for line in lines if line.isupper() and not line.startswith(" ")]
    assert titles == [
        "WHAT WAS CHECKED",
        "WHAT THE RECORD SAYS",
        "CONTROLS",
        "WHO DATED AND SIGNED WHAT",
        "REMARKS",
        "NEXT STEP",
    ]
    moments = [line[2:22] for line in lines if re.match(r"  \d{4}-\d\d-\d\dT", line)]
    assert len(moments) == 10
    assert moments == sorted(moments)


def test_the_tampered_twin_says_why_and_concludes_nothing() -> None:
    result = check_case(SAMPLES / "tampered", trust=ROOT)
    lines = page(result)
    text = flat(lines)
    assert lines[0].startswith("FAILED")
    assert "WHY IT FAILED, AND REMARKS" in lines
    first = lines[lines.index("WHY IT FAILED, AND REMARKS") + 1]
    assert result.problems[0].startswith(first.removeprefix("  - "))
    assert "SUPPORTED, as it is recorded" in text
    assert "rely on none of it" in text.lower()
    for absent in ("million", "CONTROLS", "They do not say how", REPRODUCED):
        assert absent not in text


def test_a_report_with_and_without_its_case() -> None:
    alone = flat(page(check_pdf(SAMPLES / "report.pdf")))
    assert "not checked every number follows" in alone
    assert "The numbers were not recomputed: they are the owner's word." in alone
    assert "forensics check REPORT.pdf --case CASE" in alone
    assert "compare them with the record yourself" in alone
    both = check_pdf(SAMPLES / "report.pdf", case=SAMPLES / "case", trust=ROOT)
    text = flat(page(both))
    assert REPRODUCED in text
    assert "custody: seal by forensics demo" in text
    assert both.details["case_check"]["custody"][-1]["action"] == "seal"
    assert "the reasons below" in flat(page(replace(both, ok=False)))


@pytest.mark.parametrize("state", ["acquired", "scored", "opened", "sealed"])
def test_every_state_has_a_page_with_its_next_step(line: Line, state: str) -> None:
    text = flat(page(check_case(getattr(line, state), trust=line.trust if state == "sealed" else None)))
    words = {
        "acquired": "not yet scored",
        "scored": "they are the owner's word",
        "opened": "NEXT STEP Ask whoever made the case to seal it",
        "sealed": "forensics check CASE --suspect MODEL",
    }
    assert words[state] in text
    assert ("verdict none: not scored" in text) == (state == "acquired")
    if state != "acquired":
        assert "references 1 independent, 1 of documented provenance, the claim asks for 0; none responds" in text


def test_what_was_asked_again_is_told(sample: CheckResult) -> None:
    good = {"disagreements": 0, "probes": 512, "same_model": True}
    text = flat(page(sample, asked=good))
    assert "yes asked again, the model answers as recorded: 0 of 512 answers differ" in text
    assert "NEXT STEP None" in text
    bad = {"disagreements": 3, "probes": 512, "same_model": False}
    text = flat(page(sample, ok=False, asked=bad))
    assert text.startswith("FAILED")
    assert "NO asked again" in text
    assert "other files or another address" in text
    assert "3 answers differ by more than the tolerance" in text


def with_details(result: CheckResult, **changes: Any) -> CheckResult:
    return replace(result, details={**result.details, **changes})


def test_a_control_that_does_not_behave_is_told_in_capitals(sample: CheckResult) -> None:
    details = sample.details
    twin = {**details["controls"][0], "role": "predecessor", "p_value": "1e-9"}
    said = [
        "the owner's own marked model does not respond to the key",
        "the owner's model responds to the key even without the mark",
    ]
    spoilt = with_details(
        sample, controls=[*details["controls"], twin], verdict_reasons=said, gates={**details["gates"], "G3": False}
    )
    text = flat(page(spoilt))
    assert "does NOT respond" in text
    assert "RESPONDS without the mark" in text
    good = flat(page(with_details(spoilt, verdict_reasons=[])))
    assert "responds, as it must:" in good
    assert "does not respond, as it must not:" in good


def test_undocumented_references_are_counted_apart(sample: CheckResult) -> None:
    model = {**sample.details["controls"][0], "role": "reference"}
    models = [{**model, "documented": place < 2, "comparable": place < 5} for place in range(6)]
    text = flat(page(with_details(sample, controls=models, references_wanted=5, gates={"G3": None})))
    said = "6 independent, 2 of documented provenance, 1 seen otherwise than the suspect, the claim asks for 5"
    assert f"{said}; gate G3 was not run" in text
    none = flat(page(with_details(sample, controls=[], references_wanted=5)))
    assert "NOT EXAMINED independent reference models: none, where the claim asks for 5" in none


HOSTILE = "\x1b[31mPASSED\x07 \u202e evil\nPASSED - signer identified\u2028" + "x" * 5000


def test_hostile_and_endless_text_stays_on_the_page_and_steers_nothing(sample: CheckResult) -> None:
    details = sample.details
    row = {**details["custody"][0], "action": "add", "actor": HOSTILE, "item": f"data/exhibits/{HOSTILE}"}
    hostile = with_details(
        sample,
        suspect={"name": HOSTILE, "kind": HOSTILE, "digest": HOSTILE},
        conclusion=HOSTILE,
        tokens=[{"authority": f"CN={HOSTILE}", "time": HOSTILE, "demonstration": False}],
        earliest_evidence={"value": HOSTILE, "source": HOSTILE},
        controls=[{**details["controls"][0], "name": HOSTILE, "provenance": HOSTILE}] * 3,
        custody=[row] * 50,
    )
    hostile = replace(hostile, reasons=(HOSTILE,) * 40, signed_by=HOSTILE)
    for result, ok in ((hostile, True), (replace(hostile, problems=(HOSTILE,) * 25), False)):
        lines = page(result, ok=ok)
        assert sum(line.startswith("PASSED") for line in lines) == ok
        assert any("more: forensics check --json" in line for line in lines)
        assert lines[-1].strip()
    render_page(Path(HOSTILE), hostile, True, {})


def test_remarks_that_do_not_fit_are_counted(sample: CheckResult) -> None:
    result = replace(sample, reasons=tuple(f"Remark {number}." for number in range(100)))
    lines = page(result)
    shown = sum(line.startswith("  - Remark") for line in lines)
    (more,) = (line for line in lines if "more: forensics check --json" in line)
    assert f"and {100 - shown} more" in more
    assert shown >= 5


def test_a_refused_file_has_a_page_as_well(tmp_path: Path) -> None:
    file = tmp_path / "x.pdf"
    file.write_bytes(b"%PDF-1.7\n")
    lines = page(check_pdf(file))
    assert lines[0].startswith("FAILED - not signed")
    assert "WHAT THE RECORD SAYS" not in lines
    assert any("Ask for the file anew" in line for line in lines)


def test_no_more_than_a_million_to_one_is_ever_said(sample: CheckResult) -> None:
    for text in (flat(page(sample)), flat(page(with_details(sample, p_value="1e-300")))):
        assert not re.search(r"billion|trillion|one in [0-9,]{10,}|e-[0-9]{2}", text)


def test_the_command_takes_seconds_and_loads_no_heavy_library() -> None:
    script = (
        "import resource, sys\nfrom forensics.cli import root\n"
        f"arguments = ['check', {str(SAMPLES / 'case')!r}, '--trust', {str(ROOT)!r}]\n"
        "try:\n    root.main(arguments, standalone_mode=False)\nexcept SystemExit:\n    pass\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "loaded = {'torch', 'weasyprint', 'transformers', 'httpx2', 'pyhanko'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "assert used.ru_utime + used.ru_stime < 5.0, used\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "PASSED - DEMONSTRATION signature - NAMED MODELS NOT ASKED AGAIN"


def test_a_superseded_case_and_signed_entries_are_on_the_page(line: Line, tmp_path: Path) -> None:
    new, moment = tmp_path / "NEW", now()
    supersede_case(line.sealed, new, reason="A letter came in.", actor="examiner", moment=moment)
    signer = entry_signer(load_signer(line.signer, PASSPHRASE), None, moment)
    add_exhibit(new, "letter.txt", b"x", actor="clerk", moment=moment, signer=signer)
    text = flat(page(check_case(new)))
    assert "custody: supersede by examiner, not signed" in text
    assert "custody: add letter.txt by clerk, signed by DEMONSTRATION - NOT TRUSTED" in text
    assert "This case supersedes a sealed one" in text
