"""Continual learners: the contract, what they remember, and that they go on exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import save_text_model

from labeltrain.errors import BadInput
from labeltrain.learners import Learner, Model, PriorModel, Training, make
from labeltrain.learners.continual.bodies import FeatureBase
from labeltrain.learners.continual.memory import Memory
from labeltrain.learners.continual.model import ContinualModel
from labeltrain.learners.registry import get, rebuild
from labeltrain.needs import Need
from labeltrain.store import arrays as array_files
from labeltrain.testing import LearnerContract
from labeltrain.testing.pools import blobs

VARIANTS = ("cal-er", "cal-mir", "cal-der", "cal-sd", "cal-sds2")
BASELINES = ("retrain", "warm-start", "shrink-perturb", "no-replay", "warm-start-matched")
QUICK: dict[str, Any] = {"first_epochs": 30, "network_options": {"width": 16, "batch": 16,
                                                               "learning_rate": 1e-2}}  # fmt: skip
IMAGES: dict[str, Any] = {
    "network": "cnn", "first_epochs": 6,
    "network_options": {"width": 8, "size": 16, "batch": 16, "dtype": "float32", "device": "cpu"},
}  # fmt: skip


class Contract(LearnerContract):
    kinds = ("multiclass",)
    parameters = QUICK


class TestER(Contract):
    learner = get("cal-er")


class TestMIR(Contract):
    learner = get("cal-mir")


class TestDER(Contract):
    learner = get("cal-der")


class TestSD(Contract):
    learner = get("cal-sd")


class TestSDS2(Contract):
    learner = get("cal-sds2")


class TestRetrain(Contract):
    learner = get("retrain")


class TestWarmStart(Contract):
    learner = get("warm-start")


class TestShrinkPerturb(Contract):
    learner = get("shrink-perturb")


class TestNoReplay(Contract):
    learner = get("no-replay")


class TestWarmStartMatched(Contract):
    learner = get("warm-start-matched")


# -- on networks that read items -------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_text_model(tmp_path_factory.mktemp("models") / "bert"))


class TestFineTuned(LearnerContract):
    learner = get("cal-sds2")
    kinds = ("multiclass",)

    @pytest.fixture(autouse=True)
    def _tiny(self, bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
        own = {"model": bert, "batch": 16, "learning_rate": 1e-3, "max_length": 24,
               "dtype": "float32", "device": "cpu"}  # fmt: skip
        options = {"network": "finetune", "network_options": own, "first_epochs": 12, "epochs": 6}
        monkeypatch.setattr(type(self), "parameters", options)

    def inputs(self, training: Training, rows: slice = slice(None)) -> Any:
        return training.items[rows]

    def test_the_head_acts_on_the_hidden_layer(self) -> None:
        training = self.training()
        model = self.fit(training)
        weights, bias = model.head
        logits = model.hidden(training.items) @ weights.T + bias
        assert (logits.argmax(axis=1) == model.predict_proba(training.items).argmax(axis=1)).all()


def images(n: int = 120) -> tuple[list[np.ndarray], np.ndarray]:
    """Return pictures whose class is where they are bright."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    found = []
    for c in y.tolist():
        picture = rng.integers(0, 80, size=(16, 16, 3))
        picture[5 * c : 5 * c + 6] += 150
        found.append(picture.astype(np.uint8))
    return found, y


@pytest.mark.parametrize("name", ["cal-er", "cal-mir", "cal-der", "cal-sds2", "shrink-perturb"])
def test_a_network_from_scratch_goes_on(name: str) -> None:
    items, y = images()
    made = make(name, IMAGES)
    assert made.reads == "items"
    assert Need.PREDICT not in made.gives
    model: Model | None = None
    for number in range(3):
        rows = np.arange(20 * (number + 1))
        training = Training(np.zeros((120, 1), np.float32), rows, y[rows], 3, items=items)
        model = made.fit(training, np.random.default_rng(number), model)
    assert model is not None
    assert (model.predict_proba(items).argmax(axis=1) == y)[60:].mean() > 0.8


