"""From scores to a tuned and evaluated model in one workspace, by the command line too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from labeltrain.cli.app import app
from labeltrain.errors import BadInput
from labeltrain.sft.answers import Given, take_answers
from labeltrain.sft.choosing import choices, choose_in, kept_choice
from labeltrain.sft.evaluation import read_test
from labeltrain.sft.reading import read_prompts
from labeltrain.sft.results import LIKELIHOOD
from labeltrain.sft.selection import Question
from labeltrain.sft.trained_results import trained_results
from labeltrain.sft.training import TrainSettings
from labeltrain.sft.tuning import (
    answered_prompts,
    evaluate_in,
    loaded,
    prompt_room,
    refuse_overlap,
    train_in,
    tuned_models,
)
from labeltrain.sft.workspace import PromptWorkspace

COLOURS = ["red", "blue", "yes", "no"]


def rows(n: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": f"p{i}", "task": "ab"[i % 2], "prompt": f"name a colour {i}"}
        for i in range(start, start + n)
    ]


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    with PromptWorkspace.create(tmp_path / "w", read_prompts(rows(20)), "rows") as held:
        yield held


def test_which_answers_are_trained_on(workspace: PromptWorkspace) -> None:
    with pytest.raises(BadInput, match="none of 0 prompts has an answer"):
        answered_prompts(workspace, None)
    take_answers(workspace, [Given(1, f"p{i}", COLOURS[i % 4]) for i in range(10)], "a")
    all_ = answered_prompts(workspace, None)
    assert (len(all_.pairs), all_.waiting, all_.choice, all_.before) == (10, 0, None, 0)
    told = choose_in(workspace, Question("random", "4"))
    with pytest.raises(BadInput, match="none of 4 prompts has an answer"):
        answered_prompts(workspace, None)
    given = [Given(1, item, "red") for item in told["ids"][:3]]
    take_answers(workspace, given, "b")
    # The choice complements the ten that were answered before.
    one = answered_prompts(workspace, "random-4")
    assert (len(one.pairs), one.waiting, one.choice, one.before) == (13, 1, "random-4", 10)
    assert one.ids[10:] == tuple(told["ids"][:3])
    take_answers(workspace, [Given(1, told["ids"][3], None)], "c")
    assert answered_prompts(workspace, "random-4").waiting == 0  # nobody can answer it
    alone = answered_prompts(workspace, "random-4", alone=True)
    assert (alone.ids, alone.before) == (tuple(told["ids"][:3]), 0)
    assert len(answered_prompts(workspace, "random-4", 2, alone=True).pairs) == 2
    with pytest.raises(BadInput, match="--top 9 of a choice of 4"):
        answered_prompts(workspace, "random-4", 9)
    choose_in(workspace, Question("random", "2"), name="second", after=["random-4"])
    assert kept_choice(workspace, "second").given.size == 14
    with pytest.raises(BadInput, match="--all for all answers"):
        answered_prompts(workspace, None)
    assert len(answered_prompts(workspace, None, everything=True).pairs) == 13
    with pytest.raises(BadInput, match="leave one of both out"):
        answered_prompts(workspace, "second", everything=True)


def scored_as(workspace: PromptWorkspace, **settings: Any) -> None:
    body = {"scoring": f"k{settings['max_prompt_tokens']}", "settings": settings, "shards": []}
    workspace.append("planned", body)


def test_prompts_are_as_long_in_training_as_in_scoring(
    tiny: Path, tmp_path: Path, workspace: PromptWorkspace
) -> None:
    assert prompt_room(workspace, str(tiny), None) is None
    scored_as(workspace, model=str(tiny), max_prompt_tokens=14)
    scored_as(workspace, model="another", max_prompt_tokens=33)
    assert prompt_room(workspace, str(tiny), None) == 14
    take_answers(workspace, [Given(1, f"p{i}", COLOURS[i % 4]) for i in range(6)], "a")
    settings = TrainSettings(str(tiny), rank=2, epochs=1, batch=3)
    body = train_in(workspace, settings, name="m", device="cpu", threads=1)
    assert body["settings"]["max_prompt_tokens"] == 14
    # The untuned model is asked the same prompts, shortened alike.
    test = tmp_path / "test.jsonl"
    rows_ = [
        {"id": f"t{i}", "prompt": f"{'very ' * 9} long number {i}", "answer": "red"}
        for i in range(3)
    ]
    test.write_text("".join(json.dumps(row) + "\n" for row in rows_))
    options = {"metrics": ("nll",), "device": "cpu", "threads": 1}
    tuned, _ = evaluate_in(workspace, test, "m", **options)
    base, _ = evaluate_in(workspace, test, "base", **options)
    assert tuned.cut == base.cut == 3
    scored_as(workspace, model=str(tiny), max_prompt_tokens=20)
    assert prompt_room(workspace, str(tiny), None) is None  # two lengths: neither is the one
    assert prompt_room(workspace, str(tiny), "k20") == 20
    train_in(workspace, replace(settings, max_prompt_tokens=30), name="n", device="cpu", threads=1)
    with pytest.warns(UserWarning, match="several values of max_prompt_tokens"):
        evaluate_in(workspace, test, "base", base=str(tiny), **options)


def test_train_and_evaluate(workspace: PromptWorkspace, tiny: Path, tmp_path: Path) -> None:
    take_answers(workspace, [Given(1, f"p{i}", "red") for i in range(8)], "a")
    settings = TrainSettings(str(tiny), epochs=30, learning_rate=3e-2, rank=8, seed=1)
    body = train_in(workspace, settings, device="cpu", threads=1)
    assert (body["name"], body["labels"], body["choice"]) == ("seed1", 8, None)
    assert body["settings"]["rank"] == 8
    assert train_in(workspace, settings, device="cpu")["again"]  # nothing was run
    with pytest.raises(BadInput, match="holds another model 'seed1'"):
        train_in(workspace, replace(settings, rank=4), device="cpu")
    assert list(tuned_models(workspace)) == ["seed1"]
    test = tmp_path / "t.jsonl"
    test.write_text(
        "".join(json.dumps(r | {"answer": "red", "choices": ["red", "blue"]}) + "\n"
                for r in rows(6, 50))
    )  # fmt: skip
    options: dict[str, Any] = {"max_new_tokens": 5, "device": "cpu", "threads": 1}
    before, _ = evaluate_in(workspace, test, "base", **options)
    after, items = evaluate_in(workspace, test, "seed1", **options)
    assert after.macro("nll") < 0.5 * before.macro("nll")
    assert after.macro("choice_accuracy") == 1.0
    assert len(items) == 6
    bodies = [event.body for event in workspace.events("evaluated")]
    assert [b["model"] for b in bodies] == ["base", "seed1"]
    assert bodies[1]["macro"]["nll"] == pytest.approx(after.macro("nll"))
    arrays, facts = workspace.store.load_arrays(bodies[1]["arrays"])
    assert arrays["nll"].tolist() == after.values["nll"].tolist()
    assert facts["tasks"] == ["a", "b"] * 3
    with pytest.raises(BadInput, match="unknown model 'seed2'"):
        loaded(workspace, "seed2")


def test_held_out_prompts_are_not_in_the_pool(workspace: PromptWorkspace, tmp_path: Path) -> None:
    test = tmp_path / "t.jsonl"
    test.write_text(json.dumps({"id": "new", "prompt": "name a colour 3", "answer": "red"}) + "\n")
    with pytest.raises(BadInput, match="'new' stands in the pool, as 'p3'"):
        refuse_overlap(workspace, read_test(test), "t")


def test_the_whole_way_by_commands(tiny: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pool.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(30)))
    Path("test.jsonl").write_text(
        "".join(json.dumps(r | {"answer": "red"}) + "\n" for r in rows(4, 50))
    )

    def run(*words: str, code: int = 0) -> str:
        found = CliRunner().invoke(app, ["sft", *words])
        assert found.exit_code == code, found.output + str(found.exception)
        return found.output

    run("score", "pool.jsonl", "-w", "w", "--model", str(tiny), "--max-new-tokens", "4")
    assert "facility-location" in run("designs")
    assert "8 of 30" in run("select", "-w", "w", "--method", "min-margin", "--budget", "8")
    run("export", "-w", "w", "--out", "x.csv", "--format", "csv")
    answers = Path("a.jsonl")
    ids = [line.split(",")[0] for line in Path("x.csv").read_text("utf-8-sig").splitlines()[1:]]
    answers.write_text("".join(json.dumps({"id": i, "answer": "red"}) + "\n" for i in ids))
    assert "8 new answers" in run("import", "a.jsonl", "-w", "w")
    assert "8 answers" in run("train", "-w", "w", "--model", str(tiny), "--name", "m",
                              "--epochs", "1")  # fmt: skip
    out = run("eval", "test.jsonl", "-w", "w", "--trained", "m", "--out", "d.jsonl",
              "--max-new-tokens", "4")  # fmt: skip
    assert "mean of tasks" in out
    assert len(Path("d.jsonl").read_text().splitlines()) == 4
    shown = json.loads(run("report", "-w", "w", "--json"))
    assert shown["pool"]["tasks"] == {"a": 15, "b": 15}
    assert (shown["pool"]["answered"], shown["choices"][0]["answered"]) == (8, 8)
    assert sum(shown["choices"][0]["tasks"].values()) == 8
    (cost,) = shown["overhead"]
    assert cost["score"] > 0
    assert cost["ratio"] == pytest.approx(
        (cost["score"] + cost["embed"] + cost["select"]) / cost["train"]
    )
    assert shown["models"][0]["nll"] == pytest.approx(shown["evaluations"][0]["nll"])
    page = Path("w/sft.html").read_text()
    for words in ("What it cost", "min-margin-8", "answers not finished", "exact match"):
        assert words in page
    shown_text = run("report", "-w", "w")
    assert "min-margin-8" in shown_text
    assert "report.html" not in shown_text  # one budget is no curve
    run("train", "-w", "w", "--model", str(tiny), "--name", "m4", "--top", "4", "--epochs", "1")
    run("eval", "test.jsonl", "-w", "w", "--trained", "m4", "--max-new-tokens", "4")
    run("eval", "test.jsonl", "-w", "w", "--trained", "base", "--max-new-tokens", "4")
    assert "report.html" in run("report", "-w", "w", "--out", "r")
    page = Path("r/report.html").read_text()
    for words in ("Answer likelihood", "min-margin", "Untuned model"):
        assert words in page


def test_curves_of_trained_models(workspace: PromptWorkspace) -> None:
    def trained(
        design: str, seed: int, labels: int, nll: float, embeddings: str = "", model: str = "tiny"
    ) -> None:
        choice = f"{design}-{embeddings}"
        if choice not in choices(workspace):
            body = {"name": choice, "method": design, "embeddings": embeddings or None}
            workspace.append("chosen", body)
        name = f"{choice}-{seed}-{labels}-{model}"
        workspace.append("trained", {
            "name": name, "folder": f"models/{name}", "choice": choice, "labels": labels,
            "settings": {"seed": seed, "model": model}, "seconds": 2.0, "flops": 1.0,
        })  # fmt: skip
        workspace.append("evaluated", {
            "model": name, "test": "a", "file": "held/test.jsonl", "items": 9, "seconds": 1.0,
            "macro": {"nll": nll, "exact_match": 0.5, "rouge_l": None, "choice_accuracy": None},
        })  # fmt: skip

    assert trained_results(workspace) is None
    for seed in (0, 1, 2):
        for labels, nll in ((10, 2.0), (20, 1.5), (40, 1.0)):
            trained("random", seed, labels, nll + 0.01 * seed)
            trained("k-center", seed, labels, nll - 0.4 + 0.01 * seed, "minilm")
    trained("k-center", 0, 20, 9.0, "weighted")
    found = trained_results(workspace)
    assert found is not None
    (experiment,) = found.experiments
    assert (experiment.name, experiment.metric, experiment.test_size) == ("test", LIKELIHOOD, 9)
    curves = {(c.strategy, c.seed): c for c in found.curves}
    assert {name for name, _ in curves} == {"random", "k-center (minilm)", "k-center (weighted)"}
    curve = curves["k-center (minilm)", 2]
    assert curve.labels.tolist() == [10, 20, 40]
    np.testing.assert_allclose(curve.scores[LIKELIHOOD], np.exp([-1.62, -1.12, -0.62]))
    assert set(curve.scores) == {LIKELIHOOD, "nll", "exact_match"}
    trained("random", 0, 10, 3.0)  # the latest counts
    again = trained_results(workspace)
    assert again is not None
    one = next(c for c in again.curves if (c.strategy, c.seed) == ("random", 0))
    assert one.scores["nll"].tolist() == [3.0, 1.5, 1.0]
    trained("random", 0, 20, 0.5, model="other")  # another model is another curve
    last = trained_results(workspace)
    assert last is not None
    assert {c.strategy for c in last.curves if "random" in c.strategy} == {
        "random (model=tiny)", "random (model=other)",
    }  # fmt: skip
