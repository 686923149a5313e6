"""A study of designs in small: staged, resumed, reported."""

from __future__ import annotations

import json
import multiprocessing
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from labeltrain.cli.app import app
from labeltrain.cli.run import kind_in
from labeltrain.data import question_sets
from labeltrain.data.question_sets import Question
from labeltrain.errors import BadInput, LabelTrainError
from labeltrain.sft import cells, selection
from labeltrain.sft.cells import Cell, alone_key, shuffled_within
from labeltrain.sft.material import examples_of, read_data, subpool
from labeltrain.sft.overview import overview
from labeltrain.sft.results import LIKELIHOOD, read_results
from labeltrain.sft.study import cells_of, designs_of, run_study
from labeltrain.sft.study_spec import (
    UNTUNED,
    DesignSpec,
    SFTStudySpec,
    TargetSpec,
    parsed_spec,
)
from labeltrain.sft.workspace import PromptWorkspace

ROOT = Path(__file__).parents[2]
WORDS = {"colour": ["red", "blue"], "number": ["one", "two", "three"]}


def files(folder: Path) -> None:
    rng = random.Random(0)
    rows = [
        {"id": f"p{i}", "task": task, "prompt": f"name a {task} please {i} {rng.choice('abc')}",
         "answer": rng.choice(WORDS[task])}
        for i, task in enumerate(["colour"] * 45 + ["number"] * 15)
    ]  # fmt: skip
    held = [
        {"id": f"t{i}", "task": task, "prompt": f"name a {task} now {i}",
         "answer": WORDS[task][0], "choices": WORDS[task]}
        for i, task in enumerate(["colour", "number"] * 3)
    ]  # fmt: skip
    for name, some in (("pool.jsonl", rows), ("test.jsonl", held)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in some))


