"""What a training of a network really gets: views of items, rates, weights, and number formats.

Trainings are watched from inside: the batches that enter the network are turned back into words and
pixels, and the optimiser and the losses are recorded. No test asks only whether two results differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import (
    QUICK,
    SPECIAL,
    WORDS,
    coloured_images,
    save_image_model,
    save_text_model,
)

from labeltrain.learners import Training, make
from labeltrain.learners.networks import learner as learner_module
from labeltrain.learners.networks import shelf as shelf_module
from labeltrain.learners.networks.noisy_student import NoisyStudent
from labeltrain.learners.networks.shelf import Shelf
from labeltrain.learners.semi.methods import METHODS

N, LONG, COPIES, STEPS = 33, 20, 3, 12
TUNED: dict[str, Any] = {**QUICK, "steps": STEPS, "batch": 6, "learning_rate": 1e-4}
SCRATCH: dict[str, Any] = {
    "steps": STEPS, "batch": 6, "ratio": 2, "learning_rate": 1e-4, "dtype": "float32",
    "device": "cpu",
}  # fmt: skip
LAST: dict[str, Any] = {"adapt": "last", "layers": 1, "copies": COPIES}
LITE: dict[str, Any] = {**TUNED, "model": "auto", "size": 32, "steps": 6}
#: Learner, its options, and the side of the images; 0: texts.
SETUPS: dict[str, tuple[str, dict[str, Any], int]] = {
    "bert": ("finetune", {**TUNED, "model": "bert"}, 0),
    "bert-lora": ("finetune", {**TUNED, "model": "bert", "adapt": "lora", "steps": 6}, 0),
    "bert-last": ("finetune", {**TUNED, "model": "bert", **LAST, "steps": 24}, 0),
    "bert-last-unkept": ("finetune", {**TUNED, "model": "bert", **LAST, "memory": 1e-9}, 0),
    "transformer": ("transformer", {**SCRATCH, "width": 16, "layers": 1, "max_length": 24}, 0),
    "efficientnet": ("finetune", LITE, 32),
    "efficientnet-last": ("finetune", {**LITE, **LAST, "steps": 20}, 32),
    "dinov2": ("finetune", {**TUNED, "model": "dinov2"}, 16),
    "dinov2-last": ("finetune", {**TUNED, "model": "dinov2", **LAST, "steps": 24}, 16),
    "dinov2-last-unkept": ("finetune", {**TUNED, "model": "dinov2", **LAST, "memory": 1e-9}, 16),
    "cnn": ("cnn", {**SCRATCH, "width": 8, "size": 16}, 16),
}
TEXTS = [name for name, (_, _, side) in SETUPS.items() if not side]
IMAGES = [name for name in SETUPS if name not in TEXTS]
KEPT = [name for name in SETUPS if name.endswith("-last")]
#: Weak views are shifted; elsewhere they are the items.
SHIFTED = [name for name in IMAGES if "-last" not in name]
#: Where strong views are drawn at every step.
LIVE = [name for name in SETUPS if name not in KEPT]


# -- watching a training -----------------------------------------------------------------------


@dataclass
class Pass:
    """One forward pass of the network in a training."""

    role: str
    rows: np.ndarray
    views: list[Any]
    shape: tuple[int, ...]
    averaged: bool
    training: bool
    learns: bool
    dtypes: set[torch.dtype] = field(default_factory=set)
    dropped: list[float] = field(default_factory=list)
    layers: int = 0
    output: Any = None


@dataclass
class Record:
    """All that was seen of one training."""

    training: Training
    network: Any = None
    shelf: Any = None
    passes: list[Pass] = field(default_factory=list)
    groups: list[list[Any]] = field(default_factory=list)
    rates: list[list[tuple[float, float]]] = field(default_factory=list)  # lr, decay of each group
    heads: list[np.ndarray] = field(default_factory=list)  # before the first step and after each
    supervised: list[tuple[Any, Any, Any, float]] = field(default_factory=list)
    losses: list[Any] = field(default_factory=list)  # what the gradient is taken of
    judged: list[np.ndarray] = field(default_factory=list)
    targets: list[tuple[Any, Any]] = field(default_factory=list)
    logits: list[Any] = field(default_factory=list)  # that the loss of unlabelled items gets
    apart: list[Any] = field(default_factory=list)  # losses of unlabelled items
    sources: dict[Any, Any] = field(default_factory=dict)  # view -> row it was made of
    inputs: dict[bytes, Any] = field(default_factory=dict)  # activations below the cut -> view
    model: Any = None

    def of(self, role: str) -> list[Pass]:
        """Return the passes of the steps with views of one kind."""
        wanted = {"labelled": True, "weak": False, "strong": True}[role]
        return [p for p in self.passes if p.role == role and p.learns == wanted]

    def views(self, role: str) -> list[tuple[int, Any]]:
        """Return the position of the item, and the view, that entered the network."""
        pool = self.training.labelled if role == "labelled" else self.training.unlabelled
        return [
            (int(pool[row]), view)
            for p in self.of(role)
            for row, view in zip(p.rows, p.views, strict=True)
        ]


class Watched:
    """A source of views that tells what was asked of it."""

    def __init__(self, source: Any, asked: list[tuple[str, np.ndarray, Any]]) -> None:
        self._source, self._asked = source, asked

    def __getattr__(self, role: str) -> Callable[[np.ndarray], Any]:
        def get(rows: np.ndarray) -> Any:
            batch = getattr(self._source, role)(rows)
            self._asked.append((role, np.array(rows), batch))
            return batch

        return get


def decoded(record: Record, batch: Any) -> list[Any]:
    """Return what a batch shows: a tuple of words or pixels as bytes, for each item."""
    if isinstance(batch, dict) and "states" in batch:
        return [record.inputs[key] for key in keys_of(batch)]
    if isinstance(batch, dict) and "input_ids" in batch:
        vocabulary = [*SPECIAL, *WORDS]
        lines = []
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            words = [vocabulary[i] for i in ids[mask.bool()].tolist()]
            assert (words[0], words[-1]) == ("[CLS]", "[SEP]")
            lines.append(tuple(words[1:-1]))
        return lines
    if isinstance(batch, dict):
        return rgb((batch["pixel_values"] * 0.5 + 0.5) * 255.0)
    if batch.dtype == torch.int64:
        names = ["", "?", *record.shelf.backbone.facts()["words"]]
        return [tuple(names[code] for code in line if code) for line in batch.tolist()]
    return rgb(batch * 128.0 + 127.0)


def rgb(values: Any) -> list[bytes]:
    return [one.tobytes() for one in values.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()]


def keys_of(states: dict[str, Any]) -> list[bytes]:
    """Return the bits of the activations of each item, without padding."""
    masks = states.get("attention_mask", [None] * len(states["states"]))
    return [
        (one if mask is None else one[mask.bool()]).contiguous().numpy().tobytes()
        for one, mask in zip(states["states"], masks, strict=True)
    ]


def watched(learner: Any, training: Training, seed: int = 0) -> Record:
    """Train, and return all that was seen of it."""
    record = Record(training)
    asked: list[tuple[str, np.ndarray, Any]] = []
    current: list[Pass] = []
    train, begin = learner_module.train, Shelf.__init__  # type: ignore[attr-defined]
    entropy = torch.nn.functional.cross_entropy
    attention = torch.nn.functional.scaled_dot_product_attention
    backward = torch.Tensor.backward

    def entered(module: Any, given: Any) -> None:
        found = next((a for a in asked if a[2] is given[0]), None)
        if found is None:  # predictions outside the steps
            return
        batch = given[0]
        tensor = batch if torch.is_tensor(batch) else next(iter(batch.values()))
        current[:] = [
            Pass(
                found[0], found[1], decoded(record, batch), tuple(tensor.shape),
                module is not record.network, module.training, torch.is_grad_enabled(),
            )
        ]  # fmt: skip
        record.passes += current

    def left(module: Any, given: Any, output: Any) -> None:
        if current:
            current[0].output = output.detach().clone()
        current.clear()

    def leaf(module: Any, given: Any, output: Any) -> None:
        if not current:
            return
        if isinstance(module, torch.nn.Dropout):
            there = given[0] != 0
            lost = (output == 0) & there
            current[0].dropped.append(float(lost.sum()) / max(1, int(there.sum())))
        else:
            current[0].dtypes.add(output.dtype)

    def layer(module: Any, given: Any, output: Any) -> None:
        if current:
            current[0].layers += 1

    def watched_train(network: Any, source: Any, *rest: Any, **named: Any) -> Any:
        record.network = network
        record.heads.append(network.head.weight.detach().numpy().copy())
        network.register_forward_pre_hook(entered)
        network.register_forward_hook(left)
        for module in network.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv2d | torch.nn.Dropout):
                module.register_forward_hook(leaf)
            if type(module).__name__ in ("BertLayer", "TransformerEncoderLayer", "Dinov2Layer"):
                module.register_forward_hook(layer)
            if hasattr(module, "residual"):
                module.register_forward_hook(layer)
        return train(network, Watched(source, asked), *rest, **named)

    def watched_shelf(self: Any, backbone: Any, below: Any, *rest: Any, **named: Any) -> None:
        begin(self, backbone, below, *rest, **named)
        record.shelf = self
        view = backbone.view

        def watched_view(row: np.ndarray, *more: Any) -> np.ndarray:
            made = view(row, *more)
            record.sources[made.tobytes()] = row.tobytes()
            return made

        def kept(module: Any, given: Any, output: Any) -> None:
            record.inputs.update(zip(keys_of(output), decoded(record, given[0]), strict=True))

        backbone.view = watched_view
        if below is not None:
            below.register_forward_hook(kept)

    class Optimiser(torch.optim.AdamW):  # type: ignore[misc]
        """Tells its rates and what they do to the head."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            record.groups = [list(group["params"]) for group in self.param_groups]

        def step(self, closure: Any = None) -> Any:
            record.rates.append([(g["lr"], g["weight_decay"]) for g in self.param_groups])
            done = super().step(closure)
            record.heads.append(record.network.head.weight.detach().numpy().copy())
            return done

    def watched_entropy(logits: Any, targets: Any, weight: Any = None, **named: Any) -> Any:
        made = entropy(logits, targets, weight=weight, **named)
        record.supervised.append((logits.detach().clone(), targets, weight, float(made.detach())))
        return made

    def watched_attention(*given: Any, **named: Any) -> Any:
        if current:
            current[0].dropped.append(named.get("dropout_p", given[4] if len(given) > 4 else 0.0))
        return attention(*given, **named)

    def watched_backward(self: Any, *given: Any, **named: Any) -> Any:
        record.losses.append(self.detach().clone())
        return backward(self, *given, **named)

    shelf_module._last.clear()
    with pytest.MonkeyPatch.context() as patch:
        methods: dict[str, Any] = {**METHODS, NoisyStudent.name: NoisyStudent}
        method = methods.get(learner.options.method)
        if method is not None:
            targets, losses = method.targets, method.losses

            def watched_targets(self: Any, batch: Any) -> Any:
                if batch.weak is not None:
                    assert batch.weak.dtype == torch.float32
                    record.judged.append(batch.weak.numpy().copy())
                record.targets.append(targets(self, batch))
                return record.targets[-1]

            def watched_losses(self: Any, logits: Any, wanted: Any) -> Any:
                made = losses(self, logits, wanted)
                record.logits.append(logits.detach().clone())
                record.apart.append(made.detach().clone())
                return made

            patch.setattr(method, "targets", watched_targets)
            patch.setattr(method, "losses", watched_losses)
        patch.setattr(learner_module, "train", watched_train)
        patch.setattr(Shelf, "__init__", watched_shelf)
        patch.setattr(torch.optim, "AdamW", Optimiser)
        patch.setattr(torch.nn.functional, "cross_entropy", watched_entropy)
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched_attention)
        patch.setattr(torch.Tensor, "backward", watched_backward)
        record.model = learner.fit(training, np.random.default_rng(seed))
    shelf_module._last.clear()
    assert record.model.facts()["rollbacks"] == 0
    assert len(record.rates) == learner.options.steps
    return record


