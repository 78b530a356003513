"""Whether the parts of a case say the same: evidence, claim, timestamps, transcript, custody, what is opened."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from forensics.canonical import canonical_json, sha256, utc
from forensics.errors import CaseError, CheckFailed, ForensicsError
from forensics.evidence.bag import SIGNATURE, is_payload
from forensics.evidence.case import (
    ASSET,
    ASSET_TOKEN,
    CLAIM,
    EXHIBITS,
    INSTRUCTIONS,
    RECOMPUTE,
    SUFFIXES,
    TOKENS,
    TRANSCRIPT,
    TRANSCRIPT_TOKEN,
    encode_share,
    share_folder,
)
from forensics.evidence.chain import CLOCKS, head, verify_chain
from forensics.evidence.custody import CUSTODY, EVIDENCE, is_sealed, signed_entries, verify_custody
from forensics.evidence.exchanges import LOCAL_KINDS, find_gaps, ordered_rows, told_facts
from forensics.evidence.journal import FORMAT as TRANSCRIPT_FORMAT
from forensics.evidence.models import find_odd_answers, find_odd_identities, find_odd_models
from forensics.evidence.schema import NOT_STATED, AssetRecord, Dated, Evidence, TokenRecord
from forensics.evidence.selection import find_odd_choices
from forensics.evidence.supersede import superseded_files
from forensics.keys.asset import Asset
from forensics.keys.claim import Claim
from forensics.keys.opening import verify_tokens
from forensics.keys.timestamp import Token, verify_token

EXAMINERS_CLOCK = "clock of the examining machine"

MALFORMED = (
    ForensicsError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)
"""What reading a hostile file may raise; turned into a sentence at one place, never into a traceback."""


@dataclass(frozen=True)
class Parts:
    """The parsed parts of a case.

    Attributes:
        files: everything in the folder, by path.
        claim: from `claim.json`.
    """

    files: Mapping[str, bytes]
    evidence: Evidence
    claim: Claim

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """Timestamp tokens over the claim, DER, in order."""
        return tuple(self.files[name] for name in TOKENS if name in self.files)

    @cached_property
    def transcript(self) -> tuple[dict[str, Any], ...]:
        """The transcript's lines, verified as a chain."""
        return verify_chain(self.files[TRANSCRIPT])


def find_contradictions(parts: Parts) -> list[str]:
    """Returns a sentence for everything that is missing, superfluous or contradicts another part."""
    problems: list[str] = []
    for check in _CHECKS:
        problems += attempt(check, parts)
    return problems


def attempt(check: Callable[[Parts], Iterator[str]], parts: Parts) -> list[str]:
    """Runs one check; what cannot be read is a problem like any other."""
    try:
        return list(check(parts))
    except ForensicsError as error:
        return [error.cause]
    except MALFORMED as error:
        return [f"A part of the case cannot be read ({type(error).__name__})."]


def _inventory(parts: Parts) -> Iterator[str]:
    """Every file that must be there is, and no other."""
    evidence, share = parts.evidence, parts.evidence.share
    needed = {EVIDENCE, TRANSCRIPT, CUSTODY, CLAIM, INSTRUCTIONS}
    needed |= set(TOKENS[: len(evidence.tokens)])
    if evidence.asset is not None:
        needed |= {ASSET} | ({ASSET_TOKEN} if evidence.asset.token is not None else set())
    if evidence.transcript_token is not None:
        needed.add(TRANSCRIPT_TOKEN)
    log = parts.files.get(CUSTODY, b"")
    if is_sealed(log):
        needed.add(SIGNATURE)
    needed |= signed_entries(log).keys() | superseded_files(log)
    if share is not None:
        folder = share_folder(share.index)
        needed |= {RECOMPUTE, f"{folder}share.json"}
        needed |= {
            f"{folder}pool/{place:04d}.{SUFFIXES[entry['media_type']]}" for place, entry in enumerate(share.pool)
        }
    for name in sorted(needed - parts.files.keys()):
        yield f"{name} is missing."
    for name in sorted(parts.files.keys() - needed):
        if (is_payload(name) and not name.startswith(EXHIBITS)) or name == SIGNATURE:
            yield f"{name} is not accounted for by the evidence."


def _claim(parts: Parts) -> Iterator[str]:
    evidence, claim = parts.evidence, parts.claim
    if evidence.claim_digest != claim.digest or canonical_json(evidence.claim) != claim.core:
        yield "evidence.json is about another claim than claim.json."
    if evidence.binding != claim.binding:
        yield "evidence.json states another binding of the key than the claim."
    if evidence.plan.share >= claim.shares.count:
        yield "evidence.json names a share that the claim does not have."


def _asset(parts: Parts) -> Iterator[str]:
    record = parts.evidence.asset
    if record is None:
        return
    raw = parts.files[ASSET]
    asset, digest = Asset.parse(raw), bytes.fromhex(sha256(raw))
    stated = (parts.claim.digest, record.digest, record.created, record.predecessor)
    if (asset.claim, asset.digest, asset.created, asset.predecessor) != stated:
        yield "evidence.json states another marked model than asset.json."
    if record.token is not None and record.token != token_record(verify_token(parts.files[ASSET_TOKEN], digest)):
        yield "evidence.json states another timestamp of the marked model than asset.tst."


