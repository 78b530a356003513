"""Watermarks: one file each, deriving probes from the probe secret and scores from answers."""

from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.protocol import Method, MethodSpec, Option, PublishedProbing, load_method, method_names

__all__ = ["Method", "MethodSpec", "Option", "ProbeKey", "PublishedProbing", "ScoreKey", "load_method", "method_names"]
