"""Choosing for a target in a workspace, by prompts and by gradients of answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import labeltrain
from labeltrain.cli.app import app
from labeltrain.errors import BadInput
from labeltrain.sft.answers import Given, answers_of, take_answers
from labeltrain.sft.choosing import choose_in, kept_choice
from labeltrain.sft.embedding import embedded
from labeltrain.sft.kept_gradients import GradientOptions, gradients_in
from labeltrain.sft.overview import overview
from labeltrain.sft.page import write_page
from labeltrain.sft.reading import read_prompts
from labeltrain.sft.selection import Question
from labeltrain.sft.telling import relevance_lines
from labeltrain.sft.workspace import PromptWorkspace

TASKS = {
    "sums": "add one and two apples number {}",
    "colours": "name a red or blue colour please {}",
    "places": "what is the capital of france {}",
}


def pool(folder: Path) -> PromptWorkspace:
    rows = [
        {"id": f"{task}-{i}", "task": task, "prompt": text.format("abcdefghijkl"[i])}
        for i in range(12)
        for task, text in TASKS.items()
    ]
    return PromptWorkspace.create(folder, read_prompts(rows), "rows")


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    with pool(tmp_path / "w") as held:
        yield held


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target.jsonl"
    rows = [{"prompt": f"add one and two apples then {i}", "answer": f"three {i}"} for i in "xyz"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_answers_go_to_the_tasks_of_the_target(workspace: PromptWorkspace, target: Path) -> None:
    question = Question("task-relevance", "8", {"floor": 1})
    with pytest.warns(UserWarning, match="which is not read"):
        told = choose_in(workspace, question, embeddings="lsa", target=target)
    assert told["tasks"] == {"sums": 6, "colours": 1, "places": 1}
    relevance = told["relevance"]
    assert set(relevance["tasks"]) == set(TASKS)
    assert relevance["tasks"]["sums"]["share"] == pytest.approx(1.0)
    assert relevance["helps"]
    assert relevance["unknown"] == []
    lines = "\n".join(told["lines"])
    assert "relevance (share) by prompts: sums" in lines
    assert "2 of 3 tasks have none" in lines
    assert "of the target no mixture of tasks explains" in lines
    assert "warning" not in lines
    kept = kept_choice(workspace)
    assert kept.body["relevance"] == relevance
    points = embedded("lsa", workspace.prompts, None).array
    examples = read_prompts(target, answers="keep").prompts
    there = embedded("lsa", examples, None, like=workspace.prompts).array
    same = labeltrain.select(
        "task-relevance", embeddings=points, targets=there, budget=8, kind="none",
        groups=[p.task for p in workspace.prompts], **kept.body["parameters"],
    )  # fmt: skip
    assert same.positions.tolist() == kept.positions.tolist()
    again = choose_in(workspace, question, embeddings="lsa", target=target)
    assert again["relevance"] == relevance
    assert set(again["lines"][1:]) < set(told["lines"])
    assert len(again["lines"]) == 4


def test_by_gradients_of_answers(workspace: PromptWorkspace, target: Path, tiny: Path) -> None:
    options = GradientOptions(str(tiny), device="cpu", threads=1)
    question = Question("task-relevance", "9", {"by": "gradients", "floor": 1})
    with pytest.raises(BadInput, match="nobody has answered yet"):
        choose_in(workspace, question, target=target, gradients=options)
    given = [Given(1, "sums-0", "three x"), Given(2, "sums-1", "three y"),
             Given(3, "colours-0", "red"), Given(4, "colours-1", "blue")]  # fmt: skip
    take_answers(workspace, given, "f")
    told = choose_in(workspace, question, target=target, gradients=options)
    assert told["relevance"]["unknown"] == ["places"]
    assert told["tasks"]["places"] == 1  # the floor
    assert told["relevance"]["tasks"]["sums"]["relevance"] > 0
    line = next(x for x in told["lines"] if "no answer yet" in x)
    assert line == (
        "no answer yet to prompts of places: they have no relevance, explored by floor and mixing "
        "only"
    )
    kept = kept_choice(workspace)
    moves = gradients_in(workspace, read_prompts(target, answers="keep"), options)
    labelled = sorted(workspace.position[i] for i in answers_of(workspace))
    same = labeltrain.select(
        "task-relevance", embeddings=moves.rows, targets=moves.targets, labelled=labelled,
        groups=[p.task for p in workspace.prompts], budget=9, kind="none",
        **kept.body["parameters"],
    )  # fmt: skip
    assert same.positions.tolist() == kept.positions.tolist()
    assert len(list(workspace.events("gradients"))) == 1
    again = choose_in(workspace, question, target=target, gradients=options)
    assert again["ids"] == told["ids"]
    other = GradientOptions(str(tiny), max_prompt_tokens=30)
    with pytest.raises(BadInput, match="holds another choice"):
        choose_in(workspace, question, target=target, gradients=other)
    bare = Question("task-relevance", "9", {"by": "gradients"})
    told = choose_in(workspace, bare, name="b", target=target, gradients=options)
    assert "places" not in told["tasks"]
    assert any("--set floor=2 explores them" in line for line in told["lines"])
    assert len(list(workspace.events("gradients"))) == 1  # kept


def test_options_that_are_not_read_are_refused(workspace: PromptWorkspace, target: Path) -> None:
    with pytest.raises(BadInput, match=r"(?s)k-center reads no target.*rds, task-relevance"):
        choose_in(workspace, Question("k-center", "3"), embeddings="lsa", target=target)
    with pytest.raises(BadInput, match="reads no gradients"):
        choose_in(
            workspace, Question("task-relevance", "3"), embeddings="lsa", target=target,
            gradients=GradientOptions("m"),
        )  # fmt: skip
    with pytest.raises(BadInput, match="needs prompts of the target"):
        choose_in(workspace, Question("task-relevance", "3"), embeddings="lsa")
    with pytest.raises(BadInput, match="embedded by an encoder"):
        choose_in(
            workspace, Question("task-relevance", "3"), embeddings="lsa", whiten=2, target=target
        )


def test_the_command_and_the_page(target: Path, tmp_path: Path) -> None:
    folder = str(tmp_path / "w")
    pool(tmp_path / "w").close()
    command = ["sft", "select", "-w", folder, "--method", "task-relevance", "--budget", "6",
               "--embeddings", "lsa", "--target", str(target)]  # fmt: skip
    with pytest.warns(UserWarning, match="not read"):
        found = CliRunner().invoke(app, [*command, "--json"])
    assert found.exit_code == 0, found.output
    told = json.loads(found.output[found.output.index("{") :])
    assert told["relevance"]["tasks"]["sums"]["share"] > 0.9
    found = CliRunner().invoke(app, command)
    assert "relevance (share) by prompts: sums" in found.output
    found = CliRunner().invoke(app, ["sft", "designs"])
    assert "task-relevance" in found.output
    with PromptWorkspace.open(Path(folder), read_only=True) as held:
        shown = overview(held)
        assert shown["choices"][0]["shares"].startswith("sums ")
        text = write_page(shown, tmp_path, "t").read_text()
    assert "target that no task explains (%)" in text
    assert "sums 100%" in text


def body(**more: Any) -> dict[str, Any]:
    return {
        "by": "prompts", "residual": 0.4, "uniform": 1.0, "chance": 0.0, "helps": True,
        "unknown": [], "floor": 0, "mixing": 0.0, "floors_take_all": False,
        "tasks": {"a": {"relevance": 0.5, "share": 1.0}, "b": {"relevance": 0.0, "share": 0.0}},
        **more,
    }  # fmt: skip


def test_what_is_said_of_relevance() -> None:
    assert relevance_lines(None) == []
    assert relevance_lines(body()) == [
        "relevance (share) by prompts: a 0.5 (100%)", "1 of 2 tasks have none",
        "40% of the target no mixture of tasks explains",
    ]  # fmt: skip
    few = relevance_lines(body(chance=0.3))
    assert few[-1].endswith("explains (30% is what so few examples leave to chance)")
    few = relevance_lines(body(chance=0.8))
    assert few[-1] == "warning: so few examples say little of the target: give more of them"
    hardly = relevance_lines(body(residual=0.95, helps=False))
    assert "hardly less than what all tasks alike leave (100%)" in hardly[-1]
    nothing = {task: {"relevance": 0.0, "share": 0.5} for task in "ab"}
    assert "all of them share alike" in relevance_lines(body(tasks=nothing, helps=False))[-1]
    floors = relevance_lines(body(floor=9, floors_take_all=True))
    assert "shares do not count" in floors[-1]
    many = {f"t{i:02}": {"relevance": 1.0, "share": 0.05} for i in range(20)}
    assert relevance_lines(body(tasks=many))[0].endswith("t11 1 (5%), and 8 more")


def test_one_choice_after_another_fills_the_shares(
    workspace: PromptWorkspace, target: Path
) -> None:
    question = Question("task-relevance", "6", {"mixing": 0.5})
    plain = target.with_name("plain.jsonl")
    plain.write_text(json.dumps({"prompt": "add one and two apples then"}) + "\n")
    given: dict[str, Any] = {"embeddings": "lsa", "target": plain}
    first = choose_in(workspace, question, name="one", **given)
    then = choose_in(workspace, question, name="two", after=["one"], **given)
    larger = Question("task-relevance", "12", {"mixing": 0.5})
    both = choose_in(workspace, larger, name="both", **given)
    together = {t: first["tasks"].get(t, 0) + then["tasks"].get(t, 0) for t in TASKS}
    assert all(abs(together[t] - both["tasks"].get(t, 0)) <= 1 for t in TASKS)
    assert both["ids"][:6] == first["ids"]