def _transcript(parts: Parts) -> Iterator[str]:
    """The transcript is unbroken, asks the whole plan, and holds the answers that were scored."""
    evidence, raw, entries = parts.evidence, parts.files[TRANSCRIPT], parts.transcript
    if head(raw) != evidence.transcript_head:
        yield "The transcript's head is not the one that evidence.json states."
    if not entries or entries[0].get("event") != "start" or entries[0].get("format") != TRANSCRIPT_FORMAT:
        raise CheckFailed("The transcript does not begin with a start.", "Ask for the complete transcript.")
    if entries[0]["plan"] != evidence.plan.digest or entries[0]["suspect"] != evidence.suspect.digest:
        yield "The transcript is of another plan or another suspect than evidence.json."
    if entries[-1].get("event") != "end":
        yield "The transcript has no end."
    forms = [entry for entry in entries if entry.get("event") == "form"]
    answers = evidence.answers
    if [(each["kind"], each["labels"], each["resolution"]) for each in forms] != [
        (answers.kind, answers.labels, answers.resolution)
    ]:
        yield "The transcript's answers are of another form than those in evidence.json."
    asked, rows = ordered_rows(entries)
    remote = evidence.suspect.kind not in LOCAL_KINDS
    yield from find_gaps(entries, remote=remote)
    if remote and not told_facts(entries).items() <= evidence.suspect.facts.items():
        yield "evidence.json tells of the suspect's questioning otherwise than the transcript."
    listed = evidence.plan.probes
    if len(asked) != len(listed) or any(one not in (None, other) for one, other in zip(asked, listed)):
        yield "The transcript asked other probes than evidence.json lists."
    if rows != answers.values:
        yield "The transcript's answers are not those in evidence.json."
    token = evidence.transcript_token
    if token is not None and token != token_record(
        verify_token(parts.files[TRANSCRIPT_TOKEN], bytes.fromhex(head(raw)))
    ):
        yield "evidence.json states another timestamp of the transcript than transcript.tst."


def _plan(parts: Parts) -> Iterator[str]:
    evidence = parts.evidence
    plan = evidence.plan
    body: dict[str, Any] = {"batch_size": plan.batch_size, "probes": plan.probes}
    if plan.groups is not None or plan.keep is not None:
        body |= {"groups": plan.groups, "keep": plan.keep}
    if sha256(canonical_json(body)) != plan.digest:
        yield "The plan's digest is not that of its list of probes."
    tables = {"the suspect": evidence.answers} | {f"the {each.role}": each.answers for each in evidence.references}
    if evidence.score is not None:
        tables |= {f"control {place}": each.answers for place, each in enumerate(evidence.score.controls)}
    for name, table in tables.items():
        if len(table.values) != len(plan.probes):
            yield f"The answers of {name} are not one for each probe."


def _passes(parts: Parts) -> Iterator[str]:
    yield from find_odd_choices(parts.evidence, parts.transcript)


def release_date(asset: AssetRecord | None) -> Dated:
    """Returns the earliest time at which the marked model can have been released: when it was recorded."""
    if asset is None:
        return Dated(value=None, source="no record of a marked model")
    if asset.token is not None:
        return Dated(value=asset.token.gen_time, source="timestamp over the record of the marked model")
    return Dated(value=asset.created, source="the owner's record of the marked model")


def claim_date(stamped: str | None) -> Dated:
    """Returns when the claim was fixed: the time of its latest timestamp."""
    return Dated(value=stamped, source="timestamp over the claim") if stamped else NOT_STATED


def _sources(parts: Parts) -> Iterator[str]:
    """What a date comes from is said in the tool's own words, but for the suspect's, which somebody states."""
    evidence = parts.evidence
    if evidence.dates.token != claim_date(evidence.dates.token.value):
        yield "evidence.json says of the claim's date where it comes from otherwise than this tool."
    if evidence.acquired.source != EXAMINERS_CLOCK:
        yield "evidence.json says of the acquisition's date where it comes from otherwise than this tool."


def _turn(parts: Parts) -> Iterator[str]:
    """Shares are spent in order, so that whoever uses the second has examined before."""
    score, share = parts.evidence.score, parts.evidence.plan.share
    if score is not None and score.examinations <= share:
        yield f"Share {share} is used, and {score.examinations} examinations are counted: shares are spent in order."


def _release(parts: Parts) -> Iterator[str]:
    evidence = parts.evidence
    stated, follows = evidence.dates.release, release_date(evidence.asset)
    unscored = evidence.score is None and stated.value is None
    if stated != follows and not unscored:
        yield "evidence.json dates the release of the marked model otherwise than the owner's record of it."


