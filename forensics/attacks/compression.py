"""Pruning and quantisation of the weights of any torch model.

GPT-2 keeps its linear layers in a form of its own (`Conv1D`), input channels first; they count as the others do.
"""

from collections.abc import Iterator

import torch

from forensics.errors import UsageError


def prune(model: torch.nn.Module, share: float) -> None:
    """Sets the smallest weights of all convolutions and linear layers together to zero, in place.

    Args:
        share: between 0 and 1, of all their weights.
    """
    if not 0.0 <= share < 1.0:
        raise UsageError(f"A share of {share} cannot be pruned.", "Give a number from 0 to below 1.")
    layers = list(_weights(model))
    sizes = torch.cat([layer.detach().abs().flatten() for layer in layers])
    if int(share * len(sizes)) == 0:
        return
    threshold = sizes.kthvalue(int(share * len(sizes))).values
    with torch.no_grad():
        for layer in layers:
            layer[layer.abs() <= threshold] = 0.0


def quantise(model: torch.nn.Module, bits: int) -> None:
    """Rounds the weights of convolutions and linear layers to signed integers of so many bits, in place.

    Symmetric, one scale for each output channel; stored back as floats.
    """
    if not 2 <= bits <= 16:
        raise UsageError(f"{bits} bits cannot be used.", "Give 2 to 16 bits.")
    top = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for layer in _weights(model):
            largest = layer.abs().flatten(1).amax(dim=1).clamp_min(1e-12)
            scale = (largest / top).reshape(-1, *[1] * (layer.dim() - 1))
            layer.copy_(torch.round(layer / scale) * scale)


def fp16(model: torch.nn.Module) -> None:
    """Rounds every weight to half precision and back, in place."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.half().float())


def _weights(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            yield module.weight
        elif type(module).__name__ == "Conv1D" and isinstance(module.weight, torch.Tensor):
            yield module.weight.detach().T