def values(folder: Path, tiny: Path, **more: Any) -> dict[str, Any]:
    return {
        "kind": "sft", "title": "small", "model": str(tiny), "embeddings": "lsa", "subpool": 50,
        "pool": {"file": str(folder / "pool.jsonl"), "test_file": str(folder / "test.jsonl")},
        "score": {"max_new_tokens": 4, "max_prompt_tokens": 60},
        "train": {"epochs": 2, "learning_rate": 1e-2, "rank": 4, "batch": 4},
        "evaluate": {"max_new_tokens": 3}, "threads": 1,
        "stages": [
            {"name": "screen", "designs": "random, min-margin, k-center", "budgets": [8],
             "seeds": [100]},
            {"name": "confirm", "designs": ["random", "random-balanced"], "best": 1,
             "of": "screen", "budgets": [4, 8], "seeds": "0-1"},
        ], **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    files(folder)
    return folder


@pytest.fixture(scope="module")
def spec(data: Path, tiny: Path) -> SFTStudySpec:
    return parsed_spec(values(data, tiny))


@pytest.fixture(scope="module")
def finished(spec: SFTStudySpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of the whole study."""
    folder = tmp_path_factory.mktemp("study") / "w"
    assert run_study(spec, folder) == 3 + 3 * 2 * 2
    return folder


class Dies(BaseException):
    """As if the process was killed."""


def results(folder: Path) -> dict[str, Any]:
    with PromptWorkspace.open(folder, read_only=True) as workspace:
        return {
            key: (body["macro"], workspace.store.load_arrays(body["arrays"])[0].get("positions"))
            for key, body in cells_of(workspace).items()
        }


def test_a_study_in_stages(spec: SFTStudySpec, finished: Path) -> None:
    assert run_study(spec, finished) == 0
    with PromptWorkspace.open(finished) as workspace:
        cells = cells_of(workspace)
        assert UNTUNED in cells
        screen, confirm = spec.stages
        best = designs_of(workspace, spec, confirm)[2]
        scores = {one.name: cells[Cell(one, 8, 100).key]["macro"]["nll"] for one in screen.designs}
        others = {name: value for name, value in scores.items() if name != "random"}
        assert best.name == min(others, key=lambda name: others[name])
        for one in (*confirm.designs, best):
            for seed in (0, 1):
                pool = set(subpool(spec, 60, seed).tolist())
                for budget in (4, 8):
                    body = cells[Cell(one, budget, seed).key]
                    arrays, _ = workspace.store.load_arrays(body["arrays"])
                    picked = arrays["positions"].tolist()
                    assert len(set(picked)) == budget
                    assert set(picked) <= pool
                    assert sum(body["tasks"].values()) == budget
                    assert body["train"]["examples"] == budget
        balanced = cells[Cell(confirm.designs[1], 8, 0).key]["tasks"]
        assert balanced == {"colour": 4, "number": 4}
        assert subpool(spec, 60, 0).tolist() != subpool(spec, 60, 1).tolist()


@pytest.mark.parametrize("calls", [2, 6])
def test_a_study_goes_on_where_it_was_killed(
    spec: SFTStudySpec, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    left = {"calls": calls}
    train = cells.train

    def deadly(*given: Any, **more: Any) -> Any:
        left["calls"] -= 1
        if left["calls"] == 0:
            raise Dies
        return train(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(cells, "train", deadly)
        with pytest.raises(Dies):
            run_study(spec, tmp_path / "killed")
    partial = read_results(tmp_path / "killed")
    assert not partial.complete
    run_study(spec, tmp_path / "killed")
    whole, killed = results(finished), results(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    for key, (macro, positions) in whole.items():
        assert killed[key][0] == macro
        np.testing.assert_array_equal(killed[key][1], positions)


def test_side_by_side_the_results_are_the_same(
    data: Path, tiny: Path, finished: Path, tmp_path: Path
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(values(data, tiny)))
    folder = tmp_path / "w"
    found = CliRunner().invoke(
        app, ["run", str(path), "--workspace", str(folder), "--workers", "2"]
    )
    assert found.exit_code == 0, found.output
    whole, other = results(finished), results(folder)
    assert whole.keys() == other.keys()
    for key, (macro, positions) in whole.items():
        assert other[key][0] == macro
        np.testing.assert_array_equal(other[key][1], positions)


def test_a_worker_that_is_killed(spec: SFTStudySpec, finished: Path, tmp_path: Path) -> None:
    class Kills:
        """Kills the workers once something is committed."""

        def stage(self, name: str, total: float) -> None:
            pass

        def advance_to(self, done: float, total: float | None = None) -> None:
            for child in multiprocessing.active_children() if done and total is None else ():
                if "SpawnProcess" in child.name:
                    child.kill()

    with pytest.raises(LabelTrainError, match=r"killed[\s\S]*--workers 1"):
        run_study(spec, tmp_path / "w", Kills(), workers=2)
    assert not read_results(tmp_path / "w").complete
    run_study(spec, tmp_path / "w")
    assert results(tmp_path / "w").keys() == results(finished).keys()


def test_the_script_that_reads_a_study(
    spec: SFTStudySpec, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.sft_designs import markdown, read

    read_cells = read(finished)
    kept = results(finished)
    assert len(read_cells) == len(kept)
    screened = [cell for cell in read_cells if cell.stages == ["screen"]]
    assert {cell.design for cell in screened} == {"random", "min-margin", "k-center"}
    for cell in screened:
        (one,) = [d for d in spec.stages[0].designs if d.title == cell.design]
        macro = kept[Cell(one, 8, 100).key][0]
        assert cell.macro["nll"] == pytest.approx(macro["nll"], abs=1e-5)
        assert sum(cell.tasks.values()) == cell.budget == 8
    text = "\n".join(markdown(read_cells))
    assert "| 8 answers | NLL | seed 100 |" in text
    assert "| NLL with | 4 answers | 8 answers |" in text


def test_answers_are_revealed_for_chosen_prompts_only(
    spec: SFTStudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    choose = cells.choose

    def watched(question: Any, prompts: Any, **more: Any) -> Any:
        seen.append((prompts, more))
        return choose(question, prompts, **more)

    monkeypatch.setattr(cells, "choose", watched)
    run_study(spec.model_copy(update={"stages": spec.stages[:1]}), tmp_path / "w")
    told = json.dumps([[p.record for p in prompts] for prompts, _ in seen])
    assert '"answer"' not in told
    assert b'"answer"' not in next((tmp_path / "w").glob("pool-*.jsonl")).read_bytes()


def test_the_report(data: Path, finished: Path, tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(values(data, tiny)))
    folder = str(finished)
    found = CliRunner().invoke(app, ["run", str(path), "--workspace", folder])
    assert found.exit_code == 0, found.output
    assert "finished already" in found.output
    assert "random-balanced" in found.output
    shown = read_results(finished)
    assert [e.name for e in shown.experiments] == ["confirm"]
    curve = next(c for c in shown.curves if c.strategy == "random" and c.seed == 1)
    assert curve.labels.tolist() == [4, 8]
    np.testing.assert_allclose(curve.scores[LIKELIHOOD], np.exp(-curve.scores["nll"]))
    assert shown.complete
    found = CliRunner().invoke(app, ["report", folder, "--out", str(tmp_path / "r")])
    assert found.exit_code == 0, found.output
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Answer likelihood" in page
    assert "Untuned model" in page
    assert "Every seed draws its own pool; all share the test items" in page
    assert "Classes" not in page
    assert (tmp_path / "r" / "curve-confirm-answer_likelihood.png").stat().st_size > 5000
    with PromptWorkspace.open(finished, read_only=True) as workspace:
        costs = {(c["model"], c["labels"]): c for c in overview(workspace)["overhead"]}
    assert costs["random", 8]["score"] == costs["random", 8]["embed"] == 0.0  # reads nothing
    assert costs["min-margin", 8]["score"] > 0.0
    assert costs["k-center", 8]["embed"] > 0.0


def stage_of(*designs: Any, **more: Any) -> dict[str, Any]:
    """A spec's only stage."""
    listed = designs[0] if len(designs) == 1 and not isinstance(designs[0], dict) else designs
    given = {"name": "a", "designs": listed, "budgets": [4], "seeds": [0], **more}
    return {"stages": [given]}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": 3}, "model:"),
        ({"stagez": []}, "stagez"),
        ({"stages": []}, "at least one"),
        ({"pool": {}}, "no tasks and no file"),
        ({"pool": {"file": "x", "test_file": "y", "tasks": ["siqa"]}}, "tasks and a file"),
        ({"pool": {"tasks": ["siqa", "siqa"]}}, "'siqa' is given twice"),
        ({"pool": {"tasks": ["trivia"]}}, "no question set 'trivia'"),
        ({"pool": {"tasks": {"trivia": 3}}}, "no question set 'trivia'"),
        ({"pool": {"tasks": {"siqa": 0}}}, "siqa: 0 prompts; give a whole number, 1 or more"),
        ({"pool": {"tasks": {"siqa": 2.0}}}, "siqa: 2.0 prompts; give a whole number"),
        ({"pool": {"tasks": {"siqa": "all"}}}, "siqa: 'all' prompts"),
        ({"pool": {"tasks": 3}}, "pool.tasks: 3: a list of question sets, or how many"),
        ({"pool": {"tasks": {"siqa": 2}, "prompts": 2}}, "how many in all"),
        ({"pool": {"file": "x"}}, "needs a test_file"),
        ({"train": {"lr": 1}}, r"unknown key of train: 'lr'"),
        ({"evaluate": {"main": "rouge_l"}}, "no metric of it"),
        ({"evaluate": {"metrics": ["bleu"]}}, "no metric 'bleu'"),
        ({"stages": [{"name": "a", "designs": "best", "budgets": [1], "seeds": [0]}]},
         "no design 'best'"),
        ({"stages": [{"name": "a", "designs": "random", "budgets": [4, 4], "seeds": [0]}]},
         "budgets have to rise"),
        ({"stages": [{"name": "a", "designs": "random", "best": 1, "of": "b", "budgets": [4],
                      "seeds": [0]}]}, "name an earlier stage"),
        (stage_of("random", budgets=[True]), "True"),
        (stage_of("random", budgets=[]), "whole numbers of answers"),
        (stage_of("random", seeds=[]), "whole numbers from 0"),
        (stage_of("random", seeds="4-2"), "whole numbers from 0"),
        (stage_of("random", seeds=[-1]), "whole numbers from 0"),
        (stage_of("random", seeds=[0, 0]), "0 is given twice; seeds count once"),
        (stage_of([]), "give names of designs"),
        (stage_of("random, random"), "'random' stands there twice"),
        (stage_of("random", {"name": "min-margin", "label": "random"}), "the name of another"),
        (stage_of({"name": "random", "label": "untuned"}), "the name of another"),
        (stage_of({"name": "gist", "label": "x"}, {"name": "k-center", "label": "x"}),
         "'x' is not the one before of that name"),
        (stage_of({"name": "gist", "parameters": {"foo": 1}}), "foo"),
        (stage_of("rds"), "needs prompts of a target"),
        (stage_of({"name": "min-margin", "tasks": "hidden"}), "does not look at tasks"),
        (stage_of({"name": "k-center", "embeddings": "last"}), "score.pooling keeps weighted"),
    ],
)  # fmt: skip
def test_specs_that_make_no_sense(
    tmp_path: Path, tiny: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        parsed_spec({**values(tmp_path, tiny), **more})


def test_the_best_are_those_that_a_stage_does_not_have_anyway(
    data: Path, tiny: Path, tmp_path: Path
) -> None:
    stages = [
        {"name": "a", "designs": "random, random-balanced", "budgets": [4], "seeds": [0]},
        {"name": "b", "best": 2, "of": "a", "budgets": [4], "seeds": [1],
         "designs": ["random", {"name": "random-balanced", "tasks": "hidden"}]},
    ]  # fmt: skip
    one = parsed_spec(values(data, tiny, stages=stages))
    run_study(one, tmp_path / "w")
    with PromptWorkspace.open(tmp_path / "w", read_only=True) as workspace:
        found = [d.title for d in designs_of(workspace, one, one.stages[1])]
    assert found == ["random", "random-balanced(tasks hidden)", "random-balanced"]


def test_the_embeddings_are_part_of_a_title(data: Path, tiny: Path) -> None:
    more = stage_of("k-center", {"name": "k-center", "embeddings": "weighted"})
    one = parsed_spec({**values(data, tiny), **more})
    assert [d.title for d in one.stages[0].designs] == ["k-center", "k-center(embeddings=weighted)"]


def test_stages_may_be_added_and_nothing_else_may_change(
    spec: SFTStudySpec, tmp_path: Path
) -> None:
    small = spec.model_copy(update={"stages": spec.stages[:1]})
    assert run_study(small, tmp_path / "w") == 3
    with PromptWorkspace.open(tmp_path / "w", read_only=True) as workspace:
        before = [event.body["gamma"] for event in workspace.events("prepared")]
    assert run_study(spec, tmp_path / "w") == 12
    assert [e.name for e in read_results(tmp_path / "w").experiments] == ["confirm"]
    with PromptWorkspace.open(tmp_path / "w", read_only=True) as workspace:
        assert [event.body["gamma"] for event in workspace.events("prepared")] == before
    for change in ({"subpool": 40}, {"train": {"epochs": 3}}, {"embeddings": "mean"}):
        with pytest.raises(BadInput, match="only its stages and title may change"):
            run_study(spec.model_copy(update=change), tmp_path / "w")


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((ROOT / "studies").glob("*.yaml")) if kind_in(path) == "sft"],
    ids=lambda path: path.stem,
)
def test_a_small_one_of_the_shape_of_each_study_runs(
    path: Path, data: Path, tiny: Path, tmp_path: Path
) -> None:
    shape = yaml.safe_load(path.read_text())
    small = values(data, tiny)
    for key in ("stages", "evaluate", "whiten"):
        if key in shape:
            small[key] = shape[key]
    small["score"]["pooling"] = shape["score"]["pooling"]
    for stage in small["stages"]:
        stage["budgets"] = [2 * (k + 1) for k in range(min(2, len(stage["budgets"])))]
        stage["seeds"] = [5 + len(stage["name"])]
        if "target" in stage:
            stage["target"] = {"task": "number", "examples": 3}
        stage["designs"] = [
            {**d, "first": 1} if isinstance(d, dict) and d.get("first") else d
            for d in stage["designs"]
        ]
    spec = parsed_spec(small)
    assert run_study(spec, tmp_path / "w") > 0
    shown = read_results(tmp_path / "w")
    assert shown.complete
    assert {c.strategy for c in shown.curves} >= {"random"}


