"""Where a training ends, and going on after a kill, to the same bits."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import pickle
import warnings
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import QUICK, coloured_images, coloured_texts, save_text_model, training_of

from labeltrain.errors import LabelTrainError
from labeltrain.learners import Training, make
from labeltrain.learners.base import Model
from labeltrain.learners.networks import learner as learner_module
from labeltrain.learners.networks import shelf as shelf_module
from labeltrain.learners.networks.source import ItemSource
from labeltrain.learners.semi.checkpoint import Checkpoint, name_of
from labeltrain.learners.semi.methods import METHODS
from labeltrain.learners.semi.training import Settings, train
from labeltrain.testing import blobs

STEPS = 40


class Killed(Exception):
    """Stands for a process that ends."""


class Noisy:
    """Items of a pool; views draw from both generators; ends the process at a step."""

    def __init__(
        self, rng: np.random.Generator, kill_at: int = -1, breaks_at: frozenset[int] = frozenset()
    ) -> None:
        features, _ = blobs(120, d=8)
        self.features = torch.from_numpy(features)
        self.rng, self.kill_at, self.breaks_at = rng, kill_at, breaks_at
        self.calls = -1  # the first call only asks for the number of classes

    def _noise(self, x: Any, size: float) -> Any:
        drawn = torch.from_numpy(self.rng.normal(size=x.shape).astype(np.float32))
        return x + size * drawn + size * torch.randn(x.shape)

    def labelled(self, rows: np.ndarray) -> Any:
        self.calls += 1
        if self.calls == self.kill_at:
            raise Killed
        views = self._noise(self.features[:30][rows], 0.05)
        return views * float("nan") if self.calls in self.breaks_at else views

    def weak(self, rows: np.ndarray) -> Any:
        return self._noise(self.features[30:][rows], 0.05)

    def strong(self, rows: np.ndarray) -> Any:
        return self._noise(self.features[30:][rows], 0.3)


def run(
    method: str | None,
    path: Path | None = None,
    *,
    kill_at: int = -1,
    about: str = "one",
    seconds: float = 0.0,
    breaks_at: frozenset[int] = frozenset(),
    changing: bool | None = None,
    **settings: Any,
) -> tuple[Any, Any, Any]:
    """Train a small network with dropout as a process would, from its seed."""
    torch.manual_seed(3)
    rng = np.random.default_rng(4)
    network = torch.nn.Sequential(
        torch.nn.Linear(8, 12), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(12, 3)
    )
    labels = torch.from_numpy(blobs(120, d=8)[1][:30].astype(np.int64))
    chosen = Settings(**{"steps": STEPS, "batch": 8, "ratio": 2, "learning_rate": 0.02, **settings})
    calls = iter(range(10**6))

    def guess(averaged: Any) -> np.ndarray:
        if changing:
            return np.full(9, next(calls))
        with torch.no_grad():
            return np.asarray(averaged(Noisy(rng).features).argmax(dim=1).numpy())

    made, report = train(
        network,
        Noisy(rng, kill_at, breaks_at),
        labels,
        90,
        None if method is None else METHODS[method](),
        chosen,
        rng,
        guess=None if changing is None else guess,
        checkpoint=None if path is None else Checkpoint(path, about, seconds=seconds),
    )
    return network, made, report


def killed(method: str | None, path: Path, kill_at: int, **options: Any) -> None:
    with pytest.raises(Killed):
        run(method, path, kill_at=kill_at, **options)


def same(one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> None:
    for mine, theirs in zip(one[:2], other[:2], strict=True):
        held = theirs.state_dict()
        for name, value in mine.state_dict().items():
            assert torch.equal(value, held[name]), name
    told = [{**asdict(made[2]), "resumed": None, "before": 0.0} for made in (one, other)]
    assert told[0] == told[1]


# -- where a training ends ---------------------------------------------------------------------


class Recorded(Settings):
    """Settings that note the rates they gave."""

    rates: list[float] = []

    def rate(self, step: int, cooled: tuple[int, int] | None = (0, -1)) -> float:
        found = super().rate(step, cooled)
        Recorded.rates.append(found)
        return found


@pytest.mark.parametrize("steps", [3, 5, 8, 9, 10, 11, 19, 25, 40, 101, 300])
@pytest.mark.parametrize("changing", [True, False])
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_the_rate_ends_where_a_stable_training_ends(
    steps: int, changing: bool, warmup: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "Settings", Recorded)
    Recorded.rates.clear()
    options: dict[str, Any] = {"steps": steps, "final_rate": 0.1, "warmup": warmup}
    _, _, report = run(None, changing=changing, **options)
    rates = Recorded.rates
    assert len(rates) == report.steps <= steps
    if not changing and steps >= 300:
        assert report.steps < steps
    assert rates[-1] == pytest.approx(0.1 * 0.02)
    top = int(np.argmax(rates))
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[top] == pytest.approx(0.02)


def test_a_stable_training_goes_on_for_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "Settings", Recorded)
    Recorded.rates.clear()
    _, _, report = run("fixmatch", changing=False, steps=400)
    falls = next(i for i, rate in enumerate(Recorded.rates) if rate < 0.02)
    assert report.steps < 400
    assert report.steps - falls >= 0.2 * falls
    assert report.steps - falls <= max(40, 0.26 * falls)
    same(run("fixmatch", changing=False, steps=400), run("fixmatch", changing=False, steps=400))


def test_guesses_that_always_change_take_all_steps() -> None:
    _, _, report = run(None, changing=True, steps=200)
    assert 150 <= report.steps <= 200


# -- going on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, *METHODS])
def test_a_killed_training_goes_on_to_the_same_bits(method: str | None, tmp_path: Path) -> None:
    whole = run(method)
    path = tmp_path / "deep" / "state"
    for kill_at in (0, 1, 6, 17, 39):
        killed(method, path, kill_at)
        again = run(method, path)
        same(whole, again)
        assert again[2].resumed == (kill_at // 4 * 4 or None)
        path.unlink(missing_ok=True)
    same(whole, run(method, path))  # writing changes nothing


@pytest.mark.parametrize("method", [None, "flexmatch", "mean-teacher"])
def test_one_that_is_killed_again_and_again_goes_on(method: str | None, tmp_path: Path) -> None:
    path = tmp_path / "state"
    for _ in range(6):  # each gets a snapshot further
        killed(method, path, 5)
    again = run(method, path)
    assert again[2].resumed == 24
    same(run(method), again)


@pytest.mark.parametrize(
    "options",
    [
        {"average": 0.0},
        {"alignment": np.array([0.5, 0.3, 0.2]), "weight_decay": 0.3},
        {"changing": False, "steps": 300},
        {"warmup": 0.5, "final_rate": 0.2},
        {"mixed": True},
    ],
)
def test_all_that_a_step_changes_is_kept(options: dict[str, Any], tmp_path: Path) -> None:
    whole = run("softmatch", **options)
    for part in (0.3, 0.6, 0.95):
        path = tmp_path / str(part)
        killed("softmatch", path, int(part * whole[2].steps), **options)
        again = run("softmatch", path, **options)
        assert again[2].resumed
        same(whole, again)


def test_a_training_that_went_back_goes_on_at_its_lower_rate(tmp_path: Path) -> None:
    breaks = frozenset({10})
    with pytest.warns(UserWarning, match="diverged 1 time,"):
        whole = run("fixmatch", breaks_at=breaks)
    assert whole[2].rollbacks == 1
    path = tmp_path / "state"
    killed("fixmatch", path, 30, breaks_at=breaks)
    with pytest.warns(UserWarning, match="diverged 1 time,"):
        again = run("fixmatch", path)
    assert again[2].resumed
    same(whole, again)


# -- the file ----------------------------------------------------------------------------------


def test_nothing_is_written_for_a_short_training(tmp_path: Path) -> None:
    path = tmp_path / "state"
    run("fixmatch", path, seconds=1000.0)
    assert not path.exists()
    run("fixmatch", path, seconds=0.0)
    assert path.exists()  # the caller deletes it, once the model is kept
    Checkpoint(path, "one").delete()
    assert not path.exists()
    Checkpoint(path, "one").delete()


@pytest.mark.parametrize("damage", ["cut", "empty", "short", "flipped", "longer"])
def test_a_torn_file_warns_and_the_training_begins_again(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "state"
    killed("flexmatch", path, 25)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= damage == "flipped"
    size = {"cut": len(data) // 2, "empty": 0, "short": 7}.get(damage, len(data))
    path.write_bytes(bytes(data[:size]) + (b"x" if damage == "longer" else b""))
    with pytest.warns(UserWarning, match="damaged"):
        again = run("flexmatch", path)
    assert again[2].resumed is None
    same(run("flexmatch"), again)


def test_a_file_of_another_training_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "state"
    killed("flexmatch", path, 25, about="other", learning_rate=0.5)
    again = run("flexmatch", path)
    assert again[2].resumed is None
    same(run("flexmatch"), again)


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("form", ["pickle", "torch", "object"])
def test_nothing_is_unpickled(form: str, sealed: bool, tmp_path: Path) -> None:
    ran, path = tmp_path / "ran", tmp_path / "state"
    evil = Evil(ran)
    buffer = io.BytesIO()
    if form == "pickle":
        buffer.write(pickle.dumps(evil))
    elif form == "torch":
        torch.save({"held": evil}, buffer)
    else:
        array = io.BytesIO()
        np.lib.format.write_array(array, np.array([evil], dtype=object), allow_pickle=True)
        text = np.frombuffer(json.dumps({"about": "one"}).encode(), dtype=np.uint8)
        facts = io.BytesIO()
        np.lib.format.write_array(facts, text)
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("held.npy", array.getvalue())
            archive.writestr("__facts__.npy", facts.getvalue())
    data = buffer.getvalue()
    path.write_bytes((hashlib.sha256(data).digest() if sealed else b"") + data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = run(None, path)
    except (LabelTrainError, ValueError, zipfile.BadZipFile, KeyError):
        assert sealed  # nobody writes such a file by accident: refusing it is as good
    else:
        same(run(None), again)
    assert not ran.exists()


def test_names_of_trainings() -> None:
    labels = np.arange(5)
    one = name_of({"a": 1, "b": {"c": 2.5}}, labels, labels)
    assert one == name_of({"b": {"c": 2.5}, "a": 1}, labels, labels)
    for other in (
        name_of({"a": 2, "b": {"c": 2.5}}, labels, labels),
        name_of({"a": 1, "b": {"c": 2.5}}, labels[:4], labels),
        name_of({"a": 1, "b": {"c": 2.5}}, labels, labels[::-1]),
        name_of({"a": 1, "b": {"c": 2.5}}, labels.reshape(1, 5), labels),
    ):
        assert other != one


# -- learners ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_text_model(tmp_path_factory.mktemp("checkpoint") / "bert"))


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learners write at every snapshot."""
    monkeypatch.setattr(learner_module, "Checkpoint", functools.partial(Checkpoint, seconds=0.0))


