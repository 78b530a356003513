"""A scored case in the terminal and as JSON."""

from typing import Any

import click

from forensics.canonical import canonical_json
from forensics.cli.common import print_json
from forensics.conclusion import chosen_items
from forensics.errors import CaseError
from forensics.evidence.case import CaseFolder
from forensics.evidence.results import decode_measurement, decode_verdict
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.plaintext import printable
from forensics.records import Measurement
from forensics.report.conclusion import conclude
from forensics.statistics import LIMIT

COLOURS = {"SUPPORTED": "green", "NOT_SUPPORTED": "yellow", "INCONCLUSIVE": "yellow", "INVALID_CLAIM": "red"}


def result_object(case: CaseFolder) -> dict[str, Any]:
    """Returns what `--json` prints for a scored case.

    Raises:
        CaseError: the case is not scored.
    """
    evidence = case.evidence
    if evidence.score is None:
        raise CaseError("The case is not scored yet.", "Run: forensics score KEY CASE.")
    measurement = decode_measurement(evidence.score.measurement)
    verdict = decode_verdict(evidence.score.verdict)
    return {
        "verdict": verdict.outcome.value,
        "method": str(evidence.claim["method"]),
        "suspect": printable(evidence.suspect.name, 1000),
        "binding": evidence.binding,
        "p_value": measurement.p_value,
        "log10_p": measurement.log10_p,
        "n_star": verdict.n_star,
        "adjusted_p": verdict.adjusted_p,
        "statistic": measurement.statistic,
        "access": measurement.access,
        "n": measurement.n,
        "matched": measurement.matched,
        "chosen": chosen_items(measurement.test, measurement.context),
        "effect": measurement.effect.value,
        "effect_name": measurement.effect.name,
        "published": _published(measurement),
        "gates": dict(verdict.gates),
        "reasons": list(verdict.reasons),
        "examinations": verdict.examinations,
        "case": str(case.path),
        "manifest_sha256": case.manifest_sha256,
    }


def print_result(case: CaseFolder, as_json: bool) -> None:
    """Prints the verdict, the conclusion, the figures and the reasons."""
    found = result_object(case)
    if as_json:
        print_json(found)
        return
    score = case.evidence.score
    assert score is not None
    verdict, measurement = decode_verdict(score.verdict), decode_measurement(score.measurement)
    claim = Claim.parse(canonical_json(case.evidence.claim))
    charged = f"(charged: {verdict.adjusted_p:.3g}; at most {float(LIMIT):g} allowed)"
    click.secho(found["verdict"], fg=COLOURS[found["verdict"]], bold=True)
    click.echo(printable(conclude(case.evidence, claim), 4000) + "\n")
    gates = "  ".join(
        f"{name} {'not run' if value is None else 'yes' if value else 'no'}" for name, value in verdict.gates.items()
    )
    for name, text in (
        ("suspect", found["suspect"]),
        ("matched", _matched(measurement, nouns_of(claim))),
        ("effect", _effect(measurement)),
        ("exact p", f"{measurement.p_value:.3g}  (at most {claim.rule.alpha} allowed)  {charged}"),
        ("N*", _undisclosed(verdict.n_star)),
        ("published", _published_words(measurement)),
        ("gates", gates),
        ("case", f"{case.path}  manifest {case.manifest_sha256}"),
    ):
        click.echo(f"{name:<10}{printable(text, 2000)}")
    click.echo("")
    for reason in verdict.reasons:
        click.echo(f"- {printable(reason, 2000)}")


def _undisclosed(attempts: int) -> str:
    if not attempts:
        return "0: the finding is not below one in a thousand even without undisclosed attempts"
    return f"{attempts:.3g} undisclosed attempts leave the finding below one in a thousand"


def _matched(measurement: Measurement, nouns: Nouns) -> str:
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is None:
        return f"{measurement.matched} of {measurement.n} ({measurement.statistic})"
    end = f"at one end of all {measurement.n}" if nouns.two_sided else f"highest-scoring of {measurement.n}"
    return f"{measurement.matched} of {chosen} chosen {nouns.many} among the {chosen} {end} ({measurement.statistic})"


def _effect(measurement: Measurement) -> str:
    effect = measurement.effect
    return (
        f"{effect.name} {effect.value:.3g}  (95 %: {effect.low:.3g} to {effect.high:.3g}; chance {effect.chance:.3g})"
    )


def _published(measurement: Measurement) -> dict[str, Any] | None:
    if not measurement.published:
        return None
    first = measurement.published[0]
    return {"name": first.name, "p_value": first.p_value, "statistic": first.statistic}


def _published_words(measurement: Measurement) -> str:
    if not measurement.published:
        return "none computed"
    first = measurement.published[0]
    figure = f"{first.statistic:.3g}" if first.p_value is None else f"p = {first.p_value:.3g}"
    return f"{first.name} {figure} (decides nothing)"
