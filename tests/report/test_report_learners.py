"""Experiments on the same data beside each other: numbers by hand, and what is left out."""

from __future__ import annotations

import json
import math
import re
import statistics
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_data import make_experiment, make_results
from scipy.stats import t as student

from labeltrain.cli.report import numbers, print_summary
from labeltrain.metrics import BOOKED, CostLedger, Curve
from labeltrain.report import compare_learners, summarise, write
from labeltrain.report.learner_figure import learner_figure, own_parts
from labeltrain.report.learner_section import points, times

GRID = np.array([10, 20])


def experiment(name, learner, **options):
    return replace(make_experiment(name, 2), **{"dataset": "r8", "learner": learner} | options)


def curve(name, strategy, seed, scores, seconds, examples=None, labels=GRID, complete=True):
    """Seconds are those of training; choosing takes as long again, storing twice as long."""
    train = np.array(seconds, dtype=float)
    return Curve(
        name, strategy, seed, np.asarray(labels), {"accuracy": np.array(scores)},
        np.full((len(scores), 2), 0.5),
        {"train": train, "select": train, "store": 2 * train, "evaluate": 1000 + train},
        complete, examples=None if examples is None else np.array(examples),
    )  # fmt: skip


OLD, NEW = experiment("R8, old", "old"), experiment("R8, new", "new")


def by_hand():
    """Totals are 8 seconds of the old learner, and 4, 2, 1 of the new one."""
    curves = [
        curve(OLD.name, "margin", 0, [0.50, 0.80], [1, 1], [10, 20]),
        curve(OLD.name, "margin", 1, [0.52, 0.82], [0.5, 1.5], [10, 40]),
        curve(OLD.name, "margin", 2, [0.54, 0.84], [1, 1], [10, 30]),
        curve(NEW.name, "margin", 0, [0.50, 0.81], [0.5, 0.5], [4, 4]),
        curve(NEW.name, "margin", 1, [0.52, 0.85], [0.25, 0.25], [5, 5]),
        curve(NEW.name, "margin", 2, [0.54, 0.84], [0.125, 0.125], [6, 6]),
    ]
    return make_results([OLD, NEW], seeds=0, curves=tuple(curves), baseline="margin")


def compared(results):
    return compare_learners(results, summarise(results))


def test_numbers_by_hand():
    (found,) = compared(by_hand())
    assert found.title == "Learners on r8"
    assert found.experiments == ("R8, old", "R8, new")
    assert found.steps == ("train", "select", "store")
    assert found.left_out == ()
    (table,) = found.tables
    assert (table.strategy, table.reference) == ("margin", "R8, old")
    old, new = table.rows
    assert (old.final_gap, old.mean_gap, old.times_less) == (None, None, None)
    assert (old.final.value, old.seconds, old.examples) == pytest.approx((0.82, 8.0, 40.0))
    assert (new.seeds, new.common) == (3, 3)
    # Differences 0.01, 0.03, 0: mean 0.04/3, deviation 0.0152753; t of 2 degrees is 4.302653.
    gap = (new.final_gap.value, new.final_gap.low, new.final_gap.high)
    assert gap == pytest.approx((0.0133333, -0.0246125, 0.0512791), abs=1e-6)
    # Of means over both rounds: half of that.
    gap = (new.mean_gap.value, new.mean_gap.low, new.mean_gap.high)
    assert gap == pytest.approx((0.0066667, -0.0123063, 0.0256396), abs=1e-6)
    # Ratios 2, 4, 8: logarithms 1, 2, 3 times log 2, so 4 divided and multiplied by 5.594998.
    assert new.seconds == pytest.approx(7 / 3)
    ratio = (new.times_less.value, new.times_less.low, new.times_less.high)
    assert ratio == pytest.approx((4.0, 4 / 5.594998, 4 * 5.594998), rel=1e-6)
    assert new.examples == 10.0
    seconds, scores = old.line
    # Until the first round 4, 2 and 4 seconds.
    assert seconds.tolist() == pytest.approx([10 / 3, 8.0])
    assert scores.tolist() == pytest.approx([0.52, 0.82])


