from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from forensics.bench.tamper_cases import relogged
from forensics.canonical import canonical_json, parse_json, sha256
from forensics.evidence.bag import render_bag
from forensics.evidence.case import CLAIM, TRANSCRIPT, CaseFolder, encode_share
from forensics.evidence.chain import GENESIS, encode_line, head, verify_chain
from forensics.evidence.check import check_case
from forensics.evidence.consistency import Parts, find_contradictions
from forensics.evidence.custody import CUSTODY, EVIDENCE
from forensics.evidence.models import manifest_digest
from forensics.evidence.reproduce import measure_answers
from forensics.evidence.schema import AnswersRecord, Evidence, IdentityRecord
from forensics.keys.claim import Claim
from tests.evidence.conftest import Line, lay

Forge = Callable[[dict[str, bytes], dict[str, Any], Line], None]

# What somebody can do who brings manifests and custody log up to date afterwards.

Body = dict[str, Any]


def forged(line: Line, target: Path, forge: Forge, state: str = "opened") -> Path:
    files = CaseFolder.load(getattr(line, state)).files()
    body = parse_json(files[EVIDENCE])
    forge(files, body, line)
    if files.get(EVIDENCE) == CaseFolder.load(getattr(line, state)).files()[EVIDENCE]:
        files[EVIDENCE] = canonical_json(body)
    evidence = Evidence.parse(files[EVIDENCE])
    if CUSTODY in files and b'"forged"' not in files[CUSTODY]:
        files[CUSTODY] = relogged(files)
    if evidence.share is not None and "data/opened/share-0/share.json" in files:
        files["data/opened/share-0/share.json"] = encode_share(evidence.share)
    return lay(target, render_bag(files, evidence))


def rewrite_transcript(files: dict[str, bytes], body: Body, change: Callable[[list[Body]], None]) -> None:
    entries = [dict(entry) for entry in verify_chain(files[TRANSCRIPT])]
    change(entries)
    raw, prev = b"", GENESIS
    for seq, entry in enumerate(entries):
        content = {name: value for name, value in entry.items() if name not in ("seq", "utc", "prev")}
        line = encode_line(seq, prev, content, datetime.fromisoformat(entry.get("utc", entries[0]["utc"])))
        raw, prev = raw + line, sha256(line)
    files[TRANSCRIPT] = raw
    body["transcript_head"] = head(raw)


def answer_in_evidence(files, body, line) -> None:
    body["answers"]["values"][3][0] = "9.75"


def answer_everywhere(files, body, line) -> None:
    answer_in_evidence(files, body, line)
    rewrite_transcript(files, body, lambda entries: entries[2]["rows"][3].__setitem__(0, "9.75"))
    body["transcript_token"] = None
    files.pop("data/transcript.tst", None)


def answer_missing_in_evidence(files, body, line) -> None:
    body["answers"]["values"][3] = None


def matched_raised(files, body, line) -> None:
    body["score"]["measurement"]["matched"] -= 1


def p_value_changed(files, body, line) -> None:
    body["score"]["measurement"]["p_value"] = "1.5258789e-05"


def tiny_p_value(files, body, line) -> None:
    body["score"]["measurement"]["p_value"] = "1e-30"


def item_moved(files, body, line) -> None:
    items = body["score"]["measurement"]["items"]
    items[0] = repr(float(items[0]) * (1 + 1e-6))


def verdict_changed(files, body, line) -> None:
    body["score"]["verdict"]["outcome"] = "NOT_SUPPORTED"


def gate_changed(files, body, line) -> None:
    body["score"]["verdict"]["gates"]["G3"] = not body["score"]["verdict"]["gates"]["G3"]


def reason_dropped(files, body, line) -> None:
    body["score"]["verdict"]["reasons"] = []


def examinations_hidden(files, body, line) -> None:
    body["score"]["examinations"] = 5


def n_star_changed(files, body, line) -> None:
    body["score"]["verdict"]["n_star"] += "0"


def control_improved(files, body, line) -> None:
    body["score"]["controls"][0]["matched"] += 1


def control_renamed(files, body, line) -> None:
    body["score"]["controls"][0]["identity"]["digest"] = "0" * 64


def reference_replaced(files, body, line) -> None:
    body["references"][0]["identity"]["digest"] = "0" * 64


def reference_answers_changed(files, body, line) -> None:
    body["references"][0]["answers"]["values"] = [["0.0", "0.5", "1.0", "2.0"]] * 48


def reference_lost(files, body, line) -> None:
    body["references"] = []


def seed_changed(files, body, line) -> None:
    body["share"]["seed"] = "0" * 64


def salt_changed(files, body, line) -> None:
    body["share"]["salt"] = "0" * 64


def proof_extended(files, body, line) -> None:
    body["share"]["proof"].append("0" * 64)


def pool_relabelled(files, body, line) -> None:
    body["share"]["pool"][0]["label"] = 3 - body["share"]["pool"][0]["label"]


def pool_entry_odd(files, body, line) -> None:
    body["share"]["pool"][0]["media_type"] = "../../etc"


