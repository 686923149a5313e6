"""Every strategy in every awkward pool, through `labeltrain.select`: the declared outcome.

`CASES` declares what happens, `python tests/strategies/test_edge_cases.py` writes it to
docs/edge-cases.md, and a test fails when the page says anything else.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.loop.select import Selection
from labeltrain.strategies import Need, Strategy, registry
from labeltrain.testing.pools import token_scores

PAGE = Path(__file__).parents[2] / "docs" / "edge-cases.md"
N, KNOWN, BUDGET, CLASSES, WIDTH = 40, 8, 7, 3, 5
FREE = N - KNOWN
BAD_ROW = 3

# Beside each strategy as it comes: parameters that lead through other code.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in registry.names() if not registry.get(name).asks_again},
    # It picks labelled items: tests/strategies/test_second_opinion.py.
    "second-opinion, no share": ("second-opinion", {"share": 0.0}),
    "anchoral, badge": ("anchoral", {"base": "badge", "neighbours": 3, "anchors": 2}),
    "bait, swap": ("bait", {"search": "swap"}),
    "bait, few directions": ("bait", {"width": 6, "rank": 1}),
    "batch-bald, drawn": ("batch-bald", {"configurations": 8}),
    "clue, hot": ("clue", {"temperature": 3.0}),
    "cluster-margin, two clusters": ("cluster-margin", {"factor": 2.0, "clusters": 2}),
    "clusters, raw": ("clusters", {"normalise": False}),
    "dropquery, few candidates": ("dropquery", {"enough": 1.0}),
    "facility-location, cosine": ("facility-location", {"kernel": "cosine"}),
    "facility-location, neighbours": ("facility-location", {"neighbours": 4}),
    "facility-location, raw": ("facility-location", {"normalise": False}),
    "facility-location, uncertainty": ("facility-location", {"uncertainty": 1.0}),
    "prob-cover, fixed radius": ("prob-cover", {"delta": 0.3}),
    "cbal, evenness": ("cbal", {"weight": 1e3}),
    "similar, no memory": ("similar", {"memory": 1}),
    "seals, k-center": ("seals", {"base": "k-center", "neighbours": 3}),
    "typiclust, two clusters": ("typiclust", {"clusters": 2}),
    "uherding, entropy": ("uherding", {"uncertainty": "entropy"}),
    "token-uncertainty, margin": ("token-uncertainty", {"score": "min-margin"}),
    "random-balanced, each batch": ("random-balanced", {"counting": False}),
    "task-diversity, even": ("task-diversity", {"weighted": False}),
    "task-diversity, uncertain": ("task-diversity", {"within": "uncertainty"}),
    "task-relevance, similar": ("task-relevance", {"within": "similar", "floor": 1}),
    "filter-then-cover, k-center": ("filter-then-cover", {"cover": "k-center"}),
    "filter-then-cover, pool": ("filter-then-cover", {"covered": "pool", "kernel": "cosine"}),
    "gist, raw": ("gist", {"normalise": False, "tolerance": 0.5}),
    "gist, uniform": ("gist", {"score": "uniform"}),
    "fisher-sft, raw": ("fisher-sft", {"normalise": False, "regularisation": 1.0}),
    "rds, maximum": ("rds", {"aggregation": "max"}),
    "rds, mean": ("rds", {"aggregation": "mean"}),
}

MATRICES = {Need.EMBEDDINGS, Need.HIDDEN, Need.TARGETS, Need.POSTERIOR}
DISTRIBUTIONS = {Need.PROBABILITIES, Need.COMMITTEE, Need.OUT_OF_FOLD, Need.PRIOR}
NUMBERS = MATRICES | DISTRIBUTIONS | {Need.SCORES}


@dataclass
class Situation:
    """What is given to `select`: arrays that the strategy reads, and everything else."""

    arrays: dict[str, Any]
    more: dict[str, Any]

    def over(self, names: set[Need], change: Callable[[np.ndarray], np.ndarray]) -> Situation:
        """Return it with the arrays of these names changed; each of the scores by itself."""
        arrays = dict(self.arrays)
        for key in names & {Need(k) for k in arrays}:
            old = arrays[key]
            arrays[key] = (
                {k: change(v) for k, v in old.items()} if isinstance(old, dict) else change(old)
            )
        return Situation(arrays, self.more)


def situation(
    strategy: Strategy,
    kind: str = "multiclass",
    *,
    n: int = N,
    known: int = KNOWN,
    classes: int = CLASSES,
    budget: int = BUDGET,
    seed: int = 0,
) -> Situation:
    """Return a sound pool with all that the strategy reads, and nothing that it does not."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, WIDTH)).astype(np.float32)
    weights, bias = rng.normal(size=(classes, WIDTH)), rng.normal(size=classes)

    def predict(features: np.ndarray) -> np.ndarray:
        logits = np.asarray(features, dtype=np.float64) @ weights.T + bias
        if kind == "multilabel":
            return 1.0 / (1.0 + np.exp(-logits))
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def drawn(*shape: int) -> np.ndarray:
        odds = rng.random((*shape, classes)) + 0.05
        return odds if kind == "multilabel" else odds / odds.sum(axis=-1, keepdims=True)

    labelled = rng.permutation(n)[:known]
    whole = {
        Need.EMBEDDINGS: points,
        Need.HIDDEN: points[:, ::-1].copy(),
        Need.PROBABILITIES: np.clip(drawn(n), 0.0, 1.0),
        Need.COMMITTEE: np.clip(drawn(4, n), 0.0, 1.0),
        Need.OUT_OF_FOLD: np.clip(drawn(known), 0.0, 1.0),
        Need.POSTERIOR: points * np.float32(0.3),
        Need.PRIOR: np.clip(drawn(n), 0.0, 1.0),
        Need.PREDICT: predict,
        Need.HEAD: (weights, bias),
        Need.GROUPS: np.arange(n) % 3,
        Need.COSTS: np.ones(n),
        Need.TARGETS: points[:4].copy(),
        Need.SCORES: token_scores(n, rng),
    }
    needs = set(strategy.needs) or {Need.EMBEDDINGS}
    labels: np.ndarray = np.arange(known) % classes
    if kind == "multilabel":
        labels = (rng.random((known, classes)) < 0.5).astype(np.int64)
    more: dict[str, Any] = {
        "budget": budget, "labelled": labelled, "labels": labels, "kind": kind, "classes": classes,
    }  # fmt: skip
    if strategy.sequential:
        more["ask"] = lambda rows: [[0] * classes if kind == "multilabel" else 0 for _ in rows]
    return Situation({str(need): whole[need] for need in needs}, more)