# ---- a slow twin, from the curves alone -------------------------------------------------------


def plain(values):
    mean, count = statistics.fmean(values), len(values)
    if count == 1:
        return mean, None, None
    half = student.ppf(0.975, count - 1) * statistics.stdev(values) / math.sqrt(count)
    return mean, mean - half, mean + half


def total(c):
    return sum(
        float(c.seconds[step][k]) for k in range(len(c.labels)) for step in c.seconds
        if step in ("train", "select", "store")
    )  # fmt: skip


def twin(results, strategy, name, reference):
    """Return gap of finals, gap of means and times less over common seeds, each with its ends."""
    of = {(c.experiment, c.seed): c for c in results.curves if c.strategy == strategy}
    finals, means, logarithms = [], [], []
    for (other, seed), mine in of.items():
        base = of.get((reference, seed))
        if other != name or base is None:
            continue
        a, b = mine.scores["accuracy"].tolist(), base.scores["accuracy"].tolist()
        if any(math.isnan(x) for x in a + b):
            continue
        finals.append(a[-1] - b[-1])
        means.append(sum(a) / len(a) - sum(b) / len(b))
        if not math.isnan(total(mine)) and not math.isnan(total(base)):
            logarithms.append(math.log(total(base)) - math.log(total(mine)))
    ratio = plain(logarithms) if logarithms else None
    return (
        plain(finals) if finals else None,
        plain(means) if means else None,
        ratio and tuple(None if x is None else math.exp(x) for x in ratio),
    )


def as_triple(mean):
    return None if mean is None else (mean.value, mean.low, mean.high)


def assert_same(got, expected):
    if expected is None or got is None:
        assert got is expected
        return
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None)
        assert a is None or a == pytest.approx(b, rel=1e-9, abs=1e-12)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["random", "margin"]), st.integers(0, 3)),
        st.sampled_from(["whole", "whole", "whole", "no score", "no seconds", "no examples"]),
        max_size=24,
    ),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_the_slow_twin_finds_the_same(parts, salt):
    rng = np.random.default_rng(salt)
    curves = []
    for (name, strategy, seed), state in sorted(parts.items()):
        c = curve(name, strategy, seed, rng.random(2), rng.random(2) + 0.1, [3, 4])
        if state == "no score":
            c.scores["accuracy"][0] = np.nan
        if state == "no seconds":
            c.seconds["select"][1] = np.nan
        curves.append(replace(c, examples=None) if state == "no examples" else c)
    experiments = [experiment(name, name) for name in "abc"]
    results = make_results(experiments, seeds=0, curves=tuple(curves))
    found = compared(results)
    shown = {}
    for one in (table for comparison in found for table in comparison.tables):
        reference, *others = one.rows
        assert reference.experiment == one.reference
        for row in others:
            expected = twin(results, one.strategy, row.experiment, one.reference)
            got = (row.final_gap, row.mean_gap, row.times_less)
            for mine, theirs in zip(got, expected, strict=True):
                assert_same(as_triple(mine), theirs)
        for row in one.rows:
            shown[one.strategy, row.experiment] = row
            whole = [
                c for c in curves if (c.experiment, c.strategy) == (row.experiment, one.strategy)
                and np.isfinite(c.scores["accuracy"]).all()
            ]  # fmt: skip
            assert row.seeds == len(whole)
            took = [total(c) for c in whole if math.isfinite(total(c))]
            assert row.seconds == (pytest.approx(sum(took) / len(took)) if took else None)
            assert row.examples == (7.0 if any(c.examples is not None for c in whole) else None)
    # Whatever two experiments share is shown.
    for strategy in ("random", "margin"):
        have = {
            name: {s for (n, x, s), state in parts.items()
                   if (n, x) == (name, strategy) and state != "no score"}
            for name in "abc"
        }  # fmt: skip
        have = {name: seeds for name, seeds in have.items() if seeds}
        first = next(iter(have), None)
        if any(have[first] & have[name] for name in have if name != first):
            assert {name for x, name in shown if x == strategy} == set(have)
        else:
            assert not any(x == strategy for x, _ in shown)


