"""A method's whole numbers: taken from the owner's options, and checked wherever a claim is read."""

from collections.abc import Mapping
from typing import Any

from forensics.errors import UsageError
from forensics.methods.protocol import MethodSpec


def chosen_sizes(spec: MethodSpec, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a method's options by their names in the claim, the defaults where the owner chose nothing.

    Raises:
        UsageError: the method has no such option.
    """
    chosen: dict[str, Any] = {option.name.replace("-", "_"): option.default for option in spec.options}
    for name, value in options.items():
        key = name.replace("-", "_")
        if key not in chosen:
            raise UsageError(f"{spec.title} has no option '{name}'.", f"Its options are: {', '.join(chosen)}.")
        chosen[key] = value
    return chosen


def checked_sizes(parameters: Mapping[str, Any], least: Mapping[str, int], most: Mapping[str, int]) -> dict[str, int]:
    """Returns those of a claim's parameters that have a least value, as whole numbers within their limits.

    Raises:
        UsageError: one is no whole number, or out of range.
    """
    sizes: dict[str, int] = {}
    for name, low in least.items():
        value, advice = parameters[name], f"Give {low} to {most[name]}."
        try:
            sizes[name] = int(value) if not isinstance(value, float) else int(str(value))
        except (TypeError, ValueError) as error:
            raise UsageError(f"'{value}' is no whole number for {name}.", advice) from error
        if not low <= sizes[name] <= most[name]:
            raise UsageError(f"{sizes[name]} is not possible for {name}.", advice)
    return sizes