def test_efficientnet_goes_on() -> None:
    items, y = images(60)
    own = {"batch": 16, "size": 32, "adapt": "last", "layers": 1, "learning_rate": 1e-3,
           "dtype": "float32", "device": "cpu"}  # fmt: skip
    options = {"network": "finetune", "network_options": own, "first_epochs": 10, "epochs": 5}
    learner = make("cal-sd", options)
    model: Model | None = None
    for number in range(2):
        rows = np.arange(20 * (number + 1))
        training = Training(
            np.zeros((60, 1), np.float32), rows, y[rows], 3, items=items, modality="image"
        )
        model = learner.fit(training, np.random.default_rng(number), model)
    assert isinstance(model, ContinualModel)
    assert "efficientnet" in str(model.inner.facts()["backbone"])
    assert model.facts()["replayed"] > 0
    assert (model.predict_proba(items).argmax(axis=1) == y)[40:].mean() > 0.8
    memory = model.memory
    weights, bias = model.head
    logits = model.hidden([items[p] for p in memory.positions[20:]]) @ weights.T + bias
    # In evaluation mode: batch statistics, and units that drop out, say other things in training.
    np.testing.assert_allclose(memory.targets[20:], logits, atol=5e-3, rtol=2e-3)


# -- rounds ----------------------------------------------------------------------------------------