# -- items -------------------------------------------------------------------------------------


def pool(side: int, n: int = N, labels: int = 9, unequal: bool = False) -> Training:
    """Return texts of 20 different words, or images; labels are no first rows and not in order."""
    rng = np.random.default_rng(7)
    truth = np.arange(n) % 3
    if side:
        items: Any = coloured_images(truth, side)
    else:
        items = [" ".join(rng.permutation(WORDS[:36])[:LONG]) for _ in range(n)]
    rows = rng.permutation(n - 6)
    if unequal:
        rows = np.concatenate([rows[truth[rows] == 0][:5], rows[truth[rows] > 0][: labels - 5]])
    usable = np.ones(n, dtype=bool)
    usable[rng.permutation(np.arange(n - 6, n))[:3]] = False
    rows = rows[:labels]
    features = np.eye(3, dtype=np.float32)[truth] + rng.normal(0, 0.1, (n, 3)).astype(np.float32)
    return Training(features, rows, truth[rows], 3, items=items, usable=usable)


def shown(training: Training, position: int) -> Any:
    """Return an item as it is seen without any change."""
    item = training.items[position]
    return tuple(item.split()) if isinstance(item, str) else item.tobytes()


def shifts(training: Training) -> dict[bytes, tuple[int, int, int]]:
    """Return every image shifted by up to an eighth of its side: item, across and down."""
    side = training.items.shape[1]
    pad = side // 8
    found = {}
    for number, image in enumerate(training.items):
        whole = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), "edge")
        for down in range(2 * pad + 1):
            for across in range(2 * pad + 1):
                part = whole[down : down + side, across : across + side]
                found[part.tobytes()] = (number, pad - across, pad - down)
    assert len(found) == len(training.items) * (2 * pad + 1) ** 2
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("views")
    return {
        "bert": str(save_text_model(folder / "bert")),
        "dinov2": str(save_image_model(folder / "dinov2", "Dinov2")),
    }


