"""What people supplied: instructions, examiner, declaration, custody outside the tool; said so where it is absent."""

from dataclasses import dataclass
from datetime import date

from forensics.report.details import Details
from forensics.report.language import Language
from forensics.report.tables import Row


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


def make_instructions(details: Details, say: Language) -> Instructions:
    """Returns section 2; a field that was not supplied becomes a sentence that says so."""
    given = details.instructions
    return Instructions(
        rows=(
            Row(say("Instructed by"), _or(say, details.parties.instructing, say("No instructing party was named."))),
            Row(say("Date of instruction"), day(say, given.date, say("No date of instruction was supplied."))),
            Row(say("Claimant"), _or(say, details.parties.claimant, say("No claimant was named."))),
            Row(say("Respondent"), _or(say, details.parties.respondent, say("No respondent was named."))),
            Row(
                say("Authority to query"),
                _or(say, given.authority_to_query, say("No authority to query the suspect was stated."), 600),
            ),
        ),
        questions=_list(say, given.questions, say("No questions were supplied.")),
        assumptions=_list(say, given.assumptions, say("No assumptions were given.")),
        supplied=_list(say, given.material_supplied, say("No list of the material supplied was given.")),
        not_supplied=_list(say, given.not_supplied, say("Nothing was named as requested and not supplied.")),
    )


def make_examiner(details: Details, say: Language) -> Examiner:
    """Returns section 3; a field that was not supplied becomes a sentence that says so."""
    person, words, review = details.examiner, details.declaration, details.review
    place_and_day = [say.clean(words.place or ""), day(say, words.date, "")]
    reviewer = [part for part in (say.clean(review.name or ""), say.clean(review.role or "")) if part]
    reviewed = ", ".join([*reviewer, day(say, review.date, say("undated"))])
    return Examiner(
        rows=(
            Row(say("Name"), _or(say, person.name, say("No examiner was named."))),
            Row(say("Role"), _or(say, person.role, say("No role was supplied."))),
            Row(say("Employer"), _or(say, person.employer, say("No employer was supplied."))),
            Row(
                say("Compensation"),
                _or(say, person.compensation, say("No statement on compensation was supplied."), 600),
            ),
            Row(
                say("Independence"),
                _or(say, person.independence, say("No statement on independence was supplied."), 600),
            ),
            Row(
                say("Use of AI assistance"),
                _or(say, words.ai_assistance, say("No statement on AI assistance was supplied."), 600),
            ),
        ),
        qualifications=_list(say, person.qualifications, say("No qualifications were supplied.")),
        training=_list(say, person.training, say("No training record was supplied.")),
        publications=_list(say, person.publications, say("No publications of the last ten years were listed.")),
        testimony=_list(say, person.testimony, say("No testimony of the last four years was listed.")),
        duty=_text(say, words.duty, say("No statement of the examiner's duty to the court was supplied.")),
        statement=_text(say, words.statement, say("No examiner declaration was supplied.")),
        signed=", ".join(part for part in place_and_day if part),
        review=reviewed if reviewer else say("No technical reviewer was named."),
    )


def make_handling(details: Details, say: Language) -> tuple[Row, ...]:
    """Returns the rows of section 4 on storage, transfers and deviations."""
    given = details.custody
    return (
        Row(say("Storage"), _or(say, given.storage, say("No statement on storage was supplied."), 600)),
        Row(say("Transfers"), say.clauses(_list(say, given.transfers, say("No transfer was reported.")))),
        Row(
            say("Deviations"),
            say.clauses(_list(say, given.deviations, say("No deviation from procedure was reported."))),
        ),
    )


def day(say: Language, value: date | None, otherwise: str) -> str:
    """Returns a date in words, or a sentence where there is none."""
    return otherwise if value is None else say.moment(value.isoformat())


def _or(say: Language, text: str | None, otherwise: str, limit: int = 240) -> str:
    return say.clean(text or "", limit) or otherwise


def _list(say: Language, texts: tuple[str, ...], otherwise: str) -> tuple[str, ...]:
    return tuple(shown for shown in (say.clean(text, 800) for text in texts[:40]) if shown) or (otherwise,)


def _text(say: Language, text: str | None, otherwise: str) -> tuple[str, ...]:
    return say.paragraphs(text or "") or (otherwise,)
