"""Causal language models in Transformers folders, opened as if their author were hostile; see `checkpoints`.

What is asked of them is the log-probability of a continuation after a prompt, both texts; the folder's own tokenizer
splits them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoints import (
    BAD_CONFIG,
    library,
    load_weights,
    one_sentence,
    private_folder,
    quiet,
    read_config,
    save_folder,
)
from forensics.encoderfiles import TOKENIZER, TOKENIZER_CONFIG, TextSettings, TokenReader, take_settings
from forensics.errors import ModelError
from forensics.modelfiles import RETRY, ModelFolder, model_facts, open_model_folder, take_config
from forensics.plaintext import printable
from forensics.records import FloatArray, Identity

if TYPE_CHECKING:
    import torch

FAMILIES = frozenset(
    {"bloom", "cohere", "falcon", "gemma", "gemma2", "gpt2", "gpt_neo", "gpt_neox", "granite", "llama", "mistral"}
    | {"olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2"}
)
"""Model types that are examined; all are part of the Transformers library itself and can give the last logits alone."""

GENERATORS = ("ForCausalLM", "LMHeadModel")
"""How the architectures of these families end."""

ROWS = 32
_BEFORE = "the"
_SENTENCE = ("The ferry leaves the harbour", " at seven in the morning.")


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A loaded language model.

    Attributes:
        model: `transformers` causal language model, float32, in evaluation mode.
        tokens: the folder's own tokenizer.
        identity: the manifest of the files that were read.
        rows: how many texts of one length are run together.
    """

    model: "torch.nn.Module"
    tokens: TokenReader
    identity: Identity
    rows: int = ROWS

    def with_model(self, model: "torch.nn.Module") -> "LanguageModel":
        """Returns the same tokenizer around another model."""
        return replace(self, model=model)

    def split(self, prompts: Sequence[str], continuations: Sequence[str]) -> list["Split | None"]:
        """Returns the tokens of every text; None where a token lies across its two parts, or it is too long."""
        wholes = self.tokens.read([prompt + rest for prompt, rest in zip(prompts, continuations, strict=True)])
        begins = self.tokens.read(list(prompts))
        found: list[Split | None] = []
        for whole, begin in zip(wholes, begins):
            fits = 0 < len(begin) < len(whole) < self.tokens.settings.max_tokens
            found.append(Split(whole, len(begin)) if fits and np.array_equal(whole[: len(begin)], begin) else None)
        return found

    def log_probabilities(self, prompts: Sequence[str], continuations: Sequence[str]) -> FloatArray:
        """Returns the log-probability of each continuation after its prompt.

        Returns:
            float64 (n,): sums over the continuation's tokens; NaN where the model or its tokenizer failed, or a token
            lies across both.
        """
        result = np.full(len(prompts), np.nan)
        try:
            splits = self.split(prompts, continuations)
        except ModelError:
            return result
        places = [place for place, each in enumerate(splits) if each is not None]
        # Texts of one length alone share a batch: nothing is padded, and no row depends on another's length.
        places.sort(key=lambda place: _size(splits[place]))
        for _, group in groupby(places, key=lambda place: _size(splits[place])):
            alike = list(group)
            for start in range(0, len(alike), self.rows):
                batch = alike[start : start + self.rows]
                try:
                    result[batch] = self._score([splits[place] for place in batch])
                except Exception:  # noqa: BLE001, S112 - whatever a hostile model does, it has not answered
                    continue
        return result

    def word_vectors(self, words: Sequence[str]) -> FloatArray:
        """Returns the model's input vectors of words as they stand inside a text.

        Returns:
            float64 (n, d); NaN for a word that is not exactly one token of its own after another word.
        """
        model: Any = self.model
        table = model.get_input_embeddings().weight.detach().double().numpy()
        alone = self.tokens.read([_BEFORE])[0]
        rows = np.full((len(words), table.shape[1]), np.nan)
        for place, ids in enumerate(self.tokens.read([f"{_BEFORE} {word}" for word in words])):
            if len(ids) == len(alone) + 1 and np.array_equal(ids[:-1], alone):
                rows[place] = table[ids[-1]]
        return rows

    def _score(self, batch: Sequence["Split | None"]) -> NDArray[np.float32]:
        import torch

        whole, scored = _size(batch[0])
        ids = torch.from_numpy(np.stack([each.ids for each in batch if each is not None]))
        with torch.inference_mode():
            logits = self.model(input_ids=ids, use_cache=False, logits_to_keep=scored + 1).logits.float()
            if logits.shape[:2] != (len(batch), scored + 1):
                raise ModelError(f"The model answers with a table of {tuple(logits.shape)}.", RETRY)
            chosen = logits[:, :-1].log_softmax(dim=2).gather(2, ids[:, whole - scored :, None])
        result: NDArray[np.float32] = chosen.sum(dim=(1, 2)).numpy()
        return result


