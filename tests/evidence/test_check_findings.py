"""What a check refuses or remarks upon beyond broken digests: authorities, dates, texts, figures, order of times."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forensics.bench.tamper_cases import rechained, stamped
from forensics.canonical import now, sha256
from forensics.cli.verification import print_check
from forensics.evidence.case import RECOMPUTE, CaseFolder
from forensics.evidence.chain import verify_chain
from forensics.evidence.check import check_case
from forensics.evidence.consistency import Parts, release_date
from forensics.evidence.custody import CUSTODY, TOOL
from forensics.evidence.replayed import find_odd_replay
from forensics.evidence.reproduce import verify_figures
from forensics.evidence.schema import AssetRecord, Evidence, IdentityRecord
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.keys.claim import Claim
from forensics.keys.demonstration import DemonstrationAuthority
from tests.evidence.conftest import PASSPHRASE, Line
from tests.evidence.test_check_forgeries import forged, rewrite_transcript

Body = dict[str, Any]
Change = Callable[[Body], None]
EARLY, LATE = "1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


def reasons(line: Line, tmp_path: Path, change: Change, state: str = "opened") -> tuple[bool, str]:
    result = check_case(forged(line, tmp_path / "CASE", lambda files, body, _: change(body), state))
    return result.ok, "\n".join(result.reasons)


def test_without_roots_every_authority_is_called_unidentified(line: Line) -> None:
    words = "The timestamp authority is NOT identified: CN=DEMONSTRATION"
    assert sum(reason.startswith(words) for reason in check_case(line.sealed).reasons) == 1
    assert not any(reason.startswith(words) for reason in check_case(line.sealed, trust=line.trust).reasons)


def test_an_authority_outside_the_roots_makes_the_check_fail(line: Line, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(DemonstrationAuthority.create().root_pem)
    result = check_case(line.sealed, trust=stranger)
    assert (result.ok, result.timestamped) == (False, False)
    assert any("add the authority's root to the PEM file" in reason for reason in result.reasons)
    assert check_case(line.sealed, trust=line.trust).timestamped is True


@pytest.mark.parametrize(
    ("name", "place", "what"),
    [
        ("data/claim/asset.tst", "asset/token", "the marked model"),
        ("data/transcript.tst", "transcript_token", "the transcript"),
    ],
)
def test_no_date_of_a_strangers_authority_passes_with_roots(
    line: Line, tmp_path: Path, name: str, place: str, what: str
) -> None:
    """As for the claim's own timestamp: where roots are given, all who date a part of the record are under them."""

    def stamp_by_a_stranger(files: dict[str, bytes], body: Body, _: Line) -> None:
        digest = sha256(files["data/claim/asset.json"]) if "asset" in name else body["transcript_head"]
        dated = (body["asset"]["token"] if "asset" in name else body["transcript_token"])["gen_time"]
        stranger = replace(DemonstrationAuthority.create(), clock=lambda: datetime.fromisoformat(dated))
        files[name], record = stamped(stranger, bytes.fromhex(digest))
        figure(place, record)(body)

    case = forged(line, tmp_path / "CASE", stamp_by_a_stranger)
    seal_case(case, load_signer(line.signer, PASSPHRASE), line.authority, actor="examiner", moment=now())
    assert check_case(case).ok
    result = check_case(case, trust=line.trust)
    assert (result.ok, result.timestamped, result.trusted) == (False, False, True), result.reasons
    sentence = f"The timestamp of {what} comes from an authority that is not among your roots: add the authority's"
    assert any(reason.startswith(sentence) for reason in result.problems)


def test_the_date_of_a_strangers_signature_timestamp_is_not_repeated(line: Line, tmp_path: Path) -> None:
    case = forged(line, tmp_path / "CASE", lambda files, body, _: None)
    early = replace(DemonstrationAuthority.create(), clock=lambda: now() - timedelta(days=1))
    seal_case(case, load_signer(line.signer, PASSPHRASE), early, actor="examiner", moment=now() - timedelta(days=1))
    assert check_case(case).details["signature_timestamp"] is not None
    assert check_case(case, trust=line.trust).details["signature_timestamp"] is None


def test_the_release_follows_from_the_record_of_the_marked_model(line: Line, tmp_path: Path) -> None:
    def invent(body: Body) -> None:
        body["dates"]["release"] = {"value": LATE, "source": "notarised contract"}

    ok, text = reasons(line, tmp_path, invent)
    assert not ok
    assert "dates the release of the marked model otherwise" in text
    untokened = AssetRecord(digest="0" * 64, created=EARLY, token=None)
    assert release_date(untokened).value == EARLY
    assert release_date(None).value is None


