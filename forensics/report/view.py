"""The view model of a report: everything the templates print, made from the evidence and what people supplied."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from forensics import __version__
from forensics.canonical import sha256
from forensics.conclusion import chance_in_words
from forensics.errors import CaseError
from forensics.evidence.schema import Evidence, MeasurementRecord
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.report.conclusion import WARNINGS, conclude
from forensics.report.details import Details
from forensics.report.drawings import make_figures
from forensics.report.exhibits import Annex, Exhibits, make_annex, make_exhibits
from forensics.report.figures import Figure
from forensics.report.findings import ErrorRates, Results, make_error_rates, make_results
from forensics.report.material import make_material
from forensics.report.passes import count_questions
from forensics.report.people import Examiner, Instructions, day, make_examiner, make_instructions
from forensics.report.registration import Registration, make_registration, marked, named
from forensics.report.remote import noun
from forensics.report.reservations import Alternative, make_alternatives, make_limitations
from forensics.report.tables import Row, digest_row
from forensics.report.text import clean, groups, moment, sentence

_CHECK = "Check the case with `forensics check`."

BINDING_LABELS = {
    "timestamped": "Time-stamped key",
    "demonstration": "DEMONSTRATION",
    "self-dated": "SELF-DATED KEY",
}

OUTCOME_LABELS = {
    "SUPPORTED": "Supported",
    "NOT_SUPPORTED": "Not supported",
    "INCONCLUSIVE": "Inconclusive",
    "INVALID_CLAIM": "Invalid claim",
    "NOT_SCORED": "Not scored",
}


DENSITIES = ((900, "denser"), (640, "dense"))
"""Characters of conclusion and facts from which on the cover is set smaller."""

_SUMMARY = ((2600, "denser"), (1500, "dense"))
"""Likewise of the summary, in a rough count of its lines."""


@dataclass(frozen=True)
class SignatureFacts:
    """What can be said of the signature before it is made.

    Attributes:
        level: `PAdES B-B`, or `PAdES B-T` with a signature time stamp.
        authority: of the signature time stamp, or empty.
        visible: whether page 1 carries a stamp.
    """

    subject: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: str
    not_after: str
    demonstration: bool
    level: str
    authority: str
    visible: bool


@dataclass(frozen=True)
class Report:
    """The whole report in reading order; every string is safe to print, every absence is a sentence.

    Attributes:
        missing: required keys of case.toml that were not supplied; not empty makes a draft.
        outcome: one of `OUTCOME_LABELS`.
        noun: what the suspect is called, a model or a service.
        nouns: what the method's candidates and carriers are called.
        access: to what the suspect gave access: `features`, `scores`, `labels`; empty where nothing was scored.
        marked: likewise what carries the owner's mark.
        terms: of the glossary that not every case needs, such as AUC and Bayes factor.
        created: ISO 8601 time from the evidence; the document's dates.
        figures: by name; absent where the evidence does not carry them.
        figure_notes: why a figure is absent, by name.
    """

    number: str
    version: str
    confidentiality: str
    jurisdiction: str
    missing: tuple[str, ...]
    binding: str
    binding_label: str
    outcome: str
    outcome_label: str
    conclusion: str
    binding_warning: str
    reasons: tuple[str, ...]
    chance: str
    owner: str
    suspect: str
    noun: str
    nouns: Nouns
    access: str
    marked: str
    terms: frozenset[str]
    method: str
    method_name: str
    references: tuple[str, ...]
    cover: tuple[Row, ...]
    evidence_sha256: str
    evidence_groups: tuple[str, ...]
    manifest_sha256: str
    created: str
    instructions: Instructions
    examiner: Examiner
    exhibits: Exhibits
    registration: Registration
    parameters: tuple[Row, ...]
    results: Results | None
    errors: ErrorRates
    alternatives: tuple[Alternative, ...]
    limitations: tuple[str, ...]
    tools: tuple[Row, ...]
    tool_version: str
    recorded_by: str
    signature: SignatureFacts | None
    signature_rows: tuple[Row, ...]
    peer_review: str
    acceptance: str
    annex: Annex
    figures: Mapping[str, Figure]
    figure_notes: Mapping[str, str]

    @property
    def effect_in_words(self) -> str:
        """What the effect's abbreviation in the conclusion means; empty where there is none."""
        return self.nouns.auc_in_words if "AUC" in self.conclusion else ""

    @property
    def draft(self) -> bool:
        """Whether anything required is missing."""
        return bool(self.missing)

    @property
    def density(self) -> str:
        """Style class of the cover: the more text it has, the smaller it is set."""
        size = len(self.conclusion) + sum(len(row.value) for row in self.cover)
        size += len(self.effect_in_words)
        return next((name for limit, name in DENSITIES if size > limit), "")

    @property
    def summary_density(self) -> str:
        """Style class of the summary, which shall stay on one page with the contents."""
        found = self.results.plain if self.results else ""
        size = 2 * (len(self.conclusion) + len(self.owner) + len(self.suspect)) + len(found) + len(self.limitations[0])
        size += sum(90 * (1 + len(reason) // 90) for reason in self.reasons)
        return next((name for limit, name in _SUMMARY if size > limit), "")

    @property
    def flags(self) -> str:
        """What every page says at its top: status of the report, of the key and of the signature."""
        flags = ["DRAFT"] if self.draft else []
        flags.append(self.binding_label)
        if self.signature and self.signature.demonstration:
            flags.append("DEMONSTRATION SIGNATURE: NOT TRUSTED")
        return " · ".join(flags)

    @property
    def signature_level(self) -> str:
        """`B-B`, `B-T` or `none`: declared in the metadata, so that a time stamp taken away is missed."""
        return self.signature.level.removeprefix("PAdES ") if self.signature else "none"

    @property
    def american(self) -> bool:
        """Whether the jurisdiction uses the Federal Rules of Evidence."""
        return self.jurisdiction.upper().startswith(("US", "U.S.", "UNITED STATES"))


def make_report(
    evidence: Evidence,
    details: Details,
    *,
    manifest_sha256: str,
    signature: SignatureFacts | None = None,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> Report:
    """Returns the view model.

    Args:
        evidence: the case's evidence.
        details: what people supplied.
        manifest_sha256: of the case folder's manifest.
        signature: the certificate that will sign, or None for an unsigned report.
        files: content by path in the case folder, for the texts of an opened pool and the counts of a transcript; only
            files whose digests the evidence gives are printed from.

    Raises:
        CaseError: the evidence holds no valid claim, contradicts it, or holds something else where a number belongs.
    """
    try:
        claim = Claim.model_validate(evidence.claim)
    except ValueError as error:
        raise CaseError("The evidence holds no valid claim.", _CHECK) from error
    if evidence.claim_digest != claim.digest or evidence.binding != claim.binding:
        raise CaseError("The evidence contradicts its own claim.", _CHECK)
    if evidence.binding == "timestamped" and any(token.demonstration for token in evidence.tokens):
        raise CaseError("The evidence calls a demonstration time stamp a real one.", _CHECK)
    try:
        return _compose(evidence, claim, details, manifest_sha256, signature, files)
    except (ValueError, ArithmeticError) as error:
        raise CaseError("The evidence holds a number that cannot be read.", _CHECK) from error


def _compose(
    evidence: Evidence,
    claim: Claim,
    details: Details,
    manifest_sha256: str,
    signature: SignatureFacts | None,
    files: Mapping[str, bytes],
) -> Report:
    digest = sha256(evidence.core)
    questions = count_questions(evidence, files)
    material = make_material(evidence, claim, files, questions.passes)
    figures, notes = make_figures(evidence, claim, material.words)
    outcome = evidence.score.verdict.outcome if evidence.score else "NOT_SCORED"
    measurement = evidence.score.measurement if evidence.score else None
    report = details.report
    return Report(
        number=clean(report.number or "", 30) or "(no number)",
        version=clean(report.version or "", 12) or "(none)",
        confidentiality=clean(report.confidentiality or "", 80),
        jurisdiction=clean(details.court.jurisdiction or "", 80),
        missing=details.missing(),
        binding=evidence.binding,
        binding_label=BINDING_LABELS[evidence.binding],
        outcome=outcome,
        outcome_label=OUTCOME_LABELS[outcome],
        conclusion=conclude(evidence, claim),
        binding_warning=WARNINGS[evidence.binding],
        reasons=tuple(
            sentence(named(reason, evidence))
            for reason in (evidence.score.verdict.reasons[:12] if evidence.score else ())
        ),
        chance=chance_in_words(float(measurement.p_value)) if measurement else "",
        owner=clean(claim.owner, 120),
        suspect=clean(evidence.suspect.name, 120),
        noun=noun(evidence.suspect),
        nouns=nouns_of(claim),
        access=measurement.access if measurement else "",
        marked=marked(evidence),
        terms=_terms(claim, measurement),
        method=clean(claim.method, 40),
        method_name=f"{clean(claim.method, 40)}, version {clean(claim.method_version, 40)}",
        references=tuple(clean(one.role, 60) for one in evidence.references),
        cover=_cover(evidence, claim, details),
        evidence_sha256=digest,
        evidence_groups=groups(digest),
        manifest_sha256=manifest_sha256,
        created=evidence.score.created if evidence.score else evidence.created,
        instructions=make_instructions(details),
        examiner=make_examiner(details),
        exhibits=make_exhibits(evidence, claim, details, material, questions, files),
        registration=make_registration(evidence, claim),
        parameters=tuple(
            Row(clean(key, 60), clean(_plain(value), 300)) for key, value in sorted(claim.parameters.items())
        ),
        results=make_results(evidence, claim),
        errors=make_error_rates(evidence, claim, details),
        alternatives=make_alternatives(evidence, claim),
        limitations=make_limitations(evidence, claim, details),
        tools=tuple(Row(clean(key, 60), clean(value, 200)) for key, value in sorted(evidence.tool.items())[:40]),
        tool_version=__version__,
        recorded_by=clean(evidence.tool.get("version", "of unknown version"), 30),
        signature=signature,
        signature_rows=_signature_rows(signature),
        peer_review=clean(details.validation.peer_review or "", 600) or "No statement on peer review was supplied.",
        acceptance=clean(details.validation.acceptance or "", 600) or "No statement on acceptance was supplied.",
        annex=make_annex(evidence, claim, details, digest, manifest_sha256, material.words),
        figures=figures,
        figure_notes=notes,
    )


def _terms(claim: Claim, measurement: MeasurementRecord | None) -> frozenset[str]:
    """Returns the terms that this case uses and others do not."""
    terms = set()
    if (measurement is not None and "AUC" in measurement.effect.name) or claim.target_text:
        terms.add("AUC")
    if (measurement is not None and measurement.bayes_factor_log10 is not None) or claim.rule.prior != "none":
        terms.add("Bayes factor")
    if nouns_of(claim).clusters:
        terms |= {"AUC", "Carrier", "Decoy", "Principal component"}
    return frozenset(terms)


def _cover(evidence: Evidence, claim: Claim, details: Details) -> tuple[Row, ...]:
    report, person = details.report, details.examiner
    version = clean(report.version or "", 12) or "not stated"
    given = [clean(report.number or "", 30) or "no number", f"version {version}", day(report.date, "undated")]
    examiner = [part for part in (clean(person.name or "", 48), clean(person.role or "", 40)) if part]
    return (
        Row("Report", ", ".join([*given, f"supersedes {clean(report.supersedes or '', 30) or 'none'}"])),
        Row(f"{noun(evidence.suspect).capitalize()} under examination", clean(evidence.suspect.name, 90)),
        Row("Owner of the key", clean(claim.owner, 90)),
        Row("Method", f"{clean(claim.method, 40)}, version {clean(claim.method_version, 20)}"),
        Row("Court", clean(details.court.name or "", 90) or "No court was named."),
        Row("Case", clean(details.court.caption or "", 90) or "No case caption was supplied."),
        Row("Instructed by", clean(details.parties.instructing or "", 90) or "No instructing party was named."),
        Row("Examiner", ", ".join(examiner) or "No examiner was named."),
        Row("Answers acquired", moment(evidence.acquired.value or "unknown")),
    )


def _signature_rows(facts: SignatureFacts | None) -> tuple[Row, ...]:
    if facts is None:
        return (Row("Signature", "This document is not signed."),)
    return (
        Row("Signer", facts.subject + (" (demonstration certificate, not trusted)" if facts.demonstration else "")),
        Row("Issuer", facts.issuer),
        Row("Serial number", facts.serial),
        Row("Valid", f"{facts.not_before} to {facts.not_after}"),
        digest_row("Certificate, SHA-256", facts.fingerprint),
        Row("Level", f"{facts.level}; certification signature, no changes permitted, over the whole file"),
        Row("Signature time stamp", facts.authority or "none; the time of signing is the signer's own statement"),
    )


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " × ".join(str(part) for part in value[:8])
    return str(value)