SCRATCH = {"steps": 20, "batch": 8, "ratio": 2, "dtype": "float32", "device": "cpu"}
LEARNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "transformer": ("transformer", {**SCRATCH, "width": 8, "layers": 1, "method": "uda"}),
    "cnn": ("cnn", {**SCRATCH, "width": 8, "size": 16, "method": "freematch"}),
    "full": ("finetune", {**QUICK, "steps": 20, "method": "fixmatch", "dropout": 0.1}),
    "labels": ("finetune", {**QUICK, "steps": 20, "dropout": None}),
    "lora": ("finetune", {**QUICK, "steps": 20, "adapt": "lora", "rank": 2, "dropout": 0.1}),
    "last": ("finetune", {**QUICK, "steps": 20, "adapt": "last", "method": "flexmatch",
                          "dropout": 0.1}),
    "last-uncached": ("finetune", {**QUICK, "steps": 20, "adapt": "last", "memory": 1e-9,
                                   "method": "mean-teacher"}),
    "stable": ("finetune", {**QUICK, "steps": 60, "stop": "stable", "learning_rate": 3e-3}),
}  # fmt: skip


def fitted(
    which: str, training: Training, bert: str, kill_at: int | None = None, **more: Any
) -> Model:
    """Fit as a new process would."""
    name, options = LEARNERS[which]
    options = {**options, **more}
    if name == "finetune":
        options.setdefault("model", bert)
    shelf_module._last.clear()
    calls = iter(range(-1, 10**6))
    whole = ItemSource.labelled

    def counted(self: ItemSource, rows: np.ndarray) -> Any:
        if next(calls) == kill_at:
            raise Killed
        return whole(self, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ItemSource, "labelled", counted)
        return make(name, options).fit(training, np.random.default_rng(0))