@pytest.mark.parametrize(("name", "words"), [(RECOMPUTE, "do not run it"), ("data/VERIFY.txt", "do not follow it")])
def test_texts_that_people_run_and_follow_are_ours(line: Line, tmp_path: Path, name: str, words: str) -> None:
    def swap(files: dict[str, bytes], body: Body, _: Line) -> None:
        files[name] = b"print('agrees')\n"

    def say_another_version(files: dict[str, bytes], body: Body, _: Line) -> None:
        body["tool"]["version"] = "9.9"

    def in_the_logs_as_well(files: dict[str, bytes], body: Body, _: Line) -> None:
        say_another_version(files, body, _)
        rewrite_transcript(files, body, lambda entries: entries[0].update(tool="model-forensics 9.9"))
        body["transcript_token"] = None
        del files["data/transcript.tst"]
        files[CUSTODY] = rechained(
            [{**entry, "tool": "model-forensics 9.9"} for entry in verify_chain(files[CUSTODY])],
        )

    def all_three(files: dict[str, bytes], body: Body, _: Line) -> None:
        in_the_logs_as_well(files, body, _)
        swap(files, body, _)

    def all_but_one_entry(files: dict[str, bytes], body: Body, _: Line) -> None:
        all_three(files, body, _)
        entries = [dict(entry) for entry in verify_chain(files[CUSTODY])]
        entries[-1]["tool"] = TOOL
        files[CUSTODY] = rechained(entries)

    for place, forge in enumerate((swap, all_but_one_entry)):
        result = check_case(forged(line, tmp_path / f"CASE-{place}", forge))
        assert not result.ok
        assert any(words in reason for reason in result.problems)
        assert "NOT KNOWN" not in result.headline
    alone = check_case(forged(line, tmp_path / "ALONE", say_another_version))
    assert any("names another version of the tool than" in reason for reason in alone.problems)
    known = check_case(forged(line, tmp_path / "KNOWN", in_the_logs_as_well))
    assert known.ok, known.problems
    assert "NOT KNOWN" not in known.headline
    other = check_case(forged(line, tmp_path / "OTHER", all_three))
    assert other.ok, other.problems
    assert any("another version (9.9)" in reason for reason in other.reasons)
    assert other.headline.endswith(f"{Path(name).name} NOT KNOWN TO THIS TOOL")


def figure(path: str, value: object) -> Change:
    def change(body: Body) -> None:
        *names, last = path.split("/")
        for name in names:
            body = body[int(name)] if isinstance(body, list) else body[name]
        body[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("score/measurement/p_value", "1e-30"),
        ("score/measurement/log10_p", "-30.0"),
        ("score/measurement/matched", 9),
        ("score/measurement/n", 10**9),
        ("score/measurement/test", "other"),
        ("score/measurement/effect/low", "0.999"),
        ("score/measurement/effect/upper_99", "0.1"),
        ("score/measurement/bayes_factor_log10", "99.0"),
        ("score/measurement/power", "0.999"),
        ("score/controls/0/p_value", "0.999"),
        ("score/controls/0/n", 99),
        ("score/verdict/outcome", "INVALID_CLAIM"),
        ("score/verdict/gates/G3", None),
        ("score/verdict/reasons", ["five laboratories agree"]),
        ("score/verdict/n_star", "9" * 300),
        ("score/verdict/adjusted_p", "0.0"),
    ],
)
def test_figures_of_an_unopened_case_must_fit_each_other(line: Line, tmp_path: Path, path: str, value: object) -> None:
    ok, text = reasons(line, tmp_path, figure(path, value), "scored")
    assert not ok
    assert "recomputed as" in text


def test_figures_of_an_honest_case_fit(line: Line) -> None:
    evidence = CaseFolder.load(line.scored).evidence
    assert evidence.score is not None
    claim = Claim.parse(CaseFolder.load(line.scored).files()["data/claim/claim.json"])
    assert verify_figures(claim, evidence) == []
    assert verify_figures(claim, Evidence.revised(evidence, score=None)) == []


def test_unverified_numbers_are_named_in_the_first_line(line: Line) -> None:
    assert "NUMBERS NOT VERIFIED" in check_case(line.scored).headline
    assert "NUMBERS NOT VERIFIED" not in check_case(line.opened).headline
    assert "NUMBERS NOT VERIFIED" not in check_case(line.acquired).headline


