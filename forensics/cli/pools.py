"""The pools of `forensics key new`: read or drawn before the key exists, by what a method's pools are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.cli.common import bar

if TYPE_CHECKING:
    from forensics.methods import MethodSpec
    from forensics.records import FloatArray, Pool
    from forensics.training.data import ImageData
    from forensics.wordchoice import Embed

_SETS, _TEXTS = ("labelled images", "labelled texts", "patterns"), ("words", "phrases")
_SUITS: Mapping[str, Sequence[str]] = {
    "pool": _SETS,
    "pool_size": (*_SETS, "passages"),
    "corpus": (*_TEXTS, "passages"),
    "candidates_file": _TEXTS,
    "carriers_file": _TEXTS,
    "target_file": ("words",),
}
_AT_ONCE = 256


def draw_pools(
    spec: "MethodSpec", choices: Mapping[str, Any], options: dict[str, Any]
) -> "tuple[ImageData | tuple[Pool, ...], tuple[str, ...]]":
    """Returns what `registration.new_key` takes as pool, and the class names where these are finished pools.

    Args:
        spec: of the key's method.
        choices: of the command line.
        options: of the method; own files and `--pool-size` set how many candidates and carriers there are.

    Raises:
        UsageError: an option is not for the method, something is missing, or there is too little to draw from.
    """
    from forensics.errors import UsageError

    for name, suited in _SUITS.items():
        if choices[name] is not None and spec.pool not in suited:
            raise UsageError(
                f"--{name.replace('_', '-')} is not for {spec.name}, whose pools are made of {spec.pool}.",
                "Write --option candidates=N instead."
                if name == "pool_size" and spec.pool in _TEXTS
                else "Leave it out; forensics key new --help says which option is for which method.",
            )
    if choices["reference_checkpoint"] is not None and not (*spec.references, *spec.optional_references):
        raise UsageError(f"A claim for {spec.name} names no model.", "Leave --reference-checkpoint out.")
    if spec.pool == "labelled images":
        return _labelled(choices), ()
    if spec.pool == "labelled texts":
        return _labelled_texts(choices)
    if spec.pool == "patterns":
        return _patterns(spec, choices, options), ()
    if spec.pool == "passages":
        return _passages(choices, options), ()
    return _texts(spec, choices, options), ()


def _labelled(choices: Mapping[str, Any]) -> "ImageData":
    from forensics.errors import UsageError
    from forensics.training.data import load_images

    if choices["pool"] is None:
        raise UsageError("This method needs labelled images.", "Name their data set with --pool.")
    return load_images(choices["pool"])


def _labelled_texts(choices: Mapping[str, Any]) -> "tuple[tuple[Pool, ...], tuple[str, ...]]":
    """Draws labelled texts, with a table of the unmarked model's word vectors."""
    from random import SystemRandom

    from forensics.errors import UsageError
    from forensics.registration import require_local
    from forensics.textclassifiers import load_text_classifier
    from forensics.textpools import TEXTS, make_text_pools
    from forensics.training.labelledtexts import load_labelled_texts

    if choices["pool"] is None or choices["reference_checkpoint"] is None:
        raise UsageError(
            "This method is asked labelled texts, and takes word vectors from the unmarked model.",
            "Name their data set with --pool, and the model's folder with --reference-checkpoint.",
        )
    require_local(choices["reference_checkpoint"])
    data = load_labelled_texts(choices["pool"])
    pools = make_text_pools(
        data.texts,
        data.labels.tolist(),
        load_text_classifier(choices["reference_checkpoint"]).word_vectors,
        generator=SystemRandom(),
        shares=choices["shares"],
        size=choices["pool_size"] or TEXTS,
    )
    return pools, data.names


def _patterns(spec: "MethodSpec", choices: Mapping[str, Any], options: dict[str, Any]) -> "tuple[Pool, ...]":
    """Draws patterns, and carriers from a data set."""
    from random import SystemRandom

    from forensics.errors import UsageError
    from forensics.patternpools import make_pattern_pools
    from forensics.training.data import load_plain_images

    if choices["pool"] is None:
        raise UsageError("This method needs images that will carry patterns.", "Name their data set with --pool.")
    if choices["pool_size"] is not None:
        options.setdefault("candidates", choices["pool_size"])
    sizes = _sizes(spec, options)
    return make_pattern_pools(
        list(load_plain_images(choices["pool"])), generator=SystemRandom(), shares=choices["shares"], **sizes
    )


