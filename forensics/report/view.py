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
from forensics.report.cover import make_cover, method_name
from forensics.report.custody import superseding
from forensics.report.details import Details
from forensics.report.drawings import make_figures
from forensics.report.exhibits import Annex, Exhibits, make_annex, make_exhibits
from forensics.report.figures import Figure
from forensics.report.findings import ErrorRates, Results, make_error_rates, make_results
from forensics.report.language import ENGLISH, Language
from forensics.report.material import make_material
from forensics.report.passes import count_questions
from forensics.report.people import Examiner, Instructions, make_examiner, make_instructions
from forensics.report.recorded import recorded
from forensics.report.registration import Registration, make_registration, marked, named
from forensics.report.remote import noun
from forensics.report.reservations import Alternative, make_alternatives, make_limitations
from forensics.report.signature import SignatureFacts as SignatureFacts
from forensics.report.signature import signature_rows
from forensics.report.tables import Row
from forensics.report.text import clean, groups
from forensics.wording import Noun, capital, noted

_CHECK = "Check the case with `forensics check`."

BINDING_LABELS = {
    "timestamped": noted("Time-stamped key"),
    "demonstration": noted("DEMONSTRATION"),
    "self-dated": noted("SELF-DATED KEY"),
}

OUTCOME_LABELS = {
    "SUPPORTED": noted("Supported"),
    "NOT_SUPPORTED": noted("Not supported"),
    "INCONCLUSIVE": noted("Inconclusive"),
    "INVALID_CLAIM": noted("Invalid claim"),
    "NOT_SCORED": noted("Not scored"),
}


DENSITIES = ((900, "denser"), (640, "dense"))
"""Characters of conclusion and facts from which on the cover is set smaller."""

_SUMMARY = ((2200, "denser"), (1500, "dense"))
"""Likewise of the summary, in a rough count of its lines."""


@dataclass(frozen=True)
class Redaction:
    """What a redacted report says of what is withheld from it.

    Attributes:
        sha256: of the redacted copy of the evidence, which is attached instead of it.
        exhibits: keyed digest of each withheld exhibit.
    """

    sha256: str
    exhibits: tuple[Row, ...]


