"""Which seeds and rounds a report compares, and how it words what it finds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_data import make_curve, make_experiment, make_results

from labeltrain.errors import BadInput
from labeltrain.metrics import Curve, area_under_curve, label_saving
from labeltrain.report import summarise, table
from labeltrain.report.align import align
from labeltrain.report.words import (
    headline,
    headlines,
    interval_text,
    labels_text,
    p_text,
    percent,
    quantity,
    saving_sentence,
    saving_text,
    seconds_text,
    who,
)


def flat_curve(strategy, seed, labels, complete=True, experiment="e", **scores):
    labels = np.asarray(labels)
    given_scores = {"accuracy": np.linspace(0.5, 0.9, len(labels))} | scores
    recall = np.full((len(labels), 2), 0.5)
    return Curve(experiment, strategy, seed, labels, given_scores, recall, {}, complete)


def aligned(*curves):
    e = make_experiment("e", 2)
    return align(e, make_results([e], seeds=0, curves=curves))


GRID = [10, 20, 30, 40]


def test_everything_is_kept_when_everything_is_complete():
    got = aligned(*(flat_curve(s, k, GRID) for s in ("random", "a") for k in range(3)))
    assert got.labels.tolist() == GRID
    assert got.seeds == (0, 1, 2)
    assert got.strategies == ("random", "a")
    assert got.left_out == ()


def test_a_seed_that_stopped_early_is_dropped_when_that_costs_less():
    curves = [flat_curve(s, k, GRID) for s in ("random", "a") for k in range(3)]
    got = aligned(*curves, flat_curve("a", 3, GRID[:1], complete=False))
    assert got.labels.tolist() == GRID
    assert ("a", 3) not in got.curves
    assert got.left_out == ("a, seed 3: stopped at 10 of 40 labels.",)


def test_last_rounds_are_dropped_when_that_costs_less():
    curves = [flat_curve("random", k, GRID) for k in range(2)]
    curves += [flat_curve("a", k, GRID[:3], complete=False) for k in range(4)]
    got = aligned(*curves)
    assert got.labels.tolist() == GRID[:3]
    assert got.seeds == (0, 1, 2, 3)
    assert "Rounds after 30 labels (up to 40)" in got.left_out[0]


def test_a_strategy_that_has_only_begun_is_named_and_not_compared():
    curves = [flat_curve(s, k, GRID) for s in ("random", "a") for k in range(3)]
    got = aligned(*curves, flat_curve("late", 0, GRID[:1], complete=False))
    assert got.strategies == ("random", "a")
    assert any(x.startswith("late: not compared") for x in got.left_out)


def test_other_numbers_of_labels_are_named():
    got = aligned(
        flat_curve("random", 0, GRID),
        flat_curve("random", 1, GRID),
        flat_curve("a", 0, [*GRID, 45]),
        flat_curve("b", 0, [10, 20, 30, 41], complete=False),
    )
    assert got.labels.tolist() == GRID
    assert any("Scores at 45 labels" in x for x in got.left_out)
    assert any("b, seed 0: scored at other numbers" in x for x in got.left_out)


def test_no_common_number_of_labels_keeps_the_baseline():
    got = aligned(flat_curve("a", 0, [15, 25]), flat_curve("random", 0, [10, 20]))
    assert got.strategies == ("random",)


def test_nothing_finished_yet_is_fine():
    empty = flat_curve("random", 0, [], complete=False)
    got = aligned(empty)
    assert got.strategies == ()
    assert got.left_out == ("random, seed 0: no round finished yet.",)


@given(
    st.lists(
        st.tuples(st.sampled_from(["random", "a", "b"]), st.integers(0, 4), st.integers(0, 6)),
        unique_by=lambda t: t[:2],
        max_size=12,
    )
)
@settings(max_examples=100, deadline=None)
def test_alignment_never_invents_and_never_forgets(parts):
    full = np.arange(1, 7) * 10
    curves = [flat_curve(s, k, full[:n], complete=n == 6) for s, k, n in parts]
    got = aligned(*curves)
    for curve in got.curves.values():
        assert np.isin(got.labels, curve.labels).all()
    gone = [c for c in curves if (c.strategy, c.seed) not in got.curves]
    for c in gone:
        assert any(x.startswith(f"{c.strategy}, seed {c.seed}:") for x in got.left_out)
    # No other cut keeps more scores.
    kept = len(got.curves) * len(got.labels)
    for rounds in range(1, 7):
        assert sum(len(c.labels) >= rounds for c in curves) * rounds <= kept


def test_numbers_are_those_of_the_metrics():
    results = make_results()
    summary = summarise(results)[0]
    by_name = {s.name: s for s in summary.strategies}
    assert list(by_name) == ["random", "badge", "margin", "typiclust"]
    curves = {(c.strategy, c.seed): c for c in results.curves}
    labels = results.curves[0].labels
    margin, random = (
        np.array([curves[name, k].scores["accuracy"] for k in range(10)])
        for name in ("margin", "random")
    )
    assert by_name["margin"].savings == label_saving(labels, margin, random)
    areas = area_under_curve(labels, margin), area_under_curve(labels, random)
    assert by_name["margin"].area.value == pytest.approx(areas[0].mean())
    comparison = by_name["margin"].comparison
    assert comparison.difference == pytest.approx((areas[0] - areas[1]).mean())
    assert comparison.p_holm >= comparison.p
    assert by_name["margin"].final["accuracy"].value == pytest.approx(margin[:, -1].mean())
    recall = np.mean([curves["margin", k].recall[-1] for k in range(10)], axis=0)
    np.testing.assert_allclose(by_name["margin"].recall, recall)
    mean, whole = by_name["margin"].seconds["select"]
    seconds = np.concatenate([curves["margin", k].seconds["select"] for k in range(10)])
    assert (mean, whole) == pytest.approx((seconds.mean(), seconds.sum() / 10))
    assert by_name["margin"].examples is None


def test_seconds_and_examples_of_a_seed_end_at_the_last_common_round():
    def timed(seed, seconds, examples, complete=True):
        curve = flat_curve("random", seed, [10 * (k + 1) for k in range(len(seconds))], complete)
        train = np.array(seconds, dtype=float)
        return replace(curve, seconds={"train": train}, examples=np.array(examples))

    def summary(*curves):
        e = make_experiment("e", 2)
        return summarise(make_results([e], seeds=0, curves=curves))[0].strategies[0]

    both = summary(timed(0, [1, 2, 3], [10, 20, 30]), timed(1, [2, 4, 9], [10, 40, 50]))
    assert both.seconds["train"] == (3.5, 10.5)  # 21 in all, 6 rounds, 2 seeds
    assert both.examples == 80.0
    one = summary(timed(0, [1, 2, 3], [10, 20, 30]), timed(1, [7], [10], complete=False))
    assert one.seconds["train"] == (2.0, 6.0)  # seed 1 is left out
    cut = summary(*(timed(k, [1, 2, 9][: 3 - (k > 0)], [5, 6, 7][: 3 - (k > 0)], k == 0)
                    for k in range(4)))  # fmt: skip
    assert cut.seconds["train"] == (1.5, 3.0)  # the third round is left out
    assert cut.examples == 11.0
    unknown = summary(timed(0, [1, np.nan, 3], [1, 2, 3]))
    assert unknown.seconds["train"] == (2.0, None)


def test_only_common_seeds_are_paired():
    e = make_experiment()
    curves = [make_curve(e, "random", k) for k in range(8)]
    curves += [make_curve(e, "margin", k) for k in range(2, 12)]
    summary = summarise(make_results([e], curves=tuple(curves)))[0]
    margin = summary.strategies[1]
    assert margin.seeds == 10
    assert margin.comparison.seeds == 6
    assert {s.seeds for s in margin.savings} == {6}


def test_a_score_that_is_not_a_number_drops_its_seed_and_says_so():
    results = make_results()
    bad = next(c for c in results.curves if (c.strategy, c.seed) == ("margin", 3))
    bad.scores["accuracy"][5] = np.nan
    summary = summarise(results)[0]
    margin = next(s for s in summary.strategies if s.name == "margin")
    assert margin.seeds == margin.comparison.seeds == 9
    assert margin.final["balanced_accuracy"].seeds == 10
    assert any("margin seed 3" in n and n.startswith("accuracy") for n in summary.notes)


def test_without_a_baseline_there_is_no_saving():
    summary = summarise(make_results(strategies=("margin", "badge")))[0]
    assert not summary.has_baseline
    assert all(s.savings == () and s.comparison is None for s in summary.strategies)
    assert "No saving can be computed" in headline(summary)


def test_one_strategy_one_seed():
    summary = summarise(make_results(strategies=("random",), seeds=1))[0]
    assert summary.strategies[0].final["accuracy"].low is None
    assert summary.wins is None
    assert "Only the baseline" in headline(summary)


def test_recall_of_a_class_without_test_items_is_unknown_not_zero():
    results = make_results(seeds=2)
    for c in results.curves:
        c.recall[:, 0] = np.nan
        c.recall[:, 1] = np.nan if c.seed else 0.5
    recall = summarise(results)[0].strategies[0].recall
    assert math.isnan(recall[0])
    assert recall[1] == 0.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: replace(r, curves=(*r.curves, r.curves[0])), "two curve"),
        (lambda r: replace(r, experiments=()), "unknown experiment"),
        (lambda r: replace(r, experiments=r.experiments * 2), "own name"),
        (
            lambda r: replace(r, experiments=(replace(r.experiments[0], metric="nll"),)),
            "falls as a model gets better",
        ),
        (
            lambda r: replace(r, curves=(replace(r.curves[0], labels=r.curves[0].labels[::-1]),)),
            "do not increase",
        ),
        (
            lambda r: replace(r, curves=(replace(r.curves[0], scores={"accuracy": np.ones(2)}),)),
            "has shape",
        ),
        (
            lambda r: replace(r, curves=(replace(r.curves[0], seconds={"train": np.ones(3)}),)),
            "seconds of train",
        ),
        (lambda r: replace(r, curves=(replace(r.curves[0], examples=np.ones(3)),)), "examples"),
        (
            lambda r: replace(r, curves=(replace(r.curves[0], recall=np.ones((2, 8))),)),
            "recall",
        ),
    ],
)
def test_results_that_do_not_fit_are_refused(change, says):
    with pytest.raises(BadInput, match=says):
        summarise(change(make_results(seeds=1)))


LABELS = np.array([100, 200, 300, 400])
RANDOM = np.array([0.5, 0.6, 0.7, 0.8])


def sentence(method, seeds=10, noise=0.003, share=0.5):
    rng = np.random.default_rng(0)
    wobble = rng.normal(0, noise, (2, seeds, 4))
    saving = label_saving(LABELS, method + wobble[0], RANDOM + wobble[1], shares=[share])[0]
    return saving_sentence(saving, "margin", "random", 400.0)


def test_sentences_say_what_was_found():
    saved = sentence(np.array([0.5, 0.7, 0.8, 0.8]))
    assert saved.startswith("To reach 50 % of random's rise, margin needs 1")
    assert "% saved (95 % interval" in saved
    assert saved.endswith("10 seeds.")


def test_an_interval_with_zero_is_no_saving():
    text = sentence(np.array([0.5, 0.6, 0.71, 0.8]), noise=0.03)
    assert text.startswith("No saving shown")
    assert "95 % interval −" in text


def test_costs_are_called_costs():
    text = sentence(np.array([0.5, 0.52, 0.54, 0.8]))
    assert text.startswith("margin costs labels")
    assert "% more" in text


def test_never_and_at_start_and_no_rise():
    never = sentence(np.array([0.5, 0.52, 0.54, 0.6]))
    assert "never reaches 50 % of random's rise within 400 labels" in never
    start = sentence(np.array([0.75, 0.76, 0.77, 0.8]))
    assert "already at 50 % of random's rise with its first 100 labels" in start
    assert "at least" in start
    flat = label_saving(LABELS, RANDOM[None], np.full((1, 4), 0.5))[0]
    assert "does not rise" in saving_sentence(flat, "margin", "random", 400.0)


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_few_seeds_show_nothing_yet(seeds):
    text = sentence(np.array([0.5, 0.7, 0.8, 0.8]), seeds=seeds)
    given = "1 seed gives" if seeds == 1 else f"{seeds} seeds give"
    assert f"{given} no interval, so no saving is shown yet" in text


def test_headline_of_several_asks_for_fresh_seeds_and_names_the_split():
    summary = summarise(make_results([make_experiment(redrawn=False)]))[0]
    assert "confirm it on fresh ones" in headline(summary)
    assert headline(summary).endswith("On this split only.")
    (shared,) = summarise(make_results([make_experiment(redrawn=False, shared_test=True)]))
    assert headline(shared).endswith("On these test items only.")
    one = summarise(make_results(strategies=("random", "margin")))[0]
    assert "fresh" not in headline(one)
    assert "split" not in headline(one)


def test_what_is_true_of_several_experiments_is_said_once():
    experiments = [make_experiment(name, 3) for name in ("a", "b", "c")]
    alone = make_results(experiments, strategies=("random",), seeds=2)
    ((names, sentence),) = headlines(summarise(alone))
    assert names == ("a", "b", "c")
    assert sentence.startswith("Only the baseline 'random' was run")
    assert who(names, 3) == "All 3 experiments"
    more = (make_curve(experiments[1], "margin", 0), make_curve(experiments[1], "margin", 1))
    found = headlines(summarise(replace(alone, curves=alone.curves + more)))
    assert [names for names, _ in found] == [("a", "c"), ("b",)]
    assert who(found[0][0], 3) == "a, c"
    assert who(("a",), 1) == "a"


def test_censored_numbers_are_shown_plainly():
    never = label_saving(LABELS, RANDOM[None] - 0.05, RANDOM[None], shares=[1.0])[0]
    assert labels_text(never, 400.0) == ">400 (never reached)"
    assert saving_text(never) == "<0 % (never reached)"
    early = label_saving(LABELS, RANDOM[None] + 0.2, RANDOM[None], shares=[0.5])[0]
    assert labels_text(early, 400.0) == "≤100 (at its first score)"
    assert saving_text(early) == "≥60 %"
    assert interval_text(early) == ""
    wide = replace(never, low=-math.inf, high=0.2)
    assert interval_text(wide) == "at most 20 %, open below"
    assert interval_text(replace(wide, low=0.1, high=math.inf)) == "at least 10 %, open above"
    assert interval_text(replace(wide, low=-0.003, high=0.2)) == "−0.3 to 20 %"


def test_small_words():
    assert percent(0.8642) == "86.4"
    assert percent(-0.0001) == "0.0"
    assert percent(-0.25, 0) == "−25"
    assert percent(math.nan) == percent(None) == "–"
    assert [p_text(p) for p in (None, 0.0001, 0.0123, 0.5)] == ["–", "<0.001", "0.012", "0.50"]
    assert [seconds_text(x) for x in (0, 0.0025, 0.05, 0.5, 5, 50, 500, 50_000)] == [
        "0 s",
        "2.5 ms",
        "50 ms",
        "0.50 s",
        "5.00 s",
        "50.0 s",
        "8.3 min",
        "13.9 h",
    ]


def test_quantities_have_three_figures():
    counts = (0, 412.4, 9999, 10_000, 24_640, 99_960, 612_300, 999_600, 1_240_000)
    told = ["0", "412", "9999", "10.0k", "24.6k", "100k", "612k", "1.0M", "1.2M"]
    assert [quantity(count) for count in counts] == told


def test_table_rows_for_the_terminal():
    rows = table(make_results([make_experiment(), make_experiment("b", 4)]))
    assert len(rows) == 8
    assert len({tuple(r) for r in rows}) == 1
    random, _, margin, _ = rows[:4]
    assert random["strategy"] == "random"
    assert random["p"] == random["saving at 90 %"] == "–"
    assert random["labels to 90 %"].isdigit()
    assert "%" in margin["saving at 100 %"]
    assert "±" in margin["final"]
    assert margin["p"] == "<0.001"
    for r in table(make_results(strategies=("margin",), seeds=1)):
        assert r["labels to 90 %"] == r["difference"] == "–"
