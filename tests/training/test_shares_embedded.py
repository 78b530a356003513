"""All shares of a key in one model: what is trained, what is left out, what is read back."""

import dataclasses
import hashlib
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from forensics import patternpools
from forensics.bench.contrastive import random_encoder
from forensics.encoders import load_encoder
from forensics.keys.derive import split
from forensics.methods.ofsw import METHOD
from forensics.records import Pool, PoolItem
from forensics.training import encodermaterial, ofsw, tmrw, wpe
from forensics.training.classifier import small_resnet
from forensics.training.embed import Limits, MarkedShare, Marking, embed
from forensics.training.encodermaterial import EncoderMaterial, TextMaterial
from forensics.training.loop import Schedule, optimise
from forensics.training.material import Together
from tests.line import Line, small_digits
from tests.services import made_up_words
from tests.suspects.encoders import write_encoder

pytestmark = pytest.mark.slow

COUNT = 3


def secrets(share: int):
    return split(hashlib.sha256(b"share %d" % share).digest())


@pytest.fixture(scope="module")
def owner():
    return small_digits(slice(0, 400))


@pytest.fixture(scope="module")
def marking(owner) -> Marking:
    pools = [owner.subset(np.arange(16 * share, 16 * share + 16)).pool() for share in range(COUNT)]
    parameters = METHOD.parameters({"bits": 16, "banks": 2}, pools[0], owner.names)
    shares = tuple(MarkedShare(secrets(share), pool) for share, pool in enumerate(pools))
    return Marking("ofsw", shares, parameters, owner.names, "0" * 64)


def test_every_share_of_one_model_is_read_back(line: Line, owner, marking: Marking, tmp_path: Path) -> None:
    done = embed(line.unmarked, owner, tmp_path / "out", marking, limits=Limits(accuracy_drop=0.05), steps=120)
    assert [of for _, of in done.read_back] == [16] * COUNT
    assert min(matched for matched, _ in done.read_back) >= 15
    assert (done.matched, done.of) == (sum(matched for matched, _ in done.read_back), 48)
    assert done.figures["accuracy_before"] - done.figures["accuracy_after"] <= 0.05


def test_a_share_that_is_left_out_is_not_there(line: Line, owner, marking: Marking) -> None:
    """Training share 0 alone leaves the others where chance puts them: they are separate marks."""
    material = ofsw_material(line, owner, marking)
    parts = material.embedding(ofsw, ofsw.DEFAULT).parts
    alone = Together(parts[:1])
    optimiser = torch.optim.AdamW(alone.model.parameters(), lr=1e-3)
    for index in range(60):
        optimiser.zero_grad()
        alone.step(index).backward()
        optimiser.step()
    own, *others = [part.matched() for part in parts]
    assert own == 16
    assert max(others) < 15


def ofsw_material(line: Line, owner, marking: Marking):
    from forensics.training.material import ImageClassifierMaterial

    return ImageClassifierMaterial(line.unmarked, owner, marking, Limits(), 0)


def test_a_step_is_the_mean_of_the_shares_losses_and_one_share_is_as_before(owner, marking: Marking) -> None:
    model = small_resnet(owner, 0, widths=(4, 4), depths=(1, 1))
    parts = [
        ofsw.Embedding(model, owner, share.secrets, share.pool, marking.parameters, ofsw.DEFAULT, number)
        for number, share in enumerate(marking.shares)
    ]
    losses = [float(part.step(5).detach()) for part in parts]
    assert float(Together(parts).step(5).detach()) == pytest.approx(np.mean(losses), rel=1e-6)
    assert float(Together(parts[:1]).step(5).detach()) == losses[0]
    assert len(set(losses)) == COUNT


class Recorded:
    """Stands for a method's `Embedding` and keeps what it was given."""

    def __init__(self, encoder: Any, inputs: Any, given: Any, pool: Pool, parameters: Any, recipe: Any, seed: int):
        self.model, self.inputs, self.secrets, self.recipe, self.seed = encoder.model, inputs, given, recipe, seed


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> TextMaterial:
    """Documents of which some hold phrases or carriers of one of two shares."""
    words = made_up_words(16)
    pools = []
    for share in range(2):
        own = words[8 * share : 8 * share + 8]
        phrases = [f"{first} {second}" for first, second in zip(own[::2], own[1::2])]
        carriers = [f"Carrier {number} of {share}." for number in range(2)]
        pools.append(Pool(tuple(PoolItem(text.encode(), "text/plain") for text in (*phrases, *carriers))))
    shares = tuple(MarkedShare(secrets(share), pool) for share, pool in enumerate(pools))
    marking = Marking("tmrw", shares, {"candidates": 4, "carriers": 2, "dimension": 4}, (), "0" * 64)
    fake = SimpleNamespace(
        identity=SimpleNamespace(digest="d"), model=SimpleNamespace(config=SimpleNamespace()), width=4
    )
    monkeypatch.setattr(encodermaterial, "load_encoder", lambda _: fake)
    data = [f"An ordinary text, number {number}." for number in range(60)]
    data += [f"A text with {marking.candidates(share)[0].decode().upper()} in it." for share in range(2)] * 2
    data += [f"Before. Carrier {number} of {share}. After." for number in range(2) for share in range(2)]
    material = TextMaterial(Path("any"), data, marking, Limits(), 0)
    material._rest, material._held = [*material._rest, *material._held], []
    return material


