"""The training loop of semi-supervised methods, and the learners on features."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from labeltrain.errors import BadInput
from labeltrain.learners import Training, make
from labeltrain.learners.registry import get
from labeltrain.learners.semi import training
from labeltrain.learners.semi.fixmatch import FixMatch
from labeltrain.learners.semi.methods import METHODS
from labeltrain.learners.semi.pseudo_label import PseudoLabel
from labeltrain.learners.semi.training import CHANCES, Settings, _diverged, batches, train
from labeltrain.testing import LearnerContract, blobs

NAMES = list(METHODS)


class Points:
    """Items of a pool as they are; strong views with noise, or not a number from one call on."""

    def __init__(self, features: np.ndarray, own: int, breaks_at: frozenset[int] = frozenset()):
        self.features = torch.from_numpy(features)
        self.own = own
        self.breaks_at = breaks_at
        self.calls = 0
        self.sizes: list[tuple[int, int]] = []

    def labelled(self, rows: np.ndarray) -> Any:
        self.calls += 1
        return self.features[: self.own][rows]

    def weak(self, rows: np.ndarray) -> Any:
        self.sizes.append((len(rows), len(np.unique(rows))))
        return self.features[self.own :][rows]

    def strong(self, rows: np.ndarray) -> Any:
        views = self.features[self.own :][rows] + 0.1 * torch.randn(len(rows), 8)
        return views * math.nan if self.calls in self.breaks_at else views


def run(
    settings: Settings,
    method: Any = None,
    *,
    own: int = 30,
    n: int = 200,
    breaks_at: frozenset[int] = frozenset(),
    **options: Any,
) -> tuple[Any, Any, Points]:
    features, truth = blobs(n, d=8)
    torch.manual_seed(0)
    network = torch.nn.Linear(8, 3)
    source = Points(features.astype(np.float32), own, breaks_at)
    labels = torch.from_numpy(truth[:own].astype(np.int64))
    method = FixMatch(0.8) if method is None else method
    found, report = train(
        network, source, labels, n - own, method, settings, np.random.default_rng(0), **options
    )
    return found, report, source


def accuracy(network: Any) -> float:
    features, truth = blobs(200, d=8)
    with torch.no_grad():
        guess = network(torch.from_numpy(features.astype(np.float32))).argmax(dim=1).numpy()
    return float((guess == truth).mean())


def test_it_learns() -> None:
    network, report, _ = run(Settings(steps=80, learning_rate=0.02))
    assert accuracy(network) > 0.9
    assert report.used > 0.5
    assert report.rollbacks == 0
    assert report.examples == 80 * (30 + 2 * 170)


def test_the_rate_ends_where_the_training_ends() -> None:
    for steps in (2, 7, 400):
        settings = Settings(steps=steps, learning_rate=0.5, final_rate=0.1)
        assert settings.rate(0) == 0.5
        assert settings.rate(steps - 1) == pytest.approx(0.05)
        rates = [settings.rate(step) for step in range(steps)]
        assert rates == sorted(rates, reverse=True)
    assert Settings(steps=1).rate(0) == Settings().learning_rate


def test_fewer_items_than_a_batch_train() -> None:
    for own, n in ((2, 200), (30, 31), (30, 30)):
        network, report, source = run(Settings(steps=20, batch=64, ratio=7), own=own, n=n)
        assert all(torch.isfinite(p).all() for p in network.parameters())
        assert report.examples > 0
        if n == own:
            assert source.sizes == []


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 10), (3, 10), (1, 1), (448, 448), (0, 5)])
def test_batches_go_through_all_items_in_turn(n: int, size: int) -> None:
    found = list(batches(n, size, 50, np.random.default_rng(0)))
    assert len(found) == 50
    assert all(len(b) == min(n, size) == len(set(b.tolist())) for b in found)
    if n:
        counts = np.bincount(np.concatenate(found), minlength=n)
        assert counts.min() >= 50 * min(n, size) // n * 0.5
        first = np.concatenate(found[: n // size]) if n > size else found[0]
        assert len(set(first.tolist())) == len(first)


def test_the_schedule_and_the_number_of_steps_do_not_depend_on_the_labels() -> None:
    few, many = (run(Settings(steps=30), own=own)[2].calls for own in (5, 150))
    assert few == many


def test_a_training_that_diverges_goes_back_and_says_so() -> None:
    with pytest.warns(UserWarning, match="diverged 1 time,"):
        network, report, _ = run(Settings(steps=60, learning_rate=0.02), breaks_at=frozenset({35}))
    assert report.rollbacks == 1
    assert report.stopped is None
    assert accuracy(network) > 0.85


def test_a_training_that_keeps_diverging_stops_at_the_last_sound_state() -> None:
    with pytest.warns(UserWarning, match="stopped at step 30"):
        network, report, _ = run(
            Settings(steps=60, learning_rate=0.02), breaks_at=frozenset(range(35, 200))
        )
    assert report.rollbacks == CHANCES
    assert report.stopped == 30
    assert all(torch.isfinite(p).all() for p in network.parameters())
    assert accuracy(network) > 0.8


def test_a_training_whose_last_good_state_is_bad_already_begins_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The state kept at step 30 was spoilt by the full rate, and a lower one does not mend it."""
    rates: list[float] = []

    def spoilt(state: Any, *others: Any) -> float:
        step = others[5]
        rates[step:] = [state.optimiser.param_groups[0]["lr"]]
        return 200.0 if step >= 30 and rates[0] > 0.015 else 0.5

    monkeypatch.setattr(training, "_step", spoilt)
    monkeypatch.setattr(training, "RECENT", 1)
    with pytest.warns(UserWarning, match="diverged 1 time,"):
        _, report, _ = run(Settings(steps=60, learning_rate=0.02))
    assert (report.rollbacks, report.stopped, report.steps) == (1, None, 60)
    assert rates[0] == pytest.approx(0.01)


