"""Every adapter against a fake of its protocol that judges requests by itself."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from forensics.canonical import through_decimals
from forensics.codec import decode_answers, encode_answers
from forensics.errors import UsageError
from forensics.records import Probe
from forensics.suspects import Connection, open_suspect
from forensics.suspects.remote.adapter import BadAnswerError
from forensics.suspects.remote.form import Form, plain
from forensics.suspects.remote.openai import read_data
from forensics.suspects.remote.registry import ADAPTERS, find_factory
from forensics.suspects.remote.tables import vectors as vectors_of
from tests.suspects.remote.cases import CASES, IMAGE, Case, image, vectors
from tests.suspects.remote.drive import drive, score_probe, text_probes
from tests.suspects.remote.fakes import Fake, embedding, serving

by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with serving(Fake()) as running:
        yield running


def _single(case: Case, values: np.ndarray) -> np.ndarray:
    """Numbers to the digits of a float32: those of a JSON body are kept with all that it has."""
    return through_decimals(values) if case.kind == "vectors" else values


@by_name
def test_answers_are_the_models(case: Case, fake: Fake, tmp_path: Path) -> None:
    adapter = case.adapter(tmp_path, fake.url)
    answers = drive(adapter, fake.url + case.base, case.probes)
    assert answers.kind.value == case.kind
    assert adapter.kind in (None, answers.kind)
    assert answers.labels == case.labels
    assert not answers.missing.any()
    expected = case.expected(case.texts)
    assert (
        np.array_equal(_single(case, answers.values), expected)
        if case.kind != "text"
        else answers.values.tolist() == expected
    )


@by_name
def test_same_probes_same_bytes(case: Case, fake: Fake, tmp_path: Path) -> None:
    first, again = (case.adapter(tmp_path, fake.url).converse(case.probes) for _ in range(2))
    assert next(first).body == next(again).body
    rows = [encode_answers(drive(case.adapter(tmp_path), fake.url + case.base, case.probes)) for _ in range(2)]
    assert rows[0] == rows[1]


def test_every_scheme_has_a_case() -> None:
    assert {case.scheme for case in CASES} == {*ADAPTERS, "json"}


@by_name
def test_by_its_uri_through_the_prober(case: Case, fake: Fake, tmp_path: Path) -> None:
    if case.scheme == "json":
        case.adapter(tmp_path, fake.url)
        name = f"json:{tmp_path / case.name}.toml"
    else:
        query = "&".join(f"{key}={value.replace(' ', '%20')}" for key, value in case.options.items())
        name = f"{case.scheme}+{fake.url}{case.base}?{query}#{case.model}".replace("?#", "#").replace("#None", "")
    suspect = open_suspect(name, Connection(attempts=1))
    answers = suspect.answer(case.probes)
    assert suspect.identity.kind == case.scheme
    assert not answers.missing.any()
    expected = case.expected(case.texts)
    assert (
        np.array_equal(_single(case, answers.values), expected)
        if case.kind != "text"
        else answers.values.tolist() == expected
    )


@by_name
def test_a_key_is_carried_as_the_protocol_has_it(case: Case, tmp_path: Path) -> None:
    with serving(Fake(key="sk-1")) as guarded:
        adapter = case.adapter(tmp_path, guarded.url)
        assert not drive(adapter, guarded.url + case.base, case.probes, "sk-1").missing.any()
        with pytest.raises(BadAnswerError, match="401"):
            drive(adapter, guarded.url + case.base, case.probes, "sk-2")


@by_name
def test_probes_that_it_cannot_carry(case: Case, tmp_path: Path) -> None:
    adapter = case.adapter(tmp_path)
    scored = [score_probe("a", "b")]
    if case.scheme not in ("openai-completions", "openai-chat"):
        with pytest.raises(UsageError, match=r"score|images"):
            adapter.converse(scored)
    if case.scheme != "hf":
        with pytest.raises(UsageError):
            adapter.converse([IMAGE])
    with pytest.raises(UsageError):
        adapter.converse([Probe(b"\xff\xfe", "text/plain")])


@pytest.mark.parametrize("scheme", ADAPTERS)
def test_unknown_options_and_missing_models_are_refused(scheme: str) -> None:
    needed = {"oip": {"input": "a", "output": "b", "kind": "vectors"}, "cohere": {"input_type": "search_query"}}
    options = needed.get(scheme, {})
    with pytest.raises(UsageError, match="no option 'speed'"):
        find_factory(scheme)("http://h", "m", {**options, "speed": "1"})
    if scheme not in ("tei", "tei-predict"):
        with pytest.raises(UsageError, match="model"):
            find_factory(scheme)("http://h", None, options)


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("openai", {"dimensions": "many"}),
        ("openai", {"encoding": "int8"}),
        ("openai", {"batch": "0"}),
        ("openai-completions", {"score": "guess"}),
        ("openai-chat", {"max_tokens": "1", "max_completion_tokens": "1"}),
        ("tei", {"normalize": "perhaps"}),
        ("cohere", {}),
        ("cohere", {"input_type": "image"}),
        ("voyage", {"input_type": "passage"}),
        ("hf", {"pipeline": "chat"}),
        ("oip", {}),
        ("oip", {"input": "a", "output": "b", "kind": "colours"}),
        ("oip", {"input": "a", "output": "b", "kind": "vectors", "shape": "3,x"}),
        ("oip", {"input": "a", "output": "b", "kind": "vectors", "shape": "3"}),
        ("oip", {"input": "a", "output": "b", "kind": "vectors", "datatype": "FP32"}),
        ("oip", {"input": "a", "output": "b", "kind": "labels", "labels": "a,,b"}),
        ("oip", {"input": "a", "output": "b", "kind": "vectors", "content": "image", "divide": "0"}),
        ("vllm-classify", {"labels": "a,a"}),
    ],
)
def test_wrong_options_are_refused(scheme: str, options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        find_factory(scheme)("http://h", "m", options)


def test_images_as_tensors(fake: Fake) -> None:
    probes = [image(seed) for seed in range(3)]
    options = {"input": "pixels", "output": "vectors", "kind": "vectors", "content": "image"}
    for more, shape in (
        ({}, [3, 4, 4, 1]),
        ({"layout": "chw", "divide": "255"}, [3, 1, 4, 4]),
        ({"datatype": "UINT8", "shape": "16"}, [3, 16]),
        ({"datatype": "FP64", "divide": "3"}, [3, 4, 4, 1]),
    ):
        answers = drive(find_factory("oip")(fake.url, "m", {**options, **more}), fake.url, probes)
        sent = fake.bodies[-1][1]["inputs"][0]
        assert sent["shape"] == shape
        assert answers.values.shape == (3, 8)
        assert not answers.missing.any()
    with pytest.raises(UsageError, match="does not fill the shape"):
        find_factory("oip")(fake.url, "m", {**options, "shape": "3,4,4"}).converse(probes)
    with pytest.raises(UsageError, match="images"):
        find_factory("oip")(fake.url, "m", options).converse(text_probes(["a"]))


def test_pixels_are_scaled_in_float32(fake: Fake) -> None:
    options = {"input": "pixels", "output": "vectors", "kind": "vectors", "content": "image", "divide": "255"}
    drive(find_factory("oip")(fake.url, "m", options), fake.url, [image(5)])
    sent = np.array(fake.bodies[-1][1]["inputs"][0]["data"])
    pixels = np.random.default_rng(5).integers(0, 256, (4, 4, 1), dtype=np.uint8).ravel()
    assert np.array_equal(sent.astype(np.float32), (pixels / 255.0).astype(np.float32))


def test_batches_that_a_server_allows(fake: Fake) -> None:
    texts = [f"text {index}" for index in range(70)]
    suspect = open_suspect(f"tei+{fake.url}", Connection(attempts=1))
    fake.bodies.clear()
    answers = suspect.answer(text_probes(texts))
    assert np.array_equal(through_decimals(answers.values), vectors(texts))
    assert sorted(len(body["inputs"]) for _, body in fake.bodies) == [6, 32, 32]


def test_the_fake_tells_texts_apart() -> None:
    assert embedding("a") != embedding("b")


def test_numbers_are_kept_as_the_texts_they_came_as() -> None:
    texts = ["0.1", "-1.25e-07", "0.012345678918063641", "0", "3"]
    raw = ('{"data":[{"index":0,"embedding":[' + ",".join(texts) + "]}]}").encode()
    answers = vectors_of(read_data(raw, 1))
    assert encode_answers(answers)["values"] == [[repr(float(text)) for text in texts]]
    rows, change = Form.of(answers).rows(answers)
    assert plain(rows) == [texts]
    assert change == ""
    assert decode_answers({**Form.of(answers).body, "values": plain(rows)}).values.tolist() == answers.values.tolist()


@pytest.mark.parametrize("text", ["1e5", "1E-5", "1" * 39 + ".5", "0." + "3" * 50])
def test_numbers_of_an_unusual_form_are_recorded_as_float32_decimals(text: str) -> None:
    raw = ('{"data":[{"index":0,"embedding":[0.1,' + text + "]}]}").encode()
    answers = vectors_of([*read_data(raw, 1), *read_data(b'{"data":[{"index":0,"embedding":[0.3,0.4]}]}', 1)])
    rows, _ = Form.of(answers).rows(answers)
    single = through_decimals(np.array([[0.1, float(text)]]))
    wanted = None if not np.isfinite(single).all() else [repr(float(each)) for each in single[0]]
    assert plain(rows) == [wanted, ["0.3", "0.4"]]