@pytest.fixture(scope="module")
def run(models: dict[str, str]) -> Callable[..., Record]:
    """Watch the training of a setup, with other options where given; each is run once."""
    done: dict[str, Record] = {}

    def get(name: str, *, seed: int = 0, on: Training | None = None, **options: Any) -> Record:
        learner, mine, side = SETUPS[name]
        everything = {
            "method": "fixmatch", "method_options": {"threshold": 0.0}, **mine, **options
        }  # fmt: skip
        if everything["method"] != "fixmatch" and "method_options" not in options:
            del everything["method_options"]
        if "model" in everything:
            everything["model"] = models.get(everything["model"], everything["model"])
        key = repr((name, seed, sorted(everything.items())))
        if on is not None:
            return watched(make(learner, everything), on, seed)
        if key not in done:
            done[key] = watched(make(learner, everything), pool(side), seed)
        return done[key]

    return get


Run = Callable[..., Record]


# -- which views enter the network -------------------------------------------------------------


@pytest.mark.parametrize("name", list(SETUPS))
def test_a_step_learns_labelled_and_strong_views_and_judges_weak_ones(name: str, run: Run) -> None:
    record = run(name)
    steps = [p for p in record.passes if p.learns or p.role != "labelled"]
    assert [p.role for p in steps] == ["labelled", "weak", "strong"] * len(record.rates)
    for p in steps:
        assert p.training == p.learns == (p.role != "weak")
        assert not p.averaged
        assert len(p.views) == (6 if p.role == "labelled" else 12)
    for weak, strong in zip(record.of("weak"), record.of("strong"), strict=True):
        np.testing.assert_array_equal(weak.rows, strong.rows)