def first_kind(strategy: Strategy) -> str:
    """Return multiclass, or multilabel for strategies that work on nothing else."""
    return min(strategy.kinds & {"multiclass", "multilabel"})


Build = Callable[[Strategy, str, Path], list[Situation]]


def alone(make: Callable[[Strategy, str], Situation]) -> Build:
    """Return a builder of one situation."""
    return lambda strategy, kind, folder: [make(strategy, kind)]


def changed(names: set[Need], change: Callable[[np.ndarray], np.ndarray]) -> Build:
    """Return a builder of a sound situation with the arrays of these names changed."""
    return alone(lambda strategy, kind: situation(strategy, kind).over(names, change))


def with_a_bad_row(value: float, names: set[Need]) -> Build:
    """Return a builder of one situation for each array, with the value in one row of it."""

    def spoil(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        (array[0] if array.ndim == 3 else array)[(BAD_ROW, 0)[: min(array.ndim, 2)]] = value
        return array

    def build(strategy: Strategy, kind: str, folder: Path) -> list[Situation]:
        sound = situation(strategy, kind)
        return [sound.over({Need(k)}, spoil) for k in sound.arrays if k in names]

    return build


def equal_rows(strategy: Strategy, kind: str) -> Situation:
    def level(array: np.ndarray) -> np.ndarray:
        first = array[:1] if array.ndim == 1 else array[..., :1, :]
        return np.broadcast_to(first, array.shape).copy()

    return situation(strategy, kind).over(NUMBERS | {Need.GROUPS}, level)


def one_class_seen(strategy: Strategy, kind: str) -> Situation:
    given = situation(strategy, kind)
    labels = np.zeros_like(given.more["labels"])
    if kind == "multilabel":
        labels[:, 0] = 1
    return Situation(given.arrays, {**given.more, "labels": labels})


def without_labels(given: Situation) -> Situation:
    return Situation(given.arrays, {k: v for k, v in given.more.items() if k != "labels"})


def zero_rows(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[::3] = 0.0
    return array


def constant_column(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[:, 0] = 7.0
    return array


def mapped(strategy: Strategy, kind: str, folder: Path) -> list[Situation]:
    """All arrays as read-only memory maps in Fortran order."""

    def write(array: np.ndarray) -> np.ndarray:
        path = Path(tempfile.mkdtemp(dir=folder)) / "array.npy"
        np.save(path, np.asfortranarray(array))
        return np.load(path, mmap_mode="r")

    return [situation(strategy, kind).over(NUMBERS, write)]


def frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


# -- the declaration -----------------------------------------------------------------------------

PICKS, ALL, NONE, REFUSED = "k", "all", "none", "refused"


@dataclass(frozen=True)
class Case:
    """An awkward pool, and what every strategy makes of it.

    Attributes
    ----------
    title, given : str
        For the page.
    build : callable
    outcome : str
        "k": exactly as many as asked; "all": every item that is left, and ``exhausted``; "none":
        nothing is picked; "refused": an error that names the array.
    message : str
        What a refusal says.
    count : int
        How many "k" or "all" are.
    as_sound : bool
        The picks are those of the same values in plain arrays.
    only : set of Need
        Strategies that read none of these are not asked.
    multilabel : str
        The outcome on multilabel data, where it differs.
    draws : set of str
        Strategies whose picks are random draws here: their scores are NaN.
    refusing : set of str
        Strategies that refuse what others take, with `message`.
    says : str
        More for the page.
    """

    title: str
    given: str
    build: Build
    outcome: str = PICKS
    message: str = ""
    count: int = BUDGET
    as_sound: bool = False
    only: frozenset[Need] = frozenset(Need)
    multilabel: str = ""
    draws: frozenset[str] = frozenset()
    refusing: frozenset[str] = frozenset()
    says: str = ""

    def expected(self, strategy: Strategy, kind: str) -> str:
        """Return the declared outcome; an empty string where the case does not arise."""
        if not (self.only & (set(strategy.needs) or {Need.EMBEDDINGS})):
            return ""
        if strategy.name in self.refusing:
            return REFUSED
        return self.multilabel if kind == "multilabel" and self.multilabel else self.outcome


WRAPPERS = frozenset({"anchoral", "seals"})
# What these cannot choose they draw, with a score of NaN.
FILLED_UP = WRAPPERS | {"alfa-mix", "galaxy", "tailor"}
NAN_MESSAGE = f"is NaN or infinite in row(s) [{BAD_ROW}] (1 in all)"

CASES: dict[str, Case] = {
    "equal": Case(
        "all rows equal",
        "every row of every array is the same",
        alone(equal_rows),
        draws=frozenset({"alfa-mix"}),
        says="exactly k different positions, nothing warns",
    ),
    "constant": Case(
        "constant feature",
        "one column is 7 in every row",
        changed(MATRICES, constant_column),
        only=frozenset(MATRICES),
    ),
    "zeros": Case(
        "zero vectors",
        "every third row of the features is zero",
        changed(MATRICES, zero_rows),
        only=frozenset(MATRICES),
        says="a zero vector stays one where features are brought to length 1",
    ),
    "all zero": Case(
        "only zero vectors",
        "all features are zero",
        changed(MATRICES, np.zeros_like),
        only=frozenset(MATRICES),
        draws=frozenset({"alfa-mix"}),
    ),
    "one class seen": Case(
        "one class among the labels",
        "all labels so far are of the same class, of three",
        alone(one_class_seen),
    ),
    "one class": Case(
        "one class in all",
        "a single column of probabilities, always 1",
        alone(
            lambda strategy, kind: situation(strategy, kind, classes=1).over(
                DISTRIBUTIONS, np.ones_like
            )
        ),
        draws=frozenset({"alfa-mix"}),
        says="nothing is uncertain: ties go to the lowest position, draws are uniform",
    ),
    "one item": Case(
        "one item",
        "a pool of one, nothing labelled, budget 1",
        alone(lambda strategy, kind: situation(strategy, kind, n=1, known=0, budget=1)),
        count=1,
        draws=frozenset({"alfa-mix"}) | WRAPPERS,
    ),
    "budget 0": Case(
        "budget 0",
        "",
        alone(lambda strategy, kind: situation(strategy, kind, budget=0)),
        outcome=NONE,
        says="not `exhausted`: nothing was asked for",
    ),
    "budget n": Case(
        "budget = n",
        f"the budget is what is left: {FREE}",
        alone(lambda strategy, kind: situation(strategy, kind, budget=FREE)),
        count=FREE,
        says="every item once, not `exhausted`",
    ),
    "budget > n": Case(
        "budget > n",
        f"a budget of {N + 10} with {FREE} items left",
        alone(lambda strategy, kind: situation(strategy, kind, budget=N + 10)),
        outcome=ALL,
        count=FREE,
    ),
    "float16": Case(
        "float16",
        "all arrays in half precision",
        changed(NUMBERS, lambda a: a.astype(np.float16)),
    ),
    "float32": Case(
        "float32",
        "all arrays in single precision",
        changed(NUMBERS, lambda a: a.astype(np.float32)),
    ),
    "float64": Case(
        "float64",
        "all arrays in double precision",
        changed(NUMBERS, lambda a: a.astype(np.float64)),
        as_sound=True,
        says="the values are those of float32 features: same picks",
    ),
    "Fortran": Case(
        "Fortran order",
        "all arrays in column order",
        changed(NUMBERS, np.asfortranarray),
        as_sound=True,
        says="same picks as in row order",
    ),
    "memory map": Case(
        "read-only memory map",
        "all arrays mapped from files, read-only, in column order",
        mapped,
        as_sound=True,
        says="same picks as in memory",
    ),
    "read-only": Case(
        "read-only arrays",
        "",
        changed(NUMBERS, frozen),
        as_sound=True,
    ),
    "NaN": Case(
        "NaN in one row",
        "in each array in turn",
        with_a_bad_row(np.nan, NUMBERS),
        outcome=REFUSED,
        message=NAN_MESSAGE,
        only=frozenset(NUMBERS),
        says=f'"... {NAN_MESSAGE}", with the name of the array',
    ),
    "infinity": Case(
        "infinity in one row",
        "in each array in turn",
        with_a_bad_row(-np.inf, NUMBERS),
        outcome=REFUSED,
        message=NAN_MESSAGE,
        only=frozenset(NUMBERS),
    ),
    "huge": Case(
        "a huge number in one row",
        "1e20, in each array in turn, scores apart",
        with_a_bad_row(1e20, MATRICES | DISTRIBUTIONS),
        outcome=REFUSED,
        only=frozenset(MATRICES | DISTRIBUTIONS),
        message=f"is beyond 1e+15 in row(s) [{BAD_ROW}] (1 in all)",
        says="its square would not fit into float32",
    ),
    "tiny": Case(
        "tiny numbers",
        "features times 1e-25",
        changed(MATRICES, lambda a: a * np.float32(1e-25)),
        only=frozenset(MATRICES),
        says="their squares vanish in float32: below about 1e-18 strategies that do not bring "
        "features to length 1 may no longer tell items apart",
    ),
    "certain": Case(
        "certain predictions",
        "probabilities of 0 and 1 only",
        changed(DISTRIBUTIONS, lambda a: (a == a.max(axis=-1, keepdims=True)).astype(a.dtype)),
        only=frozenset(DISTRIBUTIONS),
    ),
    "not sum 1": Case(
        "rows that do not sum to 1",
        "probabilities times 0.8",
        changed(DISTRIBUTIONS, lambda a: a * 0.8),
        outcome=REFUSED,
        message="is no distribution in row(s)",
        only=frozenset(DISTRIBUTIONS),
        multilabel=PICKS,
        says="multilabel: labels are independent, so k",
    ),
    "none labelled": Case(
        "nothing labelled",
        "",
        alone(lambda strategy, kind: situation(strategy, kind, known=0)),
        draws=frozenset({"alfa-mix"}) | WRAPPERS,
    ),
    "no labels": Case(
        "labelled items without labels",
        "`labelled` but no `labels`",
        alone(lambda strategy, kind: without_labels(situation(strategy, kind))),
        message="needs the labels|reads the labels",
        refusing=frozenset(
            {
                "alfa-mix",
                "anchoral",
                "balanced-entropy",
                "cbal",
                "direct",
                "galaxy",
                "most-likely-positive",
                "second-opinion",
                "similar",
                "tailor",
                "uherding",
            }
        ),
        says="refused by strategies that read the labels",
    ),
    "all labelled": Case(
        "everything labelled",
        "",
        alone(lambda strategy, kind: situation(strategy, kind, known=N)),
        outcome=ALL,
        count=0,
        says="nothing is left: no picks, `exhausted`",
    ),
}

# Strategies without a score: what a pick is worth depends on the whole batch, or on nothing.
NO_SCORES = {
    "bait": "worth depends on the batch",
    "random": "a draw is worth nothing",
    "random-balanced": "as `random`",
    "task-diversity": "where it draws",
}


# -- the tests -----------------------------------------------------------------------------------


def run(variant: str, given: Situation, seed: int = 0) -> Selection:
    name, parameters = VARIANTS[variant]
    return labeltrain.select(name, **parameters, **given.arrays, **given.more, seed=seed)


def outcome(variant: str, given: Situation) -> tuple[str, Selection | None, str]:
    """Return what happens, computed."""
    try:
        found = run(variant, given)
    except (BadInput, MissingNeed) as error:
        return REFUSED, None, str(error)
    if found.exhausted:
        return ALL, found, ""
    return (PICKS if len(found) else NONE), found, ""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_declared_outcome(variant: str, case: str, tmp_path: Path) -> None:
    declared = CASES[case]
    name, parameters = VARIANTS[variant]
    strategy = registry.make(name, parameters)
    for kind in sorted(strategy.kinds & {"multiclass", "multilabel"}):
        expected = declared.expected(strategy, kind)
        if not expected:
            continue
        for given in declared.build(strategy, kind, tmp_path):
            happened, found, message = outcome(variant, given)
            assert happened == expected, (kind, happened, message)
            if found is None:
                assert any(part in message for part in declared.message.split("|"))
                named = "labels" if "labels" not in given.more else "|".join(given.arrays)
                assert re.search(named, message)
                continue
            check_picks(declared, variant, given, found)
            assert found.positions.tolist() == run(variant, given).positions.tolist()
            if declared.as_sound:
                plain = run(variant, situation(strategy, kind))
                assert found.positions.tolist() == plain.positions.tolist()


def check_picks(declared: Case, variant: str, given: Situation, found: Selection) -> None:
    name = VARIANTS[variant][0]
    assert len(found) == (0 if declared.outcome == NONE else declared.count)
    assert found.positions.dtype == np.int64
    assert len(set(found.positions.tolist())) == len(found)
    assert not set(found.positions.tolist()) & set(given.more["labelled"].tolist())
    assert (found.positions >= 0).all()
    assert (found.positions < N).all()
    assert all(found.why)
    assert len(found.why) == len(found.notes) == len(found.scores) == len(found)
    assert found.scores.dtype == np.float64
    drawing = VARIANTS[variant][1].get("within") != "uncertainty"
    if (name in NO_SCORES and drawing) or name in declared.draws:
        assert np.isnan(found.scores).all()
    elif name not in (
        "alfa-mix",
        "galaxy",
        "tailor",
        *WRAPPERS,
    ):  # these fill up with draws, of score NaN
        assert np.isfinite(found.scores).all()
    else:
        drawn = ["random draw" in why for why in found.why]
        assert np.isnan(found.scores).tolist() == drawn


@pytest.mark.parametrize("variant", VARIANTS)
def test_half_precision_picks_much_the_same(variant: str) -> None:
    name, parameters = VARIANTS[variant]
    strategy = registry.make(name, parameters)
    if not strategy.deterministic:
        return
    given = situation(strategy, first_kind(strategy))
    half, single = (
        given.over(NUMBERS, lambda a, t=dtype: a.astype(t)) for dtype in (np.float16, np.float32)
    )
    same = set(run(variant, half).positions) & set(run(variant, single).positions)
    assert len(same) >= BUDGET - 2


def test_every_strategy_and_no_other_is_declared() -> None:
    assert {name for name, _ in VARIANTS.values()} == set(registry.names())
    for declared in CASES.values():
        assert declared.draws | declared.refusing <= set(registry.names())
    assert set(NO_SCORES) <= set(registry.names())


@pytest.mark.parametrize("need", sorted(Need))
def test_a_missing_array_is_refused_by_name(need: Need) -> None:
    for name in registry.names():
        strategy = registry.make(name)
        if need not in strategy.needs:
            continue
        given = situation(strategy, first_kind(strategy))
        arrays = {k: v for k, v in given.arrays.items() if k != need}
        if need == Need.HIDDEN:
            arrays.pop("embeddings", None)
        with pytest.raises(MissingNeed, match=str(need)):
            labeltrain.select(name, **arrays, **given.more)


def test_the_page_is_what_is_tested() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "docs/edge-cases.md is not what the tests declare: "
        "python tests/strategies/test_edge_cases.py"
    )


# -- the page ------------------------------------------------------------------------------------

HEAD = f"""# Edge cases

What `labeltrain.select` does with every strategy in awkward pools: {N} items of which {KNOWN} are
labelled, {CLASSES} classes, a budget of k = {BUDGET}, and every array that the strategy reads
(`random` reads none, and is given embeddings). The tables are made from the declarations in
[tests/strategies/test_edge_cases.py](../tests/strategies/test_edge_cases.py), where each cell is a
test, on multiclass and on multilabel data where the strategy works on both; a test fails when this
page says anything else. `python tests/strategies/test_edge_cases.py` writes it again.

In every cell: positions are int64, unique, and neither labelled nor pending; every pick has a
reason; the same arrays and seed give the same picks; nothing warns. Scores are finite, except that
random draws (marked \\*) have NaN, and so has every pick of {{unscored}}.

- **k**: exactly as many picks as asked.
- **all**: every item that is left, and `exhausted` is true.
- **none**: no picks, `exhausted` is false.
- **refused**: an error that names the array and the row, and says what to do.
- An empty cell: the strategy reads no such array.

"""


def page() -> str:
    """Return docs/edge-cases.md."""
    unscored = ", ".join(f"`{name}` ({why})" for name, why in sorted(NO_SCORES.items()))
    lines = [HEAD.format(unscored=unscored), "| case | given | outcome |\n|---|---|---|\n"]
    for case in CASES.values():
        notes = [f"**{case.outcome}**", case.says]
        lines.append(f"| {case.title} | {case.given} | {'; '.join(n for n in notes if n)} |\n")
    lines.append("\n## Strategy by strategy\n")
    titles = list(CASES)
    lines.append(f"| strategy | {' | '.join(titles)} |\n|---|{'---|' * len(titles)}\n")
    for variant, (name, parameters) in sorted(VARIANTS.items()):
        strategy = registry.make(name, parameters)
        cells = []
        for case in CASES.values():
            said = case.expected(strategy, first_kind(strategy))
            cells.append(said + ("\\*" if said and name in case.draws else ""))
        lines.append(f"| {variant} | {' | '.join(cells)} |\n")
    lines.append("\nThe rows with a comma are these parameters:\n\n")
    for variant, (name, parameters) in sorted(VARIANTS.items()):
        if parameters:
            given = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
            lines.append(f'- {variant}: `select("{name}", {given}, ...)`\n')
    return "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
