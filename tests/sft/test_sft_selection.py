"""Choices: the same picks as `labeltrain.select`, nested, built on what is answered."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labeltrain
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.sft.answers import Given, answers_of, skipped_of, take_answers
from labeltrain.sft.budget import costs, parsed_budget
from labeltrain.sft.candidates import clusters_for_tasks
from labeltrain.sft.choosing import choices, choose_in, kept_choice
from labeltrain.sft.designs import DESIGNS, design
from labeltrain.sft.embedding import Embedded, embedded, whitened
from labeltrain.sft.gradients import Gradients
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.reading import read_prompts
from labeltrain.sft.reductions import SCORES
from labeltrain.sft.repeats import Repeats, find_repeats, shingles, words_of
from labeltrain.sft.scored_pool import ScoredPool
from labeltrain.sft.selection import Choice, Question, choose
from labeltrain.sft.width import COVERED, STILL, kernel_width
from labeltrain.sft.workspace import PromptWorkspace

N = 120


def prompts(n: int = N) -> tuple[Prompt, ...]:
    rows = [
        {"id": f"p{i}", "prompt": f"prompt number {i} asks for {i * 7 % 31} things",
         "task": "abc"[i % 3], "price": 1.0 + i % 4}
        for i in range(n)
    ]  # fmt: skip
    return read_prompts(rows).prompts


def scored(n: int = N, seed: int = 0) -> ScoredPool:
    rng = np.random.default_rng(seed)
    scores = {name: rng.uniform(0.1, 2.0, size=n) for name in SCORES}
    scores["tokens"] = rng.integers(1, 9, size=n).astype(float)
    return ScoredPool(
        "k", {"model": "m"}, scores, ("",) * n, np.zeros(n, bool), np.zeros(n, bool),
        rng.integers(5, 40, size=n), {}, 1.0, 1e9,
    )  # fmt: skip


def looked(n: int = N, seed: int = 0) -> Embedded:
    return Embedded("e", np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32), 0.0)


TARGETS = looked().array[[0, 3, 6, 7]]


def alone(n: int = N) -> Repeats:
    return Repeats(np.arange(n), 0, 0)


def chosen(method: str, budget: str = "12", n: int = N, **more: Any) -> Choice:
    given_ = {key: more.pop(key) for key in ("answered", "pending", "targets") if key in more}
    if method == "task-relevance":
        given_.setdefault("targets", TARGETS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rule for the width finds none here
        return choose(
            Question(method, budget, **more), prompts(n), scored=scored(n), embeddings=looked(n),
            repeats=given_.pop("repeats", alone(n)), **given_,
        )  # fmt: skip


def arrays_for(choice: Choice) -> dict[str, Any]:
    return {
        "scores": scored().scores, "embeddings": looked().array,
        "groups": np.array([p.task for p in prompts()]), "targets": TARGETS,
    }  # fmt: skip


@pytest.mark.parametrize("method", [m for m in DESIGNS if m != "rds"])
def test_a_design_picks_as_select_does(method: str) -> None:
    found = chosen(method, answered=[3, 4], pending=[5])
    again = labeltrain.select(
        found.strategy, budget=12, labelled=[3, 4], pending=[5], kind="none",
        **arrays_for(found), **found.parameters,
    )  # fmt: skip
    assert found.positions.tolist() == again.positions.tolist()
    assert len(set(found.positions.tolist())) == 12
    assert not {3, 4, 5} & set(found.positions.tolist())
    np.testing.assert_array_equal(found.scores, again.scores)


@pytest.mark.parametrize("method", [m for m in DESIGNS if m != "rds"])
def test_nested_designs_have_every_prefix_as_choice(method: str) -> None:
    whole = chosen(method, "30", gamma=0.3)
    if not whole.nested or method == "random":  # a part of a draw is another draw
        return
    for k in (1, 7, 29):
        assert chosen(method, str(k), gamma=0.3).positions.tolist() == whole.positions[:k].tolist()
    assert method not in ("gist", "filter-then-cover", "facility-location-uncertainty")


def test_which_designs_are_nested() -> None:
    nested = {m for m in DESIGNS if m != "rds" and chosen(m, "5", gamma=0.3).nested}
    assert {"random", "random-balanced", "k-center", "facility-location", "mean-entropy"} <= nested
    assert {"task-diversity", "weighted-task-diversity", "task-relevance"} <= nested
    assert {m for m, d in DESIGNS.items() if d.paper} == {
        "random", "mean-entropy", "least-confidence", "mean-margin", "min-margin", "max-entropy",
        "k-center", "facility-location",
    }  # fmt: skip


def test_uncertainty_designs_read_their_own_score() -> None:
    values = scored().scores
    for method, name, sign in [
        ("mean-entropy", "mean_entropy", -1), ("max-entropy", "max_entropy", -1),
        ("least-confidence", "nll", -1), ("least-confidence-norm", "nll_mean", -1),
        ("mean-margin", "mean_margin", 1), ("min-margin", "min_margin", 1),
    ]:  # fmt: skip
        expected = np.argsort(sign * values[name], kind="stable")[:12]
        assert chosen(method).positions.tolist() == expected.tolist()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([m for m in DESIGNS if m != "rds"]), st.integers(1, 30), st.integers(1, 40),
    st.integers(0, 3),
)  # fmt: skip
def test_budget_uniqueness_determinism(method: str, n: int, budget: int, seed: int) -> None:
    first, second = (chosen(method, str(budget), n, seed=seed, gamma=0.5) for _ in range(2))
    assert len(first.positions) == min(budget, n)
    assert len(set(first.positions.tolist())) == len(first.positions)
    assert first.exhausted == (budget > n)
    assert first.positions.tolist() == second.positions.tolist()
    assert not set(first.reserve.tolist()) & set(first.positions.tolist())


def test_rds_needs_targets_and_goes_by_them() -> None:
    points = looked().array
    found = chosen("rds", "4", targets=points[[7, 50]])
    assert found.positions[:2].tolist() == [7, 50]
    with pytest.raises(BadInput, match="needs prompts of the target"):
        chosen("rds")


def test_relevance_is_told_by_task() -> None:
    points = np.concatenate([np.eye(3, dtype=np.float32)] * 40)  # tasks a, b, c in turn
    looks = Embedded("e", points, 0.0)
    question = Question("task-relevance", "10", {"floor": 1})
    found = choose(
        question, prompts(), embeddings=looks, targets=points[[1, 1, 2]], repeats=alone()
    )
    tasks = [prompts()[p].task for p in found.positions.tolist()]
    assert (tasks.count("a"), found.nested) == (1, True)
    assert tasks.count("b") > tasks.count("c") > 1
    told = found.relevance
    assert told is not None
    assert told.tasks == ("a", "b", "c")
    assert told.relevance[0] == 0 < told.relevance[2] < told.relevance[1]
    assert told.residual == pytest.approx(0.0, abs=1e-6)
    assert chosen("random").relevance is None
    with pytest.raises(BadInput, match="needs prompts of the target"):
        choose(question, prompts(), embeddings=looks, repeats=alone())
    with pytest.raises(BadInput, match="needs gradients of answers"):
        choose(Question("task-relevance", "3", {"by": "gradients"}), prompts(), repeats=alone())


def test_gradients_stand_for_embeddings() -> None:
    rows = np.zeros((N, 3), dtype=np.float32)
    rows[[0, 1, 3, 4]] = np.eye(3)[[0, 1, 0, 1]]  # of tasks a and b; nothing of c
    moves = Gradients(rows, np.eye(3, dtype=np.float32)[[1, 1]])
    parameters = {"by": "gradients", "floor": 2}
    found = choose(
        Question("task-relevance", "10", parameters), prompts(), gradients=moves,
        answered=[0, 1, 3, 4], repeats=alone(),
    )  # fmt: skip
    same = labeltrain.select(
        "task-relevance", **found.parameters, embeddings=rows, targets=moves.targets,
        groups=[p.task for p in prompts()], labelled=[0, 1, 3, 4], budget=10, kind="none",
    )  # fmt: skip
    assert found.positions.tolist() == same.positions.tolist()
    tasks = [prompts()[p].task for p in found.positions.tolist()]
    assert (tasks.count("a"), tasks.count("b"), tasks.count("c")) == (0, 8, 2)  # two are held
    assert found.relevance is not None
    assert found.relevance.known.tolist() == [True, True, False]
    plain = read_prompts([{"prompt": f"about {i}"} for i in range(9)]).prompts
    with pytest.raises(BadInput, match="the prompts have none"):
        choose(
            Question("task-relevance", "3", parameters), plain, repeats=alone(9),
            gradients=Gradients(rows[:9], moves.targets), answered=[0],
        )  # fmt: skip


def test_what_a_design_needs_and_does_not_get() -> None:
    with pytest.raises(BadInput, match="how sure a model was"):
        choose(Question("mean-entropy", "3"), prompts(), repeats=alone())
    with pytest.raises(BadInput, match="looks at the prompts"):
        choose(Question("k-center", "3"), prompts(), repeats=alone())
    plain = read_prompts([{"prompt": "a"}, {"prompt": "b"}]).prompts
    with pytest.raises(BadInput, match="the prompts have none"):
        choose(Question("random-balanced", "1"), plain, repeats=alone(2))
    blind = scored()
    blind.scores["mean_entropy"][:] = np.nan
    with pytest.raises((BadInput, MissingNeed), match="mean_entropy"):
        choose(Question("mean-entropy", "3"), prompts(), scored=blind, repeats=alone())
    with pytest.raises(BadInput, match="did you mean 'k-center'"):
        design("k-centre")
    with pytest.raises(BadInput, match="has no parameter 'gama'"):
        chosen("facility-location", parameters={"gama": 1.0})
    for wrong in ({"reserve": -1.0}, {"near": 0.0}, {"repeats": "drop"}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            chosen("random", **wrong)  # type: ignore[arg-type]


# -- budgets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        ("5000", "prompts", 5000), ("5,000", "prompts", 5000), ("20%", "share", 20),
        ("0.5 %", "share", 0.5), ("4e5tokens", "tokens", 4e5), ("12 token", "tokens", 12),
        ("800usd", "money", 800), ("$12.5", "money", 12.5), ("9 EUR", "money", 9),
        (7, "prompts", 7),
    ],
)  # fmt: skip
def test_budgets_are_read(text: str, unit: str, amount: float) -> None:
    found = parsed_budget(text)
    assert (found.unit, found.amount) == (unit, amount)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-3",
        "1.5",
        "5.000",
        "1,5%",
        "1,5",
        "many",
        "120%",
        "0%",
        "5 apples",
        "$5usd",
        "$5tokens",
        "nan",
    ],
)
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(BadInput, match="budget"):
        parsed_budget(text)


def test_what_answers_cost() -> None:
    some = prompts(4)
    tokens = np.array([10, 20, 30, 40])
    assert costs(parsed_budget("3"), some, tokens) is None
    assert costs(parsed_budget("99tokens"), some, tokens).tolist() == [10, 20, 30, 40]  # type: ignore[union-attr]
    money = parsed_budget("9usd")
    both = costs(money, some, tokens, price_per_answer=1.0, price_per_1000_tokens=100.0)
    assert both.tolist() == [2.0, 3.0, 4.0, 5.0]  # type: ignore[union-attr]
    assert costs(money, some, None, cost_field="price").tolist() == [1, 2, 3, 4]  # type: ignore[union-attr]
    for options, message in [
        ({}, "nothing has a price"), ({"price_per_answer": 0.0}, "price above 0"),
        ({"price_per_1000_tokens": 1.0}, "how long answers will be"),
        ({"cost_field": "fee"}, r"'p0' \(line 1\) has 'fee' = None"),
    ]:  # fmt: skip
        with pytest.raises(BadInput, match=message):
            costs(money, some, None, **options)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="is no money"):
        costs(parsed_budget("3"), some, None, price_per_answer=1.0)


@pytest.mark.parametrize("method", ["mean-entropy", "facility-location", "random-balanced"])
def test_money_is_not_overspent_and_almost_all_of_it_is_spent(method: str) -> None:
    found = chosen(method, "20usd", prices={"cost_field": "price"})
    paid = sum(prompts()[p].record["price"] for p in found.positions.tolist())
    assert found.spent == pytest.approx(paid)
    assert 19.0 <= paid <= 20.0
    tokens = chosen(method, "200tokens")
    assert 0 < tokens.spent <= 200


@pytest.mark.parametrize("method", ["filter-then-cover", "gist", "facility-location-uncertainty"])
def test_money_buys_a_batch_that_was_made_for_its_size(method: str) -> None:
    parameters = {} if method == "gist" else {"gamma": 0.3}
    paid = chosen(method, "40usd", prices={"cost_field": "price"}, parameters=parameters)
    count = len(paid.positions)
    prices = np.array([p.record["price"] for p in prompts()])
    assert paid.spent == prices[paid.positions].sum() <= 40.0
    plain = chosen(method, str(count), parameters=parameters)
    assert paid.positions.tolist() == plain.positions.tolist()
    more = chosen(method, str(count + 1), parameters=parameters)
    assert prices[more.positions].sum() > 40.0 or paid.spent >= 38.0
    alike = chosen(method, "40usd", prices={"price_per_answer": 4.0}, parameters=parameters)
    ten = chosen(method, "10", parameters=parameters)
    assert alike.positions.tolist() == ten.positions.tolist()


def test_a_budget_that_buys_nothing_is_refused() -> None:
    for method in ("min-margin", "gist", "facility-location"):
        with pytest.raises(BadInput, match="buys no prompt"):
            chosen(method, "3tokens", parameters={"gamma": 0.3} if "fac" in method else {})


def test_clusters_stand_for_tasks_where_there_are_none() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.permutation(np.repeat(np.arange(12), [80, *[6] * 10, 4]))  # sqrt(144) clusters
    points = np.eye(12)[kinds] + 0.01 * rng.normal(size=(144, 12))
    some = read_prompts([{"prompt": f"about {i}"} for i in range(144)]).prompts
    found = choose(
        Question("random-balanced", "12"), some, embeddings=Embedded("e", points, 0.0),
        repeats=alone(144),
    )  # fmt: skip
    assert found.clusters == 12
    assert sorted(kinds[found.positions].tolist()) == list(range(12))
    groups = clusters_for_tasks(points)
    same = labeltrain.select("random-balanced", groups=groups, budget=12)
    assert same.positions.tolist() == found.positions.tolist()
    assert chosen("random-balanced").clusters == 0


def test_a_workspace_without_tasks_is_clustered(tmp_path: Path) -> None:
    rows = read_prompts([{"prompt": f"word{i % 9} and number {i}"} for i in range(81)])
    with PromptWorkspace.create(tmp_path / "w", rows, "rows") as workspace:
        told = choose_in(workspace, Question("random-balanced", "9"), embeddings="lsa")
        assert any("9 clusters of their embeddings stand for" in line for line in told["lines"])
        assert kept_choice(workspace).body["clusters"] == 9
        assert kept_choice(workspace).body["embeddings"] == "lsa"


def test_facility_location_buys_what_gains_most_per_cost() -> None:
    """More of the pool is covered for the same money than by the order of gains alone."""
    n, rng = 200, np.random.default_rng(5)
    points = rng.normal(size=(n, 6)).astype(np.float32)
    rows = [
        {"prompt": f"about {i}", "price": float(p)} for i, p in enumerate(rng.choice([1, 9], n))
    ]
    some = read_prompts(rows).prompts
    prices = np.array([row["price"] for row in rows])

    def bought(**parameters: Any) -> Choice:
        question = Question(
            "facility-location", "60usd", {"gamma": 0.3, **parameters},
            prices={"cost_field": "price"}, reserve=0.1,
        )  # fmt: skip
        return choose(question, some, embeddings=Embedded("e", points, 0.0), repeats=alone(n))

    def covered(choice: Choice) -> float:
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        apart = 2.0 - 2.0 * unit @ unit[choice.positions].T
        mean = 2.0 - 2.0 * float(np.square(unit.mean(axis=0)).sum())
        return float(np.exp(-apart / (0.3 * mean)).max(axis=1).mean())

    paid, free = bought(), bought(per_cost=False)
    assert paid.parameters["per_cost"]
    assert not paid.nested
    assert paid.spent <= 60.0
    assert prices[paid.positions].sum() == paid.spent
    assert covered(paid) > 1.1 * covered(free)
    assert len(paid.reserve) == -(-len(paid.positions) // 10)
    same = labeltrain.select(
        "facility-location", embeddings=points, costs=prices, budget=60.0, **paid.parameters
    )
    assert same.positions.tolist() == paid.positions.tolist()
    # Where all cost the same there is nothing to weigh, and the picks are those of a count.
    alike = choose(
        Question("facility-location", "60usd", {"gamma": 0.3}, prices={"price_per_answer": 5.0}),
        some, embeddings=Embedded("e", points, 0.0), repeats=alone(n),
    )  # fmt: skip
    assert not alike.parameters["per_cost"]
    assert len(alike.positions) == 12
    with pytest.raises(Exception, match="leave one out"):
        bought(per_cost=True, uncertainty=1.0, score="min-margin")


def test_a_large_pool_has_as_many_neighbours_as_the_budget_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("labeltrain.sft.selection.GRAPH", 100)
    found = chosen("facility-location", "4", parameters={"gamma": 0.3})
    assert found.parameters["neighbours"] == 119  # 4 n / 4, and there are no more
    found = chosen("facility-location", "4", largest="60", parameters={"gamma": 0.3})
    assert found.parameters["neighbours"] == 64
    found = chosen("facility-location", "4", neighbours=70, parameters={"gamma": 0.3})
    assert found.parameters["neighbours"] == 70
    found = chosen("facility-location", "4", neighbours=70, parameters={"neighbours": 3})
    assert found.parameters["neighbours"] == 3


# -- repeats -------------------------------------------------------------------------------------

START = "once upon a time there was a king who had three sons and a very old horse, and one day he"
END = "they all lived on in that castle by the sea until the old king died, what was his name then?"
MIDDLE = "said to the eldest go out and find the bird that sings in the tall tree by the lake and"
STORY = f"{START} {MIDDLE} {END}"


def repeated() -> tuple[Prompt, ...]:
    rows = [
        STORY, "something else", STORY, STORY.replace("bird", "fish").upper(),
        "another thing here", STORY.replace("his name then", "her name then"),
    ]  # fmt: skip
    return read_prompts([{"prompt": text} for text in rows]).prompts


def test_exact_and_near_repeats() -> None:
    found = find_repeats(repeated(), threshold=0.8)
    assert (found.first.tolist(), found.exact, found.near) == ([0, 1, 0, 0, 4, 5], 1, 1)
    plain = find_repeats(repeated(), threshold=None)
    assert (plain.first.tolist(), plain.near) == ([0, 1, 0, 3, 4, 5], 0)


def test_near_repeats_equal_all_pairs() -> None:
    rng = np.random.default_rng(0)
    words = [chr(97 + i // 26) + chr(97 + i % 26) for i in range(40)]
    texts = []
    for _ in range(60):
        text = list(rng.choice(words, 60))
        texts.append(" ".join(text))
        for place in rng.choice(range(22, 38), rng.integers(0, 4), replace=False):
            text[place] = "other"
        texts.append(" ".join(text))
    some = read_prompts([{"prompt": text} for text in texts]).prompts
    found = find_repeats(some, threshold=0.7)
    listed = [words_of(text) for text in texts]
    sets = [shingles(words) for words in listed]
    first = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            shared = len(sets[i] & sets[j])
            alike = shared >= 0.7 * (len(sets[i]) + len(sets[j]) - shared)
            ends = all(listed[i][part] == listed[j][part] for part in (slice(24), slice(-24, None)))
            if alike and ends:
                first[i] = first[j]
                break
    assert np.mean(found.first == np.array(first)) >= 0.98  # the hashes may miss a pair


@pytest.mark.parametrize(
    "texts",
    [
        ["What is 3 + 5?", "What is 3 - 5?", "What is 3 * 5?", "What is 3 + 6?"],
        ["Solve x - 3 = 7", "Solve x + 3 = 7"],
        ["\N{ROCKET}", "\N{GRINNING FACE}", "!!!", "???"],
        [f"{STORY} {STORY} {q}" for q in ("who was it?", "where was it?", "when?")],
        [f"{q} {STORY} {STORY}" for q in ("who was it?", "where was it?", "when?")],
        [f"{STORY} for {n} days he walked {STORY}" for n in (3, 4)],
        ["does it sell data?", "does it collect payment information?"],
    ],
)
def test_other_questions_are_no_repeats(texts: list[str]) -> None:
    found = find_repeats(read_prompts([{"prompt": text} for text in texts]).prompts)
    assert found.first.tolist() == list(range(len(texts)))


def test_case_spaces_and_marks_make_no_other_question() -> None:
    texts = ["Name a colour, please.", "name a  colour please", "Name a colour please!"]
    found = find_repeats(read_prompts([{"prompt": text} for text in texts]).prompts)
    assert (found.first.tolist(), found.exact, found.near) == ([0, 0, 0], 0, 2)


def test_repeats_are_chosen_once() -> None:
    some = repeated()
    points = Embedded("e", np.eye(6, dtype=np.float32), 0.0)
    repeats = find_repeats(some, threshold=0.8)

    def picked(**more: Any) -> set[int]:
        options = {k: more.pop(k) for k in ("answered", "pending") if k in more}
        found = choose(
            Question("k-center", "6", **more), some, embeddings=points, repeats=repeats, **options
        )
        return set(found.positions.tolist())

    assert picked() == {0, 1, 4, 5}
    assert picked(answered=[3]) == {1, 4, 5}
    assert picked(pending=[2]) == {1, 4, 5}
    assert picked(repeats="keep") == set(range(6))


# -- the width -----------------------------------------------------------------------------------


def test_the_width_meets_its_conditions() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 8)) * 3
    points = centres[rng.integers(20, size=600)] + rng.normal(size=(600, 8))
    found = kernel_width(points, 60)
    assert found.fits
    mine = next(t for t in found.tried if t["gamma"] == found.gamma)
    assert COVERED[0] <= mine["covered"] <= COVERED[1]
    assert mine["last_gain"] >= STILL
    covered = [t["covered"] for t in found.tried]
    assert covered == sorted(covered)  # a wider kernel covers more
    assert kernel_width(points * 100, 60).gamma == found.gamma  # no unit
    # Among those that meet them, the closest to the middle.
    fit = [t for t in found.tried if 0.5 <= t["covered"] <= 0.95 and t["last_gain"] >= STILL]
    assert found.gamma == min(fit, key=lambda t: abs(t["covered"] - 0.75))["gamma"]


def test_widths_at_the_edges() -> None:
    assert not kernel_width(np.zeros((5, 3)), 2).fits  # one point covers all
    assert kernel_width(np.ones((1, 3)), 1).picks == 1
    rng = np.random.default_rng(1)
    large = rng.normal(size=(4100, 4))
    found = kernel_width(large, 410)
    assert (found.sample, found.picks) == (4000, 400)
    assert found == kernel_width(large, 410)


# -- embeddings ----------------------------------------------------------------------------------


def test_whitened_components_have_variance_one_and_no_correlation() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + 5.0
    found = whitened(points, 4).astype(np.float64)
    np.testing.assert_allclose(np.cov(found.T), np.eye(4), atol=1e-5)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-5)
    assert whitened(np.ones((5, 3)), 2).shape == (5, 1)
    flat = np.column_stack([points[:, :2], np.zeros((300, 3))])
    assert whitened(flat, 5).shape == (300, 2)
    with pytest.raises(BadInput, match="whiten=0"):
        whitened(points, 0)


def test_embeddings_come_from_the_scores_or_from_an_encoder() -> None:
    pool = scored()
    object.__setattr__(pool, "embeddings", {"mean": looked().array})
    assert embedded("mean", prompts(), pool).array is pool.embeddings["mean"]
    assert embedded("mean", prompts(), pool, whiten=2).name == "mean whitened 2"
    with pytest.raises(BadInput, match=r"(?s)no embeddings 'last'.*one of: mean"):
        embedded("last", prompts(), pool)
    assert embedded("lsa", prompts(), None).array.shape[0] == N


# -- in a workspace ------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    rows = [dict(p.record) for p in prompts(40)]
    with PromptWorkspace.create(tmp_path / "w", read_prompts(rows), "rows") as held:
        yield held


def test_answers_are_built_on(workspace: PromptWorkspace) -> None:
    rows = [Given(1, "p3", "three"), Given(2, "p4", None), Given(3, "p5", "five", "ann")]
    assert vars(take_answers(workspace, rows, "f")) == {
        "new": 2, "changed": 0, "same": 0, "skipped": 1, "withdrawn": 0,
    }  # fmt: skip
    again = [Given(1, "p3", "THREE"), Given(2, "p4", "four"), Given(3, "p5", "five")]
    assert vars(take_answers(workspace, again, "f")) == {
        "new": 1, "changed": 1, "same": 1, "skipped": 0, "withdrawn": 0,
    }  # fmt: skip
    assert answers_of(workspace) == {"p3": "THREE", "p5": "five", "p4": "four"}
    assert skipped_of(workspace) == set()
    told = take_answers(workspace, [Given(1, "p3", None)], "f")  # nothing acknowledged is lost
    assert (told.same, told.skipped) == (1, 0)
    assert answers_of(workspace)["p3"] == "THREE"
    told = choose_in(workspace, Question("random", "37"))
    assert not {"p3", "p4", "p5"} & set(told["ids"])
    assert "3 prompts that have an answer were built on" in told["lines"]


def test_answers_are_withdrawn(workspace: PromptWorkspace) -> None:
    take_answers(workspace, [Given(1, "p3", "three"), Given(2, "p4", None)], "f")
    back = [Given(i, f"p{i}", None, withdrawn=True) for i in (3, 4, 5)]
    told = take_answers(workspace, back, "f")
    assert (told.withdrawn, told.same, told.skipped) == (2, 1, 0)
    assert (answers_of(workspace), skipped_of(workspace)) == ({}, set())
    take_answers(workspace, [Given(1, "p3", "again")], "f")
    assert answers_of(workspace) == {"p3": "again"}


def test_the_prompt_beside_an_answer_has_to_be_the_one_of_its_id(
    workspace: PromptWorkspace, tmp_path: Path
) -> None:
    text = workspace.prompts[3].text
    take_answers(workspace, [Given(1, "p3", "three", prompt=f" {text}\n")], "f")
    with pytest.raises(BadInput, match="line 7: 'p4' is another prompt in the pool"):
        take_answers(workspace, [Given(7, "p4", "four", prompt=text)], "f")
    elsewhere = tmp_path / "answered.jsonl"
    elsewhere.write_text(json.dumps({"id": "p5", "prompt": "quite another", "answer": "x"}) + "\n")
    with pytest.raises(BadInput, match="line 1: 'p5' is another prompt in the pool"):
        choose_in(workspace, Question("random", "3"), answered=elsewhere)


def test_random_reads_no_scores(workspace: PromptWorkspace) -> None:
    for model in ("one", "two"):  # two scorings, none of them finished
        body = {"scoring": model, "settings": {"model": model}, "shards": [[0, 1]]}
        workspace.append("planned", body)
    choose_in(workspace, Question("random", "3"))
    assert kept_choice(workspace).body["scoring"] is None
    choose_in(workspace, Question("k-center", "3"), name="b", embeddings="lsa")
    assert kept_choice(workspace, "b").body["scoring"] is None
    with pytest.raises(BadInput, match="scores of several models"):
        choose_in(workspace, Question("min-margin", "3"), name="c")


def test_prefixes_on_a_graph_are_choices_whatever_the_kernel(
    workspace: PromptWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeltrain.sft.selection.GRAPH", 10)
    monkeypatch.setattr("labeltrain.sft.selection.NEIGHBOURS", 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kernel in ({"gamma": 0.3}, {"kernel": "cosine"}):
            names = [f"{k}-{budget}" for k in kernel for budget in (30, 5)]
            for name, budget in zip(names, ("30", "5"), strict=True):
                choose_in(
                    workspace, Question("facility-location", budget, kernel), name=name,
                    embeddings="lsa",
                )  # fmt: skip
            large, small = (kept_choice(workspace, name) for name in names)
            assert large.body["parameters"]["neighbours"] == 6
            assert small.positions.tolist() == large.positions[:5].tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no answers"),
        ([Given(4, "nobody", "x")], r"1 ids are not in the pool .*'nobody' \(line 4\)"),
        ([Given(1, "p1", "x"), Given(2, "p1", "y")], "two answers \\(lines 1 and 2\\)"),
        ([Given(9, "p1", "  ")], "line 9: the answer to 'p1' is empty"),
    ],
)
def test_answers_that_cannot_be_taken(
    workspace: PromptWorkspace, rows: list[Given], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        take_answers(workspace, rows, "file")
    assert answers_of(workspace) == {}


def test_choices_are_kept_under_their_names(workspace: PromptWorkspace, tmp_path: Path) -> None:
    out = tmp_path / "chosen.jsonl"
    told = choose_in(workspace, Question("random-balanced", "10%", seed=3), out=out)
    assert told["name"] == "random-balanced-10percent"
    assert set(told["tasks"].values()) <= {1, 2}
    kept = kept_choice(workspace)
    assert [workspace.prompts[p].id for p in kept.positions] == told["ids"]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["id"] for r in rows] == told["ids"]
    assert rows[0]["_sel"]["rank"] == 1
    assert {k: v for k, v in rows[0].items() if k != "_sel"} == dict(
        workspace.prompts[kept.positions[0]].record
    )
    again = choose_in(workspace, Question("random-balanced", "10%", seed=3), out=out)
    assert again["ids"] == told["ids"]
    assert "chosen already" in again["lines"][0]
    for other in (Question("random-balanced", "10%"), Question("random-balanced", "10%", seed=3,
                                                               near=None)):  # fmt: skip
        with pytest.raises(BadInput, match="holds another choice 'random-balanced-10percent'"):
            choose_in(workspace, other)
    assert len(choices(workspace)) == 1
    choose_in(workspace, Question("k-center", "4"), name="k", embeddings="lsa")
    with pytest.raises(BadInput, match="holds another choice 'k'"):
        choose_in(workspace, Question("k-center", "4"), name="k", embeddings="lsa", whiten=3)
    after = choose_in(workspace, Question("random", "30"), name="b", after=[told["name"]])
    assert not set(after["ids"]) & set(told["ids"])
    with pytest.raises(BadInput, match="holds several choices"):
        kept_choice(workspace)
    with pytest.raises(BadInput, match="unknown choice 'c'"):
        kept_choice(workspace, "c")
    assert list(choices(workspace)) == [told["name"], "k", "b"]
    for name in ("a/b", " ", ".hidden"):
        with pytest.raises(BadInput, match="cannot be a file's"):
            choose_in(workspace, Question("random", "3"), name=name)


def test_the_width_is_set_once(workspace: PromptWorkspace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        choose_in(
            workspace, Question("facility-location", "3", largest="20"), embeddings="lsa", name="a"
        )
        choose_in(workspace, Question("facility-location", "20"), embeddings="lsa", name="b")
    widths = [event.body for event in workspace.events("width")]
    assert (len(widths), widths[0]["budget"], widths[0]["picks"]) == (1, "20", 20)
    small, large = kept_choice(workspace, "a"), kept_choice(workspace, "b")
    assert small.body["parameters"]["gamma"] == large.body["parameters"]["gamma"]
    assert small.positions.tolist() == large.positions[:3].tolist()


def test_prompts_answered_elsewhere(workspace: PromptWorkspace, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("p1\np2\n")
    told = choose_in(workspace, Question("random", "38"), answered=ids)
    assert not {"p1", "p2"} & set(told["ids"])
    same = tmp_path / "same.jsonl"
    same.write_text(json.dumps({"prompt": workspace.prompts[7].text, "answer": "x"}) + "\n")
    told = choose_in(workspace, Question("random", "39"), answered=same, name="b")
    assert "p7" not in told["ids"]
    ids.write_text("nobody\n")
    with pytest.raises(BadInput, match="no prompt of the pool has the id 'nobody'"):
        choose_in(workspace, Question("random", "3"), answered=ids, name="c")