@pytest.mark.parametrize("name", list(SETUPS))
def test_labelled_items_are_learned_with_their_own_labels(name: str, run: Run) -> None:
    record = run(name)
    truth = dict(
        zip(record.training.labelled.tolist(), record.training.labels.tolist(), strict=True)
    )
    table = {shown(record.training, p): p for p in range(N)}
    if name in SHIFTED:
        table = {view: found[0] for view, found in shifts(record.training).items()}
    passes = record.of("labelled")
    assert len(record.supervised) == len(passes)
    for p, (_, codes, _, _) in zip(passes, record.supervised, strict=True):
        assert [truth[table[view]] for view in p.views] == codes.tolist()
    assert {p for p, _ in record.views("labelled")} == set(truth)


@pytest.mark.parametrize("role", ["labelled", "weak"])
@pytest.mark.parametrize("name", [name for name in SETUPS if name not in SHIFTED])
def test_weak_views_of_texts_and_above_a_cut_are_the_items(name: str, role: str, run: Run) -> None:
    record = run(name)
    for position, view in record.views(role):
        assert view == shown(record.training, position)


@pytest.mark.parametrize("role", ["labelled", "weak"])
@pytest.mark.parametrize("name", SHIFTED)
def test_weak_views_of_images_are_shifts_drawn_at_every_step(
    name: str, role: str, run: Run
) -> None:
    record = run(name)
    table = shifts(record.training)
    views = record.views(role)
    found = [table[view] for _, view in views]
    assert [item for item, _, _ in found] == [position for position, _ in views]
    values = 2 * (SETUPS[name][2] // 8) + 1
    for axis in (1, 2):
        assert len({one[axis] for one in found}) > 0.7 * values
    assert len(set(views)) > 0.6 * len(views)


@pytest.mark.parametrize("name", TEXTS)
def test_strong_views_of_texts_leave_out_two_words_in_five(name: str, run: Run) -> None:
    record = run(name)
    for position, view in record.views("strong"):
        words = iter(shown(record.training, position))
        assert all(word in words for word in view)  # in their order
    left = [len(view) / LONG for _, view in record.views("strong")]
    assert np.mean(left) == pytest.approx(0.6, abs=0.03)
    assert max(left) < 0.75


@pytest.mark.parametrize("name", IMAGES)
def test_strong_views_of_images_are_changed_and_have_a_grey_square(name: str, run: Run) -> None:
    record = run(name)
    side = SETUPS[name][2]
    pad = side // 8
    grey, changed = [], []
    views = record.views("strong")
    for position, view in views:
        assert record.sources[view] == shown(record.training, position)
    for position, view in sorted(set(views)):
        pixels = np.frombuffer(view, np.uint8).reshape(side, side, 3)
        seen = (pixels != 127).any(axis=2)
        grey.append(not seen.all())
        image = np.pad(record.training.items[position], ((pad, pad), (pad, pad), (0, 0)), "edge")
        every = np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(0, 1))
        same = (every.transpose(0, 1, 3, 4, 2)[:, :, seen] == pixels[seen]).all(axis=(2, 3))
        changed.append(not same.any())
    assert np.mean(grey) > 0.85  # RandAugment alone leaves such pixels in two of three
    assert np.mean(changed) > 0.9


@pytest.mark.parametrize("name", LIVE)
def test_live_strong_views_are_drawn_anew_at_every_step(name: str, run: Run) -> None:
    views = run(name).views("strong")
    assert len(set(views)) > 0.9 * len(views)


