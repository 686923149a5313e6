"""Strategies that learn from each answer: a round is asked in groups, across sessions."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain import Dataset, Project
from labeltrain.errors import BadInput
from labeltrain.kernels.separation import class_order

N = 240
RARE = 18


def items() -> tuple[Dataset, dict[str, str]]:
    rng = np.random.default_rng(0)
    truth = np.arange(N) < RARE
    points = rng.normal(size=(N, 4)) + 2.0 * truth[:, None]
    ids = tuple(f"i{k}" for k in range(N))
    dataset = Dataset("mine", "features", points.astype(np.float32), ids)
    return dataset, {i: "rare" if t else "other" for i, t in zip(ids, truth, strict=True)}


def begun(folder: Path, strategy: str, **options: Any) -> tuple[Project, dict[str, str]]:
    dataset, truth = items()
    project = Project.new(
        folder, dataset, classes=["other", "rare"], strategy=strategy, audit_share=0.0, **options
    )
    project.tell({i: truth[i] for i in ("i0", "i1", "i100", "i150", "i200")})
    return project, truth


def picks(project: Project) -> list[tuple[int, str]]:
    return [(past.round, project.items.ids[past.position]) for past in project.state.history()]


@pytest.mark.parametrize("strategy", ["galaxy", "direct", "tailor"])
def test_closing_a_project_in_mid_round_changes_nothing(tmp_path: Path, strategy: str) -> None:
    whole, truth = begun(tmp_path / "whole", strategy)
    with whole:
        for _ in range(6):
            whole.tell({row["id"]: truth[row["id"]] for row in whole.next(4, of=16)})
        expected = picks(whole)
        assert [number for number, _ in expected] == [0] * 16 + [1] * 8
        assert whole.status()["rounds"] == 2
    part, truth = begun(tmp_path / "part", strategy)
    part.close()
    for _ in range(6):
        with Project.open(tmp_path / "part") as part:
            part.tell({row["id"]: truth[row["id"]] for row in part.next(4, of=16)})
    with Project.open(tmp_path / "part") as part:
        assert picks(part) == expected


def test_galaxy_finds_more_of_a_rare_class_than_chance_does(tmp_path: Path) -> None:
    project, truth = begun(tmp_path / "p", "galaxy")
    with project:
        for _ in range(30):
            project.tell({row["id"]: truth[row["id"]] for row in project.next(1, of=10)})
        labels = project.state.labels().values()
        assert sum(label == "rare" for label in labels) >= 10  # 4 to 5 by chance
        assert project.status()["rounds"] == 3


def test_answers_in_part_skips_and_withdrawals_in_mid_round(tmp_path: Path) -> None:
    project, truth = begun(tmp_path / "p", "direct")
    with project:
        first = [row["id"] for row in project.next(5, of=20)]
        project.tell({first[0]: truth[first[0]], first[1]: "skip"})
        second = [row["id"] for row in project.next(5, of=20)]
        assert not set(first) & set(second)
        project.tell({i: truth[i] for i in first[2:] + second})
        project.tell({second[0]: "withdraw"})
        third = [row["id"] for row in project.next(5, of=20)]
        assert not set(third) & (set(first) | set(second[1:]))
        assert project.state.rounds == 1
        more: list[str] = []
        while project.state.rounds == 1:
            more += (rows := [row["id"] for row in project.next(5, of=20)])
            project.tell({i: truth[i] for i in rows})
        asked = len(first) + len(second) + len(third) + len(more)
        assert 20 <= asked - 5 <= 21  # one that was withdrawn went back to the pool


def test_the_model_of_a_round_stays_what_it_was(tmp_path: Path) -> None:
    """DIRECT's intervals lie in each other in the ranking of the model the round began with."""
    project, truth = begun(tmp_path / "p", "direct")
    with project:
        p = project.fitted().predict_proba(project.features())
        intervals = []
        for _ in range(5):
            rows = project.next(2, of=20)
            project.tell({row["id"]: truth[row["id"]] for row in rows})
            note = project.state.history()[-1].note
            assert note["phase"] == 1
            order = class_order(p, project.state.classes.index(note["class"])).tolist()
            intervals.append([order.index(item) for item in note["interval"]])
        for (low, high), (lower, higher) in pairwise(intervals):
            assert low <= lower <= higher <= high
        later = project.fitted().predict_proba(project.features())
        assert not np.allclose(p, later, atol=1e-3)  # those of a new model would be others


