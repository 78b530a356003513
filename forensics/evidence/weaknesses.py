"""What is no contradiction in a case and yet weakens it."""

from collections.abc import Iterator

from forensics.evidence.consistency import Parts


def find_weaknesses(parts: Parts) -> Iterator[str]:
    """Yields a sentence for each weakness."""
    evidence, score = parts.evidence, parts.evidence.score
    if evidence.references:
        yield "The answers of the models that the claim names were not asked again; use --reference-checkpoint."
    if evidence.suspect.kind == "replay":
        yield "The suspect is a recorded case; what its parent recorded of the asking is not in this one."
    if score is None:
        return
    if evidence.asset is None or evidence.asset.token is None:
        yield "The release of the marked model is not dated by an authority."
    if evidence.transcript_token is None:
        yield "The transcript was not timestamped before scoring."
