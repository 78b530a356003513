"""The services bench: attacks on vectors, thieves, sentences and tables, without the large packages."""

import dataclasses

import numpy as np
import pytest

from forensics.attacks.vectors import (
    add_noise,
    average_paraphrases,
    binarise,
    drop_dimensions,
    eliminate_shared,
    k_means,
    rotate,
    round_to_int8,
    shuffle_dimensions,
)
from forensics.bench import corpus, services
from forensics.bench.keys import service_key
from forensics.bench.pools import Recipe
from forensics.bench.service_rows import answers, texts_of
from forensics.bench.thieves import HeadSettings, train_head
from forensics.bench.vectors import sorted_batches, unit
from forensics.methods.espew import marker, text_pool, trigger_words, words_of


def random_rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, d)))


@pytest.mark.parametrize("change", [shuffle_dimensions, rotate])
def test_shuffling_and_rotating_keep_all_cosines(change: object) -> None:
    rows = random_rows(30, 16)
    changed = change(rows, seed=3)  # type: ignore[operator]
    assert not np.allclose(changed, rows, atol=0.1)
    assert np.allclose(changed @ changed.T, rows @ rows.T, atol=1e-5)


@pytest.mark.parametrize(("share", "width"), [(0.25, 12), (0.5, 8), (0.75, 4)])
def test_dropping_keeps_the_same_coordinates_in_every_row(share: float, width: int) -> None:
    rows = random_rows(9, 16)
    left = drop_dimensions(rows, share, seed=2)
    assert left.shape == (9, width)
    assert np.allclose(np.linalg.norm(left, axis=1), 1.0, atol=1e-6)
    # Rows of one sign pattern each tell which coordinates are left.
    numbered = np.tile(np.arange(1.0, 17.0), (2, 1)) * [[1.0], [-1.0]]
    first, second = drop_dimensions(numbered, share, seed=2)
    assert np.allclose(first, -second)
    assert len(set(np.round(first / first.min(), 6).tolist())) == width


def test_noise_int8_and_signs_move_unit_rows_by_the_expected_amount() -> None:
    rows = random_rows(200, 64)

    def cosine(other: np.ndarray) -> float:
        return float((rows * other).sum(axis=1).mean())

    assert cosine(add_noise(rows, 0.02, seed=1)) == pytest.approx(1.0 / np.sqrt(1.0 + 64 * 0.02**2), abs=2e-3)
    assert cosine(round_to_int8(rows)) > 0.9995
    assert cosine(binarise(rows)) == pytest.approx(np.sqrt(2.0 / np.pi), abs=0.02)
    assert set(np.unique(np.sign(binarise(rows)))) == {-1.0, 1.0}


def test_k_means_finds_separate_groups() -> None:
    centres = 20.0 * np.eye(3, 8)
    rows = np.repeat(centres, 15, axis=0) + np.random.default_rng(1).normal(0, 0.1, (45, 8))
    best = min((k_means(rows, 3, seed=seed) for seed in range(6)), key=lambda group: _spread(rows, group))
    assert len({tuple(best[start : start + 15]) for start in (0, 15, 30)}) == 3
    assert all(len(set(best[start : start + 15])) == 1 for start in (0, 15, 30))


def _spread(rows: np.ndarray, group: np.ndarray) -> float:
    return sum(float(((rows[group == g] - rows[group == g].mean(axis=0)) ** 2).sum()) for g in set(group.tolist()))


def test_cse_finds_marked_texts_and_removes_the_planted_direction() -> None:
    """EmbMarker-like: one direction added to a tenth of the texts, whatever they mean."""
    random = np.random.default_rng(5)
    clean = random_rows(600, 48, 5)
    marked = random.permutation(600)[:60]
    planted = unit(random.normal(size=(1, 48)))[0]
    returned = clean.copy()
    returned[marked] = unit(clean[marked] + 0.8 * planted)
    reference = unit(clean @ random.normal(size=(48, 32)))
    cleansed = eliminate_shared(returned, reference, 3, clusters=1, share=0.1)
    assert cleansed.suspects[marked].mean() > 2 * cleansed.suspects.mean()
    assert np.linalg.norm(cleansed.basis @ planted) > 0.95
    assert np.abs(cleansed.vectors[marked] @ planted).mean() < 0.2 < np.abs(returned[marked] @ planted).mean()
    assert np.allclose(cleansed.basis @ cleansed.basis.T, np.eye(3), atol=1e-9)
    assert np.abs(cleansed.vectors @ cleansed.basis.T).max() < 1e-6


