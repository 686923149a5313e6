"""The audit: when it measures, on what, and that its interval covers."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.errors import BadInput
from labeltrain.loop import audit

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "audit_coverage.py"


def test_the_reserve_is_a_random_draw_in_random_order() -> None:
    counts = np.zeros(50)
    firsts = np.zeros(50)
    for seed in range(2000):
        drawn = audit.reserve(np.arange(50), 0.2, np.random.default_rng(seed))
        assert len(drawn) == len(set(drawn.tolist())) == 10
        counts[drawn] += 1
        firsts[drawn[0]] += 1
    for found, expected in ((counts, 400.0), (firsts, 40.0)):
        # Far in the tail of chi-square with 49 degrees of freedom.
        assert ((found - expected) ** 2 / expected).sum() < 95


def test_shares() -> None:
    assert len(audit.reserve(np.arange(11), 0.1, np.random.default_rng(0))) == 2
    assert audit.due(0.1, 100, 4, 50) == 6
    assert audit.due(0.1, 100, 4, 3) == 3
    assert audit.due(0.1, 100, 12, 50) == 0
    for share in (-0.1, 0.91, float("nan"), "0.1", None):
        with pytest.raises(BadInput, match="not a share"):
            audit.check_share(share)  # type: ignore[arg-type]


def test_the_smallest_share_is_enough() -> None:
    for items in range(20, 400):
        share = audit.smallest_share(items)
        enough = share is not None and math.ceil(share * items) >= 30
        assert enough == (math.ceil(0.9 * items) >= 30)
        if share is not None and share > 0.1:
            assert math.ceil((share - 0.01) * items) < 30


def test_checkpoints_grow_by_a_fifth() -> None:
    seen = [audit.next_checkpoint(None)]
    while seen[-1] < 100:
        seen.append(audit.next_checkpoint(seen[-1]))
    assert seen == [30, 36, 44, 53, 64, 77, 93, 112]


def test_error_spent_over_all_measurements_is_five_per_cent() -> None:
    from labeltrain.metrics import binomial_interval

    for k in (1, 2, 7):
        found = audit.measure(40, 50, k)
        assert (found.low, found.high) == binomial_interval(40, 50, 1 - 0.05 / (k * (k + 1)))
    assert sum(0.05 / (k * (k + 1)) for k in range(1, 10**5)) < 0.05
    with pytest.raises(BadInput):
        audit.measure(3, 2, 1)


def ask(project: Any, truth: dict[str, str], count: int) -> list[str]:
    rows = [r["id"] for r in project.next(count)]
    project.tell({i: truth[i] for i in rows})
    return rows


def test_measured_at_thirty_and_each_time_a_fifth_came_on_top(begin: Any) -> None:
    project, truth = begin(n=200, audit_share=0.5)
    for _ in range(50):
        ask(project, truth, 4)
        labels = len(project.state.audited())
        found = project.status()["audit"]
        assert (found["score"] is None) == (labels < 30)
    at = [m["labels"] for m in project.state.measurements]
    assert at == [30, 36, 44, 54, 66, 80, 96]
    assert [m["number"] for m in project.state.measurements] == list(range(1, 8))
    assert found["next_at"] is None  # 100 were set aside, and 116 would be needed


@pytest.mark.parametrize(("n", "share"), [(400, 0.1), (120, 0.25), (200, 0.5), (90, 0.4)])
def test_how_many_labels_until_the_first_measurement(begin: Any, n: int, share: float) -> None:
    project, truth = begin(n=n, audit_share=share)
    expected = project.status()["audit"]["labels_to_first"]
    assert expected == min(n, round(30 / share))
    answered = 0
    while project.status()["audit"]["score"] is None:
        assert project.status()["audit"]["labels_to_first"] == pytest.approx(
            expected - answered, abs=4
        )
        answered += len(ask(project, truth, 7))
    assert answered == pytest.approx(expected, abs=10)
    assert project.status()["audit"]["labels_to_first"] is None


def test_the_share_to_begin_with_where_none_is_ever_measured(begin: Any) -> None:
    for n, share, smallest in ((120, 0.1, 0.25), (120, 0.0, 0.25), (25, 0.9, None)):
        project, _ = begin(n=n, audit_share=share)
        found = project.status()["audit"]
        assert (found["next_at"], found["labels_to_first"]) == (None, None)
        assert found["smallest_share"] == smallest
    project, _ = begin(n=120, audit_share=0.25)
    assert project.status()["audit"]["smallest_share"] is None
    assert project.status()["audit"]["labels_to_first"] == 120


def test_a_corrected_audit_answer_is_measured_again(begin: Any) -> None:
    project, truth = begin(audit_share=0.5)
    ask(project, truth, 80)
    first = project.status()["audit"]
    position = project.state.audit_order[0]
    item = project.items.ids[position]
    wrong = next(c for c in project.state.classes if c != truth[item])
    project.tell({item: wrong})
    second = project.status()["audit"]
    assert len(project.state.measurements) == 2
    assert second["score"] == pytest.approx(first["score"] - 1 / 40)
    project.tell({item: wrong})  # a repeat costs nothing
    assert len(project.state.measurements) == 2
    project.tell({item: truth[item]}, annotator="Ann")  # a tie: the latest word
    assert len(project.state.measurements) == 3
    project.tell({project.items.ids[project.state.training()[0][0]]: "skip"})
    assert len(project.state.measurements) == 3  # what trains is no reason to measure


def test_too_few_answers_are_left_to_know_anything(begin: Any) -> None:
    project, truth = begin(audit_share=0.5)
    ask(project, truth, 64)
    assert project.status()["audit"]["measured_on"] == 32
    items = [project.items.ids[p] for p in project.state.audited()]
    project.tell(dict.fromkeys(items[:5], "withdraw"))
    found = project.status()["audit"]
    assert (found["score"], found["labels"], found["next_at"]) == (None, 27, 30)
    project.tell({i: truth[i] for i in items[:5]})
    assert project.status()["audit"]["measured_on"] == 32


def test_the_score_is_that_of_the_model_on_the_audit_answers(begin: Any) -> None:
    project, truth = begin(audit_share=0.5)
    ask(project, truth, 70)
    guess = {r["id"]: r["model_label"] for r in project.predict()}
    items = [project.items.ids[p] for p in project.state.audited()]
    found = project.status()["audit"]
    assert found["score"] == np.mean([guess[i] == truth[i] for i in items])
    assert found["low"] <= found["score"] <= found["high"]
    assert not set(project.state.audited()) & set(project.state.training()[0].tolist())


def test_confidence_is_calibrated_on_the_audit(begin: Any) -> None:
    project, truth = begin(n=200, audit_share=0.5)
    rng = np.random.default_rng(0)
    rows = [r["id"] for r in project.next(160)]
    noisy = {i: truth[i] if rng.random() < 0.7 else "ant" for i in rows}
    project.tell(noisy)
    model = project.model()
    assert model.temperature != 1.0
    audited = project.state.audited()
    sure = {r["id"]: r["model_confidence"] for r in project.predict()}
    right = {r["id"]: r["model_label"] for r in project.predict()}
    items = [project.items.ids[p] for p in audited]
    assert np.mean([sure[i] for i in items]) == pytest.approx(
        np.mean([right[i] == noisy[i] for i in items]), abs=0.08
    )


def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("audit_coverage", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit_coverage"] = module
    spec.loader.exec_module(module)
    return module


def test_intervals_cover_in_simulated_projects() -> None:
    """The smoke version of benchmarks/audit_coverage.py, whose numbers are in docs/projects.md."""
    module = benchmark()
    projects = [module.simulate(seed, "digits", batch=80, rounds=3, share=0.4) for seed in range(8)]
    lines, _ = module.table("digits", projects)
    stages, measured, _ = module.gather(projects)
    assert list(stages) == [1, 2, 3]
    assert measured >= 7 / 8, "\n".join(lines)