@pytest.mark.parametrize("name", KEPT)
def test_kept_strong_views_are_so_many_different_ones_of_each_item(name: str, run: Run) -> None:
    record = run(name)
    views: dict[int, list[Any]] = {}
    for position, view in record.views("strong"):
        views.setdefault(position, []).append(view)
    assert sorted(views) == record.training.unlabelled.tolist()
    assert max(len(set(some)) for some in views.values()) == COPIES
    assert np.mean([len(set(some)) for some in views.values()]) > 0.9 * COPIES
    shares = [some.count(view) / len(some) for some in views.values() for view in set(some)]
    assert max(shares) < 0.95  # drawn, not the first one for ever
    one = run(name, copies=1).views("strong")
    assert len(set(one)) == len({position for position, _ in one})


@pytest.mark.parametrize("name", ["bert-last", "dinov2-last"])
def test_kept_strong_views_are_those_of_every_seed(name: str, run: Run) -> None:
    one, other = (run(name, seed=seed, ratio=4, steps=20) for seed in (0, 1))
    assert set(one.views("strong")) == set(other.views("strong"))
    assert one.views("strong") != other.views("strong")


@pytest.mark.parametrize("name", ["bert", "bert-last", "transformer", "cnn"])
def test_the_same_seed_gives_the_same_views(name: str, run: Run) -> None:
    training = pool(SETUPS[name][2])
    one, again, other = (run(name, seed=seed, on=training, steps=4) for seed in (0, 0, 1))
    for role in ("labelled", "weak", "strong"):
        assert one.views(role) == again.views(role)
        assert one.views(role) != other.views(role)


@pytest.mark.parametrize("name", ["bert", "bert-last", "cnn"])
def test_items_that_may_not_be_used_are_never_views(name: str, run: Run) -> None:
    record = run(name)
    hidden = np.flatnonzero(~record.training.usable)  # type: ignore[operator]
    used = {
        position for role in ("labelled", "weak", "strong") for position, _ in record.views(role)
    }
    assert used == set(range(N)) - set(hidden.tolist())


@pytest.mark.parametrize("name", ["bert", "bert-last", "cnn", "transformer"])
def test_without_a_method_no_unlabelled_item_is_run(name: str, run: Run) -> None:
    record = run(name, steps=4, method="none")
    assert {p.role for p in record.passes} == {"labelled"}
    assert len(record.of("labelled")) == len(record.rates)


@pytest.mark.parametrize("name", ["bert", "bert-last", "cnn"])
def test_pseudo_label_learns_the_weak_views_that_it_judged(name: str, run: Run) -> None:
    record = run(name, steps=4, method="pseudo-label", method_options={"threshold": 0.0})
    steps = [p for p in record.passes if p.learns or p.role != "labelled"]
    assert [(p.role, p.learns) for p in steps[:3]] == [
        ("labelled", True), ("weak", False), ("weak", True),
    ]  # fmt: skip
    for judged, learned in zip(steps[1::3], steps[2::3], strict=True):
        assert judged.views == learned.views


@pytest.mark.parametrize("name", ["bert", "bert-last", "cnn"])
def test_a_mean_teacher_judges_with_the_averaged_network(name: str, run: Run) -> None:
    record = run(name, steps=4, method="mean-teacher")
    assert all(p.averaged and not p.training for p in record.of("weak"))
    assert not any(p.averaged or not p.training for p in record.of("strong"))


@pytest.mark.parametrize("name", ["bert", "bert-last", "dinov2"])
def test_a_noisy_student_learns_strong_views_with_the_labels_of_their_items(
    name: str, run: Run
) -> None:
    record = run(name, steps=4, method="noisy-student", method_options={"teacher": "linear"})
    assert not record.of("weak")
    for p, (targets, _) in zip(record.of("strong"), record.targets, strict=True):
        wanted = record.training.unlabelled[p.rows] % 3  # what the features tell
        assert targets.argmax(dim=1).tolist() == wanted.tolist()
    for position, view in record.views("strong"):
        if name in TEXTS:
            assert len(view) == 12
            assert set(view) <= set(shown(record.training, position))
        else:
            assert record.sources[view] == shown(record.training, position)


# -- what the optimiser gets -------------------------------------------------------------------


def trained_by(record: Record) -> tuple[int, int]:
    """Return which group trains the head, and which the body."""
    head = {id(p) for p in record.network.head.parameters()}
    every = [{id(p) for p in group} for group in record.groups]
    number = next(i for i, group in enumerate(every) if group & head)
    assert every[number] == head
    body = {id(p) for p in record.network.parameters() if p.requires_grad} - head
    assert every[1 - number] == body
    assert len(every) == 2
    return number, 1 - number


@pytest.mark.parametrize("name", [name for name in SETUPS if SETUPS[name][0] == "finetune"])
def test_the_head_has_ten_times_the_rate_of_the_body(name: str, run: Run) -> None:
    record = run(name)
    head, body = trained_by(record)
    for rates in record.rates[:-1]:
        assert rates[body][0] > 0.0
        assert rates[head][0] == pytest.approx(10.0 * rates[body][0])


