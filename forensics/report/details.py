"""`case.toml`: what people must supply for a report, and which of it a final report cannot do without."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forensics.errors import UsageError

Day = Annotated[date, Field(strict=False)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]

REQUIRED = (
    "report.number",
    "report.version",
    "report.date",
    "court.name",
    "court.caption",
    "court.jurisdiction",
    "parties.claimant",
    "parties.respondent",
    "parties.instructing",
    "instructions.date",
    "instructions.questions",
    "instructions.material_supplied",
    "instructions.authority_to_query",
    "examiner.name",
    "examiner.role",
    "examiner.employer",
    "examiner.qualifications",
    "examiner.compensation",
    "examiner.independence",
    "declaration.duty",
    "declaration.statement",
    "declaration.ai_assistance",
    "declaration.place",
    "declaration.date",
    "review.name",
    "review.date",
    "custody.storage",
)
"""Without any one of these, every page of the report says DRAFT."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ReportTable(_Table):
    """`[report]`: administrative data of this report."""

    number: str | None = None
    version: str | None = None
    supersedes: str | None = None
    date: Day | None = None
    confidentiality: str | None = None
    changes: Texts = ()


class CourtTable(_Table):
    """`[court]`: where the report is filed."""

    name: str | None = None
    caption: str | None = None
    jurisdiction: str | None = None


class PartiesTable(_Table):
    """`[parties]`."""

    claimant: str | None = None
    respondent: str | None = None
    instructing: str | None = None


class InstructionsTable(_Table):
    """`[instructions]`: what was asked, assumed, supplied and permitted."""

    date: Day | None = None
    questions: Texts = ()
    assumptions: Texts = ()
    material_supplied: Texts = ()
    not_supplied: Texts = ()
    authority_to_query: str | None = None


class ExaminerTable(_Table):
    """`[examiner]`."""

    name: str | None = None
    role: str | None = None
    employer: str | None = None
    qualifications: Texts = ()
    training: Texts = ()
    publications: Texts = ()
    testimony: Texts = ()
    compensation: str | None = None
    independence: str | None = None


class DeclarationTable(_Table):
    """`[declaration]`: duty to the court and statement of truth, in the words of the jurisdiction."""

    duty: str | None = None
    statement: str | None = None
    ai_assistance: str | None = None
    place: str | None = None
    date: Day | None = None


class ReviewTable(_Table):
    """`[review]`: the technical reviewer."""

    name: str | None = None
    role: str | None = None
    date: Day | None = None


class CustodyTable(_Table):
    """`[custody]`: handling outside the tool's own log."""

    storage: str | None = None
    transfers: Texts = ()
    deviations: Texts = ()


class ValidationTable(_Table):
    """`[validation]`: the laboratory's own validation study, cited and not computed with."""

    reference: str | None = None
    peer_review: str | None = None
    acceptance: str | None = None


class Details(_Table):
    """The whole of `case.toml`; everything is optional, `REQUIRED` decides between draft and final."""

    language: Literal["en", "de", "fr"] = "en"
    report: ReportTable = ReportTable()
    court: CourtTable = CourtTable()
    parties: PartiesTable = PartiesTable()
    instructions: InstructionsTable = InstructionsTable()
    examiner: ExaminerTable = ExaminerTable()
    declaration: DeclarationTable = DeclarationTable()
    review: ReviewTable = ReviewTable()
    custody: CustodyTable = CustodyTable()
    validation: ValidationTable = ValidationTable()

    def missing(self) -> tuple[str, ...]:
        """Returns the required keys that are absent or blank, in the order of `REQUIRED`."""
        return tuple(name for name in REQUIRED if _blank(self, name))


def load_details(path: Path | None) -> Details:
    """Reads `case.toml`; without a path, returns empty details, which make a draft.

    Raises:
        UsageError: no TOML, an unknown key or a value of the wrong type; the sentence names the key.
    """
    if path is None:
        return Details()
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The details file {path} cannot be read: {error.strerror}.", "Check its name.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The details file {path} is no TOML: {error}.", "Correct that line.") from error
    try:
        return Details.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(
                f"The details file {path} has an unknown key '{key}'.", "Remove it or correct it."
            ) from error
        raise UsageError(
            f"The key '{key}' of the details file {path} is wrong: {first['msg']}.", "Correct its value."
        ) from error


def _blank(details: Details, name: str) -> bool:
    table, key = name.split(".")
    value = getattr(getattr(details, table), key)
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, tuple):
        return not any(item.strip() for item in value)
    return value is None