def a_round(number: int, each: int = 20, classes: int = 3) -> Training:
    """Return the labels after some rounds of blobs."""
    x, y = blobs(200, d=8)
    rows = np.arange(each * (number + 1))
    return Training(x, rows, y[rows], classes, rounds=rows // each)


def after(learner: Learner, rounds: int, each: int = 20) -> list[ContinualModel]:
    """Return the models of some rounds, each from the one before."""
    models: list[ContinualModel] = []
    for number in range(rounds):
        rng = np.random.default_rng(100 + number)
        previous = models[-1] if models else None
        found = learner.fit(a_round(number, each), rng, previous)
        assert isinstance(found, ContinualModel)
        models.append(found)
    return models


@pytest.mark.parametrize("name", [*VARIANTS, *BASELINES])
def test_a_stored_model_goes_on_to_the_same_result(name: str) -> None:
    learner = make(name, QUICK)
    whole = after(learner, 3)
    stored = after(make(name, QUICK), 2)[-1]
    data = array_files.to_bytes(stored.arrays(), stored.facts())
    again = rebuild(stored.name, *array_files.from_bytes(data))
    found = make(name, QUICK).fit(a_round(2), np.random.default_rng(102), again)
    for key, value in whole[-1].arrays().items():
        np.testing.assert_array_equal(value, found.arrays()[key])
    assert found.facts() == whole[-1].facts()


@pytest.mark.parametrize(
    ("before", "now"), [("warm-start", "cal-der"), ("cal-er", "warm-start"), ("cal-sd", "retrain")]
)
def test_after_a_learner_that_keeps_other_things_it_begins_anew(before: str, now: str) -> None:
    other = make(before, QUICK).fit(a_round(0), np.random.default_rng(0))
    found = make(now, QUICK).fit(a_round(1), np.random.default_rng(1), other)
    fresh = make(now, QUICK).fit(a_round(1), np.random.default_rng(1))
    for key, value in fresh.arrays().items():
        np.testing.assert_array_equal(value, found.arrays()[key])


def test_after_another_variant_it_goes_on() -> None:
    other = make("cal-er", QUICK).fit(a_round(0), np.random.default_rng(0))
    found = make("cal-der", QUICK).fit(a_round(1), np.random.default_rng(1), other)
    assert isinstance(found, ContinualModel)
    assert found.memory.rounds.tolist() == [0] * 20 + [1] * 20
    assert found.facts()["replayed"] > 0


@pytest.mark.parametrize(
    ("options", "goes_on"), [({}, True), ({"width": 16}, False), ({"size": 24}, False)]
)
def test_a_network_of_another_size_begins_anew(options: dict[str, int], goes_on: bool) -> None:
    items, labels = images()
    own = {"network": "cnn", "first_epochs": 1, "epochs": 1}
    common = {"width": 8, "size": 16, "batch": 16, "device": "cpu"}

    def a_training(labelled: int) -> Training:
        features = np.zeros((len(items), 1), dtype=np.float32)
        rows = np.arange(labelled)
        return Training(features, rows, labels[rows], 3, items=items)

    before = make("cal-er", {**own, "network_options": common})
    model = before.fit(a_training(30), np.random.default_rng(0))
    learner = make("cal-er", {**own, "network_options": {**common, **options}})
    found = learner.fit(a_training(40), np.random.default_rng(1), model)
    assert isinstance(found, ContinualModel)
    assert (found.facts()["replayed"] > 0) == goes_on
    assert found.inner.facts()["backbone"]["width"] == options.get("width", 8)


@pytest.mark.parametrize("adapt", ["full", "lora", "last"])
def test_a_network_on_items_goes_on_to_the_same_result_from_a_stored_model(
    bert: str, adapt: str
) -> None:
    own = {"model": bert, "batch": 16, "max_length": 24, "dtype": "float32", "device": "cpu",
           "adapt": adapt, "layers": 1}  # fmt: skip
    options = {"network": "finetune", "network_options": own, "first_epochs": 4, "epochs": 3}
    contract = LearnerContract()
    learner, other = make("cal-der", options), make("cal-der", options)
    first = contract.training(30)
    second = contract.training(60)
    model = learner.fit(first, np.random.default_rng(0))
    whole = learner.fit(second, np.random.default_rng(1), model)
    data = array_files.to_bytes(model.arrays(), model.facts())
    again = rebuild(model.name, *array_files.from_bytes(data))
    found = other.fit(second, np.random.default_rng(1), again)
    for key, value in whole.arrays().items():
        np.testing.assert_array_equal(value, found.arrays()[key])


@pytest.mark.parametrize("name", ["cal-der", "cal-sd"])
def test_targets_are_those_of_the_finished_model_and_stay(name: str) -> None:
    models = after(make(name, QUICK), 3)
    x = a_round(2).features
    for number, model in enumerate(models):
        memory = model.memory
        assert memory.positions.tolist() == list(range(20 * (number + 1)))
        assert memory.rounds.tolist() == [p // 20 for p in range(20 * (number + 1))]
        mine = memory.rounds == number
        weights, bias = model.head
        logits = model.hidden(x[memory.positions[mine]]) @ weights.T + bias
        np.testing.assert_allclose(memory.targets[mine], logits, atol=2e-3, rtol=2e-3)
        if number:
            before = models[number - 1].memory
            np.testing.assert_array_equal(memory.targets[: len(before.positions)], before.targets)


def test_as_released_targets_are_overwritten() -> None:
    options = {**QUICK, "released": True}
    models = after(make("cal-der", options), 3)
    memory = models[-1].memory
    assert memory.targets.shape == (60, 3)
    np.testing.assert_array_equal(memory.targets[:20], memory.targets[40:])
    np.testing.assert_array_equal(memory.targets[20:40], memory.targets[40:])
    assert models[0].facts()["epochs"] <= 29  # one pass less
    learner = make("cal-der", options)
    first = learner.fit(a_round(0, 10), np.random.default_rng(0))
    with pytest.raises(BadInput, match="first round"):
        learner.fit(a_round(2, 10), np.random.default_rng(0), first)


def test_changed_and_withdrawn_labels() -> None:
    learner = make("cal-er", QUICK)
    first = learner.fit(a_round(1), np.random.default_rng(0))
    assert isinstance(first, ContinualModel)
    training = a_round(1)
    labels = training.labels.copy()
    labels[3] = (labels[3] + 1) % 3
    rows = np.array([0, 1, 2, 3, *range(10, 40), 50])
    later = replace(
        training, labelled=rows,
        labels=np.concatenate([labels[rows[:-1]], [1]]), rounds=np.zeros(len(rows), np.int64),
    )  # fmt: skip
    new, old = first.memory.parted(later.labelled, later.labels)
    assert rows[new].tolist() == [3, 50]
    assert rows[old].tolist() == [0, 1, 2, *range(10, 40)]
    model = learner.fit(later, np.random.default_rng(1), first)
    assert isinstance(model, ContinualModel)
    assert model.memory.positions.tolist() == [0, 1, 2, *range(10, 40), 3, 50]
    assert model.memory.labels[-2:].tolist() == [labels[3], 1]
    assert model.memory.rounds[-2:].tolist() == [1, 1]


def test_without_new_labels_the_model_stays() -> None:
    learner = make("cal-sd", QUICK)
    (model,) = after(learner, 1)
    same = learner.fit(a_round(0), np.random.default_rng(5), model)
    for key, value in model.arrays().items():
        np.testing.assert_array_equal(value, same.arrays()[key])
    assert same.cost.examples == 0


def test_a_bounded_memory() -> None:
    models = after(make("cal-sd", {**QUICK, "keep": 25}), 4)
    sizes = [len(model.memory.positions) for model in models]
    assert sizes == [20, 25, 25, 25]
    facts = models[-1].facts()
    assert facts["memory_items"] == 25
    assert facts["memory_bytes"] == 25 * (3 * 8 + 3 * 2) + 55 * 16
    last = models[-1].memory
    assert sorted([*last.positions, *last.dropped]) == list(range(80))
    assert len(set(last.rounds.tolist())) > 2  # of all rounds
    new, old = last.parted(np.arange(90), np.zeros(90, np.int64) - 1)
    assert len(new) == 90  # other labels: all are new again
    new, old = last.parted(np.arange(80), a_round(3).labels)
    assert not len(new)
    assert len(old) == 25


def test_other_classes_or_features_begin_anew() -> None:
    learner = make("cal-er", QUICK)
    (model,) = after(learner, 1)
    more = replace(a_round(1), classes=4)
    found = learner.fit(more, np.random.default_rng(0), model)
    assert isinstance(found, ContinualModel)
    assert found.memory.rounds.max() == 0
    assert found.predict_proba(more.features).shape == (200, 4)
    wide = replace(a_round(1), features=np.hstack([a_round(1).features] * 2))
    assert learner.fit(wide, np.random.default_rng(0), model).predict_proba(wide.features).any()
    after_prior = learner.fit(a_round(1), np.random.default_rng(0), PriorModel(np.ones(3) / 3, 8))
    assert isinstance(after_prior, ContinualModel)


@pytest.mark.parametrize("name", ["cal-mir", "cal-sds2"])
def test_candidates_are_more_than_what_is_replayed(name: str) -> None:
    with pytest.raises(BadInput, match="candidates=31, of which 32 are to be replayed"):
        make(name, {"candidates": 31, "replay": 32})
    assert make(name, {"candidates": 32, "replay": 32}).replay == 32
    assert make(name, {"network_options": {"batch": 16}}).replay == 64


def test_what_a_round_costs() -> None:
    options = {**QUICK, "epochs": 5, "replay": 8, "stop": "epochs"}
    for rounds in (2, 6):  # as much, however many labels there are
        assert after(make("cal-er", options), rounds)[-1].cost.examples == 5 * (20 + 2 * 8)
    same = {key: value for key, value in options.items() if key != "stop"}
    matched = after(make("warm-start-matched", same), 3)[-1]
    assert matched.cost.examples == pytest.approx(5 * (20 + 2 * 8), abs=16)
    none = after(make("no-replay", {**QUICK, "epochs": 5}), 3)[-1]
    assert none.cost.examples == 5 * 20
    mir = after(make("cal-mir", {**options, "candidates": 12}), 3)[-1]
    assert mir.cost.examples == 5 * (20 + 2 * 8) + 5 * 20  # and the trial steps
    assert mir.facts()["looked_at"] == 5 * 2 * 2 * 12
    soon = after(make("cal-er", {**same, "enough": 0.0}), 3)[-1]
    assert soon.cost.examples == 20 + 2 * 8  # one pass is enough
    hard = after(make("cal-er", {**same, "enough": 1.0, "first_epochs": 1, "network_options": {
        "learning_rate": 1e-9, "batch": 16}}), 3)[-1]  # fmt: skip
    assert hard.facts()["steps"] == 100  # never: 50 passes
    warm = after(make("warm-start", {**QUICK, "enough": 0.0}), 4)[-1]
    assert warm.cost.examples == 80  # one pass over all


def test_baselines_begin_where_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, torch.Tensor]] = []
    from labeltrain.learners.continual import baselines

    real = baselines.train

    def watched(body: Any, *rest: Any) -> Any:
        begun.append({k: v.clone() for k, v in body.network.state_dict().items()})
        return real(body, *rest)

    monkeypatch.setattr(baselines, "train", watched)

    def second(name: str, **more: Any) -> tuple[torch.Tensor, np.ndarray]:
        begun.clear()
        models = after(make(name, {**QUICK, **more}), 2)
        return begun[1]["0.weight"], models[0].arrays()["weights0"]

    fresh, before = second("retrain")
    assert np.abs(fresh.numpy() - before).max() > 0.01
    warm, before = second("warm-start")
    np.testing.assert_array_equal(warm.numpy(), before)
    mixed, before = second("shrink-perturb", shrink=0.7, noise=0.1)
    other = (mixed.numpy() - 0.7 * before) / 0.1
    np.testing.assert_allclose(other, fresh.numpy(), atol=1e-5)