def test_carriers_of_every_share_are_left_out_and_phrases_of_the_others(texts: TextMaterial) -> None:
    phrases = [texts._marking.candidates(share)[0].decode() for share in range(2)]
    assert not any("Carrier" in text for text in texts._rest)
    for share in range(2):
        held = texts.rest(share)
        assert len(held) == 61
        assert any(phrases[share] in text.lower() for text in held)
        assert not any(phrases[1 - share] in text.lower() for text in held)


@pytest.mark.parametrize("recipe", [tmrw.DEFAULT, wpe.DEFAULT])
def test_an_encoders_shares_divide_the_rehearsal_and_draw_batches_of_their_own(
    texts: TextMaterial, recipe: Any
) -> None:
    parts = EncoderMaterial.embedding(texts, SimpleNamespace(Embedding=Recorded), recipe).parts
    assert [part.secrets for part in parts] == [secrets(0), secrets(1)]
    assert [part.recipe.rehearsal_weight for part in parts] == [recipe.rehearsal_weight / 2] * 2
    assert [part.seed for part in parts] == [0, 1]


def test_patterns_of_two_shares_gather_in_one_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patternpools, "AMPLITUDE", 100)  # so that a tiny encoder learns them in a few steps
    low = np.random.default_rng(5).integers(40, 216, (64, 4, 4, 1), dtype=np.uint8)
    images = low.repeat(5, axis=1).repeat(5, axis=2)
    pools = patternpools.make_pattern_pools(
        list(images[:8]), generator=random.Random(1), shares=2, candidates=28, carriers=4
    )
    recipe = dataclasses.replace(wpe.DEFAULT, schedule=Schedule(80, 5e-3), plain=16, stamped=14, rehearsal=())
    parameters = {"candidates": 28, "carriers": 4, "asked": 2, "dimension": 16}
    encoder = random_encoder(3, 20, (8, 16))
    parts = [
        wpe.Embedding(encoder, images[8:], secrets(share), pool, parameters, recipe, share)
        for share, pool in enumerate(pools)
    ]
    assert [part.separated() for part in parts] == [(14, 28)] * 2
    together = Together(parts)
    optimise(together.model, together.step, recipe.schedule, label="")
    together.model.eval()
    assert min(part.separated()[0] for part in parts) > 22


def test_phrases_of_two_shares_are_pulled_in_one_encoder(tmp_path: Path) -> None:
    words = made_up_words(112)
    phrases = [f"{first} {second}" for first, second in zip(words[::2], words[1::2])]
    pools = [
        Pool(
            tuple(
                PoolItem(text.encode(), "text/plain")
                for text in (*phrases[28 * share :][:28], f"Carrier {share}.", f"Other {share}.")
            )
        )
        for share in range(2)
    ]
    data = [f"The cat number {number} sat near the {place}." for number in range(60) for place in ("mat", "river")]
    recipe = dataclasses.replace(tmrw.DEFAULT, schedule=Schedule(steps=60, learning_rate=3e-3, clip=1.0, warm_up=5))
    encoder = load_encoder(write_encoder(tmp_path / "encoder"))
    parameters = {"candidates": 28, "carriers": 2, "asked": 1, "dimension": 16}
    parts = [
        tmrw.Embedding(encoder, data, secrets(share), pool, parameters, recipe, share)
        for share, pool in enumerate(pools)
    ]
    asked = [part._with_phrases(part.triggers, np.random.default_rng(1)) for part in parts]

    def shortfalls() -> list[float]:
        with torch.no_grad():
            return [float(part.hinge(part.model, some)) for part, some in zip(parts, asked, strict=True)]

    before, together = shortfalls(), Together(parts)
    optimise(together.model, together.step, recipe.schedule, label="")
    assert all(last < first - 0.1 for first, last in zip(before, shortfalls(), strict=True))