def test_the_first_line_is_the_headline(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    result = check_case(line.opened)
    print_check(line.opened, result, True, {})
    print_check(line.opened, result, False, {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == result.headline
    assert "not signed" in lines[0]
    assert any(text.startswith("FAILED - not signed") for text in lines)
    demonstration = check_case(line.sealed, trust=line.trust).headline
    assert demonstration == "PASSED - DEMONSTRATION signature - NAMED MODELS NOT ASKED AGAIN"
    asked = check_case(line.sealed, trust=line.trust)
    asked = replace(asked, details={**asked.details, "named_models_asked": True})
    assert asked.headline == "PASSED - DEMONSTRATION signature"
    assert "signer NOT trusted" in replace(check_case(line.sealed), trusted=False).headline


def test_a_named_model_must_be_known_by_its_files(line: Line, tmp_path: Path) -> None:
    ok, text = reasons(line, tmp_path, figure("references/0/identity/kind", "replay"))
    assert not ok
    assert "was not asked itself, from its files" in text


@pytest.mark.parametrize("path", ["suspect", "references/0/identity", "score/controls/0/identity"])
def test_a_folders_digest_is_that_of_its_files(line: Line, tmp_path: Path, path: str) -> None:
    ok, text = reasons(line, tmp_path, figure(f"{path}/files", {"model.safetensors": ["0" * 64, 1]}))
    assert not ok
    assert "not that of its list of files" in text


@pytest.mark.parametrize("kind", ["folder", "onnx"])
@pytest.mark.parametrize("files", [{}, {"a.onnx": ["0" * 64, 1]}])
def test_a_model_on_a_disk_lists_the_files_of_its_digest(
    line: Line, tmp_path: Path, kind: str, files: dict[str, list[object]]
) -> None:
    def change(body: Body) -> None:
        body["suspect"] |= {"kind": kind, "files": files}

    ok, text = reasons(line, tmp_path, change)
    assert not ok
    assert "The digest of the suspect is not that of its list of files" in text


@pytest.mark.parametrize(
    ("path", "value"),
    [("score/created", EARLY), ("score/created", LATE), ("acquired/value", EARLY), ("acquired/value", LATE)],
)
def test_times_in_another_order_are_refused(line: Line, tmp_path: Path, path: str, value: str) -> None:
    ok, text = reasons(line, tmp_path, figure(path, value))
    assert not ok
    assert "The times contradict each other" in text


def test_logs_that_run_backwards_are_refused(line: Line, tmp_path: Path) -> None:
    def turn(files: dict[str, bytes], body: Body, _: Line) -> None:
        rewrite_transcript(files, body, lambda entries: entries[1].update(utc=LATE))

    result = check_case(forged(line, tmp_path / "CASE", turn))
    assert not result.ok
    assert any("times in the transcript run backwards" in reason for reason in result.reasons)


def test_a_missing_timestamp_of_the_transcript_is_remarked_upon(line: Line, tmp_path: Path) -> None:
    def drop(files: dict[str, bytes], body: Body, _: Line) -> None:
        body["transcript_token"] = None
        del files["data/transcript.tst"]

    result = check_case(forged(line, tmp_path / "CASE", drop))
    assert result.ok, result.reasons
    assert "The transcript was not timestamped before scoring." in result.reasons


def test_answers_of_named_models_are_fixed_in_the_transcript(line: Line, tmp_path: Path) -> None:
    def without_event(files: dict[str, bytes], body: Body, _: Line) -> None:
        def drop(entries: list[Body]) -> None:
            entries[:] = [entry for entry in entries if entry["event"] != "reference"]

        rewrite_transcript(files, body, drop)
        body["transcript_token"] = None
        del files["data/transcript.tst"]

    def another_event(files: dict[str, bytes], body: Body, _: Line) -> None:
        def swap(entries: list[Body]) -> None:
            next(each for each in entries if each["event"] == "reference")["answers"] = sha256(b"")

        rewrite_transcript(files, body, swap)

    sentence = "The answers of the claim's clean-checkpoint are not in the transcript."
    for forge in (without_event, another_event):
        result = check_case(forged(line, tmp_path / "CASE", forge, "scored"))
        assert not result.ok
        assert sentence in result.reasons
    assert any("--reference-checkpoint" in reason for reason in check_case(line.opened).reasons)


@pytest.mark.parametrize(
    ("facts", "files", "holds"),
    [
        ({"replayed from": "proxy"}, {}, False),
        ({"replayed from": "openai"}, {}, False),
        ({"replayed from": "openai", "url": "https://example.org", "protocol": "openai"}, {}, False),
        ({"replayed from": "folder"}, {}, False),
        ({"replayed from": "proxy"}, None, True),
        ({"replayed from": "replay"}, None, True),
    ],
)
def test_a_replayed_suspect_is_known_by_its_files_or_by_its_address(
    line: Line, tmp_path: Path, facts: Body, files: Body | None, holds: bool
) -> None:
    def change(body: Body) -> None:
        body["suspect"] |= {
            "kind": "replay",
            "facts": facts,
            "files": body["suspect"]["files"] if files is None else files,
        }

    _, text = reasons(line, tmp_path, change)
    assert ("The digest of the replayed suspect is neither" not in text) is holds


def test_a_replayed_service_keeps_the_digest_of_its_address(line: Line) -> None:
    from forensics.suspects.remote.registry import find_factory
    from forensics.suspects.remote.uri import identify

    case = CaseFolder.load(line.opened)
    claim = Claim.parse(case.files()["data/claim/claim.json"])
    adapter = find_factory("openai")("https://example.org/v1", "embed-1", {})
    found = identify("openai+https://example.org/v1", "https://example.org/v1", "embed-1", adapter)
    facts = {**found.facts, "replayed from": found.kind}
    record = {"kind": "replay", "name": found.name, "digest": found.digest, "facts": facts, "files": {}}
    suspect = IdentityRecord.model_validate(record)
    assert list(find_odd_replay(Parts({}, case.evidence.revised(suspect=suspect), claim))) == []
