"""Evidence built by hand, with plausible figures, for every verdict."""

import hashlib
import math
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

from forensics.evidence.chain import append, head
from forensics.evidence.schema import (
    AnswersRecord,
    AssetRecord,
    ControlRecord,
    Dated,
    Dates,
    EffectRecord,
    Evidence,
    IdentityRecord,
    MeasurementRecord,
    OpenedShare,
    PlanRecord,
    PublishedRecord,
    ReferenceRecord,
    ScoreRecord,
    TokenRecord,
    VerdictRecord,
)
from forensics.keys.claim import (
    Claim,
    PoolCommitment,
    ReferenceCommitment,
    ReferenceRule,
    Rule,
    ShareCommitment,
)
from forensics.records import Probe
from forensics.report.details import Details

HOSTILE = '<script>alert(1)</script><img src="file:///etc/passwd">{{ 7*7 }}\u202egnp.exe\u0000\u200b"\'&'


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_claim(binding: str = "demonstration", bits: int = 128, owner: str = "Aster Analytics GmbH") -> Claim:
    rule = Rule(
        deciding={"scores": "matched-bits", "labels": "matched-bits-labels"},
        access="the highest access obtained decides; others are context",
        ties="a score nearer to zero than 1e-9 is a miss",
        missing="a missing view counts as the mean of its bank; a bit without any view is a miss",
        missing_allowed="0.1",
        n=bits,
        stopping="fixed n",
        alpha="1e-6",
        examinations=1,
        grinding=20,
        minimum_effect="0.65",
        prior="Beta(1,1) truncated to (p0,1)",
        references=ReferenceRule(minimum=5, margin="0.1"),
    )
    return Claim(
        format="forensics-claim/1",
        owner=owner,
        method="ofsw",
        method_version="1",
        generator=digest("generator"),
        binding=binding,
        created="2026-02-03T09:12:44Z",
        parameters={"bits": bits, "banks": 8, "kernel": [8, 16], "image": [32, 32, 3], "contrast": 64},
        labels=("airplane", "automobile", "bird", "cat", "deer"),
        preprocessing="PNG, 8 bits a channel",
        pools=(PoolCommitment(digest=digest("pool"), count=64),),
        references=(
            ReferenceCommitment(role="clean-checkpoint", digest=digest("clean"), description="unmarked checkpoint"),
        ),
        carriers=None,
        trigger_inputs=None,
        target_text=None,
        alignment=None,
        rule=rule,
        authorities=() if binding == "self-dated" else (digest("authority"),),
        shares=ShareCommitment(count=1, root=digest("root")),
    )


