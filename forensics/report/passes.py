"""How many questions were asked of a plan, where the suspect's own answers leave some of them out."""

from collections.abc import Mapping
from dataclasses import dataclass

from forensics.errors import CheckFailed
from forensics.evidence.case import TRANSCRIPT
from forensics.evidence.chain import head, verify_chain
from forensics.evidence.exchanges import left_out
from forensics.evidence.schema import Evidence
from forensics.nouns import Nouns
from forensics.report.language import Language
from forensics.report.tables import Row
from forensics.report.text import integer


@dataclass(frozen=True)
class Passes:
    """The two passes of a plan.

    Attributes:
        heads: carriers that the first pass asks alone.
        kept: how many of them the second pass asks again.
        each: candidates that are put into each of these.
        left_out: planned questions that were not asked; None where the transcript does not tell.
        groups: numbers of the carriers of the second pass, in the plan's order; empty where that is not known.
    """

    heads: int
    kept: int
    each: int
    left_out: int | None
    groups: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Questions:
    """What was asked.

    Attributes:
        planned: probes of the plan.
        asked: as a printed number; empty where it is not known.
        answered: how many have an answer.
        passes: None where all are asked in one pass.
    """

    planned: int
    asked: str
    answered: int
    passes: Passes | None

    @property
    def left_out(self) -> str:
        """How many planned questions the rule left out, as a printed number; empty where none, or not known."""
        left = self.passes.left_out if self.passes else None
        return integer(left) if left else ""

    def rows(self, nouns: Nouns, say: Language) -> tuple[Row, ...]:
        """Returns what section 4 prints; with two passes, what was planned and what the rule left out as well."""
        asked = say("Questions asked")
        if self.passes is None:
            missing = self.planned - self.answered
            return (Row(asked, self.asked), self._recorded(missing, say))
        one, left = self.passes, self.passes.left_out
        places = {
            "heads": integer(one.heads),
            "carriers": nouns.carriers,
            "each": integer(one.each),
            "many": nouns.many,
        }
        planned = say(
            "%(planned)s: %(heads)s %(carriers)s alone, and each of them with %(each)s %(many)s",
            planned=integer(self.planned),
            **places,
        )
        rows = [Row(say("Questions planned"), planned)]
        if left is None:
            unknown = say("not known: the transcript is not the one that the evidence names, or does not say")
            return (*rows, Row(asked, unknown), Row(say("Answers recorded"), integer(self.answered)))
        sent = say(
            "%(asked)s: %(heads)s %(carriers)s alone, then %(kept)s of them with %(each)s %(many)s",
            asked=self.asked,
            kept=integer(one.kept),
            **places,
        )
        return (
            *rows,
            Row(asked, sent),
            Row(
                say("Not asked, by the rule of the second pass"),
                say("%(number)s; they count neither way", number=integer(left)),
            ),
            self._recorded(self.planned - self.answered - left, say),
        )

    def _recorded(self, missing: int, say: Language) -> Row:
        answered = say("%(answered)s; missing: %(missing)s", answered=integer(self.answered), missing=integer(missing))
        return Row(say("Answers recorded"), answered)


def count_questions(evidence: Evidence, files: Mapping[str, bytes]) -> Questions:
    """Returns what was asked of the deciding plan.

    Args:
        files: content by path in the case folder; what a second pass left out is read from the transcript alone.
    """
    planned, values = len(evidence.plan.probes), evidence.answers.values
    answered = sum(row is not None for row in values)
    groups, keep = evidence.plan.groups, evidence.plan.keep
    if not groups or keep is None or min(groups) < 0:
        return Questions(planned, integer(planned), answered, None)
    heads = max(groups) + 1
    left, kept = _told(evidence, files)
    if left is None or left > planned - answered:
        return Questions(planned, "", answered, Passes(heads, keep, (planned - heads) // heads, None))
    passes = Passes(heads, keep, (planned - heads) // heads, left, kept)
    return Questions(planned, integer(planned - left), answered, passes)


def _told(evidence: Evidence, files: Mapping[str, bytes]) -> tuple[int | None, frozenset[int]]:
    """Returns how many probes the transcript says were left out, and which groups the second pass asked."""
    raw = files.get(TRANSCRIPT)
    if raw is None or head(raw) != evidence.transcript_head:
        return None, frozenset()
    try:
        entries = verify_chain(raw)
        groups = [group for entry in entries if entry.get("event") == "skip" for group in entry["groups"]]
        return sum(count for _, count in left_out(entries)), frozenset(groups)
    except (CheckFailed, LookupError, TypeError, ValueError):
        return None, frozenset()