@dataclass(frozen=True, eq=False)
class Split:
    """A text's tokens.

    Attributes:
        ids: int64 (tokens,) of prompt and continuation.
        start: number of the continuation's first token.
    """

    ids: NDArray[np.int64]
    start: int


def read_language_model_identity(folder: Path, name: str | None = None) -> Identity:
    """Returns the manifest of a language model's folder: SHA-256 and size of every file that would be read.

    Raises:
        ModelError: not such a folder, or a file breaks a rule.
    """
    with open_model_folder(folder) as opened:
        return _take_folder(opened, name)[2]


def load_language_model(folder: Path, name: str | None = None) -> LanguageModel:
    """Loads a causal language model from a Transformers folder.

    Args:
        name: how the identity is called; the folder by default.

    Raises:
        ModelError: the folder breaks a rule; the sentence says which.
        MissingExtraError: torch or transformers is not installed.
        StorageError: no room for the temporary copy.
    """
    auto = library().AutoModelForCausalLM
    with private_folder() as place:
        with open_model_folder(folder, place) as opened:
            body, settings, identity, weights = _take_folder(opened, name)
        with one_sentence(BAD_CONFIG), quiet():
            config = read_config(place, body, auto, "language model")
            if config.model_type != body["model_type"]:
                raise ModelError("config.json describes another kind of model than it names.", RETRY)
        model = load_weights(place, weights, config, auto)
    return _checked(LanguageModel(model, TokenReader(settings), identity))


def save_language_model(loaded: LanguageModel, folder: Path, card: str) -> None:
    """Writes a standard model folder (safetensors, tokenizer, card); it appears whole or not at all.

    Args:
        folder: must not exist.
        card: Markdown for its README.md.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    settings = loaded.tokens.settings

    def write_tokenizer(fresh: Path) -> None:
        (fresh / TOKENIZER).write_bytes(settings.tokenizer)
        stated = '{\n  "tokenizer_class": "PreTrainedTokenizerFast",\n  "model_max_length": %d\n}\n'
        (fresh / TOKENIZER_CONFIG).write_text(stated % settings.max_tokens, encoding="utf-8")

    save_folder(folder, card, loaded.model, write_tokenizer)


def _take_folder(
    opened: ModelFolder, name: str | None
) -> tuple[Mapping[str, Any], TextSettings, Identity, Sequence[str]]:
    config = take_config(opened)
    family, names = config.get("model_type"), config.get("architectures")
    if family not in tuple(FAMILIES):
        raise ModelError(
            f"'{printable(str(family), 60)}' is no language model that is supported.",
            f"Supported: {', '.join(sorted(FAMILIES))}.",
        )
    if not isinstance(names, list) or not any(isinstance(each, str) and each.endswith(GENERATORS) for each in names):
        raise ModelError(f"config.json names no architecture that ends in {' or '.join(GENERATORS)}.", RETRY)
    # GPT-2 and its relatives state their longest text under another name than the rest.
    longest = config.get("max_position_embeddings", config.get("n_positions"))
    settings = take_settings(opened, {**config, "max_position_embeddings": longest})
    if settings.vocabulary:
        raise ModelError("The folder holds no tokenizer.json, so how the model reads a text is unknown.", RETRY)
    weights = opened.take_weights()
    facts = {key: value for key, value in settings.facts.items() if key != "pooling"}
    facts = {**model_facts(config, opened, weights), **facts, "runs on": "torch"}
    return config, settings, opened.identity("folder", name, facts), weights


def _size(each: Split | None) -> tuple[int, int]:
    """Returns the number of all tokens and of those that are scored; texts alike in both share a batch."""
    return (len(each.ids), len(each.ids) - each.start) if each is not None else (0, 0)


def _checked(loaded: LanguageModel) -> LanguageModel:
    """Asks the model one sentence: it must answer, and with a log-probability."""
    with one_sentence("The model cannot answer a plain sentence"):
        found = loaded.split(*([text] for text in _SENTENCE))[0]
        value = loaded._score([found])[0] if found is not None else np.float32(np.nan)
    if not np.isfinite(value):
        raise ModelError("The model gives a plain sentence no finite log-probability.", RETRY)
    return loaded
