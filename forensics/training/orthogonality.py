"""The orthogonality regulariser of OFSW (paper, eq. 2 and 3; reconstructed after the self-orthogonality module)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch

Probing = Literal["activation", "gaussian"]


@dataclass
class Orthogonality:
    """Collects the filters' responses of one forward pass and penalises their correlation.

    For each layer, theta_ij = <y_i, y_j> with y_i = tanh(gamma x w_i) scaled to unit length over the batch (eq. 3);
    the penalty is weak * (mean theta)^2 + strict * mean theta^2 over pairs i != j, since mean^2 + variance is the mean
    of squares (eq. 2). The paper's constants are lost; these are ours.

    Attributes:
        probing: `activation` uses the layer's own responses (the paper), `gaussian` the weights' responses to Gaussian
            inputs, for which theta = 0 means exactly 90 degrees (eq. 6) even after a ReLU.
        rows: responses a filter at most, subsampled evenly.
    """

    probing: Probing = "activation"
    gamma: float = 10.0
    weak: float = 100.0
    strict: float = 1.0
    rows: int = 4096
    _terms: list[torch.Tensor] = field(default_factory=list)

    @contextmanager
    def watch(self, model: torch.nn.Module) -> Iterator["Orthogonality"]:
        """Hooks every convolution and linear layer of the model inside a `with` block."""
        layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
        handles = [layer.register_forward_hook(self._collect) for layer in layers]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def penalty(self) -> torch.Tensor:
        """Returns the mean penalty over the layers that ran since the last call."""
        terms, self._terms = self._terms, []
        return torch.stack(terms).mean() if terms else torch.zeros(())

    def _collect(self, layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        weight = layer.get_parameter("weight").flatten(1)
        if len(weight) < 2:
            return
        if self.probing == "gaussian":
            generator = torch.Generator().manual_seed(weight.shape[1])
            responses = torch.randn(1024, weight.shape[1], generator=generator) @ weight.T
        else:
            flat = output.movedim(1, -1).flatten(0, -2) if output.dim() == 4 else output
            responses = flat[:: max(1, len(flat) // self.rows)]
        self._terms.append(self.layer_penalty(responses))

    def layer_penalty(self, responses: torch.Tensor) -> torch.Tensor:
        """Returns one layer's penalty from responses (rows, filters)."""
        scaled = responses / responses.std().clamp_min(1e-6)
        unit = torch.nn.functional.normalize(torch.tanh(self.gamma * scaled), dim=0)
        theta = unit.T @ unit
        pairs = theta[~torch.eye(len(theta), dtype=torch.bool)]
        return self.weak * pairs.mean() ** 2 + self.strict * (pairs**2).mean()
