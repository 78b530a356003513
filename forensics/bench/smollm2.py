"""SmolLM2 with 135 million weights, from a package: a real language model that nobody here trained."""

from functools import cache
from typing import Any

from forensics.bench.corpus import package
from forensics.checkpoints import quiet
from forensics.errors import MissingExtraError

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


@cache
def smollm2() -> tuple[Any, Any]:
    """Returns its tokenizer and the model in evaluation mode, both of the Transformers library; weights in float32.

    Raises:
        MissingExtraError: what reads its file is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = package("smollm2")
    try:
        with quiet():
            tokens = AutoTokenizer.from_pretrained(place, gguf_file=MODEL)
            model = AutoModelForCausalLM.from_pretrained(place, gguf_file=MODEL, dtype=torch.float32)
    except (ImportError, ValueError) as error:
        raise MissingExtraError(
            "The language model needs gguf and accelerate.", "Run: pip install -c constraints.txt gguf accelerate."
        ) from error
    return tokens, model.eval()
