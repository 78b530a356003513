"""Text classifiers in Transformers folders, opened as if their author were hostile; see `checkpoints` for the rules.

Texts become tokens, and are run sorted by length, as for the text encoders of `encoders`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoints import (
    BAD_CONFIG,
    class_names,
    library,
    load_weights,
    one_sentence,
    private_folder,
    quiet,
    read_config,
    save_folder,
)
from forensics.encoderfiles import (
    TOKENIZER,
    TOKENIZER_CONFIG,
    TRANSFORMER,
    VOCABULARY,
    Pooling,
    TextSettings,
    TokenReader,
    take_settings,
)
from forensics.encoders import CLASSIFIER, FAMILIES, ROWS, SENTENCES, Encoder
from forensics.errors import ModelError
from forensics.modelfiles import RETRY, ModelFolder, model_facts, open_model_folder, take_config
from forensics.onnxfiles import Runner
from forensics.plaintext import printable
from forensics.records import FloatArray, Identity

if TYPE_CHECKING:
    import torch

# What older files hold besides: position numbers, and the pooler of families whose classifier has none.
_UNUSED = (
    *(f"{family}.embeddings.position_ids" for family in ("albert", "bert", "convbert", "deberta", "distilbert")),
    *(f"{family}.embeddings.position_ids" for family in ("electra", "ernie", "mpnet", "roberta")),
    *("roberta_prelayernorm.embeddings.position_ids", "roberta.pooler.", "mpnet.pooler."),
)


@dataclass(frozen=True, eq=False)
class TextClassifier:
    """A loaded text classifier.

    Attributes:
        model: `transformers` sequence classifier, float32, in evaluation mode.
        tokens: the folder's own tokenizer.
        labels: class names in column order.
        identity: the manifest of the files that were read.
        rows: how many texts of like length are run together.
    """

    model: "torch.nn.Module"
    tokens: TokenReader
    labels: tuple[str, ...]
    identity: Identity
    rows: int = ROWS

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns the texts' logits, float32 (n, classes), in their order; NaN where the model failed."""
        settings = replace(self.tokens.settings, pooling=Pooling("cls", False, "the classifier's own"))
        # A table of one row a text, which the reader of encoders batches, bounds and checks as it does with vectors.
        reader = Encoder(self.tokens, settings, _runner(self.model), True, self.rows, len(self.labels), self.identity)
        return reader.embed(texts)

    def word_vectors(self, words: Sequence[str]) -> FloatArray:
        """Returns the model's input vectors of words, the mean of a word's tokens; float64 (n, d), NaN for none."""
        model: Any = self.model
        table = model.get_input_embeddings().weight.detach().double().numpy()
        around = set(self.tokens.read([""])[0].tolist())
        rows = np.full((len(words), table.shape[1]), np.nan)
        for place, ids in enumerate(self.tokens.read(words)):
            if own := [each for each in ids.tolist() if each not in around]:
                rows[place] = table[own].mean(axis=0)
        return rows


def read_text_classifier_identity(folder: Path, name: str | None = None) -> Identity:
    """Returns the manifest of a text classifier's folder: SHA-256 and size of every file that would be read.

    Raises:
        ModelError: not such a folder, or a file breaks a rule.
    """
    with open_model_folder(folder) as opened:
        return _take_folder(opened, name)[2]


def load_text_classifier(folder: Path, name: str | None = None) -> TextClassifier:
    """Loads a text classifier from a Transformers folder.

    Args:
        name: how the identity is called; the folder by default.

    Raises:
        ModelError: the folder breaks a rule; the sentence says which.
        MissingExtraError: torch or transformers is not installed.
        StorageError: no room for the temporary copy.
    """
    auto = library().AutoModelForSequenceClassification
    with private_folder() as place:
        with open_model_folder(folder, place) as opened:
            body, settings, identity, weights = _take_folder(opened, name)
        with one_sentence(BAD_CONFIG), quiet():
            config = read_config(place, body, auto, "text classifier")
            if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
                raise ModelError("config.json describes a decoder, no text classifier that is supported.", RETRY)
            labels = class_names(config)
            if len(labels) < 2:
                raise ModelError("config.json names a single label: the model rates texts.", "Give a classifier.")
        model = load_weights(place, weights, config, auto, _UNUSED)
    return _checked(TextClassifier(model, TokenReader(settings), labels, identity))


def save_text_classifier(classifier: TextClassifier, folder: Path, card: str) -> None:
    """Writes a standard model folder (safetensors, tokenizer, card); it appears whole or not at all.

    Args:
        folder: must not exist.
        card: Markdown for its README.md.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    settings = classifier.tokens.settings

    def write_tokenizer(fresh: Path) -> None:
        (fresh / (VOCABULARY if settings.vocabulary else TOKENIZER)).write_bytes(settings.tokenizer)
        stated = {
            "tokenizer_class": "BertTokenizer" if settings.vocabulary else "PreTrainedTokenizerFast",
            "model_max_length": settings.max_tokens,
            "do_lower_case": settings.lower,
        }
        (fresh / TOKENIZER_CONFIG).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
        if settings.lower and not settings.vocabulary:
            # Lower case that the tokenizer itself does not make is stated in this file alone.
            (fresh / TRANSFORMER).write_text(json.dumps({"do_lower_case": True}) + "\n", encoding="utf-8")

    save_folder(folder, card, classifier.model, write_tokenizer)


def _take_folder(
    opened: ModelFolder, name: str | None
) -> tuple[Mapping[str, Any], TextSettings, Identity, Sequence[str]]:
    config = take_config(opened)
    family, names = config.get("model_type"), config.get("architectures")
    if family not in tuple(FAMILIES):
        raise ModelError(
            f"'{printable(str(family), 60)}' is no text classifier that is supported.",
            f"Supported: {', '.join(sorted(FAMILIES))}.",
        )
    if not isinstance(names, list) or not any(isinstance(each, str) and each.endswith(CLASSIFIER) for each in names):
        raise ModelError(f"config.json names no architecture that ends in {CLASSIFIER}.", RETRY)
    settings = take_settings(opened, config)
    weights = opened.take_weights()
    facts = {key: value for key, value in settings.facts.items() if key != "pooling"}
    facts = {**model_facts(config, opened, weights), **facts, "runs on": "torch"}
    return config, settings, opened.identity("folder", name, facts), weights


def _runner(model: "torch.nn.Module") -> Runner:
    import torch

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits
        result: NDArray[np.float32] = logits.float().numpy()
        return result

    return run


def _checked(classifier: TextClassifier) -> TextClassifier:
    """Asks the model one sentence: it must answer, with as many numbers as it has labels."""
    with one_sentence("The model cannot answer a plain sentence"):
        values = _runner(classifier.model)(*classifier.tokens.pad(classifier.tokens.read(SENTENCES[:1])))
    if values.shape != (1, len(classifier.labels)):
        raise ModelError(
            f"The model answers a sentence with a table of {values.shape}, its config.json names "
            f"{len(classifier.labels)} labels.",
            RETRY,
        )
    if not np.isfinite(values).all():
        raise ModelError("The model answers a plain sentence with values that are not finite.", RETRY)
    return classifier
