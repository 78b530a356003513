"""Small pools for trigger clusters, and made-up answers to their plans."""

import numpy as np

from forensics.images import encode_png
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.clusters import TriggerClusters, derive_order, derive_triggers
from forensics.records import AnswerKind, Answers, Pool, PoolItem
from tests.services import made_up_words

CANDIDATES, CARRIERS, ASKED, WIDTH = 28, 6, 4, 8
SIZES = {"candidates": CANDIDATES, "carriers": CARRIERS, "asked": ASKED, "dimension": WIDTH}
PROBE, SCORE = ProbeKey(b"p" * 32), ScoreKey(b"s" * 32)
SENTENCES = (
    "They left the harbour at dawn.",
    "I never saw the old mill again!",
    "NATO met in the northern town .",
    '"Stop," said the tall driver.',
    "A yellow lamp stood in the hall?",
    "Two children played in the snow",
)


def phrase_pool(**changes: list[str]) -> Pool:
    """28 phrases of made-up words and 6 sentences."""
    words = made_up_words(2 * CANDIDATES)
    phrases = [f"{one} {other}" for one, other in zip(words[::2], words[1::2])]
    parts = {"phrases": phrases, "carriers": list(SENTENCES)} | changes
    texts = (*parts["phrases"], *parts["carriers"])
    return Pool(tuple(PoolItem(text.encode("utf-8"), "text/plain") for text in texts))


def pattern_images() -> tuple[np.ndarray, np.ndarray]:
    """28 faint patterns and 6 images of 8 x 8 pixels, from a fixed generator."""
    rng = np.random.default_rng(4)
    patterns = 128 + rng.integers(-20, 21, (CANDIDATES, 8, 8, 3))
    return patterns.astype(np.uint8), rng.integers(0, 256, (CARRIERS, 8, 8, 3), dtype=np.uint8)


def pattern_pool() -> Pool:
    return Pool(tuple(PoolItem(encode_png(image)) for images in pattern_images() for image in images))


def made_up_answers(
    method: TriggerClusters, kind: AnswerKind, *, shift: float, seed: int = 0, resolution: float = 0.0
) -> Answers:
    """Answers to a plan of `SIZES`: noise, with the triggers of `SCORE` moved one way by `shift`."""
    rng = np.random.default_rng(seed)
    width = WIDTH if kind is AnswerKind.VECTORS else 4
    name, along = method.spec.name, np.eye(width)[2]
    heads = rng.normal(size=(CARRIERS, width))
    moved = heads[:, None, :] + 0.3 * rng.normal(size=(CARRIERS, CANDIDATES, width))
    moved += shift * derive_triggers(name, SCORE, SIZES)[None, :, None] * along
    order = derive_order(name, PROBE, SIZES)
    values = np.concatenate([heads, moved[:, order.items].reshape(-1, width)])
    missing = np.zeros(len(values), dtype=np.bool_)
    shares = np.exp(values - values.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    match kind:
        case AnswerKind.VECTORS:
            return Answers(kind, values, missing)
        case AnswerKind.LABELS:
            return Answers(kind, np.argmax(values, axis=1).astype(np.int64), missing, ("a", "b", "c", "d"))
        case AnswerKind.TEXT:
            return Answers(
                kind, np.array([f"class {at}" for at in np.argmax(values, axis=1)], dtype=np.object_), missing
            )
        case AnswerKind.LOG_PROBABILITIES:
            values = np.log(shares)
        case AnswerKind.PROBABILITIES:
            values = np.round(shares / resolution) * resolution if resolution else shares
    return Answers(kind, values, missing, ("a", "b", "c", "d"), resolution)


def without(answers: Answers, rows: list[int]) -> Answers:
    """The same answers, less those to the probes of these numbers."""
    missing = answers.missing.copy()
    missing[rows] = True
    values = answers.values.copy()
    values[missing] = {AnswerKind.LABELS: -1, AnswerKind.TEXT: ""}.get(answers.kind, np.nan)
    return Answers(answers.kind, values, missing, answers.labels, answers.resolution)


def rows_of_group(group: int) -> list[int]:
    """Numbers of the probes of a group, but for its head."""
    return list(range(CARRIERS + group * CANDIDATES, CARRIERS + (group + 1) * CANDIDATES))
