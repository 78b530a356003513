"""OFSW in a tiny language model, from a key over embedding and examination to an opened case."""

import copy
import dataclasses
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from forensics.errors import UsageError
from forensics.evidence.check import check_case
from forensics.examination import examine, make_kit, open_case
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder, UnlockedKey
from forensics.languagemodels import LanguageModel, load_language_model, save_language_model
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ofsw import derive_kernels, weights
from forensics.methods.ofsw_text import evaluation
from forensics.registration import new_key
from forensics.suspects import open_suspect
from forensics.training import ofsw_text as recipes
from forensics.training.languagematerial import LanguageMaterial
from forensics.training.loop import Schedule, optimise
from forensics.training.material import Limits, MarkedShare, Marking
from forensics.training.ofsw_text import DEFAULT, Embedding, bank_weights
from forensics.training.textdata import TextData, language_loss, perplexity, read_tokens
from tests.languagemodels import LENGTH, documents, drawn_pool, untrained

pytestmark = pytest.mark.slow

PASSPHRASE = "correct horse"
RECIPE = dataclasses.replace(DEFAULT, schedule=Schedule(100, learning_rate=2e-3), banks=2)


@dataclass(frozen=True)
class Story:
    root: Path
    unlocked: UnlockedKey
    loaded: LanguageModel
    data: TextData
    marked: LanguageModel
    before: int
    after: int


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    root = tmp_path_factory.mktemp("text")
    loaded = untrained(0).with_model(copy.deepcopy(untrained(0).model))
    data = read_tokens(loaded.tokens, documents(300, 7), 32)

    def plain(index: int) -> torch.Tensor:
        batch = data.batch(np.random.default_rng(index), 16)
        return language_loss(loaded.model(input_ids=batch).logits, batch)

    optimise(loaded.model, plain, Schedule(120, learning_rate=3e-3), label="Training")
    save_language_model(loaded, root / "unmarked", "# unmarked\n")
    key = new_key(
        root / "key",
        owner="Example owner",
        method="ofsw-text",
        options={"bits": 32, "banks": 4, "length": LENGTH},
        pool=[drawn_pool(loaded)],
        references={CLEAN: root / "unmarked"},
        passphrase=PASSPHRASE,
        authorities=[DemonstrationAuthority.create()],
        binding="demonstration",
        rule={"examinations": 1000, "grinding": 0},
    )
    unlocked = key.unlock(PASSPHRASE)
    marked = load_language_model(root / "unmarked")
    embedding = _embedding(unlocked, marked, data)
    before = embedding.matched()
    optimise(marked.model, embedding.step, RECIPE.schedule, label="Embedding")
    marked.model.eval()
    save_language_model(marked, root / "marked", "# marked\n")
    return Story(root, unlocked, loaded, data, marked, before, embedding.matched())


def _embedding(
    unlocked: UnlockedKey, loaded: LanguageModel, data: TextData, recipe: recipes.Recipe = RECIPE
) -> Embedding:
    return Embedding(loaded, data, unlocked.secrets(0), unlocked.pool(0), unlocked.claim.parameters, recipe)


def test_training_writes_the_payload_and_leaves_the_language(story: Story) -> None:
    assert story.before < 26
    assert story.after == 32
    test = read_tokens(story.loaded.tokens, documents(60, 8), 32)
    before, after = (perplexity(each.model, test) for each in (story.loaded, story.marked))
    assert before < 20  # of 160 words, four likely followers each
    assert after < 1.15 * before


def test_the_trainers_read_out_is_the_methods(story: Story) -> None:
    plan, parameters = make_kit(story.unlocked).plan, story.unlocked.claim.parameters
    given = open_suspect(str(story.root / "marked")).answer(plan.probes)
    kernels = derive_kernels(story.unlocked.secrets(0)[0], parameters)
    expected, _ = weights(kernels, evaluation(given, 4))
    embedding = _embedding(story.unlocked, story.marked, story.data)
    with torch.inference_mode():
        found = [
            bank_weights(bank.log_probabilities(story.marked.model.eval()), m)
            for bank, m in zip(embedding.banks, embedding.kernels)
        ]
    assert np.allclose(torch.stack(found).sum(dim=0).numpy(), expected, atol=1e-2)


def test_views_survive_the_tokenizer_there_and_back(story: Story) -> None:
    plan, tokens = make_kit(story.unlocked).plan, story.loaded.tokens
    for probe in plan.probes:
        text = probe.data.decode()
        read = tokens.read([f"the {text}"])[0]
        assert len(read) == len(tokens.read(["the"])[0]) + LENGTH
    assert len({probe.data for probe in plan.probes}) > 120


