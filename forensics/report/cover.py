"""The facts of the case on the cover."""

from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim
from forensics.report.details import Details
from forensics.report.exhibits import moment_of
from forensics.report.language import Language
from forensics.report.people import day
from forensics.report.remote import noun
from forensics.report.tables import Row
from forensics.wording import capital


def make_cover(evidence: Evidence, claim: Claim, details: Details, say: Language) -> tuple[Row, ...]:
    """Returns what the cover says of the report, the case and the people; what was not supplied is said to be so."""
    report, person = details.report, details.examiner
    given = say(
        "%(number)s, version %(version)s, %(day)s, supersedes %(supersedes)s",
        number=say.clean(report.number or "", 30) or say("no number"),
        version=say.clean(report.version or "", 12) or say("not stated"),
        day=day(say, report.date, say("undated")),
        supersedes=say.clean(report.supersedes or "", 30) or say("none"),
    )
    examiner = [part for part in (say.clean(person.name or "", 48), say.clean(person.role or "", 40)) if part]
    examined = capital(say("%(suspect)s under examination", suspect=noun(evidence.suspect, say)))
    return (
        Row(say("Report"), given),
        Row(examined, say.clean(evidence.suspect.name, 90)),
        Row(say("Owner of the key"), say.clean(claim.owner, 90)),
        Row(say("Method"), method_name(claim, say)),
        Row(say("Court"), say.clean(details.court.name or "", 90) or say("No court was named.")),
        Row(say("Case"), say.clean(details.court.caption or "", 90) or say("No case caption was supplied.")),
        Row(
            say("Instructed by"),
            say.clean(details.parties.instructing or "", 90) or say("No instructing party was named."),
        ),
        Row(say("Examiner"), ", ".join(examiner) or say("No examiner was named.")),
        Row(say("Answers acquired"), moment_of(evidence.acquired.value, say)),
    )


def method_name(claim: Claim, say: Language) -> str:
    """Returns a claim's method with its version."""
    name, version = say.clean(claim.method, 40), say.clean(claim.method_version, 40)
    return say("%(method)s, version %(version)s", method=name, version=version)