@pytest.mark.parametrize("name", ["bert", "bert-lora", "bert-last", "dinov2-last"])
@pytest.mark.parametrize("factor", [0.0, 3.0])
def test_the_head_has_the_rate_that_was_asked(name: str, factor: float, run: Run) -> None:
    record = run(name, head_rate=factor, steps=2, method="none")
    head, body = trained_by(record)
    for rates in record.rates[:-1]:
        assert rates[body][0] > 0.0
        assert rates[head][0] == pytest.approx(factor * rates[body][0])


@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_from_scratch_the_head_has_the_rate_of_the_body(name: str, run: Run) -> None:
    record = run(name)
    trained_by(record)
    assert all(one == other for one, other in record.rates)
    assert record.rates[1][0][0] > 0.0


@pytest.mark.parametrize(
    ("name", "warmup"), [("bert", 0.0), ("bert", 0.25), ("bert-last", 0.5), ("dinov2-last", 1.0)]
)
def test_the_rate_rises_over_the_warmup_and_falls_along_a_cosine(
    name: str, warmup: float, run: Run
) -> None:
    record = run(name, warmup=warmup, learning_rate=2e-4, method="none", steps=STEPS)
    _, body = trained_by(record)
    steps = np.arange(STEPS)
    fall = 0.5 * (1.0 + np.cos(np.pi * steps / (STEPS - 1)))
    rise = np.minimum(1.0, (steps + 1) / (warmup * STEPS)) if warmup else np.ones(STEPS)
    np.testing.assert_allclose([rates[body][0] for rates in record.rates], 2e-4 * rise * fall)


@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_the_rate_is_the_one_asked_for(name: str, run: Run) -> None:
    record = run(name, learning_rate=3e-4, steps=20, batch=2, ratio=1, method="none")
    rates = np.array([max(lr for lr, _ in some) for some in record.rates])
    assert 0.95 * 3e-4 < rates.max() <= 3e-4
    assert rates[0] < 0.6 * rates[1]  # a tenth of the steps rises
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["bert", "bert-lora", "bert-last", "cnn"])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_weight_decay_is_that_of_all_groups(name: str, decay: float, run: Run) -> None:
    record = run(name, weight_decay=decay, method="none", steps=2)
    assert {found for rates in record.rates for _, found in rates} == {decay}


@pytest.mark.parametrize(
    ("name", "average"),
    [
        *((name, None) for name in ("bert", "bert-lora", "bert-last", "cnn", "transformer")),
        *((name, decay) for name in ("bert-last", "cnn", "transformer") for decay in (0.0, 0.3)),
    ],
)
def test_the_average_of_the_weights_predicts(name: str, average: float | None, run: Run) -> None:
    record = run(name) if average is None else run(name, average=average, method="none", steps=8)
    average = 0.98 if average is None else average
    wanted = record.heads[0].astype(np.float64)
    for step, head in enumerate(record.heads[1:]):
        decay = min(average, (1 + step) / (10 + step))  # follows faster at first
        wanted = decay * wanted + (1.0 - decay) * head
    assert np.abs(record.heads[-1] - record.heads[0]).max() > 1e-4
    np.testing.assert_allclose(record.model.head[0], wanted, atol=1e-6)
    if average == 0.0:
        np.testing.assert_array_equal(record.model.head[0], record.heads[-1])


# -- what the losses get -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bert", "bert-last", "cnn", "transformer"])
@pytest.mark.parametrize(
    ("method", "weight", "wanted"),
    [("fixmatch", None, 1.0), ("fixmatch", 2.5, 2.5), ("mean-teacher", None, 10.0)],
)
def test_the_loss_is_the_sum_of_both_with_its_weight(
    name: str, method: str, weight: float | None, wanted: float, run: Run
) -> None:
    record = run(name, method=method, weight=weight, steps=4)
    assert len(record.losses) == len(record.supervised) == len(record.apart) == 4
    for step, loss in enumerate(record.losses):
        _, weights = record.targets[step]
        apart = float((weights * record.apart[step]).mean())
        assert float(loss) == pytest.approx(record.supervised[step][3] + wanted * apart, rel=1e-4)
    assert float(record.apart[-1].sum()) > 0.0


@pytest.mark.parametrize("name", ["bert", "bert-last", "cnn"])
def test_without_a_weight_unlabelled_items_are_not_run(name: str, run: Run) -> None:
    assert {p.role for p in run(name, weight=0.0, steps=3).passes} == {"labelled"}


@pytest.mark.parametrize("name", ["bert", "bert-last", "cnn", "transformer"])
def test_losses_are_taken_of_what_the_network_says_of_these_views(name: str, run: Run) -> None:
    record = run(name)
    for role, found in (
        ("labelled", [logits for logits, _, _, _ in record.supervised]), ("strong", record.logits)
    ):  # fmt: skip
        for p, logits in zip(record.of(role), found, strict=True):
            assert torch.equal(p.output, logits)
    for p, judged, (targets, weights) in zip(
        record.of("weak"), record.judged, record.targets, strict=True
    ):
        np.testing.assert_allclose(judged, p.output.softmax(dim=1).numpy(), atol=1e-6)
        assert targets.argmax(dim=1).tolist() == judged.argmax(axis=1).tolist()
        assert (weights == 1.0).all()