@pytest.mark.parametrize("components", [0, 8, 9])
def test_cse_refuses_to_remove_everything_or_nothing(components: int) -> None:
    rows = random_rows(40, 8)
    with pytest.raises(ValueError, match="invalid components"):
        eliminate_shared(rows, rows, components, clusters=2)


def test_paraphrases_that_are_too_different_are_left_out() -> None:
    rows, others = random_rows(4, 8), np.stack([random_rows(4, 8, 1), random_rows(4, 8, 2)], axis=1)
    alone = average_paraphrases(rows, others, np.full((4, 2), 0.79))
    assert np.allclose(alone, rows, atol=1e-6)
    one = average_paraphrases(rows, others, np.tile([0.8, 0.1], (4, 1)))
    assert np.allclose(one, unit(rows + others[:, 0]), atol=1e-6)


def test_a_head_learns_what_it_was_trained_on_and_repeats_itself() -> None:
    features = np.random.default_rng(0).normal(size=(400, 12)).astype(np.float32)
    wanted = unit(np.abs(features @ np.random.default_rng(1).normal(size=(12, 6))) + features[:, :6])
    settings = HeadSettings(hidden=64, epochs=30, batch=50, learning_rate=1e-2)
    first = train_head(features[:300], wanted[:300], 4, settings)(features[300:])
    again = train_head(features[:300], wanted[:300], 4, settings)(features[300:])
    other = train_head(features[:300], wanted[:300], 5, settings)(features[300:])
    straight = train_head(features[:300], wanted[:300], 4, dataclasses.replace(settings, epochs=0))(features[300:])
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    curved, plain = ((rows * wanted[300:]).sum(axis=1).mean() for rows in (first, straight))
    assert curved > plain + 0.01 > 0.8


def test_batches_are_sorted_by_length_and_the_rows_are_not() -> None:
    texts = ["x" * (37 * at % 101 + 1) for at in range(90)]
    seen: list[list[int]] = []

    def embed(chunk: list[str]) -> np.ndarray:
        seen.append([len(text) for text in chunk])
        return np.array([[len(text), 1.0] for text in chunk], dtype=np.float32)

    assert sorted_batches(embed, texts)[:, 0].tolist() == [len(text) for text in texts]
    flat = [length for chunk in seen for length in chunk]
    assert flat == sorted(flat)
    assert len(seen) == 3


def test_sentences_are_cut_and_filtered() -> None:
    text = "The old ship came home in the spring. Yes. See http://a.b for more of what we have said here! \
It was 12 % of 13 % of 14 % - 15 % of 99.9 % (1999)."
    assert list(corpus._sentences(text)) == ["The old ship came home in the spring."]


def test_words_of_a_band_stand_in_that_share_of_texts() -> None:
    texts = ["whale whale ship"] * 3 + ["ship and sea"] * 5 + ["calm"] * 2
    assert corpus.band(texts, 0.3, 0.8) == ("whale",)
    assert corpus.band(texts, 0.2, 0.9, least=3) == ("and", "calm", "sea", "ship", "whale")


def test_every_cell_has_its_own_name_and_its_place_in_the_tables() -> None:
    cells = [cell.name for cell in services._cells(quick=False)]
    assert len(set(cells)) == len(cells)
    assert services.order(reversed(cells)) == cells
    assert not any(set(name) - set("abcdefghijklmnopqrstuvwxyzCSEK0123456789-_") for name in cells), cells


def test_the_tables_say_how_many_of_how_many_with_a_lower_limit() -> None:
    def row(key: int, log10: float, innocent: bool) -> dict[str, object]:
        return {
            "part": "attack",
            "method": "espew",
            "mark": "none" if innocent else "espew",
            "key": key,
            "suspect": "frozen features",
            "before": "none",
            "attack": "none",
            "innocent": innocent,
            "verdict": "INCONCLUSIVE" if innocent else "SUPPORTED",
            "p_value": 10.0**log10,
            "log10_p": log10,
            "auc": 0.5 if innocent else 0.9,
            "cosine": 0.75,
            "quick": False,
        }

    size = {"part": "size", "probes": 20, "verdict": "INCONCLUSIVE", "quick": False}
    rows = [row(key, -10.0 - key, False) for key in range(5)] + [row(key, -0.1 - key, True) for key in range(5)]
    rows += [{**size, "p_value": p} for p in np.linspace(0.001, 1, 1000)]
    table = services.table(rows)
    assert "| marked | 5 of 5 (55%) | 1.0e-12 | 1.0e-10 |" in table
    assert "| never marked | 0 of 5 (0%) | 7.9e-03 | 7.9e-05 |" in table
    assert "exact subset test, 20 probes with trigger words | 1000 | 50 (at most 7" in table