def test_the_study_of_the_repository_is_sound() -> None:
    spec = parsed_spec(yaml.safe_load((ROOT / "studies" / "sft.yaml").read_text()))
    assert spec.largest == 400
    assert len(spec.pool.tasks) >= 8
    stages = {stage.name: stage for stage in spec.stages}
    assert {d.name for d in stages["screen"].designs} >= {
        "random", "mean-entropy", "least-confidence", "mean-margin", "min-margin", "max-entropy",
        "k-center", "facility-location", "random-balanced", "weighted-task-diversity",
    }  # fmt: skip
    fresh = set(stages["confirm"].seeds)
    assert len(fresh) >= 5
    assert not fresh & {seed for name in stages if name != "confirm" for seed in stages[name].seeds}


def test_the_study_of_a_skewed_pool_is_sound() -> None:
    spec = parsed_spec(yaml.safe_load((ROOT / "studies" / "sft-skewed.yaml").read_text()))
    main = parsed_spec(yaml.safe_load((ROOT / "studies" / "sft.yaml").read_text()))
    assert isinstance(spec.pool.tasks, dict)
    assert spec.pool.tasks.keys() == set(main.pool.tasks)
    assert spec.training(3) == main.training(3)
    pool, _ = question_sets.split_questions(spec.pool.tasks, test=spec.pool.test, seed=0)
    assert Counter(q.task for q in pool) == spec.pool.tasks
    left = {task: len(question_sets.questions(task)) - spec.pool.test for task in spec.pool.tasks}
    largest = spec.pool.tasks["privacy-policy"]
    for task, count in spec.pool.tasks.items():
        assert count == max(20, round(largest * (left[task] / left["privacy-policy"]) ** 2))
    assert spec.subpool is not None
    assert spec.largest <= spec.subpool <= len(pool)
    first, *others = spec.stages
    assert all(first.seeds == stage.seeds for stage in others)
    others = {seed for stage in main.stages for seed in stage.seeds}
    assert not set(first.seeds) & others


