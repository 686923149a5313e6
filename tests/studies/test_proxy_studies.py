"""Studies with an expensive learner at the end: spec, ledger of costs, report, resume."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.cli.report import numbers
from labeltrain.errors import BadInput
from labeltrain.learners.base import Cost
from labeltrain.learners.linear import LinearModel
from labeltrain.learners.mlp import MLP as Perceptron
from labeltrain.metrics import CostLedger
from labeltrain.report import write
from labeltrain.report.words import cost_sentence
from labeltrain.studies import read_results
from labeltrain.studies.spec import StudySpec, parse_spec

SMALL: dict[str, Any] = {
    "dataset": "digits", "strategies": "random,margin", "rounds": 2, "batch": 10, "seeds": 2,
}  # fmt: skip
MLP = {"learner": "mlp", "learner_options": {"steps": 10, "width": 8}}


def test_the_expensive_learner_is_an_experiment_of_its_own(tmp_path: Path) -> None:
    results = labeltrain.run(**SMALL, final={**MLP, "at": [20, 30]}, workspace=tmp_path / "w")
    assert [e.name for e in results.experiments] == ["digits", "digits, final mlp"]
    last = [c for c in results.curves if c.experiment == "digits, final mlp"]
    assert len(last) == 4
    assert all(c.labels.tolist() == [20, 30] and c.complete for c in last)
    assert results.experiments[1].learner == "mlp"
    html = write(results, tmp_path).html.read_text(encoding="utf-8")
    assert "What 30 labels and the training cost" in html
    assert [c["ratio"] for c in numbers(results)["costs"]] == [c.ratio for c in results.costs]


def test_the_ledger_adds_up_what_the_events_say(tmp_path: Path) -> None:
    results = labeltrain.run(
        **SMALL, final={**MLP, "at": [20, 30], "refresh": True}, workspace=tmp_path / "w"
    )
    with labeltrain.store.Workspace.open(tmp_path / "w", "study", read_only=True) as workspace:
        events = list(workspace.events())
    mine = [e.body for e in events if e.run.startswith("digits/margin/")]
    scored = [b for b in mine if "spent" in b]
    final = [b for b in mine if "budgets" in b]
    renewed = [b for b in final if b["features"]]
    assert (len(scored), len(final), len(renewed)) == (6, 4, 2)
    ledger = next(c for c in results.costs if c.strategy == "margin")
    proxy = sum(b["seconds"]["train"] for b in scored + renewed) / 2
    refresh = sum(b["seconds"]["final"] + b["seconds"]["encode"] for b in renewed) / 2
    last = sum(b["seconds"]["final"] for b in final if b["budgets"] == [30]) / 2
    select = sum(b["seconds"]["select"] for b in scored) / 2
    found = ledger.seconds
    assert found["proxy"] == pytest.approx(proxy)
    assert found["refresh"] == pytest.approx(refresh)
    assert found["final"] == pytest.approx(last)
    assert found["select"] == pytest.approx(select)
    assert ledger.cache == "empty"  # raw features are never cached
    assert ledger.ratio_from_cache == pytest.approx(ledger.ratio)
    whole = found["encode"] + proxy + select + refresh + last
    assert ledger.ratio == pytest.approx(whole / last)
    pool, test = (results.experiments[0].pool_size, results.experiments[0].test_size)
    assert ledger.examples["encode"] == pool
    # Three rounds and the last training are scored; the pool is predicted for the choice of two
    # rounds, and after the last round for its own score; test items were encoded once.
    assert ledger.examples["select"] == 2 * pool
    assert ledger.examples["evaluate"] == (3 + 1 + 1) * test + pool
    encoded = next(e.body for e in events if e.kind == "encoded")
    assert found["encode"] == pytest.approx(encoded["seconds"] * pool / (pool + test))
    assert ledger.examples["final"] == 10 * 64


def test_examples_and_seconds_without_a_final_training_give_no_ratio() -> None:
    ledger = CostLedger("e", "s", "mlp", 10, 1, {"encode": 1.0}, {})
    assert np.isnan(ledger.ratio)


def test_a_finished_study_without_its_final_trainings_goes_on(tmp_path: Path) -> None:
    from labeltrain.studies import runner

    folder = tmp_path / "w"
    spec = parse_spec({**SMALL, "final": MLP})
    whole = labeltrain.run(spec, workspace=tmp_path / "whole")

    def kill(self: Any, due: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labeltrain.loop.trajectory.Trajectory._finish", kill)
        with pytest.raises(KeyboardInterrupt):
            runner.run_study(spec, folder)
    assert not read_results(folder).complete
    again = labeltrain.run(spec, workspace=folder)
    assert again.complete
    assert not runner.run_study(spec, folder)
    for a, b in zip(whole.curves, again.curves, strict=True):
        np.testing.assert_array_equal(a.scores["accuracy"], b.scores["accuracy"])


def test_workers_do_not_change_it(tmp_path: Path) -> None:
    final = {**MLP, "at": [20, 30], "refresh": True}
    one = labeltrain.run(**SMALL, final=final, workspace=tmp_path / "one")
    two = labeltrain.run(**SMALL, final=final, workspace=tmp_path / "two", workers=2)
    for a, b in zip(one.curves, two.curves, strict=True):
        np.testing.assert_array_equal(a.scores["accuracy"], b.scores["accuracy"])
    # Features that a later refresh replaced, and models, are deleted.
    assert len(list((tmp_path / "one" / "arrays").glob("*.npz"))) == 8


def test_a_spec_without_a_final_learner_keeps_its_key() -> None:
    assert "final" not in parse_spec(SMALL).as_json()["experiments"][0]
    assert "final" in parse_spec({**SMALL, "final": "mlp"}).as_json()["experiments"][0]


def test_items_go_to_an_expensive_learner_that_reads_them(tmp_path: Path) -> None:
    rows = [
        f"{'red rose' if i % 2 else 'blue sea'} {i},{'warm' if i % 2 else 'cold'}"
        for i in range(60)
    ]
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    results = labeltrain.run(
        dataset=str(path), encoder="minilm", strategies="margin", rounds=1, batch=10, seeds=1,
        final={"learner": "tfidf"},
    )  # fmt: skip
    assert results.curves[-1].scores["accuracy"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("final", "text"),
    [
        ({"learner": "mpl"}, "did you mean 'mlp'"),
        ({"learner": "mlp", "learner_options": {"step": 3}}, "did you mean 'steps'"),
        ({"learner": "mlp", "at": [31]}, "the study ends at 30 labels"),
        ({"learner": "mlp", "at": [9]}, "the seed set already has 10"),
        ({"learner": "mlp", "at": [20, 20]}, "each larger than the last"),
        ({"learner": "mlp", "at": [0]}, "whole numbers from 1"),
        ({"learner": "mlp", "at": "20,x"}, "not a whole number"),
        ({"learner": "mlp", "refresh": True}, "give final.at"),
        ({"learner": "mlp", "when": 3}, "final.when"),
        ({"learner": "mlp", "steps": 3}, "final.learner_options.steps"),
        ({"at": [20]}, "--final finetune"),
        ({"learner": "tfidf"}, "'tfidf' reads text, not features"),
        ({}, "final.learner"),
    ],
)
def test_bad_finals_are_refused_by_name(final: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput) as refused:
        labeltrain.run(**SMALL, final=final)
    assert text in str(refused.value), str(refused.value)


def test_a_number_of_labels_between_two_rounds_is_told_where_it_is_trained() -> None:
    with pytest.warns(UserWarning, match="final.at.*15 at 20, 21 at 30 labels"):
        results = labeltrain.run(**SMALL, final={**MLP, "at": [10, 15, 21]})
    assert results.curves[-1].labels.tolist() == [10, 20, 30]


def test_the_command_line(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from labeltrain.cli.app import app

    words = "run --dataset digits --strategies margin --rounds 1 --batch 10 --seeds 1 --workers 1"
    words += f" --final mlp --final-at 10,20 --workspace {tmp_path / 'w'}"
    found = CliRunner().invoke(app, [*words.split(), "--set", "final.learner_options.steps=5"])
    assert found.exit_code == 0, found.output
    assert "times the cost of training mlp alone on 20 labels" in " ".join(found.output.split())
    shown = CliRunner().invoke(app, ["report", str(tmp_path / "w"), "--json"])
    assert json.loads(shown.output)["costs"][0]["learner"] == "mlp"


def test_scores_at_one_number_of_labels_are_compared_there() -> None:
    from labeltrain.report import summarise
    from labeltrain.report.words import headline

    results = labeltrain.run(**SMALL, final=MLP)
    said = headline(summarise(results)[1])
    assert said.startswith("At 30 labels, the only number at which there are scores, margin minus")
    assert "points (95 % interval" in said
    assert "no label saving can be read from one point" in said


def test_one_point_of_the_baseline_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.axes import Axes

    drawn: list[tuple[str, int, str]] = []
    plot = Axes.plot

    def noted(self: Axes, *given: Any, **style: Any) -> Any:
        if "gid" in style:
            drawn.append((style["gid"], len(given[0]), style.get("marker", "")))
        return plot(self, *given, **style)

    monkeypatch.setattr(Axes, "plot", noted)
    write(labeltrain.run(**SMALL, final=MLP), tmp_path)
    single = [marker for name, points, marker in drawn if name == "random" and points == 1]
    assert single
    assert all(single)  # a line of one point has no length


def bodies(folder: Path, run: str, kind: str = "scored") -> list[dict[str, Any]]:
    with labeltrain.store.Workspace.open(folder, "study", read_only=True) as workspace:
        return [e.body for e in workspace.events(kind=kind) if e.run.startswith(run)]


def test_predictions_that_a_strategy_chooses_by_are_part_of_select(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = LinearModel.predict_proba

    def slow(self: Any, features: np.ndarray) -> np.ndarray:
        time.sleep(0.2 if len(features) == 1258 else 0.0)  # the pool
        return own(self, features)

    monkeypatch.setattr(LinearModel, "predict_proba", slow)
    labeltrain.run(**{**SMALL, "seeds": 1}, workspace=tmp_path / "w")
    for strategy, paid in (("margin", 2), ("random", 0)):
        rounds = bodies(tmp_path / "w", f"digits/{strategy}/")
        assert [b["seconds"]["select"] > 0.2 for b in rounds] == [True] * paid + [False] * (
            3 - paid
        )
        assert [b["seconds"]["evaluate"] > 0.2 for b in rounds] == [False] * paid + [True] * (
            3 - paid
        )
        assert [b["predicted"]["select"] for b in rounds] == [1258] * paid + [0] * (3 - paid)


def test_a_training_that_was_killed_is_booked_with_what_it_took_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Perceptron.fit

    def resumed(self: Any, *rest: Any) -> Any:
        model = own(self, *rest)
        model.cost = Cost(model.cost.examples, model.cost.seconds + 100.0)
        return model

    monkeypatch.setattr(Perceptron, "fit", resumed)
    results = labeltrain.run(**{**SMALL, "seeds": 1}, final=MLP, workspace=tmp_path / "w")
    assert all(100.0 < ledger.seconds["final"] < 130.0 for ledger in results.costs)


def few_texts(folder: Path, n: int = 60) -> Path:
    rng = np.random.default_rng(3)
    words = [[f"{name}{k}" for k in range(10)] for name in ("sea", "rose")]
    rows = [
        f"{' '.join(rng.choice(words[i % 2], 8))},{'rose' if i % 2 else 'sea'}" for i in range(n)
    ]
    path = folder / "t.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


TEXTS: dict[str, Any] = {
    "encoder": "minilm", "encoder_options": {"max_length": 8}, "strategies": "random", "rounds": 1,
    "batch": 8, "seeds": 1, "final": {**MLP},
}  # fmt: skip


def test_a_ratio_divides_by_what_the_last_training_takes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, fits = Perceptron.fit, [0]

    def shared(self: Any, *rest: Any) -> Any:
        model = own(self, *rest)
        model.cost = Cost(model.cost.examples, 2.0, 8.0 if fits[0] else 0.0)
        fits[0] += 1
        return model

    monkeypatch.setattr(Perceptron, "fit", shared)
    results = labeltrain.run(
        **{**SMALL, "seeds": 1, "strategies": "random"},
        final={**MLP, "at": [20, 30]},
        workspace=tmp_path / "w",
    )
    (ledger,) = results.costs
    assert ledger.seconds["final"] == pytest.approx(10.0)  # the one at 20 would not be paid
    assert ledger.training_alone == pytest.approx(10.0)
    paid = sum(ledger.seconds[step] for step in ("encode", "proxy", "select", "final"))
    assert ledger.ratio == pytest.approx(paid / 10.0)
    assert "(10.0 s)" in cost_sentence(ledger)
    fits[0] = 0
    (ledger,) = labeltrain.run(
        **{**SMALL, "seeds": 1, "strategies": "random"},
        final={**MLP, "at": [20, 30], "refresh": True},
        workspace=tmp_path / "v",
    ).costs
    assert ledger.seconds["final"] == pytest.approx(2.0)  # the one at 20 had prepared it
    assert ledger.seconds["refresh"] == pytest.approx(2.0, abs=0.5)
    assert ledger.training_alone == pytest.approx(10.0)


def test_what_the_proxy_of_another_strategy_had_made_is_booked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labeltrain.learners.semi import propagation

    own = propagation._graph_of

    def told(*rest: Any) -> tuple[Any, float]:
        graph, seconds = own(*rest)
        return graph, 50.0 if seconds else 0.0

    monkeypatch.setattr(propagation, "_graph", None)
    monkeypatch.setattr(propagation, "_graph_of", told)
    spec = {**SMALL, "seeds": 1, "learner": "propagation", "strategies": "random,margin"}
    first, second = labeltrain.run(**spec, final=MLP, workspace=tmp_path / "w").costs
    assert first.seconds["proxy"] < 50.0 < second.seconds["proxy"] < 100.0


def test_out_of_fold_fits_are_examples_of_the_selection(tmp_path: Path) -> None:
    spec = {**SMALL, "seeds": 1, "learner": "mlp", "learner_options": {"steps": 4}, "final": MLP}
    spec["strategies"] = "margin,uherding"
    margin, uherding = labeltrain.run(**spec, workspace=tmp_path / "w").costs
    assert margin.examples["proxy"] == uherding.examples["proxy"]
    more = uherding.examples["select"] - margin.examples["select"]
    # A fit costs the same whatever the labels: three of the loop, five for the choice at 20 labels;
    # at 10, one a class, uherding asks for none.
    assert more == 5 * margin.examples["proxy"] / 3 > 0


@pytest.mark.parametrize("name", ["propagation", "tfidf"])
def test_a_fit_tells_what_an_earlier_one_had_prepared(name: str) -> None:
    from labeltrain.learners import Training, make

    rng = np.random.default_rng(0)
    texts = ["a red rose", "the blue sea", "a rose", "the sea"] * 10
    training = Training(
        rng.normal(size=(40, 4)).astype(np.float32), np.array([0, 1]), np.array([0, 1]), 2,
        items=texts,
    )  # fmt: skip
    learner = make(name)
    costs = [learner.fit(training, rng).cost for _ in range(3)]
    assert costs[0].prepared == 0.0
    assert 0.0 < costs[1].prepared == costs[2].prepared < costs[0].seconds


def test_a_cache_that_is_empty_filled_or_partly_filled_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labeltrain.assets import cache_dir

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "assets").symlink_to(cache_dir() / "assets")
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    spec = {**TEXTS, "dataset": str(few_texts(tmp_path))}
    fixmatch = {"learner": "fixmatch", "learner_options": {"steps": 3}}
    found = {}
    for name, more in (
        ("first", {}),
        ("again", {}),
        ("views", {"final": fixmatch, "views": {"count": 1}}),
        ("joined", {"encoder": "minilm+lsa"}),
    ):
        results = labeltrain.run(**{**spec, **more}, workspace=tmp_path / name)
        (found[name],) = results.costs
        said = cost_sentence(found[name])
        assert ("some features from the cache" in said) == (name == "views")
    assert {name: ledger.cache for name, ledger in found.items()} == {
        "first": "empty", "again": "filled", "views": "partly filled", "joined": "filled",
    }  # fmt: skip
    assert found["first"].ratio > found["first"].ratio_from_cache
    assert found["again"].seconds["encode"] == 0.0
    pool = 42
    assert found["views"].examples["encode"] == pytest.approx(2 * pool)  # two views of each
    joined = found["joined"]  # the words are counted anew each time
    assert 0.0 < joined.always == pytest.approx(joined.seconds["encode"])
    assert joined.ratio_from_cache > 1.0 + joined.always / joined.seconds["final"] - 1e-9


def test_trainings_that_diverged_are_told(tmp_path: Path) -> None:
    wild = {"learner": "fixmatch", "learner_options": {"steps": 30, "learning_rate": 1e6}}
    with pytest.warns(UserWarning, match="diverged"):
        results = labeltrain.run(
            **{**SMALL, "seeds": 1, "strategies": "random"}, final=wild, workspace=tmp_path / "w"
        )
    own, final = results.experiments
    assert "diverged" not in own.facts
    assert final.facts["diverged"].startswith("1 of 1 trainings")
    assert "1 of 1 trainings" in write(results, tmp_path).html.read_text(encoding="utf-8")
    assert [e["diverged"] != "" for e in numbers(results)["experiments"]] == [False, True]


def test_a_study_from_before_there_were_views_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = StudySpec.as_json

    def older(self: StudySpec) -> dict[str, Any]:
        values = own(self)
        for experiment in values["experiments"]:
            del experiment["views"]
        return values

    with monkeypatch.context() as patch:
        patch.setattr(StudySpec, "as_json", older)
        labeltrain.run(**SMALL, workspace=tmp_path / "w")
    assert labeltrain.run(**SMALL, workspace=tmp_path / "w").complete
    with pytest.raises(BadInput, match="holds another study"):
        labeltrain.run(**{**SMALL, "batch": 11}, workspace=tmp_path / "w")


def test_the_expensive_learner_always_sees_the_features_of_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, seen = Perceptron.fit, []

    def watched(self: Any, training: Any, *rest: Any) -> Any:
        seen.append(training.features.shape[1])
        return own(self, training, *rest)

    monkeypatch.setattr(Perceptron, "fit", watched)
    results = labeltrain.run(
        **{**SMALL, "seeds": 1, "strategies": "margin"},
        final={**MLP, "at": [10, 20, 30], "refresh": True},
        workspace=tmp_path / "w",
    )
    assert seen == [64, 64, 64]  # not the 8 units of the one before
    assert len(results.curves[-1].scores["accuracy"]) == 3


def test_an_experiment_with_the_title_of_a_final_learner_is_refused() -> None:
    experiments = [{"name": "x", "final": MLP}, {"name": "x, final mlp"}]
    with pytest.raises(BadInput, match="'x, final mlp', as the final learner of 'x'"):
        parse_spec({**SMALL, "experiments": experiments})


def test_budgets_may_be_numpy_numbers() -> None:
    spec = parse_spec({**SMALL, "final": {**MLP, "at": np.int64(20)}})
    assert spec.experiments[0].final is not None
    assert spec.experiments[0].final.at == (20,)
