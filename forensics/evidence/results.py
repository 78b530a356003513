"""Measurements and verdicts as they stand in `evidence.json`: numbers as decimal strings."""

import math
from itertools import chain

from forensics.canonical import decimal, decimals
from forensics.evidence.schema import EffectRecord, MeasurementRecord, PublishedRecord, VerdictRecord
from forensics.records import Effect, Measurement, Outcome, Published, Verdict


def encode_measurement(measurement: Measurement, *, disclose: bool) -> MeasurementRecord:
    """Returns a measurement as a record.

    Args:
        measurement: as a method returns it.
        disclose: include item scores, their projection and what the key had drawn; only in a case with an opened
            share, since they tell a thief where to look.
    """
    effect = measurement.effect
    factor = measurement.bayes_factor_log10
    return MeasurementRecord(
        test=measurement.test,
        statistic=measurement.statistic,
        access=measurement.access,
        null=measurement.null,
        n=int(measurement.n),
        matched=int(measurement.matched),
        value=decimal(measurement.value),
        p_value=decimal(measurement.p_value),
        log10_p=decimal(measurement.log10_p),
        effect=EffectRecord(
            name=effect.name,
            value=decimal(effect.value),
            low=decimal(effect.low),
            high=decimal(effect.high),
            upper_99=decimal(effect.upper_99),
            chance=decimal(effect.chance),
        ),
        bayes_factor_log10=None if factor is None else decimal(factor),
        power=decimal(measurement.power),
        missing_share=decimal(measurement.missing_share),
        items=decimals(measurement.items) if disclose else None,
        target=[int(value) for value in measurement.target] if disclose else None,
        published=[
            PublishedRecord(
                name=published.name,
                statistic=decimal(published.statistic),
                p_value=decimal(math.nan if published.p_value is None else published.p_value),
                source=published.source,
                caveat=published.caveat,
            )
            for published in measurement.published
        ],
        context={name: decimal(value) for name, value in measurement.context.items()},
        projection=decimals(chain.from_iterable(measurement.projection)) or None if disclose else None,
    )


def decode_measurement(record: MeasurementRecord) -> Measurement:
    """Reads a measurement back; undisclosed items and targets come back empty.

    Raises:
        ValueError: a decimal string is not a number.
    """
    effect = record.effect
    places = [float(text) for text in record.projection or ()]
    factor = record.bayes_factor_log10
    return Measurement(
        test=record.test,
        statistic=record.statistic,
        access=record.access,
        null=record.null,
        n=record.n,
        matched=record.matched,
        value=float(record.value),
        p_value=float(record.p_value),
        log10_p=float(record.log10_p),
        effect=Effect(
            effect.name,
            float(effect.value),
            float(effect.low),
            float(effect.high),
            float(effect.upper_99),
            float(effect.chance),
        ),
        bayes_factor_log10=None if factor is None else float(factor),
        power=float(record.power),
        missing_share=float(record.missing_share),
        items=tuple(float(text) for text in record.items or ()),
        target=tuple(record.target or ()),
        published=tuple(
            Published(each.name, float(each.statistic), _p_value(each.p_value), each.source, each.caveat)
            for each in record.published
        ),
        context={name: float(text) for name, text in record.context.items()},
        projection=tuple(zip(places[::2], places[1::2], strict=True)),
    )


def _p_value(text: str) -> float | None:
    """Reads the p-value of a published statistic; `nan` stands where none goes with it."""
    number = float(text)
    return None if math.isnan(number) else number


def encode_verdict(verdict: Verdict) -> VerdictRecord:
    """Returns a verdict as a record."""
    return VerdictRecord(
        outcome=verdict.outcome.value,
        gates=dict(verdict.gates),
        reasons=list(verdict.reasons),
        adjusted_p=decimal(verdict.adjusted_p),
        n_star=str(int(verdict.n_star)),
        examinations=int(verdict.examinations),
    )


def decode_verdict(record: VerdictRecord) -> Verdict:
    """Reads a verdict back.

    Raises:
        ValueError: a number is not one.
    """
    return Verdict(
        Outcome(record.outcome),
        dict(record.gates),
        tuple(record.reasons),
        float(record.adjusted_p),
        int(record.n_star),
        record.examinations,
    )