def test_the_study_of_targets_is_sound() -> None:
    spec = parsed_spec(yaml.safe_load((ROOT / "studies" / "sft-target.yaml").read_text()))
    main = parsed_spec(yaml.safe_load((ROOT / "studies" / "sft.yaml").read_text()))
    assert spec.pool == main.pool
    assert spec.training(3) == main.training(3)
    assert len(spec.stages) >= 3
    for stage in spec.stages:
        assert stage.target is not None
        assert stage.target.examples == 16
        assert [d.name for d in stage.designs] == [
            "random", "random-balanced", "rds", "task-relevance", "task-relevance",
        ]  # fmt: skip
        assert (stage.budgets, len(stage.seeds)) == ((50, 100), 5)
    seeds = [seed for one in (main, spec) for stage in one.stages for seed in stage.seeds]
    mine = [seed for stage in spec.stages for seed in stage.seeds]
    assert len(set(mine)) == len(mine)
    assert not set(mine) & set(seeds[: -len(mine)])


TARGETED = [
    "random", "rds", {"name": "task-relevance", "parameters": {"floor": 1}},
    {"name": "task-relevance", "label": "by gradients", "first": 3,
     "parameters": {"by": "gradients", "floor": 1}},
]  # fmt: skip


@pytest.fixture(scope="module")
def targeted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[SFTStudySpec, Path]:
    """A finished study of a target, in a pool of three tasks."""
    folder = tmp_path_factory.mktemp("targeted")
    rng = random.Random(0)
    words = {"colour": "name a colour please", "number": "say one number", "place": "what is where"}
    rows = [
        {"id": f"p{i}", "task": task, "prompt": f"{words[task]} {i} {rng.choice('abc')}",
         "answer": rng.choice(["red", "one"])}
        for i, task in enumerate(list(words) * 12)
    ]  # fmt: skip
    held = [
        {"id": f"t{i}", "task": task, "prompt": f"{words[task]} now {i}", "answer": "two"}
        for i, task in enumerate(list(words) * 2)
    ]
    for name, some in (("pool.jsonl", rows), ("test.jsonl", held)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in some))
    stage = {"name": "numbers", "designs": TARGETED, "budgets": [4, 8], "seeds": [0],
             "target": {"task": "number", "examples": 2}}  # fmt: skip
    one = parsed_spec(values(folder, tiny, stages=[stage], subpool=30))
    assert run_study(one, folder / "w") == 1 + 4 * 2
    return one, folder / "w"