def test_a_warm_start_makes_no_fresh_network_to_throw_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    real = FeatureBase.fresh

    def counted(self: Any, *given: Any) -> Any:
        made.append(1)
        return real(self, *given)

    monkeypatch.setattr(FeatureBase, "fresh", counted)
    for name, networks in (("warm-start", 1), ("no-replay", 1), ("cal-er", 1), ("retrain", 3)):
        made.clear()
        after(make(name, QUICK), 3)
        assert len(made) == networks


def test_a_plateau_ends_a_round_and_is_not_replayed() -> None:
    options = {**QUICK, "epochs": 60, "stop": "plateau"}
    models = after(make("cal-er", options), 4, each=30)
    assert [m.facts()["epochs"] < 60 for m in models[1:]] == [True] * 3
    assert models[-1].facts()["looked_at"] > 0
    x, y = blobs(200, d=8)
    assert (models[-1].predict_proba(x).argmax(axis=1) == y)[120:].mean() > 0.9
    from labeltrain.learners.continual.er import ER
    from labeltrain.learners.continual.training import Plan, Replay, _Watch

    plan = Plan(np.arange(5), 9, 4, 0.1, 0.0, patience=2)
    replay = Replay(ER(), np.arange(10, 60), 4, None, 5, 50)
    watch = _Watch.of(plan, replay, np.random.default_rng(0))
    assert len(watch.held) == 5
    assert not set(watch.held) & set(watch.left)
    assert sorted([*watch.held, *watch.left]) == list(range(10, 60))


