"""MLServer with a classifier of 8 x 8 digits: the Open Inference Protocol with image tensors."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from forensics.errors import Unreachable
from forensics.images import encode_png
from forensics.records import AnswerKind, Probe
from tests.servers.ask import ask

NAMES = "zero,one,two,three,four,five,six,seven,eight,nine"
OPTIONS = "input=predict&content=image&shape=64&divide=15.9375"


@pytest.fixture(scope="module")
def digits() -> tuple[list[Probe], list[int]]:
    images, labels = load_digits(return_X_y=True)
    pixels = np.round(images[-40:].reshape(-1, 8, 8, 1) * 15.9375).astype(np.uint8)
    return [Probe(encode_png(each)) for each in pixels], labels[-40:].tolist()


def test_probabilities_with_and_without_names(mlserver: str, digits: tuple[list[Probe], list[int]]) -> None:
    probes, labels = digits
    uri = f"oip+{mlserver}?{OPTIONS}&output=predict_proba&kind=probabilities"
    plain = ask(f"{uri}#digits", probes)
    assert plain.kind is AnswerKind.PROBABILITIES
    assert plain.values.shape == (40, 10)
    assert not plain.missing.any()
    assert plain.values.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    assert (plain.values.argmax(axis=1) == labels).mean() > 0.8
    named = ask(f"{uri}&labels={NAMES}&batch=7#digits", probes)
    assert named.labels == tuple(NAMES.split(","))
    assert named.values == pytest.approx(plain.values, abs=1e-6)


def test_labels_and_vectors(mlserver: str, digits: tuple[list[Probe], list[int]]) -> None:
    probes, labels = digits
    found = ask(f"oip+{mlserver}?{OPTIONS}&output=predict&kind=labels#digits", probes)
    assert found.kind is AnswerKind.LABELS
    assert (found.values == labels).mean() > 0.8
    assert found.labels == ()
    assert not found.missing.any()
    named = ask(f"oip+{mlserver}?{OPTIONS}&output=predict&kind=labels&labels={NAMES}#digits", probes)
    assert named.labels == tuple(NAMES.split(","))
    assert named.values.tolist() == found.values.tolist()
    vectors = ask(f"oip+{mlserver}?{OPTIONS}&output=predict_proba&kind=vectors#digits", probes)
    assert vectors.kind is AnswerKind.VECTORS
    assert vectors.values.shape == (40, 10)
    assert vectors.labels == ()


def test_what_the_server_refuses_is_unreachable(mlserver: str, digits: tuple[list[Probe], list[int]]) -> None:
    with pytest.raises(Unreachable):
        ask(f"oip+{mlserver}?{OPTIONS}&output=predict_proba&kind=probabilities#unknown", digits[0])
    with pytest.raises(Unreachable):
        ask(f"oip+{mlserver}?{OPTIONS}&output=logits&kind=logits#digits", digits[0])