def test_a_loss_that_explodes_is_divergence() -> None:
    with pytest.warns(UserWarning, match="diverged"):
        _, report, _ = run(Settings(steps=60, learning_rate=1e6, clip=1e9))
    assert report.rollbacks >= 1


@pytest.mark.parametrize(
    ("losses", "classes", "lost"),
    [
        ([0.1] * 20 + [math.log(10)] * 9, 10, False),  # ten steps are looked at
        ([0.1] * 20 + [math.log(10)] * 10, 10, True),  # one constant answer
        ([0.3] + [math.log(10) + 0.5] * 10, 10, True),  # forgotten in the first steps
        ([1.4, 1.5, 0.7, 3.4, 12.1, 4.8, 4.5, 1.4, 1.3, 2.7], 10, False),  # it recovers
        ([math.log(10)] * 30, 10, False),  # knows nothing yet
        ([0.1] * 20 + [math.log(2)] * 10, 2, True),
        ([math.log(2), 0.5, 0.4, 0.6, 0.5, 0.4, 0.5, 0.6, 0.7, 0.5], 2, False),
        ([40.0] * 10, 10, True),
        ([0.1, math.nan], 10, True),
    ],
)
def test_what_divergence_is(losses: list[float], classes: int, lost: bool) -> None:
    assert _diverged(losses, classes) is lost


def test_a_training_does_not_go_back_to_a_state_that_was_bad_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "_step", lambda *rest: 0.1 if rest[6] < 27 else 4.0)
    with pytest.warns(UserWarning, match="stopped at step 24"):  # not 30, though seen at step 37
        _, report, _ = run(Settings(steps=60))
    assert report.stopped == 24


def test_pseudo_labels_move_the_weights() -> None:
    """The published trainer cut the gradient of its pseudo-labels."""

    class Always(PseudoLabel):
        def targets(self, batch: Any) -> tuple[Any, Any]:
            targets, weights = super().targets(batch)
            return targets, torch.ones_like(weights)

    # More than one step: the first one of Adam knows only the sign of the gradient.
    without = run(Settings(steps=5, weight=0.0, average=0.0), Always())[0].weight
    beside = run(Settings(steps=5, weight=1.0, average=0.0), Always())[0].weight
    assert not torch.equal(without, beside)


def test_class_weights_and_alignment_change_the_result() -> None:
    plain = run(Settings(steps=10))[0].weight
    weighted = run(Settings(steps=10), class_weights=torch.tensor([5.0, 1.0, 1.0]))[0].weight
    aligned = run(Settings(steps=10, alignment=np.array([0.8, 0.1, 0.1])))[0].weight
    assert not torch.equal(plain, weighted)
    assert not torch.equal(plain, aligned)


def test_the_average_follows_the_weights() -> None:
    last = run(Settings(steps=40, average=0.0))[0].weight
    mean = run(Settings(steps=40, average=0.9))[0].weight
    assert not torch.equal(last, mean)
    assert torch.linalg.norm(last - mean) < torch.linalg.norm(last)


# -- learners ----------------------------------------------------------------------------------


def contract(name: str) -> type[LearnerContract]:
    options = {"steps": 60, "width": 32, "learning_rate": 0.01}
    return type(
        f"Test{name.title().replace('-', '')}",
        (LearnerContract,),
        {"learner": get(name), "parameters": options, "kinds": ("multiclass",)},
    )


