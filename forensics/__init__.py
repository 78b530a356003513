"""Owner-keyed model watermarks, exact tests, and evidence that the other side can check."""

__version__ = "0.1.0"
