"""What fixed the recorded answers before they were scored, and through whose hands they went."""

from collections.abc import Mapping
from datetime import datetime

from forensics.evidence.chain import verify_chain
from forensics.evidence.custody import CUSTODY
from forensics.evidence.schema import Evidence, ScoreRecord
from forensics.report.language import Language


def stamped_before_scoring(evidence: Evidence) -> bool:
    """Tells whether a time stamp over the transcript's head lies before the scoring; not where times cannot be read."""
    if evidence.transcript_token is None or evidence.score is None:
        return False
    try:
        stamped, scored = map(datetime.fromisoformat, (evidence.transcript_token.gen_time, evidence.score.created))
        return stamped < scored
    except (ValueError, TypeError):
        return False


def describe_hands(files: Mapping[str, bytes], say: Language) -> str:
    """Returns whether the answers were acquired and scored by the same hand; empty without a log or a score in it.

    Args:
        files: content by path in the case folder.

    Raises:
        CheckFailed: the custody log is not as it was written.
    """
    same = one_hand(files, say)
    acquired, scored, _ = _actors(files)
    if same or not acquired or not scored:
        return same
    return say(
        "Acquired by %(first)s, scored by %(second)s, by the custody log; the names are as each gave them.",
        first=_listed(acquired, say),
        second=_listed(scored, say),
    )


def one_hand(files: Mapping[str, bytes], say: Language) -> str:
    """Returns the sentence on one and the same hand, as `describe_hands`; empty where the log names several."""
    acquired, scored, opened = _actors(files)
    both = acquired.keys() & scored.keys()
    if not both:
        return ""
    all_three = both & opened.keys()
    if all_three:
        actor = _listed({key: acquired[key] for key in all_three}, say)
        return say("Acquired, scored and opened by the same hand, by the custody log: %(actor)s.", actor=actor)
    actor = _listed({key: acquired[key] for key in both}, say)
    return say("Acquired and scored by the same hand, by the custody log: %(actor)s.", actor=actor)


def about_fixation(evidence: Evidence, files: Mapping[str, bytes], say: Language) -> list[str]:
    """Returns what limits the recorded answers of this case: who could have shaped them before they were scored."""
    found, score = [], evidence.score
    if evidence.transcript_token is None:
        found.append(
            say(
                "No time stamp over the transcript is recorded: nothing from outside shows when the answers were "
                "recorded, or that they were the same before they were scored."
            )
        )
    elif evidence.transcript_token.demonstration:
        found.append(
            say(
                "The time stamp over the transcript is a demonstration: nothing from outside shows when the answers "
                "were recorded, or that they were the same before they were scored."
            )
        )
    elif score is not None and not stamped_before_scoring(evidence):
        found.append(
            say(
                "The time stamp over the transcript does not lie before the scoring: nothing from outside shows that "
                "the answers were the same before they were scored."
            )
        )
    hand = one_hand(files, say)
    if hand:
        found.append(hand)
    if score is not None:
        found += _about_controls(evidence, score, say)
    return found


def _about_controls(evidence: Evidence, score: ScoreRecord, say: Language) -> list[str]:
    named = {one.identity.digest for one in evidence.references}
    fixed = [one for one in score.controls if one.identity.digest in named]
    if len(fixed) == len(score.controls):
        return []
    if fixed:
        return [
            say(
                "The controls were asked by whoever scored, and nothing fixed their answers beforehand, except for "
                "the models named in the claim, whose answers are in the transcript."
            )
        ]
    return [say("The controls were asked by whoever scored, and nothing fixed their answers beforehand.")]


def _actors(files: Mapping[str, bytes]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Returns who acquired, scored and opened: each name as first written, by the name without case and spacing."""
    found: dict[str, dict[str, str]] = {"acquire": {}, "score": {}, "open": {}}
    for entry in verify_chain(files[CUSTODY]) if CUSTODY in files else ():
        if entry.get("action") in found:
            actor = " ".join(str(entry.get("actor")).split())
            found[entry["action"]].setdefault(actor.casefold(), actor)
    return found["acquire"], found["score"], found["open"]


def _listed(actors: Mapping[str, str], say: Language) -> str:
    return ", ".join(say.clean(actors[key], 60) for key in sorted(actors))