def test_options_of_a_method_reach_it(run: Run) -> None:
    record = run("bert", method_options={"threshold": 0.6}, head="zeros", steps=4)
    for judged, (_, weights) in zip(record.judged, record.targets, strict=True):
        np.testing.assert_array_equal(weights.numpy(), judged.max(axis=1) >= 0.6)
    assert not record.targets[0][1].any()  # a head of zeros is sure of nothing


@pytest.mark.parametrize("name", ["bert-last", "cnn", "transformer"])
@pytest.mark.parametrize("alignment", ["auto", "none", "uniform", "labels"])
def test_predictions_are_aligned_with_what_was_asked(name: str, alignment: str, run: Run) -> None:
    training = pool(SETUPS[name][2], unequal=True)
    counts = np.bincount(training.labels, minlength=3)
    assert counts.max() == 5
    record = run(name, on=training, alignment=alignment, steps=3)
    mean = np.full(3, 1 / 3)
    share = np.full(3, 1 / 3) if alignment == "uniform" else (counts + 1) / (counts + 1).sum()
    for p, judged in zip(record.of("weak"), record.judged, strict=True):
        wanted = p.output.softmax(dim=1).numpy()
        if alignment in ("uniform", "labels"):  # fixmatch itself aligns nothing
            mean = 0.97 * mean + 0.03 * wanted.mean(axis=0)
            wanted = wanted * share / mean
            wanted /= wanted.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(judged, wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["bert-last", "cnn", "transformer"])
@pytest.mark.parametrize("how", ["none", "balanced"])
def test_classes_have_the_weight_that_was_asked(name: str, how: str, run: Run) -> None:
    training = pool(SETUPS[name][2], unequal=True)
    record = run(name, on=training, class_weight=how, method="none", steps=3)
    counts = np.bincount(training.labels, minlength=3)
    weights = np.ones(3) if how == "none" else 9 / (3 * counts)
    for (logits, codes, _, _), loss in zip(record.supervised, record.losses, strict=True):
        each = -logits.log_softmax(dim=1).numpy()[np.arange(6), codes.numpy()]
        mine = weights[codes.numpy()]
        assert float(loss) == pytest.approx((mine * each).sum() / mine.sum(), rel=1e-4)


# -- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bert", "bert-last", "bert-last-unkept", "cnn", "transformer"])
@pytest.mark.parametrize(("batch", "ratio"), [(4, 3), (7, 1)])
def test_batches_have_the_sizes_that_were_asked(
    name: str, batch: int, ratio: int, run: Run
) -> None:
    record = run(name, batch=batch, ratio=ratio, steps=2)
    assert [len(p.views) for p in record.of("labelled")] == [batch] * 2
    for role in ("weak", "strong"):
        passes = record.of(role)
        assert [len(p.views) for p in passes] == [batch * ratio] * 2
        assert all(len(set(p.rows.tolist())) == batch * ratio for p in passes)


@pytest.mark.parametrize(("sample", "least", "most"), [(5, 5, 64), (4096, 138, 138)])
def test_kept_views_are_those_of_a_sample(sample: int, least: int, most: int, run: Run) -> None:
    training = pool(0, 150)
    record = run("bert-last", on=training, sample=sample, steps=20, copies=1, batch=8)
    for role in ("weak", "strong"):  # every item has its own words
        used = {view for p in record.of(role) for view in p.views}
        assert least <= len(used) <= most
    whole = {shown(training, p): p for p in range(150)}
    for weak, strong in zip(record.of("weak"), record.of("strong"), strict=True):
        for item, view in zip(weak.views, strong.views, strict=True):
            assert whole[item] in training.unlabelled
            assert set(view) <= set(item)


@pytest.mark.parametrize(
    ("name", "dropout"), [("bert", 0.0), ("bert", 0.4), ("bert", None), ("transformer", None)]
)
def test_dropout_is_on_where_the_network_learns_and_off_where_it_judges(
    name: str, dropout: float | None, run: Run
) -> None:
    more = {} if name == "transformer" else {"dropout": dropout}  # or it is part of the network
    record = run(name, steps=6, **more)
    wanted = 0.1 if dropout is None else dropout  # what the models say of themselves
    for p in record.of("labelled") + record.of("strong"):
        assert len(p.dropped) > 3
        assert np.allclose(p.dropped, wanted, atol=0.06)
    found = [share for p in record.of("strong") for share in p.dropped]
    assert np.mean(found) == pytest.approx(wanted, abs=0.01)
    assert not any(share for p in record.of("weak") for share in p.dropped)