# ---- which experiments are compared -----------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [{"dataset": "other"}, {"metric": "macro_f1"}, {"classes": ("x", "y")}, {"redrawn": False}],
)
def test_other_data_or_another_score_is_not_compared(other):
    results = by_hand()
    odd = replace(NEW, **other)
    curves = [
        replace(c, scores={"accuracy": c.scores["accuracy"], "macro_f1": c.scores["accuracy"]})
        for c in results.curves
    ]
    assert compared(replace(results, experiments=(OLD, odd), curves=tuple(curves))) == ()


def test_the_title_says_whether_learners_differ():
    results = by_hand()
    same = replace(results, experiments=(OLD, replace(NEW, learner="old")))
    assert compared(same)[0].title == "Experiments on r8"


def test_two_comparisons_on_one_data_set_are_told_apart():
    def moved(results, name):
        pairs = [(e, replace(e, name=f"{e.name} {name}")) for e in results.experiments]
        names = {old.name: new.name for old, new in pairs}
        curves = [
            replace(c, experiment=names[c.experiment], labels=c.labels * 2) for c in results.curves
        ]
        return tuple(new for _, new in pairs), tuple(curves)

    results = by_hand()
    experiments, curves = moved(results, "twice")
    found = compared(
        replace(
            results,
            experiments=results.experiments + experiments,
            curves=results.curves + curves,
        )
    )
    titles = ["Learners on r8 (R8, old ...)", "Learners on r8 (R8, old twice ...)"]
    assert [x.title for x in found] == titles
    assert [x.labels.tolist() for x in found] == [[10, 20], [20, 40]]


def test_a_loop_is_not_compared_with_its_final_learner():
    spent = dict.fromkeys(BOOKED, 1.0)
    final = experiment("R8, old, final mlp", "mlp")
    results = by_hand()
    last = [replace(c, experiment=final.name) for c in results.curves if c.experiment == OLD.name]
    ledger = CostLedger(final.name, "margin", "mlp", 20, 3, spent, spent)
    results = replace(
        results,
        experiments=(OLD, NEW, final),
        curves=(*results.curves, *last),
        costs=(ledger,),
    )
    (found,) = compared(results)
    assert found.experiments == (OLD.name, NEW.name)
    assert any("Learners trained at the end" in note for note in found.left_out)
    only = replace(results, experiments=(OLD, final))
    curves = tuple(c for c in results.curves if c.experiment != NEW.name)
    assert compared(replace(only, curves=curves)) == ()


# ---- partial results --------------------------------------------------------------------------


def changed(change, drop=()):
    results = by_hand()
    return replace(
        results,
        curves=tuple(change(c) for c in results.curves if (c.experiment, c.seed) not in drop),
    )


def test_seeds_that_only_one_has_are_not_paired_and_named():
    results = changed(lambda c: c, drop={(NEW.name, 0), (OLD.name, 2)})
    (found,) = compared(results)
    old, new = found.tables[0].rows
    assert (old.seeds, new.seeds, new.common) == (2, 2, 1)
    assert as_triple(new.final_gap) == pytest.approx((0.03, None, None))
    assert as_triple(new.times_less) == pytest.approx((4.0, None, None))
    assert old.final.value == pytest.approx(0.81)
    assert found.left_out == (
        "margin: seed 0 only in R8, old, not in R8, new.",
        "margin: seed 2 only in R8, new, not in R8, old.",
    )


def test_without_a_common_seed_there_is_nothing_to_compare():
    drop = {(NEW.name, 0), (NEW.name, 1), (OLD.name, 2)}
    assert compared(changed(lambda c: c, drop)) == ()
    third = experiment("R8, third", "third")
    results = changed(lambda c: c, drop)
    more = [replace(c, experiment=third.name) for c in results.curves if c.experiment == OLD.name]
    results = replace(results, experiments=(OLD, NEW, third), curves=(*results.curves, *more))
    (found,) = compared(results)
    _, new, other = found.tables[0].rows
    assert (new.common, new.final_gap, new.times_less) == (0, None, None)
    assert (other.common, other.final_gap.value, other.times_less.value) == (2, 0.0, 1.0)
    assert found.left_out == ("margin, R8, new: no seed in common with R8, old.",)


