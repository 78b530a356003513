"""OFSW: a multi-bit mark read through orthogonal filters of trigger images.

After "orthogonal feature space watermarking" (Electronics 2025, 14(19), 3888). The paper's equations are known from its
text without the formulas, so the forms below are reconstructions: square orthogonal kernels (k kernels of dimension
k), the log-odds of the true label as evaluation (eq. 8), and ridge regression (eq. 9, 10), which for an orthogonal
design is a rotation. Ours: several banks, views that are legal 8-bit images, scores standardised per bank, and a
calibrated read-out that projects out what the owner's unmarked checkpoint already says.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from forensics.errors import UsageError
from forensics.images import decode_image, encode_png
from forensics.keys.derive import ProbeKey, ScoreKey, Stream, orthonormal
from forensics.methods.bits import measure_bits
from forensics.methods.classes import class_columns, shared_access, top_classes
from forensics.methods.cleancheckpoint import CLEAN, beside_clean
from forensics.methods.protocol import MethodSpec, Option, Parameters
from forensics.records import (
    AnswerKind,
    Answers,
    FloatArray,
    IntArray,
    Measurement,
    Plan,
    Pool,
    Probe,
    Reading,
)

CONTRAST = 64
"""Standard deviation of a view in 8-bit steps around mid-grey 128."""

KERNEL_SCALE = 1 << 10
"""Kernels are rounded to this fraction for filtering, so that every sum is an exact integer."""

_FLOOR = 1e-12
_FLAT = 1e-9
"""A bank whose spread is below this share of its largest value is constant but for rounding."""

MOST_BITS, MOST_BANKS = 1024, 256

SPEC = MethodSpec(
    name="ofsw",
    version="1",
    title="Orthogonal feature space watermark",
    citation="OFSW, Electronics 2025, 14(19), 3888; reconstructed, with a calibrated read-out of our own",
    modality="image",
    deciding={"scores": "matched-bits", "labels": "matched-bits-labels"},
    test="bits",
    null="the answers do not depend on the payload bits given the probes: matches follow Binomial(k, 1/2)",
    ties="a score nearer to zero than 1e-9 is a miss",
    missing="a missing view counts as the mean of its bank; a bit without any view is a miss",
    assumptions=(
        "the payload bits were drawn uniformly, after the clean checkpoint and the pool were fixed",
        "nobody who could shape the suspect's answers knew the scoring secret",
    ),
    minimum_effect="0.65",
    effect_name="share of payload bits that match",
    chance="0.5",
    references=(CLEAN,),
    options=(
        Option("bits", 64, "payload length k; 128 or more for court"),
        Option("banks", 8, "trigger images, each with its own k orthogonal kernels"),
    ),
)


class OrthogonalFeatureSpace:
    """The verification side of OFSW."""

    spec = SPEC

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns bits, banks, kernel and image shape; the kernel's area equals the number of bits."""
        bits, banks = int(options.get("bits", 64)), int(options.get("banks", 8))
        height, width = kernel_shape(bits)
        if banks < 1 or len(pool.items) < banks:
            raise UsageError(f"The pool has {len(pool.items)} images, fewer than {banks} banks.", "Give a larger pool.")
        shapes = {decode_image(item.data).shape for item in pool.items}
        if len(shapes) != 1:
            raise UsageError("The pool's images differ in size or colour.", "Bring them to one size first.")
        image = shapes.pop()
        if height >= image[0] or width >= image[1]:
            raise UsageError(
                f"A {height} x {width} kernel does not fit into {image[0]} x {image[1]} pixels.", "Use fewer bits."
            )
        if any(item.label is None or not 0 <= item.label < len(labels) for item in pool.items):
            raise UsageError("A pool image has no label from the label list.", "Give each pool image its true label.")
        return {"bits": bits, "banks": banks, "kernel": [height, width], "image": list(image), "contrast": CONTRAST}

    def items(self, parameters: Parameters) -> int:
        """Returns k."""
        return int(parameters["bits"])

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns banks x k filtered views, bank by bank."""
        kernels = derive_kernels(probe_key, parameters)
        probes: list[Probe] = []
        for bank, index in enumerate(derive_triggers(probe_key, pool, parameters)):
            image = decode_image(pool.items[index].data)
            views = filtered_views(image, kernels[bank], parameters)
            probes += [Probe(encode_png(view)) for view in views]
        return Plan(tuple(probes))

    def read(
        self,
        probe_key: ProbeKey,
        pool: Pool,
        parameters: Parameters,
        labels: tuple[str, ...],
        answers: Answers,
        references: Mapping[str, Answers],
    ) -> Reading:
        """Returns the k calibrated weights; see the module's docstring."""
        clean = beside_clean(answers, references, int(parameters["banks"]) * int(parameters["bits"]), "views")
        access = shared_access(SPEC, answers, clean)
        kernels = derive_kernels(probe_key, parameters)
        truth = np.array([pool.items[index].label for index in derive_triggers(probe_key, pool, parameters)])
        raw, missing = weights(kernels, evaluation(answers, truth, labels, access))
        natural, unread = weights(kernels, evaluation(clean, truth, labels, access))
        return Reading(
            access=access,
            statistic=SPEC.deciding[access],
            scores=calibrated(raw, natural),
            missing=np.full(len(raw), missing >= 1.0, dtype=np.bool_),
            missing_share=max(missing, unread),
            notes={"raw": raw, "natural": natural},
        )

    def measure(self, score_key: ScoreKey, parameters: Parameters, reading: Reading, rule: Parameters) -> Measurement:
        """Tests the weights' signs against the payload."""
        return measure_bits(SPEC, derive_payload(score_key, parameters), reading, rule)


