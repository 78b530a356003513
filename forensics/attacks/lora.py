"""Low-rank adaptation (Hu et al., ICLR 2022) of a model's linear layers, small enough to be read at once."""

import math

import torch

from forensics.errors import UsageError


class LowRank(torch.nn.Module):
    """A frozen linear layer plus (alpha / r) B A, of which A and B are trained; B begins at zero.

    Args:
        base: the layer; its weight (out, in) is frozen.
        rank: r, rows of A (r, in) and columns of B (out, r).
        alpha: scale.
    """

    def __init__(self, base: torch.nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base, self.scale = base, alpha / rank
        self.down = torch.nn.Parameter(torch.empty(rank, base.in_features))
        self.up = torch.nn.Parameter(torch.zeros(base.out_features, rank))
        torch.nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns the layer's output with the low-rank part added."""
        return torch.as_tensor(self.base(inputs) + self.scale * (inputs @ self.down.T) @ self.up.T)


def attach(model: torch.nn.Module, rank: int, alpha: float, leave: tuple[str, ...] = ()) -> None:
    """Freezes a model and puts a low-rank part beside each of its linear layers, in place.

    Args:
        leave: starts of the names of layers that get none.

    Raises:
        UsageError: the rank is below 1, or the model has no linear layer.
    """
    if rank < 1:
        raise UsageError(f"A rank of {rank} cannot be used.", "Give a rank of at least 1.")
    found = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    found = [name for name in found if not name.startswith(leave)]
    if not found:
        raise UsageError("The model has no linear layer for a low-rank part.", "Train all or the last of its layers.")
    model.requires_grad_(False)
    for name in found:
        parent, _, child = name.rpartition(".")
        layer = model.get_submodule(name)
        assert isinstance(layer, torch.nn.Linear)
        setattr(model.get_submodule(parent), child, LowRank(layer, rank, alpha))


def merge(model: torch.nn.Module) -> None:
    """Adds every low-rank part to its layer's weight and takes it away, in place."""
    for name in [name for name, module in model.named_modules() if isinstance(module, LowRank)]:
        adapted = model.get_submodule(name)
        assert isinstance(adapted, LowRank)
        with torch.no_grad():
            adapted.base.weight += adapted.scale * adapted.up @ adapted.down
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, adapted.base)