def test_seconds_that_were_not_recorded():
    def untimed(c):
        return replace(c, seconds={}) if (c.experiment, c.seed) == (NEW.name, 1) else c

    (found,) = compared(changed(untimed))
    new = found.tables[0].rows[1]
    assert as_triple(new.times_less)[0] == pytest.approx(4.0)  # of 2 and 8
    assert new.times_less.seeds == 2
    assert new.final_gap.seeds == 3
    assert found.left_out == ("margin, R8, new: no seconds of seed 1.",)
    (none,) = compared(changed(lambda c: replace(c, seconds={"evaluate": c.seconds["evaluate"]})))
    assert none.steps == ()
    assert none.left_out == ("No seconds were recorded.",)
    assert [row.seconds for row in none.tables[0].rows] == [None, None]


def test_a_step_that_one_curve_lacks_leaves_its_seconds_out():
    def short(c):
        kept = {k: v for k, v in c.seconds.items() if k != "store"}
        return replace(c, seconds=kept) if c.experiment == NEW.name else c

    (found,) = compared(changed(short))
    assert found.tables[0].rows[1].seconds is None
    assert found.left_out == ("margin, R8, new: no seconds of seeds 0, 1, 2.",)


def test_an_experiment_that_is_behind_is_named():
    third = experiment("R8, third", "third")
    results = by_hand()
    behind = tuple(
        curve(third.name, "margin", k, [0.5], [1], labels=GRID[:1], complete=False)
        for k in range(3)
    )
    results = replace(results, experiments=(OLD, NEW, third), curves=results.curves + behind)
    (found,) = compared(results)
    assert found.experiments == (OLD.name, NEW.name)
    assert found.left_out == ("R8, third: scored at other numbers of labels (10 to 10).",)
    (early,) = compared(replace(results, curves=results.curves[:6]))
    assert early.left_out == ("R8, third: no round finished yet.",)


def test_a_seed_that_stopped_early_is_left_out_where_it_is():
    results = by_hand()
    late = curve(NEW.name, "margin", 3, [0.5], [1], labels=GRID[:1], complete=False)
    (found,) = compared(replace(results, curves=(*results.curves, late)))
    assert found.tables[0].rows[1].seeds == 3
    told = "Seeds and rounds that an experiment itself leaves out are named there."
    assert found.left_out == (told,)


def test_a_strategy_that_the_first_lacks_has_another_reference():
    results = by_hand()
    third = experiment("R8, third", "third")
    more = tuple(
        curve(name, "badge", k, [0.5, 0.6], [1, 1])
        for name in (NEW.name, third.name)
        for k in range(2)
    )
    results = replace(results, experiments=(OLD, NEW, third), curves=results.curves + more)
    (found,) = compared(results)
    assert [(t.strategy, t.reference) for t in found.tables] == [
        ("margin", OLD.name), ("badge", NEW.name)
    ]  # fmt: skip
    assert found.left_out == (
        "margin: no scores in R8, third.",
        "badge: no scores in R8, old.",
    )


# ---- the picture ------------------------------------------------------------------------------


def test_the_picture_shows_what_the_table_says():
    (found,) = compared(by_hand())
    figure = learner_figure(found)
    (axes,) = [a for a in figure.axes if a.get_visible()]
    assert axes.get_xscale() == "log"
    assert axes.get_title(loc="left") == "margin"
    old, new = axes.get_lines()
    np.testing.assert_allclose(old.get_xdata(), [10 / 3, 8.0])
    np.testing.assert_allclose(old.get_ydata(), [52.0, 82.0])
    np.testing.assert_allclose(new.get_xdata(), [7 / 6, 7 / 3])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["old", "new"]