@pytest.mark.parametrize("strategy", ["galaxy", "direct", "tailor"])
def test_a_class_that_is_dropped_takes_nothing_of_the_history_with_it(
    tmp_path: Path, strategy: str
) -> None:
    """Notes name classes: their indices change when one of them is taken back."""
    project, truth = begun(tmp_path / "p", strategy)
    with project:
        project.tell({"i5": "a mistake"}, add_classes=True)
        project.tell({"i6": "odd"}, add_classes=True)
        for _ in range(4):
            project.tell({row["id"]: truth[row["id"]] for row in project.next(5, of=20)})
        project.tell({"i5": "rare"})
        project.drop_class("a mistake")  # "odd" was the fourth class, and is the third
        known = set(project.state.classes)
        for _ in range(5):
            rows = project.next(5, of=20)
            assert len(rows) == 5
            project.tell({row["id"]: truth[row["id"]] for row in rows})
        notes = [past.note for past in project.state.history() if past.round > 1]
    named = {(n.get("note") or n).get("class", (n.get("note") or n).get("galaxy")) for n in notes}
    assert named - {None} <= known


def test_galaxy_halves_what_open_questions_leave(tmp_path: Path) -> None:
    """Two groups in a row, and nobody has answered: the second keeps away from the first."""
    project, _ = begun(tmp_path / "p", "galaxy")
    with project:
        order = class_order(project.fitted().predict_proba(project.features()), 1).tolist()
        place = {f"i{item}": rank for rank, item in enumerate(order)}
        known = [place[i] for i in ("i0", "i1", "i100", "i150", "i200")]
        both = [[place[row["id"]] for row in project.next(3, of=40)] for _ in range(2)]
        first, second = both
        ends = sorted([*known, *first])
        for rank in second:  # each in the middle of what was the longest part
            above = max(e for e in ends if e < rank)
            below = min(e for e in ends if e > rank)
            assert abs((rank - above) - (below - rank)) <= 1
            ends = sorted([*ends, rank])


def test_a_new_class_opens_a_new_round(tmp_path: Path) -> None:
    project, truth = begun(tmp_path / "p", "galaxy")
    with project:
        rows = project.next(3, of=12)
        answers = {row["id"]: truth[row["id"]] for row in rows}
        answers[rows[0]["id"]] = "odd"
        project.tell(answers, add_classes=True)
        project.next(3, of=12)
        assert project.state.rounds == 2


def test_the_audit_takes_its_share_of_the_groups(tmp_path: Path) -> None:
    dataset, truth = items()
    with Project.new(
        tmp_path / "p", dataset, classes=["other", "rare"], strategy="galaxy", audit_share=0.2
    ) as project:
        for _ in range(12):
            project.tell({row["id"]: truth[row["id"]] for row in project.next(5, of=20)})
        assert project.state.audit_asked == 12


def test_other_strategies_take_no_of(tmp_path: Path) -> None:
    project, _ = begun(tmp_path / "p", "margin")
    with project:
        with pytest.raises(BadInput, match="leave it out"):
            project.next(5, of=20)
        with pytest.raises(BadInput, match="give 5 or more"):
            project.next(5, of=3, strategy="galaxy")
        with pytest.raises(BadInput, match="whole number"):
            project.next(5, of=2.5, strategy="galaxy")  # type: ignore[arg-type]
        project.next(5, strategy="galaxy")
        assert project.state.opened is not None
        assert project.state.opened.budget == 50