@dataclass(frozen=True)
class Report:
    """The whole report in reading order; every string is safe to print, every absence is a sentence.

    Attributes:
        missing: required keys of case.toml that were not supplied; not empty makes a draft.
        opened: whether the case discloses a share, from which others can recompute.
        outcome: one of `OUTCOME_LABELS`.
        noun: what the suspect is called, a model or a service.
        nouns: what the method's candidates and carriers are called.
        access: to what the suspect gave access: `features`, `scores`, `labels`; empty where nothing was scored.
        marked: likewise what carries the owner's mark.
        terms: of the glossary that not every case needs, such as AUC and Bayes factor.
        created: ISO 8601 time from the evidence; the document's dates.
        figures: by name; absent where the evidence does not carry them.
        figure_notes: why a figure is absent, by name.
        redaction: what is withheld; None in a report that withholds nothing.
        language: in which all of it is written.
    """

    number: str
    version: str
    confidentiality: str
    jurisdiction: str
    missing: tuple[str, ...]
    binding: str
    binding_label: str
    opened: bool
    outcome: str
    outcome_label: str
    conclusion: str
    binding_warning: str
    reasons: tuple[str, ...]
    chance: str
    owner: str
    suspect: str
    noun: Noun
    nouns: Nouns
    access: str
    marked: Noun
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
    redaction: Redaction | None = None
    language: Language = ENGLISH

    @property
    def effect_in_words(self) -> str:
        """What the effect's abbreviation in the conclusion means; empty where there is none."""
        return self.nouns.auc_in_words if "AUC" in self.conclusion else ""

    @property
    def attached_sha256(self) -> str:
        """SHA-256 of what is attached: the evidence, or a redacted copy of it."""
        return self.redaction.sha256 if self.redaction else self.evidence_sha256

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
        say = self.language
        flags = [say("DRAFT")] if self.draft else []
        flags += [say("REDACTED")] if self.redaction else []
        flags.append(self.binding_label)
        if self.signature and self.signature.demonstration:
            flags.append(say("DEMONSTRATION SIGNATURE: NOT TRUSTED"))
        return " · ".join(flags)

    @property
    def signature_level(self) -> str:
        """`B-B` to `B-LTA` or `none`: declared in the metadata, so that a time stamp taken away is missed."""
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
    language: Language = ENGLISH,
) -> Report:
    """Returns the view model.

    Args:
        evidence: the case's evidence.
        details: what people supplied.
        manifest_sha256: of the case folder's manifest.
        signature: the certificate that will sign, or None for an unsigned report.
        files: content by path in the case folder, for the texts of an opened pool and the counts of a transcript; only
            files whose digests the evidence gives are printed from.
        language: in which the report is written.

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
        return _compose(evidence, claim, details, manifest_sha256, signature, files, language)
    except (ValueError, ArithmeticError) as error:
        raise CaseError("The evidence holds a number that cannot be read.", _CHECK) from error


def _compose(
    evidence: Evidence,
    claim: Claim,
    details: Details,
    manifest_sha256: str,
    signature: SignatureFacts | None,
    files: Mapping[str, bytes],
    say: Language,
) -> Report:
    digest = sha256(evidence.core)
    questions = count_questions(evidence, files)
    material = make_material(evidence, claim, files, questions.passes, say)
    figures, notes = make_figures(evidence, claim, material.words, say)
    outcome = evidence.score.verdict.outcome if evidence.score else "NOT_SCORED"
    measurement = evidence.score.measurement if evidence.score else None
    report, validation = details.report, details.validation
    return Report(
        number=say.clean(report.number or "", 30) or say("(no number)"),
        version=say.clean(report.version or "", 12) or say("(none)"),
        confidentiality=say.clean(report.confidentiality or "", 80),
        jurisdiction=say.clean(details.court.jurisdiction or "", 80),
        missing=details.missing(),
        binding=evidence.binding,
        binding_label=say(BINDING_LABELS[evidence.binding]),
        opened=evidence.share is not None,
        outcome=outcome,
        outcome_label=say(OUTCOME_LABELS[outcome]),
        conclusion=conclude(evidence, claim, say),
        binding_warning=say(WARNINGS[evidence.binding]) if WARNINGS[evidence.binding] else "",
        reasons=tuple(
            _reason(named(reason, evidence), say)
            for reason in (evidence.score.verdict.reasons[:12] if evidence.score else ())
        ),
        chance=chance_in_words(float(measurement.p_value), say) if measurement else "",
        owner=say.clean(claim.owner, 120),
        suspect=say.clean(evidence.suspect.name, 120),
        noun=noun(evidence.suspect, say),
        nouns=nouns_of(claim, say),
        access=measurement.access if measurement else "",
        marked=marked(evidence, say),
        terms=_terms(claim, measurement),
        method=clean(claim.method, 40),
        method_name=method_name(claim, say),
        references=tuple(say.clean(one.role, 60) for one in evidence.references),
        cover=(*make_cover(evidence, claim, details, say), *superseding(files, say)),
        evidence_sha256=digest,
        evidence_groups=groups(digest),
        manifest_sha256=manifest_sha256,
        created=evidence.score.created if evidence.score else evidence.created,
        instructions=make_instructions(details, say),
        examiner=make_examiner(details, say),
        exhibits=make_exhibits(evidence, claim, details, material, questions, files, say),
        registration=make_registration(evidence, claim, say),
        parameters=tuple(
            Row(say.clean(key, 60), say.clean(_plain(value), 300)) for key, value in sorted(claim.parameters.items())
        ),
        results=make_results(evidence, claim, say),
        errors=make_error_rates(evidence, claim, details, say),
        alternatives=make_alternatives(evidence, claim, say),
        limitations=make_limitations(evidence, claim, details, files, say),
        tools=tuple(
            Row(say.clean(key, 60), say.clean(value, 200)) for key, value in sorted(evidence.tool.items())[:40]
        ),
        tool_version=__version__,
        recorded_by=say.clean(evidence.tool.get("version", ""), 30) or say("of unknown version"),
        signature=signature,
        signature_rows=signature_rows(signature, say),
        peer_review=say.clean(validation.peer_review or "", 600) or say("No statement on peer review was supplied."),
        acceptance=say.clean(validation.acceptance or "", 600) or say("No statement on acceptance was supplied."),
        annex=make_annex(evidence, claim, details, digest, manifest_sha256, material.words, say),
        figures=figures,
        figure_notes=notes,
        language=say,
    )


def _reason(recorded_one: str, say: Language) -> str:
    if say.code == "en":
        return say.sentence(recorded_one)
    return say("%(clause)s.", clause=capital(recorded(recorded_one.rstrip("."), say, 400)))


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


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " × ".join(str(part) for part in value[:8])
    return str(value)