def test_dashes_are_seen_between_the_marks_of_many_rounds():
    grid = 10 * np.arange(1, 32)
    curves = tuple(
        curve(name, "margin", 0, np.linspace(0.5, 0.9, 31), np.ones(31), labels=grid)
        for name in (OLD.name, NEW.name)
    )
    (found,) = compared(make_results([OLD, NEW], seeds=0, curves=curves))
    _, new = learner_figure(found).axes[0].get_lines()
    assert len(new.get_xdata()) == 31
    assert new.get_markevery() == 4


def test_what_users_name_is_escaped(tmp_path):
    evil = '<b onclick="x">$\\frac{1}$ & more</b>'
    first, second = (experiment(f"{evil}, {k}", evil + k, dataset=evil) for k in "ab")
    curves = tuple(
        curve(e.name, f"{evil}!", k, [0.5, 0.6], [1, 1]) for e in (first, second) for k in (0, 1)
    )
    curves = (*curves[:3], replace(curves[3], seconds={}))
    files = write(make_results([first, second], seeds=0, curves=curves), tmp_path)
    page = files.html.read_text(encoding="utf-8")
    assert "<b " not in page
    assert "no seconds of seed 1" in section(page)
    assert "&lt;b onclick=" in section(page)
    assert all(path.parent == tmp_path for path in files.pngs)


def test_thirteen_learners_are_told_apart():
    names = [f"20 Newsgroups, a-learner-with-a-rather-long-name-{k}" for k in range(13)]
    experiments = [experiment(name, name) for name in names]
    curves = tuple(
        curve(name, s, 0, [0.5, 0.6], [k + 1, 1]) for s in ("margin", "badge")
        for k, name in enumerate(names)
    )  # fmt: skip
    (found,) = compared(make_results(experiments, seeds=0, curves=curves))
    figure = learner_figure(found)
    lines = figure.axes[0].get_lines()
    looks = {(x.get_color(), x.get_linestyle(), x.get_marker()) for x in lines}
    assert len(lines) == len(looks) == 13
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [f"a-learner-with-a-rather-long-name-{k}" for k in range(13)]


def test_only_what_all_names_begin_with_is_left_out():
    assert own_parts(["A, b, x", "A, b, y, z"]) == ["x", "y, z"]
    assert own_parts(["A, b", "A, b, c"]) == ["b", "b, c"]
    assert own_parts(["first", "fine"]) == ["first", "fine"]


# ---- the page ---------------------------------------------------------------------------------


def section(page):
    return page.split('<h2 id="l1">')[1].split("<h2")[0]


def cells(part):
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", part.split("<tbody>")[1].split("</tbody>")[0])
    shown = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [
        [re.sub(r"<[^>]+>", "", cell.replace("<small>", " | ")) for cell in row] for row in shown
    ]


def test_the_page_has_the_comparison(tmp_path):
    files = write(replace(by_hand(), clock="processor"), tmp_path)
    assert "learners-on-r8.png" in [path.name for path in files.pngs]
    page = files.html.read_text(encoding="utf-8")
    assert '<a href="#l1">Learners on r8</a>' in page
    part = section(page)
    assert part.count("<svg") == 1
    old, new = cells(part)
    assert old == ["R8, old", "3", "82.0 ± 5.0", "reference", "–", "8.00 s", "–", "40"]
    assert new[:2] == ["R8, new", "3"]
    assert new[3:] == [
        "+1.3 | −2.5 to +5.1", "+0.7 | −1.2 to +2.6", "2.33 s", "4.00 | 0.71 to 22.4", "10"
    ]  # fmt: skip
    assert "The reference is R8, old, the first of them in the study" in part
    assert "processor time of training, selecting and storing in all rounds" in part
    assert "evaluation is left out" in part
    assert "Left out</h3>" not in part
    assert "in common with the reference" not in part