METHOD = OrthogonalFeatureSpace()


def kernel_shape(bits: int) -> tuple[int, int]:
    """Returns the kernel's height and width: the factor pair of k nearest to a square, height first."""
    if bits < 4:
        raise UsageError(f"A payload of {bits} bits is too short.", "Use 64, or 128 for court.")
    height = max(factor for factor in range(1, int(bits**0.5) + 1) if bits % factor == 0)
    if bits // height > 4 * height:
        raise UsageError(f"{bits} bits have no kernel close to a square.", "Use 32, 64, 128 or 256 bits.")
    return height, bits // height


def derive_payload(score_key: ScoreKey, parameters: Parameters) -> IntArray:
    """Returns the payload W, shape (k,), uniform bits; the only thing that the scoring secret decides."""
    return Stream(score_key, "ofsw/bits").bits(int(parameters["bits"]))


def derive_triggers(probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> IntArray:
    """Returns the pool positions of the triggers, shape (banks,), distinct."""
    return Stream(probe_key, "ofsw/triggers").permutation(len(pool.items))[: int(parameters["banks"])]


def derive_kernels(probe_key: ProbeKey, parameters: Parameters) -> FloatArray:
    """Returns the orthogonal kernels M, shape (banks, k, k): row i of a bank is kernel i, row-major."""
    banks, k = int(parameters["banks"]), int(parameters["bits"])
    if not (1 <= banks <= MOST_BANKS and 1 <= k <= MOST_BITS):
        raise UsageError(f"{banks} banks of {k} bits are not possible.", f"{MOST_BANKS} of {MOST_BITS} are the most.")
    normals = Stream(probe_key, "ofsw/kernels").normals(banks * k * k)
    return orthonormal(normals.reshape(banks, k, k))


def filtered_views(image: np.ndarray, kernels: FloatArray, parameters: Parameters) -> np.ndarray:
    """Filters a trigger with k kernels and brings each view back to a legal 8-bit image.

    The image's channel means (rounded) are removed, edges are reflected, and all sums are integers below 2**53, so
    that every platform and any order of summation gives the same pixels.

    Args:
        image: uint8 (height, width, channels).
        kernels: (k, k) orthonormal rows.

    Returns:
        uint8 (k, height, width, channels): 128 + contrast * standardised response, clipped.
    """
    height, width = (int(side) for side in parameters["kernel"])
    contrast = float(parameters["contrast"])
    whole = np.rint(kernels * KERNEL_SCALE)
    centred = image.astype(np.float64) - np.rint(image.reshape(-1, image.shape[2]).mean(axis=0))
    padding = ((height // 2, height - 1 - height // 2), (width // 2, width - 1 - width // 2), (0, 0))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(centred, padding, mode="reflect"), (height, width), (0, 1)
    )
    responses = whole @ windows.reshape(-1, height * width).T
    count = responses.shape[1]
    total = responses.sum(axis=1)
    square = np.einsum("ij,ij->i", responses.astype(np.int64), responses.astype(np.int64))
    views = np.empty(responses.shape, dtype=np.uint8)
    for index, row in enumerate(responses):
        spread = count * int(square[index]) - int(total[index]) ** 2
        step = contrast / math.sqrt(spread) if spread else 0.0
        views[index] = np.clip(np.floor((row * count - total[index]) * step + 128.5), 0, 255)
    return views.reshape(len(kernels), *image.shape)


def evaluation(answers: Answers, truth: IntArray, labels: tuple[str, ...], access: str) -> FloatArray:
    """The evaluation vector Y (paper, eq. 8): how well each view's answer fits the trigger's true label.

    With scores, the log-odds of the true label (ours: nearly linear where probabilities saturate); with labels, the
    indicator of the true label.

    Args:
        truth: (banks,) true labels as indices into `labels`.
        access: `scores` or `labels`; answers with scores are reduced to labels where only those are comparable.

    Returns:
        (banks, views) with NaN where the answer is missing.
    """
    columns = class_columns(answers, labels)
    wanted = np.repeat(columns[truth], answers.n // len(truth))
    if access == "labels":
        score = (top_classes(answers) == wanted).astype(np.float64)
    else:
        score = _log_odds(answers, wanted)
    score[answers.missing] = np.nan
    return np.asarray(score.reshape(len(truth), -1), dtype=np.float64)


def weights(kernels: FloatArray, evaluations: FloatArray) -> tuple[FloatArray, float]:
    """The weight vector of the ridge regression (paper, eq. 9 and 10) on standardised evaluations.

    For orthonormal kernels (M^T M + lambda I)^-1 M^T y is M^T y up to a positive factor, so lambda cannot change a
    bit and is left out. Banks are summed as real numbers before the sign is taken.

    Args:
        kernels: (banks, k, k).
        evaluations: (banks, k), NaN where missing.

    Returns:
        The weights (k,) and the share of missing views.
    """
    present = np.isfinite(evaluations)
    standard = np.zeros_like(evaluations)
    for bank, here in enumerate(present):
        values = evaluations[bank, here]
        spread = values.std() if values.size else 0.0
        if spread > _FLAT * np.abs(values).max(initial=0.0):
            standard[bank, here] = (values - values.mean()) / spread
    return np.einsum("bij,bi->j", kernels, standard), float(1.0 - present.mean())


def calibrated(raw: FloatArray, natural: FloatArray) -> FloatArray:
    """Projects out of W what an unmarked model answers anyway: W - W0 (W.W0)/(W0.W0) (ours).

    Args:
        raw: (k,) the suspect's weights.
        natural: (k,) the clean checkpoint's weights, fixed before the payload was drawn.
    """
    norm = float(natural @ natural)
    return np.asarray(raw - natural * (float(raw @ natural) / norm)) if norm > 0.0 else raw


def _log_odds(answers: Answers, wanted: IntArray) -> FloatArray:
    rows = np.arange(answers.n)
    values = np.where(answers.missing[:, None], 0.0, answers.values)
    if answers.kind is AnswerKind.LOGITS:
        own = values[rows, wanted]
        others = values.copy()
        others[rows, wanted] = -np.inf
        top = others.max(axis=1)
        return np.asarray(own - top - np.log(np.exp(others - top[:, None]).sum(axis=1)))
    if answers.kind is AnswerKind.LOG_PROBABILITIES:
        values = np.exp(values)
    half = max(answers.resolution / 2.0, _FLOOR)
    share = np.clip(values[rows, wanted], half, 1.0 - half)
    return np.asarray(np.log(share) - np.log1p(-share))