def test_a_target_is_no_candidate_and_all_that_is_scored(
    targeted: tuple[SFTStudySpec, Path],
) -> None:
    spec, folder = targeted
    assert run_study(spec, folder) == 0
    target = spec.stages[0].target
    with PromptWorkspace.open(folder, read_only=True) as held:
        found = cells_of(held)
        examples = examples_of(target, held.prompts, 0)
        assert [held.prompts[p].task for p in examples] == ["number", "number"]
        assert examples.tolist() != examples_of(target, held.prompts, 1).tolist()
        assert len(found) == 2 + 4 * 2
        for one in spec.stages[0].designs:
            for budget in (4, 8):
                cell = found[Cell(one, budget, 0, target).key]
                assert Cell(one, budget, 0).key not in found
                arrays, facts = held.store.load_arrays(cell["arrays"])
                picked = arrays["positions"].tolist()
                assert len(set(picked)) == budget == sum(cell["tasks"].values())
                assert {held.prompts[p].task for p in picked} <= {"colour", "place"}
                assert set(facts["tasks"]) == {"number"}
                assert cell["train"]["examples"] == budget + 2
                assert set(cell["by_task"]["nll"]) == {"number"}
                assert ("relevance" in cell) == (one.name == "task-relevance")
        gradients = found[Cell(spec.stages[0].designs[3], 8, 0, target).key]
        assert set(gradients["relevance"]["tasks"]) == {"colour", "place"}
        assert gradients["relevance"]["unknown"] == []  # three first answers, of both
        alone = found[alone_key(target, 0)]
        assert alone["train"]["examples"] == 2
        assert alone["target"] == "number"
        assert set(found[UNTUNED]["by_task"]["nll"]) == {"colour", "number", "place"}
        costs = {(c["model"], c["labels"]): c for c in overview(held)["overhead"]}
    assert costs["by gradients", 8]["select"] > 0
    shown = read_results(folder)
    assert shown.complete
    facts = shown.experiments[0].facts
    assert facts["target"] == "number, 2 examples, learned from by all designs"
    assert facts["examples alone"].endswith("(mean of 1 seeds)")
    assert facts["untuned model"].startswith("answer_likelihood")
    assert {c.strategy for c in shown.curves} >= {"random", "rds", "by gradients"}