def equal(one: Model, other: Model) -> None:
    mine, theirs = one.arrays(), other.arrays()
    assert set(mine) == set(theirs)
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    assert one.facts() == other.facts()


def training_for(which: str, path: Path | None, labels: int = 12, **more: Any) -> Training:
    items: Any
    items, truth = coloured_texts(40)
    if which == "cnn":
        items = coloured_images(truth)
    return training_of(items, truth, labels, checkpoint=path, **more)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("which", list(LEARNERS))
def test_a_killed_learner_goes_on_to_the_same_model(which: str, bert: str, tmp_path: Path) -> None:
    path = tmp_path / "state"
    whole = fitted(which, training_for(which, None), bert)
    with pytest.raises(Killed):
        fitted(which, training_for(which, path), bert, kill_at=15)
    assert path.exists()
    read: list[bool] = []
    load = Checkpoint.load

    def noted(self: Checkpoint, *given: Any) -> Any:
        found = load(self, *given)
        read.append(found is not None)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "load", noted)
        again = fitted(which, training_for(which, path), bert)
    assert read == [True]
    equal(whole, again)
    assert whole.cost.examples == again.cost.examples
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []
    equal(whole, fitted(which, training_for(which, path), bert))  # and without a kill
    assert not path.exists()


@pytest.mark.usefixtures("always")
def test_a_torn_file_of_a_learner_warns(bert: str, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"torn")
    with pytest.warns(UserWarning, match="state is damaged"):
        again = fitted("full", training_for("full", path), bert)
    equal(fitted("full", training_for("full", None), bert), again)
    assert not path.exists()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "changed",
    ["labels", "usable", "items", "names", "model", "max_length", "learning_rate", "method"],
)
def test_a_file_of_another_learner_is_not_used(changed: str, bert: str, tmp_path: Path) -> None:
    """What decides a training names it: else two half trainings make one model."""
    path = tmp_path / "state"
    named = ("red", "green", "blue")
    options: dict[str, Any] = {"head": "names"}
    before = training_for("full", path, names=named, usable=np.arange(40) != 39)
    with pytest.raises(Killed):
        fitted("full", before, bert, kill_at=15, **options)
    after = before
    if changed == "labels":
        after = replace(after, labels=after.labels[::-1].copy())
    elif changed == "usable":
        after = replace(after, usable=np.arange(40) != 38)
    elif changed == "items":
        after = replace(after, items=coloured_texts(40, seed=8)[0])
    elif changed == "names":
        after = replace(after, names=named[::-1])
    elif changed == "model":
        options["model"] = str(save_text_model(tmp_path / "other", seed=5))
    else:
        options[changed] = {"max_length": 5, "learning_rate": 1e-4, "method": "uda"}[changed]
    wanted = fitted("full", replace(after, checkpoint=None), bert, **options)
    equal(wanted, fitted("full", after, bert, **options))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(("which", "option"), [("transformer", "width"), ("cnn", "size")])
def test_a_file_of_another_network_is_not_used(
    which: str, option: str, bert: str, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    with pytest.raises(Killed):
        fitted(which, training_for(which, path), bert, kill_at=15)
    wanted = fitted(which, training_for(which, None), bert, **{option: 24})
    equal(wanted, fitted(which, training_for(which, path), bert, **{option: 24}))