def payload(bits: int) -> list[int]:
    stream = b"".join(hashlib.sha256(f"payload {block}".encode()).digest() for block in range(-(-bits // 256)))
    return [(stream[index // 8] >> (index % 8)) & 1 for index in range(bits)]


def scores(target: list[int], matched: int) -> list[str]:
    wrong = {(index * 37) % len(target) for index in range(len(target))}
    order = sorted(wrong, key=lambda index: digest(f"order {index}"))
    missed = set(order[: len(target) - matched])
    found = []
    for index, bit in enumerate(target):
        size = 0.08 + int(digest(f"size {index}")[:6], 16) / 0xFFFFFF * (0.35 if index in missed else 1.4)
        found.append(repr(round((-size if index in missed else size) * (2 * bit - 1), 6)))
    return found


def tail(n: int, matched: int) -> float:
    return float(Fraction(sum(math.comb(n, count) for count in range(matched, n + 1)), 2**n))


def identity(name: str, kind: str = "folder", files: int = 3, facts: dict[str, str] | None = None) -> IdentityRecord:
    names = ["config.json", "model.safetensors", "preprocessor_config.json", *(f"part-{i:03d}.bin" for i in range(90))]
    return IdentityRecord(
        kind=kind,
        name=name,
        digest=digest(name),
        facts=facts
        or {"architecture": "ResNetForImageClassification", "parameters": "11173962", "transformers": "5.23.0"},
        files={path: (digest(name + path), 1000 + 7919 * place) for place, path in enumerate(names[:files])},
    )


def answers(n: int, missing: int = 0) -> AnswersRecord:
    rows: list[Any] = [["0.5", "1.25", "-0.75", "0.0", "2.5"]] * (n - missing) + [None] * missing
    return AnswersRecord(
        kind="logits", labels=["airplane", "automobile", "bird", "cat", "deer"], resolution="0.0", values=rows
    )


def token(demonstration: bool) -> TokenRecord:
    return TokenRecord(
        authority="forensics demonstration authority" if demonstration else "Trusted Time Services AG",
        fingerprint=digest("authority"),
        gen_time="2026-02-03T09:12:46Z",
        policy="1.3.6.1.4.1.13762.3",
        serial="82734872347234",
        demonstration=demonstration,
    )


def control(role: str, name: str, matched: int, n: int) -> ControlRecord:
    return ControlRecord(
        role=role,
        identity=identity(name, files=1),
        provenance=f"{name}: trained in the laboratory, training log on file",
        matched=matched,
        n=n,
        p_value=repr(tail(n, matched)),
        effect=repr(matched / n),
        answers=answers(4),
    )


def measurement(n: int, matched: int, disclosed: bool, missing: str = "0.0") -> MeasurementRecord:
    target = payload(n)
    p = tail(n, matched)
    value = matched / n
    return MeasurementRecord(
        test="bits",
        statistic="matched-bits",
        access="scores",
        null="the answers do not depend on the payload bits given the probes: matches follow Binomial(k, 1/2)",
        n=n,
        matched=matched,
        value=repr(float(matched)),
        p_value=repr(p),
        log10_p=repr(math.log10(p)),
        effect=EffectRecord(
            name="share of payload bits that match",
            value=repr(value),
            low=repr(max(value - 0.08, 0.0)),
            high=repr(min(value + 0.05, 1.0)),
            upper_99=repr(min(value + 0.06, 1.0)),
            chance="0.5",
        ),
        bayes_factor_log10=repr(-math.log10(p) - 3.0),
        power="0.87",
        missing_share=missing,
        items=scores(target, matched) if disclosed else None,
        target=target if disclosed else None,
        published=[
            PublishedRecord(
                name="Pearson chi-square",
                statistic="101.5",
                p_value="7.2e-24",
                source="OFSW (Electronics 2025, 14(19), 3888), section 3.4",
                caveat="two-sided and asymptotic: a fully inverted extraction has the same p-value as a perfect one",
            ),
            PublishedRecord(
                name="Fisher's exact test",
                statistic="812.2",
                p_value="1.2e-26",
                source="R. A. Fisher (1935), one-sided",
                caveat="conditions on the number of ones extracted; printed for comparison",
            ),
        ],
        context={"raw_matched": repr(float(matched - 2))},
    )


REASONS = {
    "SUPPORTED": ["121 of 128 bits agree; chance alone gives so much agreement less often than once in a million"],
    "NOT_SUPPORTED": ["66 of 128 bits agree, which chance alone readily gives"],
    "INCONCLUSIVE": [
        "the key does not bind its owner: its date is self-declared",
        "no independent reference model was examined (G3 not run)",
    ],
    "INVALID_CLAIM": ["the marked model was released before the key was time-stamped"],
}

GATES: dict[str, dict[str, bool | None]] = {
    "SUPPORTED": {"G1": True, "G2": True, "G3": True, "G4": True, "G5": True},
    "NOT_SUPPORTED": {"G1": True, "G2": False, "G3": True, "G4": False, "G5": True},
    "INCONCLUSIVE": {"G1": True, "G2": True, "G3": None, "G4": True, "G5": True},
    "INVALID_CLAIM": {"G1": False, "G2": True, "G3": None, "G4": True, "G5": True},
}

MATCHED = {"SUPPORTED": 121, "NOT_SUPPORTED": 66, "INCONCLUSIVE": 118, "INVALID_CLAIM": 121}


def make_evidence(
    outcome: str | None = "SUPPORTED",
    *,
    binding: str = "demonstration",
    opened: bool = True,
    controls: bool = True,
    bits: int = 128,
    suspect: str = "downloads/vision-lite-v2",
    owner: str = "Aster Analytics GmbH",
    facts: dict[str, str] | None = None,
    labels: list[str] | None = None,
    files: int = 3,
    missing: str = "0.0",
    released: str | None = "2026-02-20",
) -> Evidence:
    """Returns evidence for a verdict; None for a case that was acquired and not scored."""
    claim = make_claim(binding, bits, owner)
    score = None
    if outcome is not None:
        matched = round(MATCHED[outcome] * bits / 128)
        record = measurement(bits, matched, opened, missing)
        p = float(record.p_value)
        models = [
            control("positive", "aster-marked", bits, bits),
            control("predecessor", "aster-clean", bits // 2 + 1, bits),
            *(control("reference", f"reference-{place}", bits // 2 + place - 3, bits) for place in range(1, 6)),
        ]
        score = ScoreRecord(
            created="2026-04-11T16:20:09Z",
            measurement=record,
            verdict=VerdictRecord(
                outcome=outcome,
                gates=GATES[outcome],
                reasons=REASONS[outcome],
                adjusted_p=repr(min(p * 2**20, 1.0)),
                n_star=str(int(Fraction(1, 1000) / Fraction(p))),
                examinations=1,
            ),
            controls=models if controls else [],
        )
    known = binding != "self-dated"
    record = answers(8 * bits)
    if labels is not None:
        record = record.model_copy(update={"labels": labels})
    return Evidence(
        schema_version="forensics-evidence/1",
        case="case-2026-017",
        created="2026-04-11T15:02:31Z",
        tool={
            "name": "model-forensics",
            "version": "0.1.0",
            "python": "3.11.7",
            "system": "Linux-6.1.0-x86_64",
            "numpy": "2.4.6",
            "torch": "2.13.0+cpu",
        },
        claim=claim.model_dump(mode="json"),
        claim_digest=claim.digest,
        binding=binding,
        tokens=[token(binding == "demonstration")] if known else [],
        asset=AssetRecord(digest=digest("marked"), created="2026-02-10T11:00:00Z", token=None),
        dates=Dates(
            token=Dated(value="2026-02-03T09:12:46Z" if known else None, source="time stamp over the claim"),
            release=Dated(value=released, source="release page of the owner, Exhibit K 4"),
            suspect=Dated(value="2026-03-18", source="first upload according to the hub, Exhibit K 7"),
        ),
        suspect=identity(suspect, facts=facts, files=files),
        plan=PlanRecord(digest=digest("plan"), batch_size=64, probes=[digest(f"probe {i}") for i in range(8 * bits)]),
        acquired=Dated(value="2026-04-11T15:02:31Z", source="clock of the examiner's computer"),
        transcript_head=digest("transcript"),
        answers=record,
        references=[
            ReferenceRecord(role="clean-checkpoint", identity=identity("aster-clean", files=2), answers=answers(4))
        ],
        score=score,
        share=OpenedShare(
            index=0,
            seed=digest("seed"),
            salt=digest("salt"),
            proof=[],
            pool=[{"media_type": "image/png", "sha256": digest(f"pool {i}"), "label": i % 5} for i in range(4)],
        )
        if opened
        else None,
    )


WORDS = ("harvest", "lantern", "meadow", "granite", "pepper", "violin", "canyon", "ribbon", "copper", "orchard")
"""Beginnings of candidate words; the pool numbers them."""

CARRIERS = (
    "The committee met on Tuesday to discuss the budget.",
    "She wrote a short letter to her brother.",
    "Rain is expected in the north until the weekend.",
    "The museum opens at nine and closes at six.",
)
TARGET_TEXT = "A quiet street leads down to the harbour, where the boats return before dawn."

REMOTE_FACTS = {
    "protocol": "openai",
    "url": "https://api.example.net/v1",
    "model asked for": "boreal-embed-2",
    "option dimensions": "256",
    "asked from": "2026-04-11T14:58:02Z",
    "asked until": "2026-04-11T15:02:29Z",
    "attempts": "15",
    "failed attempts": "1",
    "certificate SHA-256": hashlib.sha256(b"peer").hexdigest(),
    "model stated": "boreal-embed-2-2026-03",
}

WORD_MATCHED = {"SUPPORTED": 18, "NOT_SUPPORTED": 2, "INCONCLUSIVE": 12, "INVALID_CLAIM": 18}
AUC = {"SUPPORTED": "0.984", "NOT_SUPPORTED": "0.512", "INCONCLUSIVE": "0.861", "INVALID_CLAIM": "0.984"}
WORD_P = {"SUPPORTED": "3.1e-14", "NOT_SUPPORTED": "0.43", "INCONCLUSIVE": "4.2e-08", "INVALID_CLAIM": "3.1e-14"}


def make_pool(n: int = 200, words: list[str] | None = None) -> list[bytes]:
    """Returns the pool of a word key: candidate words, carriers, target text."""
    names = words or [f"{WORDS[i % 10]}{'' if i < 10 else chr(96 + i // 10)}" for i in range(n)]
    return [text.encode() for text in (*names, *CARRIERS, TARGET_TEXT)]


def word_claim(binding: str, owner: str, pool: list[bytes], n: int, chosen: int) -> Claim:
    """Returns a claim of the method espew."""
    claim = make_claim(binding, n, owner)
    rule = claim.rule.model_copy(
        update={
            "deciding": {"features": "rank sum of the trigger words"},
            "ties": "mid-ranks; in the count a tie is a miss",
            "missing": "a word without a valid answer gets the middle rank",
            "minimum_effect": "0.75",
            "prior": "none",
        }
    )
    return claim.model_copy(
        update={
            "method": "espew",
            "parameters": {"candidates": n, "words": chosen, "carriers": 4, "mask_percent": 20, "max_triggers": 4},
            "labels": (),
            "preprocessing": "UTF-8 text",
            "references": (),
            "carriers": digest("carriers"),
            "target_text": digest("target text"),
            "rule": rule,
        }
    )


def word_scores(n: int, chosen: int, matched: int) -> tuple[list[str], list[int]]:
    """Returns item scores and what the key chose, with exactly `matched` chosen words among the highest `chosen`."""
    order = sorted(range(n), key=lambda place: digest(f"word {place}"))
    chance = sorted(range(chosen, n), key=lambda rank: digest(f"rank {rank}"))
    drawn = {*order[:matched], *(order[rank] for rank in chance[: chosen - matched])}
    found = [""] * n
    for rank, place in enumerate(order):
        size = 0.09 * (1 - rank / n) ** 2 - 0.02 + (0.24 - 0.006 * rank if rank < matched else 0.0)
        found[place] = repr(round(size, 6))
    return found, [int(place in drawn) for place in range(n)]


def make_word_evidence(
    outcome: str | None = "SUPPORTED",
    *,
    n: int = 200,
    chosen: int = 20,
    binding: str = "demonstration",
    opened: bool = True,
    controls: bool = True,
    suspect: str = "openai+https://api.example.net/v1?dimensions=256#boreal-embed-2",
    owner: str = "Aster Analytics GmbH",
    kind: str = "openai",
    facts: dict[str, str] | None = None,
    words: list[str] | None = None,
    transcript: bytes = b"",
    published: bool = False,
) -> tuple[Evidence, dict[str, bytes]]:
    """Returns evidence of the method espew on a remote suspect, with the case's files that a report prints from."""
    pool = make_pool(n, words)
    claim = word_claim(binding, owner, pool, n, chosen)
    base = make_evidence(outcome, binding=binding, opened=opened, controls=controls, owner=owner)
    score = base.score
    if score is not None and outcome is not None:
        matched = round(WORD_MATCHED[outcome] * chosen / 20)
        items, target = word_scores(n, chosen, matched)
        ranks = sorted(range(n), key=lambda place: float(items[place]))
        total = sum(2 * (rank + 1) for rank, place in enumerate(ranks) if target[place])
        area = float(AUC[outcome])
        old = measurement(32, 16, opened)
        record = old.model_copy(
            update={
                "test": "subset",
                "statistic": "rank sum of the trigger words",
                "access": "features",
                "null": "the words that the key chose are a uniformly drawn subset of the candidates",
                "n": n,
                "matched": matched,
                "value": repr(float(total)),
                "p_value": WORD_P[outcome],
                "log10_p": repr(math.log10(float(WORD_P[outcome]))),
                "effect": EffectRecord(
                    name="AUC",
                    value=AUC[outcome],
                    low=repr(max(area - 0.06, 0.0)),
                    high=repr(min(area + 0.012, 1.0)),
                    upper_99=repr(min(area + 0.014, 1.0)),
                    chance="0.5",
                ),
                "bayes_factor_log10": None,
                "items": items if opened else None,
                "target": target if opened else None,
                "published": [
                    PublishedRecord(
                        name="Kolmogorov-Smirnov test",
                        statistic="1.0",
                        p_value="1.45e-11",
                        source="ESpeW (Findings of ACL 2025), section 4",
                        caveat="bags of words share words, so that its p-value does not hold; printed for comparison",
                    )
                ]
                if published
                else [],
                "context": {"chosen": repr(float(chosen))},
            }
        )
        models = [
            one.model_copy(update={"matched": place, "n": n, "effect": repr(0.48 + 0.01 * place), "p_value": "0.4"})
            for place, one in enumerate(score.controls[2:], 1)
        ]
        said = [f"{matched} of {chosen} words agree"] if outcome != "INCONCLUSIVE" else REASONS[outcome]
        score = score.model_copy(
            update={
                "measurement": record,
                "controls": models if controls else [],
                "verdict": score.verdict.model_copy(update={"reasons": said}),
            }
        )
    probes = [*(Probe(text, "text/plain").digest for text in pool[n:]), *(digest(f"probe {i}") for i in range(4 * n))]
    rows: list[Any] = [["0.25", "-0.5", "0.125", "0.0"] * 64] * 3 + [None] * (len(probes) - 3)
    entries = [{"media_type": "text/plain", "sha256": hashlib.sha256(text).hexdigest(), "label": None} for text in pool]
    found = base.revised(
        claim=claim.model_dump(mode="json"),
        claim_digest=claim.digest,
        asset=None,
        suspect=IdentityRecord(
            kind=kind, name=suspect, digest=digest(suspect), facts=REMOTE_FACTS if facts is None else facts, files={}
        ),
        plan=PlanRecord(digest=digest("plan"), batch_size=64, probes=probes),
        answers=AnswersRecord(kind="vectors", labels=[], resolution="0.0", values=rows),
        references=[],
        transcript_head=head(transcript) if transcript else digest("transcript"),
        score=score,
        share=base.share.model_copy(update={"pool": entries}) if base.share else None,
    )
    files = {f"data/opened/share-0/pool/{place:04d}.txt": text for place, text in enumerate(pool)} if opened else {}
    if transcript:
        files["data/transcript.jsonl"] = transcript
    return found, files


def make_transcript(events: list[dict[str, Any]]) -> bytes:
    """Returns a hash-chained transcript of the given events."""
    raw = b""
    for event in events:
        raw = append(raw, event, datetime(2026, 4, 11, 15, 0, tzinfo=UTC))
    return raw


def make_details(**changes: dict[str, Any]) -> Details:
    """Returns complete details; `changes` replaces fields of a table."""
    body: dict[str, dict[str, Any]] = {
        "report": {
            "number": "FR-2026-0017",
            "version": "1.0",
            "date": date(2026, 4, 20),
            "confidentiality": "Confidential: protective order of 2 April 2026",
        },
        "court": {
            "name": "Landgericht München I, 21. Zivilkammer",
            "caption": "21 O 1234/26, Aster Analytics GmbH ./. Boreal Systems Ltd.",
            "jurisdiction": "Germany",
        },
        "parties": {
            "claimant": "Aster Analytics GmbH",
            "respondent": "Boreal Systems Ltd.",
            "instructing": "Landgericht München I (order of 2 April 2026)",
        },
        "instructions": {
            "date": date(2026, 4, 2),
            "questions": (
                "Do the answers of the model “vision-lite-v2” show information that depends on the secret key "
                "committed by the claimant on 3 February 2026?",
                "With what probability would the observed agreement occur by chance?",
            ),
            "assumptions": ("The files in Exhibit K 7 are those that the respondent distributed.",),
            "material_supplied": (
                "Claim and time stamp (Exhibit K 2).",
                "Model folder “vision-lite-v2” on a sealed medium (Exhibit K 7).",
            ),
            "not_supplied": ("Training records of the respondent.",),
            "authority_to_query": "Local copy of the model, produced under the order of 2 April 2026.",
        },
        "examiner": {
            "name": "Dr. Ilse Wagner",
            "role": "Court-appointed expert",
            "employer": "Institut für digitale Forensik, Munich",
            "qualifications": ("Doctorate in computer science, 2009.", "Publicly appointed expert since 2016."),
            "training": ("ISO/IEC 27037 identification and preservation of digital evidence, 2021.",),
            "publications": ("Wagner, I.: On the admissibility of model watermarks. DuD 2024.",),
            "compensation": "Paid by the hour under the JVEG; independent of the outcome.",
            "independence": "No business or personal relation to either party; not employed by the tool’s authors.",
        },
        "declaration": {
            "duty": "I understand my duty to the court and have complied with it.",
            "statement": "I have given this opinion impartially and to the best of my knowledge and belief "
            "(section 410 ZPO).\n\nThe opinions expressed are my own.",
            "ai_assistance": "No generative AI was used in forming or writing the opinion.",
            "place": "Munich",
            "date": date(2026, 4, 20),
        },
        "review": {"name": "Prof. Jan Novák", "role": "Technical reviewer", "date": date(2026, 4, 18)},
        "custody": {
            "storage": "Write-protected medium in the evidence locker of the institute; working copy encrypted.",
            "transfers": ("2026-04-03: received from the court registry by courier, seal 88213 intact.",),
        },
    }
    for table, fields in changes.items():
        body[table] = {**body[table], **fields}
    return Details.model_validate(body)
