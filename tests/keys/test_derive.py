import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forensics.keys.derive import Stream, direction, master_secret, orthonormal, split

KEY = bytes(range(32))


def test_every_input_changes_the_secrets() -> None:
    base = {"seed": b"s" * 32, "salt": b"t" * 32, "claim_digest": b"c" * 32, "share": 0}
    masters = [master_secret(**base)]
    masters += [master_secret(**{**base, name: b"x" * 32}) for name in ("seed", "salt", "claim_digest")]
    masters.append(master_secret(**{**base, "share": 1}))
    secrets = [secret for master in masters for secret in split(master)]
    assert len(set(secrets)) == 10


def test_streams_of_other_labels_or_keys_differ() -> None:
    plain = Stream(KEY, "a").take(64)
    assert Stream(KEY, "a").take(64) == plain
    assert plain not in (Stream(KEY, "b").take(64), Stream(KEY[::-1], "a").take(64))


@settings(deadline=None)
@given(st.lists(st.integers(0, 100), max_size=12))
def test_a_stream_does_not_depend_on_how_it_is_cut(cuts: list[int]) -> None:
    stream = Stream(KEY, "cut")
    assert b"".join(stream.take(cut) for cut in cuts) == Stream(KEY, "cut").take(sum(cuts))


@settings(deadline=None)
@given(st.integers(1, 2**64))
def test_integers_stay_below_their_bound(bound: int) -> None:
    stream = Stream(KEY, f"bound/{bound}")
    assert all(0 <= stream.integer(bound) < bound for _ in range(20))


@settings(deadline=None)
@given(st.integers(0, 60), st.data())
def test_permutations_and_subsets(n: int, data: st.DataObject) -> None:
    assert sorted(Stream(KEY, f"order/{n}").permutation(n).tolist()) == list(range(n))
    chosen = data.draw(st.integers(0, n))
    subset = Stream(KEY, f"subset/{n}").subset(n, chosen).tolist()
    assert subset == sorted(set(subset))
    assert len(subset) == chosen


def test_integers_are_uniform() -> None:
    counts = np.bincount(Stream(KEY, "uniform").integers(7, 14_000), minlength=7)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_every_permutation_of_four_is_as_likely() -> None:
    stream = Stream(KEY, "permutations")
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(6000):
        order = tuple(stream.permutation(4).tolist())
        seen[order] = seen.get(order, 0) + 1
    assert len(seen) == 24
    assert stats.chisquare(list(seen.values())).pvalue > 1e-4


def test_bits_are_fair() -> None:
    total = int(Stream(KEY, "fair").bits(100_000).sum())
    assert stats.binomtest(total, 100_000, 0.5).pvalue > 1e-4


def test_reals_follow_their_laws() -> None:
    uniforms = Stream(KEY, "u").uniforms(20_000)
    assert uniforms.min() > 0
    assert uniforms.max() < 1
    assert stats.kstest(uniforms, "uniform").pvalue > 1e-4
    normals = Stream(KEY, "n").normals(20_000)
    assert stats.kstest(normals, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(normals[::2], normals[1::2])[0, 1]) < 0.04


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_as_many_normals_as_asked_for(count: int) -> None:
    assert Stream(KEY, "n").normals(count).shape == (count,)


def test_bases_are_orthonormal_and_nothing_is_overwritten() -> None:
    normals = Stream(KEY, "basis").normals(3 * 20 * 20).reshape(3, 20, 20)
    before = normals.copy()
    bases = orthonormal(normals)
    assert np.array_equal(normals, before)
    assert np.allclose(bases @ bases.transpose(0, 2, 1), np.eye(20), atol=1e-12)
    assert np.allclose(np.linalg.norm(direction(normals[0, 0])), 1.0, atol=1e-15)
    assert math.isclose(float(direction(np.array([3.0, 4.0]))[1]), 0.8)