@pytest.mark.parametrize("rank", [1, 3])
def test_adapters_have_the_rank_that_was_asked(rank: int, run: Run) -> None:
    record = run("bert-lora", rank=rank, steps=2)
    _, body = trained_by(record)
    shapes = [tuple(p.shape) for p in record.groups[body]]
    assert len(shapes) == 2 * 3 * 6  # two beside each of six maps in three layers
    assert all(min(shape) == rank for shape in shapes)


@pytest.mark.parametrize(("name", "there"), [("bert", 3), ("dinov2", 3), ("efficientnet", 16)])
def test_so_many_last_layers_are_trained_as_were_asked(name: str, there: int, run: Run) -> None:
    whole = run(name)
    one = run(f"{name}-last")
    two = run(f"{name}-last", layers=2, steps=2, method="none")
    found = [{p.layers for p in record.passes} for record in (one, two, whole)]
    assert found == [{1}, {2}, {there}]
    sizes = [len(record.groups[trained_by(record)[1]]) for record in (one, two, whole)]
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("layers", [1, 2])
def test_a_transformer_has_the_layers_and_the_width_that_were_asked(layers: int, run: Run) -> None:
    record = run("transformer", layers=layers, width=8 * layers, vocabulary=30, steps=2)
    assert {p.layers for p in record.passes if p.learns} == {layers}
    assert record.network.head.in_features == 8 * layers
    assert record.network.trained.words.weight.shape == (32, 8 * layers)


@pytest.mark.parametrize("name", ["bert", "bert-last", "transformer"])
@pytest.mark.parametrize("longest", [6, 12])
def test_texts_are_cut_after_the_length_that_was_asked(name: str, longest: int, run: Run) -> None:
    record = run(name, max_length=longest, steps=2)
    words = longest if name == "transformer" else longest - 2
    for role in ("labelled", "weak"):
        assert all(p.shape[:2] == (len(p.views), longest) for p in record.of(role))
        for position, view in record.views(role):
            assert view == shown(record.training, position)[:words]
    assert all(p.shape[1] < longest for p in record.of("strong"))


@pytest.mark.parametrize(("name", "sizes"), [("cnn", (8, 24)), ("efficientnet", (32, 64))])
def test_images_have_the_side_that_was_asked(name: str, sizes: tuple[int, int], run: Run) -> None:
    for size in sizes:
        record = run(name, size=size, steps=1, method="none")
        assert {p.shape[1:] for p in record.passes} == {(3, size, size)}


def test_a_cnn_has_the_width_that_was_asked(run: Run) -> None:
    record = run("cnn", width=16, steps=2)
    assert record.network.trained[0].out_channels == 16
    assert record.network.head.in_features == 8 * 16


# -- number formats ----------------------------------------------------------------------------

PRECISE = ["bert", "bert-lora", "bert-last", "transformer", "dinov2", "efficientnet-last", "cnn"]


def formats(record: Record) -> set[torch.dtype]:
    """Return the format of activations in steps, after checks of what must stay float32."""
    steps = [p for p in record.passes if p.learns or p.role != "labelled"]
    assert {p.role for p in steps} == {"labelled", "weak", "strong"}
    assert all(p.dtypes for p in steps)
    assert all(logits.dtype == torch.float32 for logits, _, _, _ in record.supervised)
    assert all(logits.dtype == torch.float32 for logits in record.logits)
    assert all(some.dtype == torch.float32 for some in (*record.apart, *record.losses))
    assert all(targets.dtype == torch.float32 for targets, _ in record.targets)
    assert all(p.dtype == torch.float32 for p in record.network.parameters())
    assert all(a.dtype == np.float32 for n, a in record.model.arrays().items() if n != "seen")
    every = {frozenset(p.dtypes) for p in steps}
    assert len(every) == 1, every
    return set(every.pop())


@pytest.mark.parametrize(
    ("name", "method"),
    [*((name, "fixmatch") for name in PRECISE), ("bert", "mean-teacher"), ("cnn", "mean-teacher")],
)
def test_bfloat16_is_that_of_every_pass_of_a_step(name: str, method: str, run: Run) -> None:
    record = run(name, dtype="bfloat16", steps=2, method=method)
    assert formats(record) == {torch.bfloat16}
    assert formats(run(name)) == {torch.float32}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", ["bert", "bert-last", "transformer", "cnn"])
def test_auto_takes_bfloat16_where_the_processor_multiplies_it(
    name: str, there: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: there, raising=False)
    record = run(name, dtype="auto", steps=2, on=pool(SETUPS[name][2]))
    assert formats(record) == {torch.bfloat16 if there else torch.float32}


def test_auto_takes_bfloat16_where_the_gpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    options = make("cnn", {"dtype": "auto"}).options  # type: ignore[attr-defined]
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda there=there: there)
        monkeypatch.setattr(
            torch.cpu, "_is_amx_tile_supported", lambda there=there: not there, raising=False
        )
        assert options.mixed(torch, "cuda") is there
        assert options.mixed(torch, "cpu") is not there
