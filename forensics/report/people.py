"""What people supplied: instructions, examiner, declaration, custody outside the tool; said so where it is absent."""

from dataclasses import dataclass
from datetime import date

from forensics.report.details import Details
from forensics.report.tables import Row
from forensics.report.text import clean, moment, paragraphs


@dataclass(frozen=True)
class Instructions:
    """Section 2."""

    rows: tuple[Row, ...]
    questions: tuple[str, ...]
    assumptions: tuple[str, ...]
    supplied: tuple[str, ...]
    not_supplied: tuple[str, ...]


@dataclass(frozen=True)
class Examiner:
    """Section 3."""

    rows: tuple[Row, ...]
    qualifications: tuple[str, ...]
    training: tuple[str, ...]
    publications: tuple[str, ...]
    testimony: tuple[str, ...]
    duty: tuple[str, ...]
    statement: tuple[str, ...]
    signed: str
    review: str


def make_instructions(details: Details) -> Instructions:
    """Returns section 2; a field that was not supplied becomes a sentence that says so."""
    given = details.instructions
    return Instructions(
        rows=(
            Row("Instructed by", _or(details.parties.instructing, "No instructing party was named.")),
            Row("Date of instruction", day(given.date, "No date of instruction was supplied.")),
            Row("Claimant", _or(details.parties.claimant, "No claimant was named.")),
            Row("Respondent", _or(details.parties.respondent, "No respondent was named.")),
            Row(
                "Authority to query",
                _or(given.authority_to_query, "No authority to query the suspect was stated.", 600),
            ),
        ),
        questions=_list(given.questions, "No questions were supplied."),
        assumptions=_list(given.assumptions, "No assumptions were given."),
        supplied=_list(given.material_supplied, "No list of the material supplied was given."),
        not_supplied=_list(given.not_supplied, "Nothing was named as requested and not supplied."),
    )


def make_examiner(details: Details) -> Examiner:
    """Returns section 3; a field that was not supplied becomes a sentence that says so."""
    person, words, review = details.examiner, details.declaration, details.review
    place_and_day = [clean(words.place or ""), day(words.date, "")]
    reviewer = ", ".join(part for part in (clean(review.name or ""), clean(review.role or "")) if part)
    return Examiner(
        rows=(
            Row("Name", _or(person.name, "No examiner was named.")),
            Row("Role", _or(person.role, "No role was supplied.")),
            Row("Employer", _or(person.employer, "No employer was supplied.")),
            Row("Compensation", _or(person.compensation, "No statement on compensation was supplied.", 600)),
            Row("Independence", _or(person.independence, "No statement on independence was supplied.", 600)),
            Row("Use of AI assistance", _or(words.ai_assistance, "No statement on AI assistance was supplied.", 600)),
        ),
        qualifications=_list(person.qualifications, "No qualifications were supplied."),
        training=_list(person.training, "No training record was supplied."),
        publications=_list(person.publications, "No publications of the last ten years were listed."),
        testimony=_list(person.testimony, "No testimony of the last four years was listed."),
        duty=_text(words.duty, "No statement of the examiner's duty to the court was supplied."),
        statement=_text(words.statement, "No examiner declaration was supplied."),
        signed=", ".join(part for part in place_and_day if part),
        review=f"{reviewer}, {day(review.date, 'undated')}" if reviewer else "No technical reviewer was named.",
    )


def make_handling(details: Details) -> tuple[Row, ...]:
    """Returns the rows of section 4 on storage, transfers and deviations."""
    given = details.custody
    return (
        Row("Storage", _or(given.storage, "No statement on storage was supplied.", 600)),
        Row("Transfers", "; ".join(_list(given.transfers, "No transfer was reported."))),
        Row("Deviations", "; ".join(_list(given.deviations, "No deviation from procedure was reported."))),
    )


def day(value: date | None, otherwise: str) -> str:
    """Returns a date in words, or a sentence where there is none."""
    return otherwise if value is None else moment(value.isoformat())


def _or(text: str | None, otherwise: str, limit: int = 240) -> str:
    return clean(text or "", limit) or otherwise


def _list(texts: tuple[str, ...], otherwise: str) -> tuple[str, ...]:
    return tuple(shown for shown in (clean(text, 800) for text in texts[:40]) if shown) or (otherwise,)


def _text(text: str | None, otherwise: str) -> tuple[str, ...]:
    return paragraphs(text or "") or (otherwise,)