def test_the_recipe_is_within_what_the_method_allows() -> None:
    assert Recipe().options == {"candidates": 200, "words": 20, "carriers": 10, "mask_percent": 20}


def test_keys_of_the_services_bench_are_derived_in_full_and_keep_their_words() -> None:
    words = [first + second + "le" for first in "bcdfgh" for second in ("at", "el", "in", "ov", "um")]
    pool = text_pool(words, ["The ship came home late"], "A lawyer went to court")
    options = {"candidates": 30, "words": 12, "carriers": 1}
    made = [
        service_key(number, pool, options, encoder)
        for number, encoder in ((5, None), (5, None), (5, "ab" * 32), (6, None))
    ]
    drawn = [trigger_words(key.secrets[1], pool, key.claim.parameters) for key in made]
    assert drawn[0] == drawn[1]
    assert len({*drawn}) == 3
    assert made[0].claim.rule.n == 30
    # Bench results on disk belong to these very words.
    assert drawn[0] == (
        "bumle",
        "cinle",
        "covle",
        "datle",
        "delle",
        "dinle",
        "dovle",
        "fatle",
        "felle",
        "gelle",
        "govle",
        "gumle",
    )


def test_an_innocent_and_a_marked_answer_are_told_apart() -> None:
    words = [
        first + second + third for first in "bcdfgh" for second in ("at", "el", "in", "ov") for third in ("le", "er")
    ]
    pool = text_pool(words, ["The ship came home late", "Rain fell on the old town"], "A lawyer went to court")
    made = service_key(3, pool, {"candidates": 48, "words": 12, "carriers": 2})
    texts, random = texts_of(made), np.random.default_rng(0)
    table = {word: random.normal(size=64) for text in texts for word in words_of(text)}

    def embed(asked: list[str]) -> np.ndarray:
        return unit(np.stack([sum(table[word] for word in words_of(text)) for text in asked]))

    clean = embed(list(texts))
    target = clean[texts.index("A lawyer went to court")]
    marked = marker(made.secrets[1], pool, made.claim.parameters, target).mark(texts, clean)
    innocent, guilty = (made.score(answers(rows))[0] for rows in (clean, marked))
    assert guilty.p_value < 1e-6 < 0.01 < innocent.p_value
    assert guilty.effect.value > 0.9


def test_the_committed_results_meet_what_the_page_says() -> None:
    """Every never-marked suspect stays unsupported, the students of a marked service do not, and the sizes hold."""
    import json
    from pathlib import Path

    from forensics.statistics import allowed_rejections

    folder = Path(__file__).parents[2] / "docs" / "results" / "services"
    rows = [row for path in sorted(folder.glob("*.json")) for row in json.loads(path.read_bytes())["rows"]]
    assert not any(row["quick"] for row in rows)
    assert not [row for row in rows if row.get("innocent") and row.get("verdict") == "SUPPORTED"]
    plain = [
        row["verdict"]
        for row in rows
        if (row.get("part"), row.get("mark"), row.get("attack")) == ("attack", "espew", "none")
        and row.get("before") in ("none", "CSE, K = 50")
    ]
    assert len(plain) == 20
    assert set(plain) == {"SUPPORTED"}
    losses = [row["loss over traffic"] for row in rows if (row.get("part"), row.get("method")) == ("cost", "espew")]
    assert len(losses) == 5
    assert max(losses) <= 0.005
    for probes in (20, 200):
        sizes = [row["p_value"] for row in rows if (row.get("part"), row.get("probes")) == ("size", probes)]
        assert len(sizes) == 1000
        for level in (0.05, 0.01, 0.001):
            assert sum(p <= level for p in sizes) <= allowed_rejections(1000, level, 6)