for _name in NAMES:
    globals()[contract(_name).__name__] = contract(_name)


class TestPropagation(LearnerContract):
    learner = get("propagation")
    parameters = {"neighbours": 10}
    kinds = ("multiclass",)


class TestHarmonic(LearnerContract):
    learner = get("propagation")
    parameters = {"neighbours": 10, "method": "harmonic", "class_mass": "labels"}
    kinds = ("multiclass",)


def few_labels(seed: int = 0) -> tuple[Training, np.ndarray]:
    """Two long arcs, two labels each."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, np.pi, 300)
    side = np.repeat([0, 1], 150)
    x = np.where(side == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(side == 0, np.sin(angle), 0.4 - np.sin(angle))
    features = np.stack([x, y, np.ones(300)], axis=1) + 0.05 * rng.normal(size=(300, 3))
    labelled = np.array([0, 75, 150, 225])
    return Training(features.astype(np.float32), labelled, side[labelled], 2), side


def test_propagation_follows_the_shape_of_the_data() -> None:
    training, side = few_labels()
    rng = np.random.default_rng(0)
    for method in ("spreading", "harmonic"):
        model = make("propagation", {"method": method, "neighbours": 8, "alpha": 0.99}).fit(
            training, rng
        )
        spread = (model.predict_proba(training.features).argmax(axis=1) == side).mean()
        plain = make("linear").fit(training, rng)
        straight = (plain.predict_proba(training.features).argmax(axis=1) == side).mean()
        assert spread > straight + 0.05, (method, spread, straight)


def test_parameters_of_both_the_method_and_the_training_are_taken() -> None:
    learner = make("flexmatch", {"threshold": 0.7, "steps": 11, "width": 0})
    assert learner.method.threshold == 0.7  # type: ignore[attr-defined]
    assert learner.settings.steps == 11  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="did you mean 'threshold'"):
        make("flexmatch", {"treshold": 0.7})
    with pytest.raises(BadInput, match="steps=0"):
        make("fixmatch", {"steps": 0})


@pytest.mark.parametrize("name", NAMES)
def test_a_learner_says_what_happened(name: str) -> None:
    features, truth = blobs(200, d=8)
    training = Training(features, np.arange(20), truth[:20], 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make(name, {"steps": 20, "width": 16}).fit(training, np.random.default_rng(0))
    facts = model.facts()
    assert facts["rollbacks"] == 0
    assert 0.0 <= facts["used"] <= 1.0
    assert model.cost.examples == 20 * (20 + 2 * 180)


def test_encoded_views_are_used_where_there_are_some() -> None:
    features, truth = blobs(200, d=8)
    asked: dict[str, set[int]] = {"weak": set(), "strong": set()}

    def views(which: str) -> Any:
        def view(positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            asked[which] |= set(positions.tolist())
            return features[positions]

        return view

    training = Training(
        features, np.arange(20), truth[:20], 3, weak=views("weak"), strong=views("strong")
    )
    make("fixmatch", {"steps": 10}).fit(training, np.random.default_rng(0))
    assert asked["weak"] == set(range(200))
    assert asked["strong"] == set(range(20, 200))


def test_predictions_of_a_row_do_not_depend_on_the_others() -> None:
    training, _ = few_labels()
    model = make("propagation").fit(training, np.random.default_rng(0))
    new = training.features + np.float32(0.01)
    both = np.concatenate([training.features, new])
    together = model.predict_proba(both)
    for rows in (slice(0, 300), slice(300, 600), slice(5, 6), slice(290, 310), slice(0, 0)):
        np.testing.assert_array_equal(model.predict_proba(both[rows]), together[rows])
    np.testing.assert_array_equal(model.predict_proba(both), together)
    np.testing.assert_allclose(together.sum(axis=1), 1.0)


def test_new_items_are_searched_once_also_beside_held_out_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from labeltrain.learners.semi import propagation

    sizes: list[int] = []
    search = propagation.nearest_candidates

    def counted(together: Any, rows: np.ndarray, *others: Any) -> Any:
        sizes.append(len(rows))
        return search(together, rows, *others)

    monkeypatch.setattr(propagation, "nearest_candidates", counted)
    training, side = few_labels()
    new = training.features[:40] + np.float32(0.01)
    learner = make("propagation")
    for count in (4, 8, 12):
        labelled = np.arange(0, 300, 300 // count)[:count]
        model = learner.fit(
            Training(training.features, labelled, side[labelled], 2), np.random.default_rng(0)
        )
        model.predict_proba(new)
        for start in range(5):
            model.predict_proba(training.features[labelled[start::5]])
            model.predict_proba(new[start : start + 3])
    assert sizes.count(40) == 1
    assert len(propagation._searched) <= propagation.KEPT


def test_equal_items_are_one_and_take_no_neighbours_away() -> None:
    training, _ = few_labels()
    once = make("propagation").fit(training, np.random.default_rng(0))
    copies = np.concatenate([training.features, np.repeat(training.features[10:11], 100, axis=0)])
    more = Training(copies, training.labelled, training.labels, 2)
    found = make("propagation").fit(more, np.random.default_rng(0)).predict_proba(copies)
    np.testing.assert_allclose(found[:300], once.predict_proba(training.features), rtol=1e-9)
    assert (found[300:] == found[10]).all()


def test_new_items_take_the_weighted_mean_of_their_neighbours() -> None:
    training, _ = few_labels()
    model = make("propagation", {"neighbours": 5}).fit(training, np.random.default_rng(0))
    arrays = model.arrays()
    row = np.array([[0.3, 0.7, 1.0]], dtype=np.float32)
    unit = row[0].astype(np.float64) / np.linalg.norm(row)
    distance = np.linalg.norm(arrays["points"] - unit, axis=1)
    nearest = np.argsort(distance)[:5]
    own = distance[nearest].mean()
    weights = np.exp(-(distance[nearest] ** 2) / (own * arrays["scales"][nearest]))
    expected = weights @ arrays["probabilities"][nearest] / weights.sum()
    np.testing.assert_allclose(model.predict_proba(row)[0], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("mass", "share"), [("labels", [10 / 14, 4 / 14]), ("uniform", [0.5, 0.5])]
)
def test_class_mass_moves_the_shares(mass: str, share: list[float]) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 6)).astype(np.float32)  # nothing keeps the classes apart
    labels = np.repeat([0, 1], [9, 3])
    if mass == "labels":
        features[:3] = features[3]  # nine labels, but few of them spread
    training = Training(features, np.arange(12), labels, 2)
    off = [
        np.abs(
            make("propagation", {"class_mass": m}).fit(training, rng)
            .predict_proba(features).mean(axis=0) - share
        ).max()
        for m in ("none", mass)
    ]  # fmt: skip
    assert off[0] > 0.02
    assert off[1] < 0.7 * off[0]


@pytest.mark.parametrize("name", ["pseudo-label", "fixmatch", "uda", "mean-teacher"])
def test_a_training_at_any_rate_predicts_numbers(name: str) -> None:
    features, truth = blobs(60, d=4)
    classes = int(truth.max()) + 1
    training = Training(features.astype(np.float32), np.arange(12), truth[:12], classes)
    with pytest.warns(UserWarning, match="diverged"):
        model = make(name, {"learning_rate": 1e6, "steps": 60}).fit(
            training, np.random.default_rng(0)
        )
    assert np.isfinite(model.predict_proba(features.astype(np.float32))).all()


def test_features_that_are_no_numbers_are_refused() -> None:
    features, truth = blobs(20, d=4)
    features = features.astype(np.float32)
    features[7, 2] = np.nan
    with pytest.raises(BadInput, match="item 7 "):
        make("fixmatch", {}).fit(
            Training(features, np.arange(6), truth[:6], 5), np.random.default_rng(0)
        )


def test_a_mixed_view_has_some_of_another_item_and_more_of_its_own() -> None:
    from labeltrain.learners.semi.learner import FeatureSource, Strength

    features = np.eye(40, dtype=np.float32)
    training = Training(features, np.array([0, 1]), np.array([0, 1]), 2)
    source = FeatureSource(
        training, np.zeros(40, np.float32), np.ones(40, np.float32), "cpu",
        Strength(0.0, 0.0, 0.4), np.random.default_rng(0),
    )  # fmt: skip
    rows = np.arange(38)
    views = source.strong(rows).numpy()
    own = views[rows, source.others[rows]]
    np.testing.assert_allclose(views.sum(axis=1), 1.0, atol=1e-6)
    assert own.min() >= 0.6 - 1e-6
    assert len(np.unique(own.round(4))) > 20  # each its own share
    assert ((views > 1e-6).sum(axis=1) == 2).mean() > 0.8
    np.testing.assert_array_equal(source.weak(rows).numpy(), features[source.others[rows]])
    with pytest.raises(BadInput, match=r"mix=0\.6"):
        make("fixmatch", {"mix": 0.6})
