"""Every strategy keeps the contract, and picks what its card says."""

from __future__ import annotations

import numpy as np
import pytest

from labeltrain.errors import BadInput, HiddenLabel, MissingNeed
from labeltrain.strategies import Past, PoolView, Strategy, registry
from labeltrain.strategies.confidence import Confidence
from labeltrain.strategies.entropy import Entropy
from labeltrain.strategies.margin import Margin
from labeltrain.strategies.random import Random

# LabelBench card, section 11, check 1: margins .20/.05/.85; confidences .5/.4/.9; entropies
# 1.485/1.559/.569 bits.
P = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.9, 0.05, 0.05]])


@pytest.mark.parametrize(
    ("strategy", "scores"),
    [
        (Margin, [0.05, 0.20, 0.85]),
        (Confidence, [0.4, 0.5, 0.9]),
        (Entropy, [1.559, 1.485, 0.569]),
    ],
)
def test_the_card_oracle(strategy: type[Strategy], scores: list[float]) -> None:
    view = PoolView(3, 3, sources={"probabilities": P})
    picks = strategy().select(view, 3, np.random.default_rng(0))
    assert picks.positions.tolist() == [1, 0, 2]
    np.testing.assert_allclose(np.asarray(picks.scores), scores, atol=5e-4)


@pytest.mark.parametrize("strategy", [Margin, Confidence, Entropy])
def test_two_classes_make_the_three_rules_one(strategy: type[Strategy]) -> None:
    p = np.random.default_rng(3).random(50)
    view = PoolView(50, 2, sources={"probabilities": np.stack([p, 1 - p], axis=1)})
    picks = strategy().select(view, 10, np.random.default_rng(0))
    assert picks.positions.tolist() == np.argsort(np.abs(p - 0.5))[:10].tolist()


def test_ties_go_to_the_lowest_position() -> None:
    view = PoolView(6, 2, labelled=[0], labels=[1], sources={"probabilities": np.full((6, 2), 0.5)})
    for strategy in (Margin, Confidence, Entropy):
        picks = strategy().select(view, 3, np.random.default_rng(0))
        assert picks.positions.tolist() == [1, 2, 3]


def test_random_draws_are_uniform() -> None:
    from scipy.stats import chisquare

    view = PoolView(20, 2, labelled=[3], labels=[0])
    counts = np.zeros(20)
    for seed in range(2000):
        counts[Random().select(view, 4, np.random.default_rng(seed)).positions] += 1
    assert counts[3] == 0
    assert chisquare(np.delete(counts, 3)).pvalue > 1e-3


def test_a_view_hides_labels_of_unlabelled_items() -> None:
    view = PoolView(5, 2, labelled=[1, 4], labels=[0, 1])
    assert view.label_of(4) == 1
    with pytest.raises(HiddenLabel, match="position 2"):
        view.label_of(2)


def test_a_view_is_read_only() -> None:
    features = np.zeros((4, 2), dtype=np.float32)
    view = PoolView(4, 2, labelled=[0], labels=[1], sources={"embeddings": features})
    for array in (view.embeddings, view.labelled, view.labels, view.candidates):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_sources_are_computed_once_and_on_first_use() -> None:
    calls = []

    def make() -> np.ndarray:
        calls.append(1)
        return P

    view = PoolView(3, 3, sources={"probabilities": make})
    assert not calls
    assert view.probabilities is view.probabilities
    assert len(calls) == 1
    assert view.memo("ranking", lambda: [1]) is view.memo("ranking", lambda: [2])


def test_hidden_falls_back_on_embeddings_and_others_are_refused() -> None:
    view = PoolView(3, 3, sources={"embeddings": P})
    np.testing.assert_array_equal(view.hidden, P)
    with pytest.raises(MissingNeed, match="committee"):
        _ = view.committee


def test_unknown_names_and_parameters_are_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean 'margin'"):
        registry.make("margins")
    with pytest.raises(BadInput, match="has no parameter 'tempo'"):
        registry.make("margin", {"tempo": 3})


def test_a_taken_name_is_refused() -> None:
    class Impostor(Random):
        name = "random"

    with pytest.raises(BadInput, match="taken"):
        registry.register(Impostor)


def test_history_items_are_plain() -> None:
    assert Past(3, 1, 2, {"arm": "x"}).note == {"arm": "x"}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("typiclust", {"clusters": "ten"}, "clusters='ten'.*\n.*a whole number"),
        ("typiclust", {"clusters": 0}, "clusters must be at least 1"),
        ("typiclust", {"smallest": float("nan")}, "smallest=nan"),
        ("seals", {"neighbours": 1.5}, "neighbours=1.5"),
        ("seals", {"base": None}, "base=None.*\n.*a name"),
        ("bait", {"rank": True}, "rank=True"),
        ("bait", {"regularisation": float("nan")}, "regularisation=nan"),
        ("clusters", {"normalise": "ten"}, "normalise='ten'.*\n.*true or false"),
        ("badge", {"memory": [1]}, "memory="),
    ],
)
def test_values_of_the_wrong_kind_are_refused_by_name(
    name: str, parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        registry.make(name, parameters)
    registry.make("bait", {"sample": None})