def _passages(choices: Mapping[str, Any], options: Mapping[str, Any]) -> "tuple[Pool, ...]":
    """Draws passages from a corpus, with a table of the unmarked model's word vectors."""
    from random import SystemRandom

    from forensics.errors import UsageError
    from forensics.languagemodels import load_language_model
    from forensics.methods.ofsw_text import METHOD
    from forensics.methods.sizes import checked_sizes, chosen_sizes
    from forensics.passagepools import PASSAGES, make_passage_pools
    from forensics.registration import require_local
    from forensics.wordpools import read_lines

    if choices["corpus"] is None or choices["reference_checkpoint"] is None:
        raise UsageError(
            "This method draws passages from text, and takes word vectors from the unmarked model.",
            "Name a text file with --corpus, one document a line, and the model's folder with --reference-checkpoint.",
        )
    require_local(choices["reference_checkpoint"])
    sizes = checked_sizes(chosen_sizes(METHOD.spec, options), {"length": 1}, {"length": 256})
    return make_passage_pools(
        read_lines(choices["corpus"]),
        load_language_model(choices["reference_checkpoint"]).word_vectors,
        generator=SystemRandom(),
        shares=choices["shares"],
        passages=choices["pool_size"] or PASSAGES,
        length=sizes["length"],
    )


def _texts(spec: "MethodSpec", choices: Mapping[str, Any], options: dict[str, Any]) -> "tuple[Pool, ...]":
    """Draws words or phrases and sentences; own files set the number of candidates and carriers."""
    from random import SystemRandom

    from forensics.errors import UsageError
    from forensics.phrasepools import make_phrase_pools
    from forensics.wordpools import OwnTexts, make_pools, read_lines

    files = ["candidates_file", "carriers_file", *(["target_file"] if spec.pool == "words" else [])]
    if choices["corpus"] is None and None in [choices[name] for name in files]:
        *some, last = (f"--{name.replace('_', '-')}" for name in files)
        raise UsageError(
            f"This method draws {spec.pool} and sentences from text like that of the "
            f"{'service' if spec.pool == 'words' else 'encoder'}.",
            "Name a text file with --corpus, one document a line, or your own with each of "
            f"{', '.join(some)} and {last}.",
        )
    candidates, carriers, targets = (
        read_lines(choices[name]) if choices[name] else ()
        for name in ("candidates_file", "carriers_file", "target_file")
    )
    for name, given in (("candidates", candidates), ("carriers", carriers)):
        if given:
            options.setdefault(name, len(given) // choices["shares"])
    sizes = _sizes(spec, options)
    corpus = read_lines(choices["corpus"]) if choices["corpus"] else ()
    own, shares = OwnTexts(candidates, carriers, targets), choices["shares"]
    if spec.pool == "phrases":
        return make_phrase_pools(corpus, generator=SystemRandom(), shares=shares, own=own, **sizes)
    encoder = choices["reference_checkpoint"]
    return make_pools(
        corpus,
        generator=SystemRandom(),
        shares=shares,
        candidates=sizes["candidates"],
        carriers=sizes["carriers"],
        own=own,
        embed=_embed(encoder) if encoder else None,
    )


def _sizes(spec: "MethodSpec", options: Mapping[str, Any]) -> dict[str, int]:
    """Returns how many candidates and carriers a share has."""
    from forensics.errors import UsageError

    defaults = {option.name: option.default for option in spec.options}
    try:
        sizes = {name: int(options.get(name, defaults.get(name, 1))) for name in ("candidates", "carriers")}
    except ValueError as error:
        raise UsageError(
            "A number of candidates or carriers is no number.",
            f"Write --option candidates={defaults.get('candidates')}.",
        ) from error
    if min(sizes.values()) < 1:
        raise UsageError("There are fewer candidates or carriers than shares.", "Give more, or fewer --shares.")
    return sizes


def _embed(checkpoint: Path) -> "Embed":
    """Returns the service's encoder as a function, which loads it when it is first asked."""
    from functools import cache

    import numpy as np

    from forensics.encoders import Encoder, load_encoder, load_onnx
    from forensics.registration import require_local

    require_local(checkpoint)

    @cache
    def encoder() -> Encoder:
        return load_onnx(checkpoint) if checkpoint.suffix == ".onnx" else load_encoder(checkpoint)

    def embed(texts: Sequence[str]) -> "FloatArray":
        rows = []
        with bar("Asking the encoder", len(texts)) as advance:
            for start in range(0, len(texts), _AT_ONCE):
                batch = texts[start : start + _AT_ONCE]
                rows.append(encoder().embed(batch).astype(np.float64))
                advance(len(batch))
        return np.concatenate(rows)

    return embed