def test_a_training_that_diverges_says_so() -> None:
    x, y = blobs(60, d=8)
    training = Training(x, np.arange(60), y, 3)
    with pytest.warns(UserWarning, match="diverged"):
        make("cal-er", {**QUICK, "network_options": {"learning_rate": 1e30}}).fit(
            training, np.random.default_rng(0)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "vgg"}, "mlp, finetune"),
        ({"network_options": 3}, "mapping"),
        ({"network_options": {"steps": 3}}, "no parameter 'steps'"),
        ({"epochs": 0}, "epochs=0"),
        ({"replay": 0}, "replay=0"),
        ({"keep": 0}, "keep=0"),
        ({"stop": "never"}, "plateau"),
        ({"optimizer": "lion"}, "adamw"),
        ({"enough": 2}, "enough=2"),
        ({"released": "yes"}, "released='yes'"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"beta": 1.0}, "no parameter 'beta'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make("cal-sd", options)


def test_a_network_on_items_without_items() -> None:
    with pytest.raises(BadInput, match="reads images"):
        make("cal-er", IMAGES).fit(a_round(0), np.random.default_rng(0))


def test_an_empty_memory() -> None:
    memory = Memory.empty(3)
    new, old = memory.parted(np.array([4, 2]), np.array([0, 1]))
    assert new.tolist() == [0, 1]
    assert not len(old)
    assert np.isnan(memory.targets_of(np.array([4]))).all()
    assert isinstance(make("cal-er").base, FeatureBase)  # type: ignore[attr-defined]