def pool_file_changed(files, body, line) -> None:
    files["data/opened/share-0/pool/0000.png"] += b"\x00"


def pool_file_lost(files, body, line) -> None:
    del files["data/opened/share-0/pool/0000.png"]


def pool_file_added(files, body, line) -> None:
    files["data/opened/share-0/pool/0016.png"] = b"x"


def share_of_another_index(files, body, line) -> None:
    body["plan"]["share"] = 1


def claim_in_evidence_changed(files, body, line) -> None:
    body["claim"]["owner"] = "Somebody Else"


def claim_changed(files, body, line) -> None:
    body["claim"]["rule"]["alpha"] = "0.05"
    files[CLAIM] = canonical_json(body["claim"])
    body["claim_digest"] = sha256(files[CLAIM])


def claim_rubbish(files, body, line) -> None:
    files[CLAIM] = b"[" * 200_000


def claim_of_another_method(files, body, line) -> None:
    body["claim"]["method"] = "nonsense"
    files[CLAIM] = canonical_json(body["claim"])
    body["claim_digest"] = sha256(files[CLAIM])


def token_lost(files, body, line) -> None:
    del files["data/claim/claim.tst"]


def token_lost_everywhere(files, body, line) -> None:
    del files["data/claim/claim.tst"]
    body["tokens"] = []
    body["dates"]["token"] = {"value": None, "source": "not stated"}


def token_of_other_content(files, body, line) -> None:
    files["data/claim/claim.tst"] = line.authority.stamp(bytes(32))


def token_made_anew(files, body, line) -> None:
    files["data/claim/claim.tst"] = line.authority.stamp(bytes.fromhex(body["claim_digest"]))


def token_rubbish(files, body, line) -> None:
    files["data/claim/claim.tst"] = b"0\x82"


def token_date_changed(files, body, line) -> None:
    body["tokens"][0]["gen_time"] = body["dates"]["token"]["value"] = "2020-01-01T00:00:00Z"


def claim_date_changed(files, body, line) -> None:
    body["dates"]["token"]["value"] = "2020-01-01T00:00:00Z"


def date_odd(files, body, line) -> None:
    body["dates"]["suspect"]["value"] = "yesterday"


def binding_changed(files, body, line) -> None:
    body["binding"] = "timestamped"


def asset_changed(files, body, line) -> None:
    body["asset"]["digest"] = "0" * 64


def asset_token_changed(files, body, line) -> None:
    body["asset"]["token"]["gen_time"] = "2020-01-01T00:00:00Z"


def asset_file_lost(files, body, line) -> None:
    del files["data/claim/asset.json"]


def probe_replaced(files, body, line) -> None:
    body["plan"]["probes"][0] = "0" * 64


def probe_replaced_everywhere(files, body, line) -> None:
    body["plan"]["probes"][0] = "0" * 64
    plan = {"batch_size": body["plan"]["batch_size"], "probes": body["plan"]["probes"]}
    body["plan"]["digest"] = sha256(canonical_json(plan))

    def change(entries: list[Body]) -> None:
        entries[0]["plan"] = body["plan"]["digest"]
        entries[2]["probes"][0] = "0" * 64

    rewrite_transcript(files, body, change)
    body["transcript_token"] = None
    files.pop("data/transcript.tst", None)


def transcript_cut(files, body, line) -> None:
    files[TRANSCRIPT] = b"".join(files[TRANSCRIPT].splitlines(keepends=True)[:-1])


def transcript_without_end(files, body, line) -> None:
    rewrite_transcript(files, body, lambda entries: entries.pop())


def transcript_of_another_suspect(files, body, line) -> None:
    rewrite_transcript(files, body, lambda entries: entries[0].update(suspect="0" * 64))


def transcript_of_other_labels(files, body, line) -> None:
    rewrite_transcript(files, body, lambda entries: entries[1].update(kind="probabilities"))


def transcript_out_of_order(files, body, line) -> None:
    rewrite_transcript(files, body, lambda entries: entries[2].update(first=1))


def transcript_odd(files, body, line) -> None:
    rewrite_transcript(files, body, lambda entries: entries[2].update(first=None, rows=5, probes={}))


def transcript_rubbish(files, body, line) -> None:
    files[TRANSCRIPT] = b"\xff\xfe\x00\n"


def transcript_empty(files, body, line) -> None:
    files[TRANSCRIPT] = b""


def transcript_rewritten(files, body, line) -> None:
    rewrite_transcript(files, body, lambda entries: entries.insert(2, {"event": "failure", "reason": "x"}))


def suspect_changed(files, body, line) -> None:
    body["suspect"]["digest"] = "0" * 64


def answers_of_odd_kind(files, body, line) -> None:
    body["answers"]["kind"] = "guesses"


def answers_of_mixed_rows(files, body, line) -> None:
    body["answers"]["values"][0] = 3


def answers_not_numbers(files, body, line) -> None:
    body["answers"]["values"][0] = ["a", "b", "c", "d"]


def answers_too_few(files, body, line) -> None:
    body["answers"]["values"].pop()


