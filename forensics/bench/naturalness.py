"""How natural texts with a phrase of TMRW's pool read to a language model that has no part in anything else here."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from forensics.bench.clusterkeys import text_key
from forensics.bench.results import Row
from forensics.bench.smollm2 import smollm2
from forensics.methods.phrases import insert
from forensics.methods.tmrw import derive_places, split_pool

TEXTS = 96


def naturalness_cell(key: int, quick: bool) -> list[Row]:
    """Compares perplexities of a key's carriers as they are, with its phrases, and with two words at random places."""
    made, draw = text_key(key, quick), random.Random(key)
    phrases, carriers = split_pool(made.pool, made.claim.parameters)
    places = derive_places(made.secrets[0], made.claim.parameters)
    carried: list[str] = []
    scattered: list[str] = []
    used: list[int] = []
    for phrase in phrases[: 4 if quick else TEXTS]:
        at = draw.randrange(len(carriers))
        used.append(at)
        carried.append(insert(carriers[at], phrase, *places[at]))
        words = carriers[at].split()
        for word in phrase.split():
            words.insert(draw.randrange(len(words) + 1), word)
        scattered.append(" ".join(words))
    plain = perplexities([carriers[at] for at in used])
    rows: list[Row] = []
    for name, texts in (("with a phrase", carried), ("two words at random places", scattered)):
        found = perplexities(texts)
        rows.append(
            {
                "method": "tmrw",
                "key": key,
                "part": "naturalness",
                "texts": name,
                "perplexity": float(np.median(found)),
                "perplexity of the sentences alone": float(np.median(plain)),
                "ratio": float(np.median(found / plain)),
                "share below the sentences' 95 % quantile": float((found <= np.quantile(plain, 0.95)).mean()),
                "quick": quick,
            }
        )
    return rows


def perplexities(texts: Sequence[str]) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Returns the perplexity of each text, (n,), under SmolLM2 with 135 million weights."""
    import torch

    tokens, model = smollm2()
    found = []
    with torch.inference_mode():
        for text in texts:
            ids = tokens(tokens.bos_token + text, return_tensors="pt")["input_ids"]
            found.append(float(model(input_ids=ids, labels=ids).loss.exp()))
    return np.array(found)