def test_learners_are_listed_without_heavy_imports() -> None:
    import subprocess
    import sys

    code = (
        "import sys, labeltrain.learners.registry as r; r.describe(); "
        "print([m for m in ('torch', 'numba', 'scipy', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_bounded_memory_is_a_draw_from_all_that_was_learned() -> None:
    kept = np.zeros(9)
    for seed in range(200):
        memory, rng = Memory.empty(2), np.random.default_rng(seed)
        for number in range(1, 10):
            labelled = np.arange(20 * number)
            labels = labelled % 2
            new, old = memory.parted(labelled, labels)
            assert len(new) == 20
            memory = memory.after(labelled, labels, old, new, np.zeros((20, 2)), most=40, rng=rng)
        kept += np.bincount(memory.rounds, minlength=9) / 200
        assert len(memory.positions) == 40
    np.testing.assert_allclose(kept, 40 / 9, atol=0.6)  # 4.4 of each round


@pytest.mark.parametrize("few", [1, 2, 3])
@pytest.mark.parametrize("name", ["cal-er", "cal-sd"])
def test_few_labels_of_a_late_class_do_not_count_as_known(name: str, few: int) -> None:
    rng = np.random.default_rng(0)
    centres = 4.0 * np.eye(3, 8)
    kinds = np.concatenate([np.arange(200) % 2, np.full(few, 2)])
    features = (centres[kinds] + rng.normal(size=(len(kinds), 8))).astype(np.float32)
    learner = make(name)
    first = learner.fit(Training(features, np.arange(200), kinds[:200], 3), rng)
    model = learner.fit(Training(features, np.arange(len(kinds)), kinds, 3), rng, first)
    assert (model.predict_proba(features[200:]).argmax(axis=1) == 2).all()
    assert model.facts()["epochs"] <= 100


@pytest.mark.parametrize(
    ("more", "steps"),
    [
        ({"stop": "enough"}, 100),
        ({"stop": "enough", "epochs": 120}, 120),
        ({"stop": "epochs"}, 3),
        ({"stop": "enough", "released": True}, 2),
    ],
)
def test_a_round_of_few_labels_has_a_hundred_steps(more: dict[str, Any], steps: int) -> None:
    x, y = blobs(200, d=8)
    learner = make("cal-er", {**QUICK, "epochs": 3, "enough": 1.0, **more})
    first = learner.fit(a_round(1), np.random.default_rng(0))
    labels = np.append(y[:40], [0, 1, 2])  # one item thrice: they cannot all be known
    thrice = Training(x[[*range(40), 0, 0, 0]], np.arange(43), labels, 3)
    model = learner.fit(thrice, np.random.default_rng(1), first)
    assert model.facts()["steps"] == steps