def test_an_examination_supports_the_claim_and_its_case_checks(story: Story, tmp_path: Path) -> None:
    suspect = open_suspect(str(story.root / "marked"))
    found = examine(story.unlocked, suspect, tmp_path / "case", owner_undisputed=True)
    score = found.evidence.score
    assert score is not None
    assert score.measurement.matched >= 30
    assert float(score.measurement.p_value) < 1e-6
    open_case(story.unlocked, tmp_path / "case")
    checked = check_case(tmp_path / "case")
    assert checked.ok, checked
    assert checked.reproduced
    run = subprocess.run(
        ["python3", "-I", "data/recompute.py"], cwd=tmp_path / "case", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "DIFFERS" not in run.stdout


def test_the_unmarked_model_and_a_stranger_do_not_support_it(story: Story, tmp_path: Path) -> None:
    stranger = untrained(1)
    save_language_model(stranger, tmp_path / "stranger", "# stranger\n")
    for name, folder in (("a", story.root / "unmarked"), ("b", tmp_path / "stranger")):
        found = examine(story.unlocked, open_suspect(str(folder)), tmp_path / name, owner_undisputed=True)
        assert found.evidence.score is not None
        assert float(found.evidence.score.measurement.p_value) > 1e-3
        assert found.evidence.score.verdict.outcome != "SUPPORTED"


def test_a_model_that_cannot_score_the_views_is_refused(story: Story) -> None:
    short = dataclasses.replace(story.loaded.tokens.settings, max_tokens=8)
    cut = dataclasses.replace(story.loaded, tokens=type(story.loaded.tokens)(short))
    with pytest.raises(UsageError, match="cannot score every view"):
        _embedding(story.unlocked, cut, story.data)


def test_the_last_blocks_alone_can_be_trained(story: Story) -> None:
    loaded = load_language_model(story.root / "unmarked")
    before = {name: weight.clone() for name, weight in loaded.model.state_dict().items()}
    recipe = dataclasses.replace(RECIPE, schedule=Schedule(2), blocks=1)
    embedding = _embedding(story.unlocked, loaded, story.data, recipe)
    optimise(loaded.model, embedding.step, recipe.schedule, label="Embedding")
    changed = {name for name, weight in loaded.model.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed
    assert all(name.startswith("transformer.h.1.") for name in changed)
    with pytest.raises(UsageError, match="has 2 blocks, not 3"):
        _embedding(story.unlocked, loaded, story.data, dataclasses.replace(recipe, blocks=3))


def test_a_rehearsal_adds_the_gradient_of_the_mark_after_fine_tuning(story: Story) -> None:
    gradients = {}
    for rehearsed in ((), ("finetuning",)):
        loaded = load_language_model(story.root / "unmarked")
        recipe = dataclasses.replace(RECIPE, rehearsal=rehearsed, rehearsal_from=0.0, rehearsal_steps=2)
        embedding = _embedding(story.unlocked, loaded, story.data, recipe)
        for index in (4, 5):
            loaded.model.zero_grad()
            embedding.step(index).backward()
            gradients[rehearsed, index] = loaded.model.transformer.h[0].attn.c_attn.weight.grad.clone()
    assert not torch.allclose(gradients[(), 4], gradients[("finetuning",), 4])
    assert torch.equal(gradients[(), 5], gradients[("finetuning",), 5])  # every fourth step alone


def test_the_claim_says_nothing_of_the_passages(story: Story) -> None:
    core = json.loads(KeyFolder.open(story.root / "key").claim.core)
    assert core["labels"] == []
    assert core["parameters"] == {"banks": 4, "bits": 32, "length": LENGTH}
    for text in documents(60, 3):
        assert text.split()[0] not in json.dumps(core)


def test_material_keeps_the_perplexity_and_leaves_the_keys_passages_out(story: Story, tmp_path: Path) -> None:
    unlocked = story.unlocked
    share = MarkedShare(unlocked.secrets(0), unlocked.pool(0))
    marking = Marking("ofsw-text", (share,), dict(unlocked.claim.parameters), (), unlocked.claim.digest)
    corpus = [*documents(40, 7), *documents(60, 3)]
    material = LanguageMaterial(story.root / "unmarked", corpus, marking, Limits(), 0)
    used = len(material._rest.ids) + material.held_out
    whole = len(read_tokens(story.loaded.tokens, corpus, 32).ids)
    assert whole - used == pytest.approx(16 * 41, abs=60)  # the pool's passages come from so many of the documents
    embedding = material.embedding(recipes, RECIPE)
    assert [material.read_back(part) for part in embedding.parts] == [(story.before, 32)]
    figures = material.compare(material.measure(), material.measure())
    assert material.loss(figures) is None
    assert material.loss({"perplexity_before": 10.0, "perplexity_after": 11.1}) is not None
    milder = LanguageMaterial(story.root / "unmarked", corpus, marking, Limits(perplexity_rise=0.12), 0)
    assert milder.loss({"perplexity_before": 10.0, "perplexity_after": 11.1}) is None
    assert milder.limit() == {"rise": "0.12"}
    material.save(tmp_path / "saved", figures, story.root / "unmarked")
    assert material.read_identity(tmp_path / "saved").files["model.safetensors"][1] > 100_000
    assert "passage" not in (tmp_path / "saved" / "README.md").read_text()
    with pytest.raises(UsageError, match="20 are the least"):
        LanguageMaterial(story.root / "unmarked", corpus[:5], marking, Limits(), 0)


def test_text_that_is_too_short_is_refused(story: Story) -> None:
    with pytest.raises(UsageError, match="fewer than a window"):
        read_tokens(story.loaded.tokens, ["zqaba"], 32)
    with pytest.raises(UsageError, match="too short"):
        TextData(np.arange(40), 32).split(0.5)