def test_first_answers_are_balanced_and_count(targeted: tuple[SFTStudySpec, Path]) -> None:
    spec, folder = targeted
    with PromptWorkspace.open(folder, read_only=True) as held:
        found = cells_of(held)
        one, target = spec.stages[0].designs[3], spec.stages[0].target
        small, large = (
            held.store.load_arrays(found[Cell(one, budget, 0, target).key]["arrays"])[0][
                "positions"
            ].tolist()
            for budget in (4, 8)
        )
        tasks = Counter(held.prompts[p].task for p in large[:3])
    assert small == large[:4]
    assert sorted(tasks.values()) == [1, 2]


def test_the_script_reads_a_study_of_a_target(
    targeted: tuple[SFTStudySpec, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.sft_designs import ALONE, markdown, read

    found = read(targeted[1])
    assert sum(cell.design == ALONE for cell in found) == 1
    text = "\n".join(markdown(found))
    assert "none but the target's examples" in text
    assert "| NLL with | 4 answers | 8 answers |" in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"target": {"task": "trivia"}}, "'trivia': 0 prompts of the pool"),
        ({"target": {"task": "number", "examples": 16}}, "16 examples are asked for"),
        ({"target": {"task": "number", "examples": 0}}, "examples"),
        ({"budgets": [46]}, "46 answers, and the pool has 37 prompts beside those of number"),
        ({"designs": [{"name": "task-relevance", "parameters": {"by": "gradients"}}]},
         "there are none at the start"),
        ({"designs": [{"name": "random", "first": 4}]}, "begins with 4 answers of a budget of 4"),
        ({"designs": [{"name": "random", "label": "examples alone"}]}, "the name of another"),
        ({"designs": "task-relevance", "target": None}, "which the stage has not"),
    ],
)  # fmt: skip
def test_targets_that_make_no_sense(
    data: Path, tiny: Path, tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    stage = {"name": "a", "designs": "random", "budgets": [4], "seeds": [0],
             "target": {"task": "number", "examples": 3}, **more}  # fmt: skip
    with pytest.raises(BadInput, match=message):
        run_study(parsed_spec(values(data, tiny, stages=[stage])), tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_older_cells_keep_their_keys() -> None:
    plain = DesignSpec(name="random")
    assert Cell(plain, 8, 0).key == "4f7aee2f2933803b"
    assert Cell(DesignSpec(name="random", first=2), 8, 0).key != Cell(plain, 8, 0).key
    assert Cell(plain, 8, 0, TargetSpec(task="siqa")).key != Cell(plain, 8, 0).key


def test_a_pool_has_as_many_prompts_of_each_task_as_are_said(
    data: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_sets(task: str) -> list[Question]:
        return [Question(f"{task}-{i}", task, f"{task} {i}?", "a", ("a",)) for i in range(20)]

    monkeypatch.setattr(question_sets, "questions", two_sets)
    pool = {"tasks": {"siqa": 3, "boolq": 7}, "test": 2}
    file, items = read_data(parsed_spec({**values(data, tiny), "pool": pool}))
    assert Counter(prompt.task for prompt in file.prompts) == {"siqa": 3, "boolq": 7}
    assert Counter(item.task for item in items) == {"siqa": 2, "boolq": 2}


def test_a_budget_beyond_the_pool_is_refused(data: Path, tiny: Path, tmp_path: Path) -> None:
    stage = {"name": "s", "designs": ["random"], "budgets": [8, 51], "seeds": [0]}
    with pytest.raises(BadInput, match="51 answers, and the pool has 50 prompts"):
        run_study(parsed_spec(values(data, tiny, stages=[stage])), tmp_path / "w")
    with pytest.raises(BadInput, match="subpool=61 of 60"):
        run_study(parsed_spec(values(data, tiny, subpool=61)), tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_shuffled_answers_stay_within_their_task() -> None:
    tasks = ["a", "b"] * 20 + ["c"]
    answers = [f"{task}{i}" for i, task in enumerate(tasks)]
    free: list[tuple[str, ...]] = [()] * len(tasks)
    found = shuffled_within(tasks, answers, free, 0)
    assert sorted(found) == sorted(answers)
    assert [text[0] for text in found] == tasks
    assert sum(a == b for a, b in zip(found, answers, strict=True)) < 10
    assert found == shuffled_within(tasks, answers, free, 0)
    assert found != shuffled_within(tasks, answers, free, 1)


def test_shuffled_answers_are_among_the_choices() -> None:
    own = [(f"{i}x", f"{i}y") for i in range(200)] + [("yes", "no")] * 200
    answers = [pair[0] for pair in own[:200]] + ["yes"] * 150 + ["no"] * 50
    found = shuffled_within(["own"] * 200 + ["same"] * 200, answers, own, 0)
    assert all(text in pair for text, pair in zip(found, own, strict=True))
    same = sum(a == b for a, b in zip(found[:200], answers[:200], strict=True))
    assert 70 < same < 130  # by chance
    assert Counter(found[200:]) == {"yes": 150, "no": 50}  # as frequent as they are


def test_questions_that_have_choices_keep_them_for_the_form_of_answers(
    data: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(task: str) -> list[Question]:
        return [
            Question(f"{task}-{i}", task, f"{task} {i}?", "a", ("a", "A"), ("a", "b"))
            for i in range(9)
        ]

    monkeypatch.setattr(question_sets, "questions", some)
    pool = {"tasks": ["siqa"], "prompts": 5, "test": 2}
    file, _ = read_data(parsed_spec({**values(data, tiny), "pool": pool}))
    assert [prompt.record["choices"] for prompt in file.prompts] == [["a", "b"]] * 5
    assert all("accepted" not in prompt.record for prompt in file.prompts)
    assert file.answers == ("a",) * 5


def test_shuffled_answers_are_another_cell(data: Path, tiny: Path, tmp_path: Path) -> None:
    stage = {
        "name": "form", "designs": ["random", {"name": "random", "answers": "shuffled"}],
        "budgets": [8], "seeds": [0],
    }  # fmt: skip
    one = parsed_spec(values(data, tiny, stages=[stage]))
    assert [d.title for d in one.stages[0].designs] == ["random", "random(answers shuffled)"]
    assert run_study(one, tmp_path / "w") == 2
    with PromptWorkspace.open(tmp_path / "w", read_only=True) as held:
        true, other = (cells_of(held)[Cell(d, 8, 0).key] for d in one.stages[0].designs)
    assert true["tasks"] == other["tasks"]
    assert true["train"]["tokens"] == pytest.approx(other["train"]["tokens"], abs=1)
    assert true["macro"]["nll"] != other["macro"]["nll"]
    with pytest.raises(BadInput, match="answers"):
        parsed_spec(values(data, tiny, stages=[{**stage, "designs": [
            {"name": "random", "answers": "wrong"}]}]))  # fmt: skip


def test_tasks_that_are_hidden_are_replaced_by_clusters(
    data: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    designs = ["random-balanced", {"name": "random-balanced", "tasks": "hidden"}]
    stage = {"name": "s", "designs": designs, "budgets": [8], "seeds": [0]}
    one = parsed_spec(values(data, tiny, stages=[stage]))
    named, hidden = one.stages[0].designs
    assert (named.title, hidden.title) == ("random-balanced", "random-balanced(tasks hidden)")
    assert Cell(named, 8, 0).key != Cell(hidden, 8, 0).key
    clustered: list[int] = []

    def clusters(points: np.ndarray) -> np.ndarray:
        clustered.append(len(points))
        return (np.arange(len(points)) >= 4).astype(np.int64)  # half of the choice is of the four

    monkeypatch.setattr(selection, "clusters_for_tasks", clusters)
    assert run_study(one, tmp_path / "w") == 2
    assert clustered == [50]
    with PromptWorkspace.open(tmp_path / "w", read_only=True) as held:
        true, other = (cells_of(held)[Cell(d, 8, 0).key] for d in (named, hidden))
        positions = held.store.load_arrays(other["arrays"])[0]["positions"]
    rows = subpool(one, 60, 0)
    assert set(rows[:4].tolist()) < set(positions.tolist())
    assert true["tasks"] == {"colour": 4, "number": 4}
    of_task = Counter("colour" if p < 45 else "number" for p in positions.tolist())
    assert other["tasks"] == of_task  # what was chosen is told all the same
    assert (true["embeddings"], other["embeddings"]) == ("", "lsa")  # clusters are made of them
    with PromptWorkspace.open(tmp_path / "w", read_only=True) as held:
        costs = {c["model"]: c for c in overview(held)["overhead"]}
    assert (
        costs["random-balanced"]["embed"] == 0.0 < costs["random-balanced(tasks hidden)"]["embed"]
    )
