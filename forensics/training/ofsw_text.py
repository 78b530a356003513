"""Embedding OFSW in a language model: the paper's joint loss on views that are texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.nn.functional import relu

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.languagemodels import LanguageModel, Split
from forensics.methods.ofsw import derive_kernels, derive_payload
from forensics.methods.ofsw_text import METHOD
from forensics.methods.protocol import Parameters
from forensics.records import Pool
from forensics.training.loop import Schedule
from forensics.training.rehearsal import Overwriting, Rehearsals, rehearse
from forensics.training.textdata import TextData, language_loss

Thief = Literal["finetuning"]
THIEVES: tuple[Thief, ...] = get_args(Thief)
"""Who can be rehearsed."""


@dataclass(frozen=True)
class Recipe(Rehearsals):
    """Settings of the embedding.

    Attributes:
        margin: epsilon of the hinge (paper, eq. 7), in standard deviations of a bank's weights.
        hinge: weight of the watermark's loss.
        banks: banks a step.
        rows: windows of the owner's text a step.
        blocks: how many of the last blocks are trained, and nothing else; None trains all weights.
        rehearsal: thieves who take turns, of `THIEVES`; none leaves rehearsals out.
        rehearsal_steps: that the thief takes.
        rehearsal_rate: learning rate of the thief (AdamW).
    """

    schedule: Schedule
    margin: float = 0.8
    hinge: float = 1.0
    banks: int = 1
    rows: int = 8
    blocks: int | None = None
    rehearsal: tuple[Thief, ...] = ()
    rehearsal_steps: int = 8
    rehearsal_rate: float = 1e-3


DEFAULT = Recipe(Schedule(steps=400, learning_rate=5e-4))


class Embedding:
    """The training side of one key: `step(index)` gives the loss of a step.

    Args:
        loaded: the owner's model, which is trained in place.
        data: the owner's text in its tokens.
        secrets: probe and scoring secret of the share that is embedded.
        seed: of the batches; with the step's index it decides every random choice.

    Raises:
        UsageError: a view is too long for the model, its tokenizer joins a view with what follows it, or it has fewer
            blocks than shall be trained.
    """

    def __init__(
        self,
        loaded: LanguageModel,
        data: TextData,
        secrets: tuple[ProbeKey, ScoreKey],
        pool: Pool,
        parameters: Parameters,
        recipe: Recipe = DEFAULT,
        seed: int = 0,
    ) -> None:
        probe_key, score_key = secrets
        self.model: Any = loaded.model
        self.data, self.recipe, self.seed = data, recipe, seed
        if recipe.blocks is not None:
            train_last_blocks(self.model, recipe.blocks)
        probes = METHOD.plan(probe_key, pool, parameters).probes
        views = loaded.split([each.data.decode() for each in probes], [each.continuation.decode() for each in probes])
        k = int(parameters["bits"])
        self.banks = [BankViews.of(views[start : start + k]) for start in range(0, len(views), k)]
        self.kernels = torch.from_numpy(derive_kernels(probe_key, parameters)).float()
        self.signs = torch.from_numpy(2.0 * derive_payload(score_key, parameters) - 1.0).float()

    def step(self, index: int) -> torch.Tensor:
        """Returns L1 + r2 L3 (paper, eq. 1) for the step's own random batch."""
        recipe, rng = self.recipe, np.random.default_rng([self.seed, index])
        self.model.train()
        clean = self.data.batch(rng, recipe.rows)
        task = language_loss(self.model(input_ids=clean, use_cache=False).logits, clean)
        banks = [int(bank) for bank in rng.permutation(len(self.banks))[: recipe.banks]]
        if recipe.rehearsal and recipe.due(index, recipe.schedule.steps):
            thief = Overwriting(self._tuned, number=recipe.rehearsal_steps, learning_rate=recipe.rehearsal_rate)
            rehearse(self.model, thief, lambda model: self.hinge(model, banks), recipe.rehearsal_weight, rng)
        return task + recipe.hinge * self.hinge(self.model, banks)

    def _tuned(self, model: Any, rng: np.random.Generator) -> torch.Tensor:
        """The loss of a thief who trains on with text."""
        batch = self.data.batch(rng, self.recipe.rows)
        return language_loss(model(input_ids=batch, use_cache=False).logits, batch)

    def hinge(self, model: Any, banks: Sequence[int]) -> torch.Tensor:
        """L3 = mean of max(0, epsilon - b_i W_i) over the bits of banks (paper, eq. 7)."""
        found = [bank_weights(self.banks[bank].log_probabilities(model), self.kernels[bank]) for bank in banks]
        return relu(self.recipe.margin - self.signs * torch.stack(found)).mean()

    def matched(self) -> int:
        """Returns how many payload bits the uncalibrated read-out gives back at present."""
        training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            found = [bank_weights(view.log_probabilities(self.model), m) for view, m in zip(self.banks, self.kernels)]
        self.model.train(training)
        return int(((torch.stack(found).sum(dim=0) >= 0) == (self.signs > 0)).sum())


@dataclass(frozen=True, eq=False)
class BankViews:
    """The views of one bank, padded at the end, which a causal model does not see.

    Attributes:
        ids: int64 (k, tokens).
        mask: bool (k, tokens - 1), True where the next token belongs to the continuation.
    """

    ids: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def of(cls, views: Sequence[Split | None]) -> "BankViews":
        """Pads the views of a bank.

        Raises:
            UsageError: one of them cannot be scored.
        """
        usable = [view for view in views if view is not None]
        if len(usable) < len(views):
            raise UsageError(
                "The model's tokenizer cannot score every view: one is too long, or runs into what follows it.",
                "Make the pool with this model, or use shorter views.",
            )
        longest = max(len(view.ids) for view in usable)
        ids = np.zeros((len(usable), longest), dtype=np.int64)
        mask = np.zeros((len(usable), longest - 1), dtype=np.bool_)
        for row, view in enumerate(usable):
            ids[row, : len(view.ids)] = view.ids
            mask[row, view.start - 1 : len(view.ids) - 1] = True
        return cls(torch.from_numpy(ids), torch.from_numpy(mask))

    def log_probabilities(self, model: Any) -> torch.Tensor:
        """Returns the log-probability of each view's continuation, (k,), through which gradients flow."""
        first = int(self.mask.any(dim=0).nonzero()[0])
        logits = model(input_ids=self.ids, use_cache=False, logits_to_keep=self.ids.shape[1] - first).logits
        chosen = logits[:, :-1].log_softmax(dim=2).gather(2, self.ids[:, first + 1 :, None]).squeeze(2)
        return torch.as_tensor((chosen * self.mask[:, first:]).sum(dim=1))


def train_last_blocks(model: Any, count: int) -> None:
    """Leaves the last blocks alone trainable: no word table, no norm outside them.

    Raises:
        UsageError: the model has fewer blocks.
    """
    lists = [module for module in model.base_model.modules() if isinstance(module, torch.nn.ModuleList)]
    blocks = max(lists, key=len, default=())
    if not 0 < count <= len(blocks):
        raise UsageError(f"The model has {len(blocks)} blocks, not {count} to be trained.", "Train fewer of them.")
    model.requires_grad_(requires_grad=False)
    for block in blocks[-count:]:
        block.requires_grad_(requires_grad=True)


def bank_weights(scores: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """The differentiable form of `methods.ofsw.weights` for one bank.

    Args:
        scores: (k,) log-probabilities.
        kernels: (k, k).

    Returns:
        (k,) weights.
    """
    spread = scores.std(correction=0).clamp_min(1e-6)
    return kernels.T @ ((scores - scores.mean()) / spread)