def custody_lost(files, body, line) -> None:
    del files[CUSTODY]


def custody_cut(files, body, line) -> None:
    files[CUSTODY] = files[CUSTODY].split(b"\n", 1)[1]


def exhibit_without_entry(files, body, line) -> None:
    files["data/exhibits/letter.txt"] = b"x"


def unknown_file(files, body, line) -> None:
    files["data/notes.txt"] = b"x"


def script_lost(files, body, line) -> None:
    del files["data/recompute.py"]


def instructions_lost(files, body, line) -> None:
    del files["data/VERIFY.txt"]


def share_closed_again(files, body, line) -> None:
    body["share"] = None


def items_hidden(files, body, line) -> None:
    body["score"]["measurement"]["items"] = None


def items_shortened(files, body, line) -> None:
    body["score"]["measurement"]["items"].pop()


def measurement_of_other_size(files, body, line) -> None:
    body["score"]["measurement"]["n"] = 15


def parameters_absurd(files, body, line) -> None:
    body["claim"]["parameters"]["bits"] = 0
    files[CLAIM] = canonical_json(body["claim"])
    body["claim_digest"] = sha256(files[CLAIM])


def control_praised(files, body, line) -> None:
    body["score"]["controls"][0]["provenance"] = "found independent by the expert of the court"


def control_origin_removed(files, body, line) -> None:
    del body["score"]["controls"][0]["origin"]


def control_origin_blank(files, body, line) -> None:
    body["score"]["controls"][0]["origin"]["vouched_by"] = " "


def control_date_odd(files, body, line) -> None:
    body["score"]["controls"][0]["origin"]["date"] = "yesterday"


def control_from_the_future(files, body, line) -> None:
    body["score"]["controls"][0]["origin"]["date"] = "2999-12-31"


def claim_date_praised(files, body, line) -> None:
    body["dates"]["token"]["source"] = "notarised by the registry of the court"


def acquisition_date_praised(files, body, line) -> None:
    body["acquired"]["source"] = "clock of the bailiff"


def predecessor_invented(files, body, line) -> None:
    body["asset"]["predecessor"] = "0" * 64


def reference_counted_twice(files, body, line) -> None:
    """One model in another wrapping: a new digest, the same answers."""
    copy = deepcopy(body["score"]["controls"][0])
    copy["identity"]["files"]["config.json"] = ["0" * 64, 2]
    copy["identity"]["digest"] = manifest_digest(IdentityRecord.model_validate(copy["identity"]))
    body["score"]["controls"].append(copy)


def reference_tells_nothing(files, body, line) -> None:
    """All answers alike, with the figures that follow from them."""
    control = body["score"]["controls"][0]
    control["answers"]["values"] = [["0.0"] * 4] * len(control["answers"]["values"])
    answers = AnswersRecord.model_validate(control["answers"])
    references = Evidence.parse(files[EVIDENCE]).references
    found = measure_answers(line.key.claim, line.key.pool(0), *line.key.secrets(0), answers, references)
    control |= {"matched": found.matched, "p_value": repr(found.p_value), "effect": repr(found.effect.value)}


FORGERIES = [
    value
    for value in list(globals().values())
    if callable(value) and getattr(value, "__code__", None) and value.__code__.co_varnames[1:3] == ("body", "line")
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forgery_with_fresh_manifests_is_noticed(line: Line, tmp_path: Path, forge: Forge) -> None:
    result = check_case(forged(line, tmp_path / "CASE", forge))
    assert not result.ok
    assert result.reasons
    assert not (result.complete and result.reproduced)


def test_a_forgery_that_changes_nothing_passes(line: Line, tmp_path: Path) -> None:
    """The control of the tests above: a fresh entry and fresh manifests alone are no contradiction."""
    assert len(FORGERIES) > 74
    assert check_case(forged(line, tmp_path / "CASE", lambda files, body, _: None)).ok


def test_consistent_answers_of_nobody_are_reproduced_and_the_sentence_says_so(line: Line, tmp_path: Path) -> None:
    """Whoever holds the secret can write answers; the check must not claim more than it shows."""
    result = check_case(line.opened)
    assert result.reproduced
    assert "this does not show that the suspect gave them" in "".join(result.reasons)


def test_an_unopened_case_that_discloses_the_payload_is_refused(line: Line, tmp_path: Path) -> None:
    def disclose(files: dict[str, bytes], body: Body, line: Line) -> None:
        body["score"]["measurement"]["target"] = [0] * 32

    assert not check_case(forged(line, tmp_path / "CASE", disclose, "scored")).ok


def test_a_later_share_is_at_least_as_late_an_examination(line: Line) -> None:
    folder = CaseFolder.load(line.scored)
    evidence = folder.evidence
    claim = Claim.parse(folder.content[CLAIM])
    for share, problem in ((0, False), (1, True)):
        moved = evidence.revised(plan=evidence.plan.model_copy(update={"share": share}))
        found = find_contradictions(Parts(folder.content, moved, claim))
        assert any("spent in order" in sentence for sentence in found) is problem
