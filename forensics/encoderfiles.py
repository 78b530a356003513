"""What lies beside the weights of a text encoder: tokenizer, pooling, longest input; data only, never code.

The tokenizer is built by the `tokenizers` library from `tokenizer.json` or `vocab.txt`; how token vectors become one
vector is read from the files that sentence-transformers writes, where they are there.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoints import one_sentence
from forensics.errors import MissingExtraError, ModelError
from forensics.modelfiles import CONFIG, RETRY, ModelFolder, parse_object, refuse_code
from forensics.plaintext import printable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER, TOKENIZER_CONFIG, VOCABULARY = "tokenizer.json", "tokenizer_config.json", "vocab.txt"
MODULES, TRANSFORMER = "modules.json", "sentence_bert_config.json"
MAX_TOKENIZER, MAX_TOKENS, USUAL_TOKENS = 64 << 20, 8192, 512
MAX_PATTERN, MAX_STEPS = 400, 32
_UNUSABLE = "The model's tokenizer cannot be used"
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}")
# Families that number positions from the padding token on, so that two of them are not for tokens.
_OFFSET = frozenset({"camembert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"})


@dataclass(frozen=True)
class Pooling:
    """How the vectors of a text's tokens become the text's vector.

    Attributes:
        mode: `mean`, `cls` (the first token's) or `max`.
        normalise: whether the result gets unit length.
        source: the file that says so, or that none does.
    """

    mode: str = "mean"
    normalise: bool = True
    source: str = "no file says, so the mean at unit length"

    def pool(self, hidden: NDArray[np.float32], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Pools token vectors.

        Args:
            hidden: float32 (n, tokens, d).
            mask: (n, tokens), 1 for a token and 0 for padding, which comes last.

        Returns:
            float32 (n, d); NaN for a text without tokens.
        """
        kept = mask.astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.mode == "cls":
                vectors = np.where(kept[:, :1] > 0, hidden[:, 0], np.float32(np.nan))
            elif self.mode == "max":
                vectors = np.where(kept[:, :, None] > 0, hidden, np.float32(-np.inf)).max(axis=1)
            else:
                vectors = np.matmul(kept[:, None, :], hidden)[:, 0] / kept.sum(axis=1, keepdims=True)
            return self.finish(vectors)

    def finish(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gives pooled vectors (n, d) unit length where that is asked for; NaN where they have none."""
        if self.normalise:
            with np.errstate(divide="ignore", invalid="ignore"):
                vectors = vectors / np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
        result: NDArray[np.float32] = np.where(np.isfinite(vectors), vectors, np.nan).astype(np.float32)
        return result


@dataclass(frozen=True)
class TextSettings:
    """How a folder's encoder reads a text.

    Attributes:
        tokenizer: the bytes of tokenizer.json or vocab.txt.
        vocabulary: whether they are vocab.txt, a BERT word list.
        lower: whether texts are lower-cased before or by the tokenizer.
        max_tokens: longer texts are cut there.
        padding: index of the padding token.
        pooling: how the token vectors are pooled.
    """

    tokenizer: bytes
    vocabulary: bool
    lower: bool
    max_tokens: int
    padding: int
    pooling: Pooling

    @property
    def facts(self) -> dict[str, str]:
        """The settings in printable words."""
        how = f"{self.pooling.mode}, {'unit length' if self.pooling.normalise else 'not normalised'}"
        return {
            "pooling": f"{how} ({self.pooling.source})",
            "tokenizer": VOCABULARY if self.vocabulary else TOKENIZER,
            "longest text": f"{self.max_tokens} tokens",
        }


def take_settings(opened: ModelFolder, config: Mapping[str, Any] | None) -> TextSettings:
    """Takes the files beside an encoder's weights.

    Args:
        config: config.json; None where an ONNX model has none.

    Raises:
        ModelError: no tokenizer that is data alone, or a file that is malformed or asks for more than is supported.
    """
    config = config or {}
    stated = opened.take_json(TOKENIZER_CONFIG) if TOKENIZER_CONFIG in opened.names else {}
    refuse_code(stated, TOKENIZER_CONFIG)
    transformer = opened.take_json(TRANSFORMER) if TRANSFORMER in opened.names else {}
    if TOKENIZER in opened.names:
        raw, vocabulary = opened.take(TOKENIZER, MAX_TOKENIZER, keep=True), False
    elif VOCABULARY in opened.names and config.get("model_type", "bert") in ("bert", "distilbert", "electra", "mpnet"):
        raw, vocabulary = opened.take(VOCABULARY, MAX_TOKENIZER, keep=True), True
    else:
        raise ModelError(
            "The folder holds no tokenizer.json, so how the model reads a text is unknown.",
            "Save the tokenizer in its fast form (tokenizer.json) into a copy of the folder.",
        )
    lower = transformer.get("do_lower_case") is True
    return TextSettings(
        tokenizer=raw,
        vocabulary=vocabulary,
        lower=lower or (vocabulary and stated.get("do_lower_case", True) is True),
        max_tokens=_max_tokens(config, stated, transformer),
        padding=_padding(config),
        pooling=_take_pooling(opened),
    )


class TokenReader:
    """Turns texts into token numbers with a folder's own tokenizer.

    Args:
        settings: from `take_settings`.

    Raises:
        ModelError: the tokenizer's bytes are none, or ask for too much.
    """

    def __init__(self, settings: TextSettings) -> None:
        self.settings = settings
        with one_sentence(_UNUSABLE):
            self._tokenizer = _word_list(settings) if settings.vocabulary else _from_json(settings.tokenizer)
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(settings.max_tokens)

    def read(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Returns the token numbers of every text, special tokens included, at most `max_tokens` each.

        Raises:
            ModelError: the tokenizer fails on a text.
        """
        words = [text.lower() for text in texts] if self.settings.lower else list(texts)
        with one_sentence(_UNUSABLE):
            found = [np.array(each.ids, dtype=np.int64) for each in self._tokenizer.encode_batch(words)]
        if any(len(ids) > self.settings.max_tokens for ids in found):
            raise ModelError("The tokenizer makes more tokens of a text than the model takes.", RETRY)
        return found

    def pad(self, rows: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns token numbers (n, longest) and their mask (n, longest), padded at the end."""
        longest = max(1, *(len(row) for row in rows))
        ids = np.full((len(rows), longest), self.settings.padding, dtype=np.int64)
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return ids, mask


def _from_json(raw: bytes) -> "Tokenizer":
    body = parse_object(raw, TOKENIZER)
    for part in ("normalizer", "pre_tokenizer", "post_processor", "added_tokens"):
        _bound_steps(body.get(part), part)
    result: Tokenizer = _library().Tokenizer.from_str(json.dumps(body, ensure_ascii=False))
    return result


def _word_list(settings: TextSettings) -> "Tokenizer":
    library, unknown = _library(), "[UNK]"
    words = settings.tokenizer.decode("utf-8").splitlines()
    numbers = {word: index for index, word in enumerate(words)}
    if not {"[UNK]", "[CLS]", "[SEP]"} <= numbers.keys():
        raise ModelError("vocab.txt is no BERT word list: [UNK], [CLS] or [SEP] is missing.", RETRY)
    result: Tokenizer = library.Tokenizer(library.models.WordPiece(numbers, unk_token=unknown))
    result.normalizer = library.normalizers.BertNormalizer(lowercase=settings.lower)
    result.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    ends = ("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"])
    result.post_processor = library.processors.BertProcessing(*ends)
    result.add_special_tokens([word for word in ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]") if word in numbers])
    return result


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtraError(
            "Text encoders need tokenizers, which is not installed.", "Run: pip install 'model-forensics[models]'."
        ) from error
    return tokenizers


def _bound_steps(value: Any, part: str, depth: int = 0) -> None:
    """Refuses steps that could blow a text up: long replacements, many of them, deep nests."""
    if depth > 8:
        raise ModelError(f"tokenizer.json: '{part}' is nested too deeply.", RETRY)
    if isinstance(value, list):
        if part != "added_tokens" and len(value) > MAX_STEPS:
            raise ModelError(f"tokenizer.json: '{part}' has {len(value)} steps; {MAX_STEPS} are the most.", RETRY)
        for item in value:
            _bound_steps(item, part, depth + 1)
    elif isinstance(value, Mapping):
        limit = 16 if value.get("type") in ("Replace", "Prepend") else MAX_PATTERN
        for key, item in value.items():
            if isinstance(item, str) and key != "precompiled_charsmap":
                if len(item) > (limit if key in ("content", "prepend") else MAX_PATTERN):
                    raise ModelError(f"tokenizer.json: '{part}' holds a text of {len(item)} characters.", RETRY)
            else:
                _bound_steps(item, part, depth + 1)


def _max_tokens(config: Mapping[str, Any], stated: Mapping[str, Any], transformer: Mapping[str, Any]) -> int:
    """Returns the smallest of what the files say; most tokenizers state none as a huge float."""
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _OFFSET:
        positions -= 2
    named = transformer.get("max_seq_length")
    found = [named if named is not None else stated.get("model_max_length"), positions]
    limits = [limit for limit in found if isinstance(limit, int | float) and not isinstance(limit, bool)]
    usable = [int(limit) for limit in limits if limit <= MAX_TOKENS]
    if any(not limit >= 4 for limit in limits):
        raise ModelError("The folder's longest input is fewer than 4 tokens.", RETRY)
    if usable:
        return min(usable)
    return MAX_TOKENS if limits and positions is not None else USUAL_TOKENS


def _padding(config: Mapping[str, Any]) -> int:
    number = config.get("pad_token_id")
    number = 0 if number is None else number
    size = config.get("vocab_size")
    if type(number) is not int or number < 0 or (type(size) is int and number >= size):
        raise ModelError(f"{CONFIG}: pad_token_id is no token of the vocabulary.", RETRY)
    return number


def _take_pooling(opened: ModelFolder) -> Pooling:
    if MODULES not in opened.names:
        return Pooling()
    steps = _take_modules(opened)
    kinds = [kind for kind, _ in steps]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or steps[0][1]:
        shown = printable(", ".join(kinds), 80)
        raise ModelError(
            f"modules.json lists the steps '{shown}'; Transformer (in the folder itself), Pooling and Normalize "
            "are supported.",
            "Give the folder that holds the Transformer alone.",
        )
    name = f"{steps[1][1]}/{CONFIG}"
    return Pooling(_pooling_mode(opened.take_json(name), name), kinds[-1] == "Normalize", name)


def _take_modules(opened: ModelFolder) -> list[tuple[str, str]]:
    """Returns the kinds of a sentence-transformers model's steps and the folders of their settings."""
    raw = opened.take(MODULES, 1 << 16, keep=True)
    steps = parse_object(b'{"steps":' + raw + b"}", MODULES)["steps"]
    result: list[tuple[str, str]] = []
    for step in steps if isinstance(steps, list) else [None]:
        kind, path = (step.get("type"), step.get("path")) if isinstance(step, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(path, str) or (path and not _PLAIN.fullmatch(path)):
            raise ModelError("modules.json is no list of steps with a type and a folder of this folder.", RETRY)
        if not kind.startswith("sentence_transformers."):
            raise ModelError(
                f"modules.json asks for code of its own ('{printable(kind, 60)}'), which is never used.", RETRY
            )
        result.append((kind.rpartition(".")[2], path))
    return result


def _pooling_mode(body: Mapping[str, Any], name: str) -> str:
    stated = body.get("pooling_mode")
    if isinstance(stated, str):
        modes = [stated]
    else:
        modes = [key for key, value in body.items() if key.startswith("pooling_mode_") and value is True]
    mode = _POOLINGS.get(modes[0], modes[0]) if len(modes) == 1 else ""
    if mode not in _POOLINGS.values():
        shown = printable(", ".join(map(str, modes)), 80) or "none"
        raise ModelError(f"{name} asks for the pooling '{shown}'; one of mean, cls and max is supported.", RETRY)
    return mode
