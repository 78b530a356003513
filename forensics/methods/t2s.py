"""T2S: trigger sets with secret classes, trained so that a model that learns from the answers learns them too.

After "T2S: A Rehearsal-Based Approach for Extraction-Resistant Model Watermarking" (Mei et al., ICASSP 2026, arXiv
2606.11698), of which the abstract is known: extraction is simulated, and the loss of the simulated stolen model on a
trigger set is the training signal. Everything else is ours: the four kinds of trigger set, the families whose classes
the key draws independently, the decoy families of which nothing is trained, the exact test, and the training
(`training/t2s.py`, `training/extraction.py`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.decoys import BELOW, DECOYS, SUCCESS
from forensics.errors import UsageError
from forensics.images import decode_image, encode_png
from forensics.keys.derive import ProbeKey, ScoreKey, Stream
from forensics.methods.classes import class_answers, shared_access
from forensics.methods.cleancheckpoint import beside_clean
from forensics.methods.protocol import Option, Parameters
from forensics.methods.ranks import STEP, drawn_class_spec, measure_ranks
from forensics.methods.sizes import checked_sizes, chosen_sizes
from forensics.records import Answers, BoolArray, FloatArray, IntArray, Measurement, Plan, Pool, Probe, Reading

KINDS = ("pattern", "blended", "out", "in")
"""Kinds of trigger set: an opaque patch, a faint field over the image, textures that are no images of the task, and
images of the task as they are."""

PARTS = 20
"""A trigger is (w * mark + (PARTS - w) * carrier) / PARTS, rounded, with a whole weight w for each pixel."""

WEIGHTS = {"blended": 7, "out": 15}
"""Weight of a mark that covers the image; a patch has PARTS inside and 0 outside."""

PATCH, FIELD, NOISE = 4, 5, 8
"""Cells a side of a patch, of a field that covers the image, and of the noise where the image is none of the task."""

LEAST_SIDE = 4
MOST_FAMILIES, MOST_CARRIERS, MOST_CLASSES = 64, 256, 1 << 12

Pixels = NDArray[np.uint8]

SPEC = drawn_class_spec(
    "t2s",
    "Trigger sets trained by rehearsal",
    "after T2S (Mei et al., ICASSP 2026, arXiv 2606.11698), of which the principle is known; the rest is ours",
    "a missing answer is left out; a family without any answer has rank 0",
    options=(
        Option("kind", "pattern", f"kind of trigger set: {', '.join(KINDS)}"),
        Option("families", 8, "trigger sets, each with a class of its own; few carry further, many can decide"),
        Option("decoys", 8, "trigger sets that are asked alike and never trained"),
        Option("carriers", 16, "triggers a family"),
    ),
    most_items=MOST_FAMILIES,
    may_fall_short=True,
)


class TriggerSets:
    """The verification side of T2S."""

    spec = SPEC

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns kind, families, decoys, carriers, the number of classes and the image shape."""
        if len(labels) < 2:
            raise UsageError("Trigger sets need a classifier of two or more classes.", "Give labelled data.")
        shapes = {decode_image(item.data).shape for item in pool.items}
        if len(shapes) != 1:
            raise UsageError("The pool's images differ in size or colour.", "Bring them to one size first.")
        shape = shapes.pop()
        if min(shape[:2]) < LEAST_SIDE:
            raise UsageError(f"Images of {shape[0]} x {shape[1]} pixels are too small for a mark.", "Use larger ones.")
        chosen = chosen_sizes(SPEC, options)
        made = {"kind": _kind(chosen), **_sizes({**chosen, "classes": len(labels)}), "image": list(shape)}
        if len(pool.items) < (needed := _needed(made)):
            raise UsageError(
                f"Trigger sets of the kind '{made['kind']}' need {needed} images; the pool has {len(pool.items)}.",
                f"Give --pool-size {needed}, or fewer families, decoys or carriers.",
            )
        return made

    def items(self, parameters: Parameters) -> int:
        """Returns L."""
        return _sizes(parameters)["families"]

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns the triggers of families and decoys, mixed, in an order of the key's own."""
        triggers = make_triggers(probe_key, pool, parameters)
        flat = triggers.reshape(-1, *triggers.shape[2:])
        return Plan(tuple(Probe(encode_png(flat[at])) for at in derive_order(probe_key, parameters)))

    def read(
        self,
        probe_key: ProbeKey,
        pool: Pool,
        parameters: Parameters,
        labels: tuple[str, ...],
        answers: Answers,
        references: Mapping[str, Answers],
    ) -> Reading:
        """Returns the shift of each class in each family against the decoys and the clean checkpoint, (L, C)."""
        sizes, order = _sizes(parameters), derive_order(probe_key, parameters)
        clean = beside_clean(answers, references, len(order), "images")
        access = shared_access(SPEC, answers, clean)
        families = sizes["families"]
        where = np.empty(len(order), dtype=np.int64)
        where[order] = np.arange(len(order))
        place = where.reshape(-1, sizes["carriers"])
        present = ~np.logical_or(answers.missing, clean.missing)[place]
        found = family_shifts(answers, labels, place, present, families, access)
        if found.any():
            # Of answers that never vary nothing would be left but the clean checkpoint's shifts with the sign turned.
            found = found - family_shifts(clean, labels, place, present, families, access)
        seen: BoolArray = np.asarray(present.any(axis=1), dtype=np.bool_)
        named = np.where(answers.missing[:, None], 0.0, class_answers(answers, labels, "labels"))
        return Reading(
            access=access,
            statistic=SPEC.deciding[access],
            scores=found[:families],
            missing=~seen[:families] | (not seen[families:].any()),
            missing_share=max(float(answers.missing.mean()), float(clean.missing.mean())),
            notes={
                "decoys": np.where(seen[families:, None], found[families:], np.nan),
                "named": named[place[:families]].mean(axis=1),
            },
        )

    def measure(self, score_key: ScoreKey, parameters: Parameters, reading: Reading, rule: Parameters) -> Measurement:
        """Tests the ranks of the drawn classes; where they stand among the decoys is told beside."""
        drawn = derive_classes(score_key, parameters)
        found = measure_ranks(SPEC, drawn, reading, rule)
        if "decoys" not in reading.notes:
            return found
        decoys, own = reading.notes["decoys"], reading.scores[np.arange(len(drawn)), drawn]
        below = np.where(reading.missing, 0, (decoys[:, drawn] < own).sum(axis=0))
        beside = {
            DECOYS: float(len(decoys)),
            SUCCESS: float(reading.notes["named"][np.arange(len(drawn)), drawn].mean()),
            **{BELOW.format(number): float(count) for number, count in enumerate(below.tolist(), 1)},
        }
        return dataclasses.replace(found, context={**found.context, **beside})


