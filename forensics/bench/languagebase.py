"""Language models of the bench: a GPT-2 of four layers with its own tokenizer, trained here, kept in the cache."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forensics.bench.passages import parts
from forensics.bench.results import built_once, cache_folder
from forensics.bench.smollm2 import smollm2
from forensics.checkpoints import quiet
from forensics.encoderfiles import Pooling, TextSettings, TokenReader
from forensics.languagemodels import LanguageModel, load_language_model, save_language_model
from forensics.progress import Progress, silent
from forensics.records import Identity
from forensics.training.loop import Checkpoint, Schedule, optimise
from forensics.training.textdata import TextData, language_loss, read_tokens

BASE = Schedule(3000, learning_rate=1.5e-3, constant=0.3, warm_up=100, weight_decay=0.01)
"""The owner's training of the unmarked model: windows of 128 tokens, sixteen a step, about two passes."""

ROWS = 16
END = "<|endoftext|>"


@dataclass(frozen=True)
class Size:
    """A size of the bench.

    Attributes:
        name: folder of the cache.
        passages: of each part; None takes all.
    """

    name: str
    layers: int
    width: int
    vocabulary: int
    positions: int
    schedule: Schedule
    passages: int | None = None


FULL = Size("gpt2", 4, 192, 4096, 256, BASE)
QUICK = Size("quick", 2, 64, 1024, 128, Schedule(120, learning_rate=3e-3), 1500)


@dataclass(frozen=True, eq=False)
class Ground:
    """What every trial starts from.

    Attributes:
        folder: of the cache, for what is made from the base model.
        base: the owner's unmarked model.
        texts: passages by part, see `passages.PARTS`.
        data: the same in the base model's tokens, by part; none of the pool's.
        tested: windows on which perplexity is measured.
    """

    folder: Path
    base: LanguageModel
    texts: Mapping[str, Sequence[str]]
    data: Mapping[str, TextData]
    tested: int = 512

    def cached(self, name: str, build: Callable[[], LanguageModel]) -> LanguageModel:
        """Returns the model of that name from the cache, or builds and keeps it; another process waits meanwhile."""
        folder = self.folder / name
        return load_language_model(built_once(folder, lambda: save_language_model(build(), folder, f"# {name}\n")))


def prepare(size: Size, progress: Progress = silent) -> Path:
    """Returns the folder of the owner's unmarked GPT-2, trained first where the cache lacks it.

    An interrupted training goes on where it was.
    """
    folder = _folder(size) / "base"
    return built_once(folder, lambda: _build(size, folder, progress))


@cache
def ground(size: Size) -> Ground:
    """Returns the owner's unmarked GPT-2 with the texts."""
    return _ground(_folder(size), load_language_model(prepare(size)), _texts(size))


@cache
def ready_made() -> Ground:
    """Returns SmolLM2 with 135 million weights, as its package has them, with the same texts.

    Raises:
        MissingExtraError: what reads its file is not installed.
    """
    folder = cache_folder() / "language-1" / "smollm2"
    loaded = load_language_model(built_once(folder / "base", lambda: _unpack(folder / "base")))
    return _ground(folder, loaded, parts(), tested=32)


def _ground(folder: Path, base: LanguageModel, texts: Mapping[str, Sequence[str]], **more: int) -> Ground:
    data = {name: read_tokens(base.tokens, found) for name, found in texts.items() if name != "pool"}
    return Ground(folder, base, texts, data, **more)


def clone(loaded: LanguageModel) -> LanguageModel:
    """Returns an independent copy."""
    return loaded.with_model(copy.deepcopy(loaded.model))


def small_gpt2(
    tokens: TokenReader, vocabulary: int, seed: int, *, layers: int, width: int, heads: int
) -> LanguageModel:
    """Returns an untrained GPT-2 for a tokenizer; without dropout, so that a step is a function of its batch."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=tokens.settings.max_tokens,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LanguageModel(GPT2LMHeadModel(config).eval(), tokens, Identity("folder", "untrained", "0" * 64))


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> bytes:
    """Trains a byte-level BPE as GPT-2 has it and returns its tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return bytes(made.to_str().encode())


def token_reader(tokenizer: bytes, positions: int) -> TokenReader:
    """Returns a tokenizer.json as what splits texts for a model of so many positions."""
    return TokenReader(TextSettings(tokenizer, False, False, positions, 0, Pooling()))


def train_plain(
    loaded: LanguageModel, data: TextData, schedule: Schedule, seed: int, *, rows: int = ROWS, **run: Any
) -> None:
    """Trains a language model on text alone, in place.

    Args:
        rows: windows a step.
        run: further arguments of `optimise`.
    """
    model: Any = loaded.model

    def step(index: int) -> torch.Tensor:
        batch = data.batch(np.random.default_rng([seed, index]), rows)
        return language_loss(model(input_ids=batch, use_cache=False).logits, batch)

    model.train()
    optimise(model, step, schedule, label="Training", **run)
    model.eval()


def _unpack(folder: Path) -> None:
    tokens, loaded = smollm2()
    config = copy.deepcopy(loaded.config)
    del config.quantization_config
    with quiet():
        plain = type(loaded)(config)
    plain.load_state_dict(loaded.state_dict())
    reader = token_reader(tokens.backend_tokenizer.to_str().encode(), config.max_position_embeddings)
    model = LanguageModel(plain.eval(), reader, Identity("folder", "SmolLM2", "0" * 64))
    save_language_model(model, folder, "# SmolLM2, 135 million weights\n")


def _folder(size: Size) -> Path:
    return cache_folder() / "language-1" / size.name


def _texts(size: Size) -> dict[str, tuple[str, ...]]:
    return {name: found[: size.passages] for name, found in parts().items()}


def _build(size: Size, folder: Path, progress: Progress) -> None:
    texts = _texts(size)["owner"]
    tokenizer = folder.with_name("tokenizer.json")
    if not tokenizer.exists():
        # Kept before the training starts: a run that is taken up again must read the same tokens.
        fresh = tokenizer.with_suffix(".new")
        fresh.write_bytes(train_tokenizer(texts, size.vocabulary))
        fresh.replace(tokenizer)
    tokens = token_reader(tokenizer.read_bytes(), size.positions)
    made = small_gpt2(tokens, size.vocabulary, 0, layers=size.layers, width=size.width, heads=size.width // 32)
    saved = Checkpoint(folder.with_name("base.state.pt"), repr(size))
    train_plain(made, read_tokens(tokens, texts), size.schedule, 0, progress=progress, checkpoint=saved)
    save_language_model(made, folder, f"# GPT-2 of {size.layers} layers\n")
    saved.path.unlink(missing_ok=True)