def test_the_page_says_what_is_left_out(tmp_path):
    results = changed(
        lambda c: replace(c, seconds={}, examples=None), drop={(NEW.name, 0), (OLD.name, 2)}
    )
    page = write(results, tmp_path).html.read_text(encoding="utf-8")
    part = section(page)
    assert "<svg" not in part
    assert [len(row) for row in cells(part)] == [5, 5]
    assert "No seconds were recorded." in part
    assert "seed 0 only in R8, old, not in R8, new." in part
    assert cells(part)[1][1] == "1 of 2"
    assert "Seconds:" not in part
    assert "Seeds: those in common with the reference, of those there are." in part
    assert "Seconds a round" not in page


def test_one_strategy_is_said_once(tmp_path, capsys):
    results = by_hand()
    page = write(results, tmp_path / "a").html.read_text(encoding="utf-8")
    assert page.count("Only the baseline") == 1
    assert "<strong>All 2 experiments.</strong> Only the baseline" in page
    other = write(replace(results, baseline="random"), tmp_path / "b")
    page = other.html.read_text(encoding="utf-8")
    assert page.count("is not among the compared strategies") == 1
    print_summary(results)
    told = capsys.readouterr().out
    assert told.count("Only the baseline") == 1
    assert "All 2 experiments: Only the baseline" in told


@pytest.mark.parametrize("clock", ["wall", "processor"])
def test_the_time_of_the_whole_is_called_what_it_is(clock, tmp_path):
    results = replace(by_hand(), clock=clock)
    page = write(results, tmp_path / "a").html.read_text(encoding="utf-8")
    assert "· 20.6 min by the wall clock</p>" in page
    assert "of computing" not in page
    unknown = write(replace(results, seconds_total=0.0), tmp_path / "b")
    assert "by the wall clock" not in unknown.html.read_text(encoding="utf-8").split("<nav>")[0]


def test_seconds_and_examples_of_each_experiment(tmp_path):
    page = write(by_hand(), tmp_path).html.read_text(encoding="utf-8")
    _, old, new = page.split("<h3>Seconds a round</h3>")
    # Train 1 s, select 1 s, store 2 s and evaluate 1001 s a round.
    assert cells(old) == [
        ["margin", "1.00 s | 2.00 s a seed", "1.00 s | 2.00 s a seed", "16.7 min | 33.4 min a seed",
         "2.00 s | 4.00 s a seed", "16.8 min | 33.5 min a seed", "40"]
    ]  # fmt: skip
    assert cells(new)[0][1] == "0.29 s | 0.58 s a seed"
    assert "in all" not in old.split("</table>")[0]
    assert "all rounds until 20 labels together, a mean over seeds" in old


def test_programs_get_the_comparison():
    found = numbers(by_hand())
    (learners,) = found["learners"]
    row = learners["tables"][0]["rows"][1]
    assert row["experiment"] == "R8, new"
    assert row["times_less"]["value"] == pytest.approx(4.0)
    from labeltrain.cli.output import _plain

    assert json.loads(json.dumps(_plain(learners)))["labels"] == [10, 20]


def test_small_words():
    assert [points(x) for x in (0.013, -0.013, 0.0004, -0.0004)] == ["+1.3", "−1.3", "0.0", "0.0"]
    assert [times(x) for x in (0.5, 3.3333, 12.34, 123.4)] == ["0.50", "3.33", "12.3", "123"]


def test_stages_of_prompts_that_score_another_task_are_no_comparison():
    from labeltrain.sft.results import _experiment

    pool = SimpleNamespace(tasks={"a": 1, "b": 1}, file=None, test=10)
    spec = SimpleNamespace(
        pool=pool, embeddings="e", model="m", training=lambda seed: SimpleNamespace(tune="lora"),
        subpool=None, evaluate=SimpleNamespace(main="nll"),
    )  # fmt: skip
    targets = [None, SimpleNamespace(task="a", examples=4, learn=True, seeds=())]
    stages = [SimpleNamespace(name=str(k), target=x, seeds=()) for k, x in enumerate(targets)]
    data = [_experiment(spec, stage, 20, {}, {}, 0.0).dataset for stage in stages]
    assert data == ["a, b", "a, b; scored on a"]