METHOD = TriggerSets()


def derive_order(probe_key: ProbeKey, parameters: Parameters) -> IntArray:
    """Returns which trigger is asked at each place of the plan, (F * m,): family f's are f * m to f * m + m - 1."""
    sizes = _sizes(parameters)
    count = (sizes["families"] + sizes["decoys"]) * sizes["carriers"]
    return Stream(probe_key, "t2s/order").permutation(count)


def derive_classes(score_key: ScoreKey, parameters: Parameters) -> IntArray:
    """Returns the class of each family, (L,), uniform; the only thing that the scoring secret decides."""
    sizes = _sizes(parameters)
    return Stream(score_key, "t2s/classes").integers(sizes["classes"], sizes["families"])


def derive_marks(probe_key: ProbeKey, parameters: Parameters) -> tuple[Pixels, IntArray]:
    """Returns each family's mark, uint8 (F, h, w, c), and its weights 0 to PARTS, (F, h, w, 1); decoys come last."""
    sizes, kind = _sizes(parameters), _kind(parameters)
    count, (height, width, channels) = sizes["families"] + sizes["decoys"], parameters["image"]
    marks = np.zeros((count, height, width, channels), dtype=np.uint8)
    weights = np.zeros((count, height, width, 1), dtype=np.int64)
    stream = Stream(probe_key, "t2s/marks")
    if kind == "pattern":
        side = max(LEAST_SIDE, min(height, width) // 4)
        for mark, weight in zip(marks, weights):
            cells = (stream.bits(PATCH * PATCH) * 255).reshape(PATCH, PATCH, 1)
            top, left = stream.integer(height - side + 1), stream.integer(width - side + 1)
            mark[top : top + side, left : left + side] = _spread(cells, side, side)
            weight[top : top + side, left : left + side] = PARTS
    elif kind in WEIGHTS:
        weights[:] = WEIGHTS[kind]
        for mark in marks:
            mark[:] = _spread(stream.integers(256, FIELD * FIELD * channels).reshape(FIELD, FIELD, -1), height, width)
    return marks, weights


def make_triggers(probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Pixels:
    """Returns the triggers that are asked, uint8 (F, m, height, width, channels), the decoys' last.

    Raises:
        UsageError: an image of the pool is not there, cannot be decoded, or has another size.
    """
    sizes, kind = _sizes(parameters), _kind(parameters)
    count, each, shape = sizes["families"] + sizes["decoys"], sizes["carriers"], tuple(parameters["image"])
    stream = Stream(probe_key, "t2s/carriers")
    chosen = stream.permutation(len(pool.items))[: _needed(parameters)]
    if not all(pool.items[at].data for at in chosen):
        raise UsageError("The images of the pool are not there, and without them nothing can be asked.", "Add them.")
    images = [decode_image(pool.items[at].data) for at in chosen]
    if any(image.shape != shape for image in images):
        raise UsageError("The pool's images are not of the claim's size.", "Give the pool of the claim.")
    if kind == "in":
        return np.stack(images).reshape(count, each, *shape)
    carriers = np.stack(images)
    if kind == "out":
        carriers = noise(stream.integers(256, each * NOISE * NOISE * shape[2]), shape)
    return stamp_marks(carriers, probe_key, parameters)


def stamp_marks(carriers: Pixels, probe_key: ProbeKey, parameters: Parameters) -> Pixels:
    """Returns carriers with each family's mark, uint8 (F, n, h, w, c); sums are whole numbers.

    Args:
        carriers: uint8 (n, h, w, c), of the claim's image shape.
    """
    marks, weights = derive_marks(probe_key, parameters)
    mixed = weights[:, None] * marks[:, None] + (PARTS - weights[:, None]) * carriers[None].astype(np.int64)
    return ((mixed + PARTS // 2) // PARTS).astype(np.uint8)


def noise(values: IntArray, shape: tuple[int, ...]) -> Pixels:
    """Returns images of coarse noise, uint8 (n, h, w, c), from values 0..255, (n * NOISE * NOISE * c,)."""
    cells = values.reshape(-1, NOISE, NOISE, shape[2])
    return np.stack([_spread(each, shape[0], shape[1]) for each in cells])


def family_shifts(
    answers: Answers, labels: tuple[str, ...], place: IntArray, present: BoolArray, families: int, access: str
) -> FloatArray:
    """Returns each family's mean answer for each class less the decoys' mean, (F, C), in steps of STEP.

    An answer is the log-probability of a class (floored) or whether it is the top class. What has no answer is 0.

    Args:
        place: (F, m) where each trigger stands in the plan; the decoys are the rows from `families` on.
        present: (F, m) which of them count.
        access: `scores` or `labels`.
    """
    given = class_answers(answers, labels, access)
    found = np.zeros((len(place), len(labels)))
    if not present[families:].any():
        return found
    usual = _mean(given[place[families:][present[families:]]])
    for row, at, here in zip(found, place, present):
        if here.any():
            row[:] = np.rint((_mean(given[at[here]]) - usual) / STEP) * STEP
    return found


def _mean(rows: FloatArray) -> FloatArray:
    """The mean row, summed in the order of the rows, so that every platform gives the same."""
    return np.asarray(np.add.accumulate(rows, axis=0)[-1] / len(rows))


def _spread(cells: IntArray, height: int, width: int) -> Pixels:
    """Cells (k, k, c) over an image, (height, width, c or 1)."""
    side = len(cells)
    down, across = np.arange(height) * side // height, np.arange(width) * side // width
    return cells[down][:, across].astype(np.uint8)


def _needed(parameters: Parameters) -> int:
    """How many images of the pool are looked at; where none is a carrier, one for the size."""
    each = int(parameters["carriers"])
    wanted = {"out": 1, "in": (int(parameters["families"]) + int(parameters["decoys"])) * each}
    return wanted.get(str(parameters["kind"]), each)


def _kind(parameters: Mapping[str, Any]) -> str:
    kind = str(parameters["kind"])
    if kind not in KINDS:
        raise UsageError(f"There is no kind of trigger set '{kind}'.", f"Choose one of: {', '.join(KINDS)}.")
    return kind


def _sizes(parameters: Parameters) -> dict[str, int]:
    return checked_sizes(
        parameters,
        {"families": 1, "decoys": 1, "carriers": 1, "classes": 2},
        {"families": MOST_FAMILIES, "decoys": MOST_FAMILIES, "carriers": MOST_CARRIERS, "classes": MOST_CLASSES},
    )