def _order(parts: Parts) -> Iterator[str]:
    """The times, of several clocks, tell one story: claim, transcript, its timestamp, score, opening, seal."""
    evidence, score = parts.evidence, parts.evidence.score
    transcript, custody = parts.transcript, verify_chain(parts.files[CUSTODY])
    yield from _rising("transcript", [entry["utc"] for entry in transcript])
    yield from _rising("custody log", [entry["utc"] for entry in custody])
    claimed = [("the claim's timestamp", token.gen_time) for token in evidence.tokens]
    stamped = [("the transcript's timestamp", evidence.transcript_token.gen_time)] if evidence.transcript_token else []
    start = [("the start of the transcript", transcript[0]["utc"])]
    end = [("the end of the transcript", transcript[-1]["utc"])]
    acquired = [("the acquisition", evidence.acquired.value)] if evidence.acquired.value else []
    scored = [("the score", score.created)] if score else []
    logged = {action: [entry["utc"] for entry in custody if entry["action"] == action] for action in ("score", "open")}
    last_score = [("the last scoring in the custody log", moment) for moment in logged["score"][-1:]]
    first_score = [("the first scoring in the custody log", moment) for moment in logged["score"][:1]]
    first_open = [("the opening in the custody log", moment) for moment in logged["open"][:1]]
    entries = [(f"entry {entry['seq'] + 1} of the custody log ({entry['action']})", entry["utc"]) for entry in custody]
    first = entries[: bool(custody) and custody[0]["action"] == "acquire"]
    for earlier, later in (
        (claimed, start + acquired + entries),
        (end, first),
        (end, acquired + scored),
        (acquired + stamped, scored),
        (scored, last_score),
        (first_score, first_open),
    ):
        for name, before in earlier:
            for other, after in later:
                if _moment(before) > _moment(after) + CLOCKS:
                    yield f"The times contradict each other: {name} ({before}) lies after {other} ({after})."
    actions = [entry["action"] for entry in custody]
    if "open" in actions and "score" not in actions[: actions.index("open")]:
        yield "The custody log tells of an opening before any scoring."


def _rising(name: str, times: list[str]) -> Iterator[str]:
    if any(before > after for before, after in pairwise(map(_moment, times))):
        yield f"The times in the {name} run backwards."


def _moment(text: str) -> datetime:
    """A time to the second, as the logs have it."""
    moment = datetime.fromisoformat(text).replace(microsecond=0)
    if moment.tzinfo is None:
        raise CaseError(f"'{text}' is no time with a time zone.", "Ask for the case as it was written.")
    return moment


def _share(parts: Parts) -> Iterator[str]:
    share = parts.evidence.share
    if share is None:
        return
    if share.index != parts.evidence.plan.share:
        yield "The opened share is not the one that was asked."
    folder = share_folder(share.index)
    if parts.files[f"{folder}share.json"] != encode_share(share):
        yield "share.json is not the opened share of evidence.json."
    for place, entry in enumerate(share.pool):
        name = f"{folder}pool/{place:04d}.{SUFFIXES[entry['media_type']]}"
        if name in parts.files and sha256(parts.files[name]) != entry["sha256"]:
            yield f"{name} is not the item that the claim commits to."


def _custody(parts: Parts) -> Iterator[str]:
    entries = verify_custody(parts.files)
    actions = {entry["action"] for entry in entries}
    if (parts.evidence.score is not None) != ("score" in actions):
        yield "The custody log does not tell of the scoring, or tells of one that is not in the case."
    if (parts.evidence.share is not None) != ("open" in actions):
        yield "The custody log does not tell of the opening, or tells of one that is not in the case."
    added = {entry["item"] for entry in entries if entry["action"] == "add"}
    for name in sorted(each for each in parts.files if each.startswith(EXHIBITS)):
        if name not in added:
            yield f"The custody log does not tell where {name} comes from."


def verify_dating(parts: Parts) -> tuple[Token, ...]:
    """Verifies the claim's timestamps and what evidence.json states of them.

    Returns:
        The tokens; none for a self-dated claim.

    Raises:
        ForensicsError: they are not those that the claim names, or evidence.json states something else.
    """
    tokens = verify_tokens(parts.claim, parts.tokens)
    if [token_record(token) for token in tokens] != parts.evidence.tokens:
        raise CaseError("evidence.json states other timestamps of the claim than its tokens.", "Ask for the case anew.")
    latest = max((utc(token.gen_time) for token in tokens), default=None)
    if parts.evidence.dates.token.value != latest:
        raise CaseError("evidence.json dates the claim otherwise than its tokens do.", "Ask for the case anew.")
    return tokens


def token_record(token: Token) -> TokenRecord:
    """Returns a verified token in the form of `evidence.json`."""
    return TokenRecord(
        authority=token.authority,
        fingerprint=token.fingerprint,
        gen_time=utc(token.gen_time),
        policy=token.policy,
        serial=str(token.serial),
        demonstration=token.demonstration,
    )


_CHECKS = (
    _inventory,
    _claim,
    _asset,
    _transcript,
    _plan,
    _passes,
    find_odd_models,
    find_odd_identities,
    find_odd_answers,
    _sources,
    _release,
    _turn,
    _order,
    _share,
    _custody,
)
