"""`labeltrain.ActiveLearner`: query and teach around scikit-learn classifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from labeltrain import ActiveLearner, select
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.strategies import Need, Picks, PoolView, Strategy
from labeltrain.strategies.k_center import KCenter

RNG = np.random.default_rng(0)
CENTRES = np.array([[0.0, 0, 4], [4, 0, 0], [0, 4, 0]])
TRUTH = np.arange(90) % 3
X = (CENTRES[TRUTH] + RNG.normal(size=(90, 3))).round(3)
NAMES = np.array(["ant", "bee", "cow"])[TRUTH]


class Watch(Strategy):
    """Keeps its view, and reads all it declares."""

    name: ClassVar[str] = "test-watch"
    summary: ClassVar[str] = "for tests"

    def __init__(self, *needs: Need, sequential: bool = False) -> None:
        self._needs = needs
        type(self).needs = frozenset(needs)
        self._views: list[PoolView] = []

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        self._views.append(view)
        for need in self._needs:
            getattr(view, need)
        return Picks(view.candidates[:count], notes=tuple({"turn": k} for k in range(count)))


def view_of(estimator: Any, *needs: Need, data: Any = X, y: Any = NAMES) -> PoolView:
    watch = Watch(*needs)
    rows = np.arange(30)
    first = data.iloc[:30] if isinstance(data, pd.DataFrame) else data[:30]
    rest = data.iloc[30:] if isinstance(data, pd.DataFrame) else data[30:]
    ActiveLearner(estimator, watch, X_training=first, y_training=y[rows]).query(rest, 2)
    return watch._views[0]


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        GaussianNB(),
        KNeighborsClassifier(3),
        RandomForestClassifier(10, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
        CalibratedClassifierCV(LinearSVC(), cv=2),
    ],
)
def test_the_loop_of_modal(estimator: Any) -> None:
    pool, labels = X[6:], NAMES[6:]
    learner = ActiveLearner(estimator, "margin", X_training=X[:6], y_training=NAMES[:6])
    for _ in range(5):
        rows, instances = learner.query(pool, n_instances=3)
        assert rows.shape == (3,)
        np.testing.assert_array_equal(instances, pool[rows])
        learner.teach(instances, labels[rows])
        pool, labels = np.delete(pool, rows, axis=0), np.delete(labels, rows)
    assert len(learner.X_training) == len(learner.y_training) == 21
    assert learner.predict(X).shape == (90,)
    assert learner.predict_proba(X).shape == (90, 3)
    assert learner.score(X, NAMES) > 0.8
    assert learner.estimator is estimator


def test_queries_are_those_of_select() -> None:
    learner = ActiveLearner(GaussianNB(), "entropy", X_training=X[:12], y_training=NAMES[:12])
    rows, _ = learner.query(X[12:], 4)
    p = learner.predict_proba(X[12:])
    assert rows.tolist() == select("entropy", probabilities=p, budget=4).positions.tolist()


def test_queries_are_fixed_by_seed_and_number() -> None:
    def run(seed: int) -> list[list[int]]:
        learner = ActiveLearner(GaussianNB(), "random", seed=seed)
        return [learner.query(X, 5)[0].tolist() for _ in range(3)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert run(1)[0] != run(1)[1]


def test_training_rows_count_as_covered() -> None:
    line = np.arange(10.0)[:, None]
    learner = ActiveLearner(
        KNeighborsClassifier(1), "k-center", X_training=line[[0]], y_training=["a"]
    )
    rows, instances = learner.query(line[1:], 1)
    assert (rows.tolist(), instances.tolist()) == ([8], [[9.0]])
    learner.teach(instances, ["b"])
    rows, instances = learner.query(line[1:9], 1)
    assert instances.tolist() in ([[4.0]], [[5.0]])


def test_a_strategy_may_be_an_instance_or_take_parameters() -> None:
    for learner in (
        ActiveLearner(GaussianNB(), KCenter()), ActiveLearner(GaussianNB(), "typiclust"),
    ):  # fmt: skip
        assert len(learner.query(X, 3)[0]) == 3
    with pytest.raises(BadInput, match="no parameter 'nope'"):
        ActiveLearner(GaussianNB(), "margin", nope=1)
    with pytest.raises(BadInput, match="asks labelled rows again"):
        ActiveLearner(LogisticRegression(), "second-opinion")
    with pytest.raises(BadInput, match="an instance"):
        ActiveLearner(GaussianNB, "margin")


def test_before_anything_is_taught() -> None:
    learner = ActiveLearner(LogisticRegression(), "margin")
    with pytest.raises(MissingNeed, match=r"(?s)nothing was taught yet.*k-center.*random"):
        learner.query(X)
    fitted = ActiveLearner(LogisticRegression().fit(X, NAMES), "margin")
    assert len(fitted.query(X, 2)[0]) == 2
    assert fitted.X_training is None


def test_an_estimator_without_probabilities() -> None:
    learner = ActiveLearner(LinearSVC(), "margin", X_training=X[:9], y_training=NAMES[:9])
    with pytest.raises(MissingNeed, match=r"(?s)LinearSVC has no predict_proba.*Calibrated"):
        learner.query(X)
    learner = ActiveLearner(LinearSVC(), "k-center", X_training=X[:9], y_training=NAMES[:9])
    assert len(learner.query(X, 2)[0]) == 2


def test_what_an_estimator_cannot_give_is_named() -> None:
    with pytest.raises(MissingNeed, match=r"(?s)groups.*labeltrain\.select"):
        view_of(GaussianNB(), Need.GROUPS)
    with pytest.raises(MissingNeed, match="BaggingClassifier"):
        view_of(GaussianNB(), Need.COMMITTEE)
    with pytest.raises(MissingNeed, match="LogisticRegression"):
        view_of(GaussianNB(), Need.HEAD)


# -- what the estimator gives --------------------------------------------------------------------


@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize(
    "ensemble",
    [
        RandomForestClassifier(7, random_state=0),
        BaggingClassifier(DecisionTreeClassifier(), 5, max_features=2, random_state=0),
        BaggingClassifier(
            KNeighborsClassifier(1), 9, max_samples=3, random_state=1
        ),  # members miss classes
        VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_members_of_an_ensemble_are_the_committee(ensemble: Any, frame: bool) -> None:
    data = pd.DataFrame(X, columns=list("abc")) if frame else X
    view = view_of(ensemble, Need.COMMITTEE, data=data)
    assert view.committee.shape[1:] == (90, 3)
    np.testing.assert_allclose(view.committee.mean(axis=0), ensemble.predict_proba(data))


def test_more_committees() -> None:
    boosted = view_of(AdaBoostClassifier(n_estimators=4), Need.COMMITTEE)
    np.testing.assert_allclose(boosted.committee.sum(axis=2), 1.0)
    assert (boosted.committee[0].argmax(1) == TRUTH).mean() > 0.5  # classes are aligned
    piped = make_pipeline(StandardScaler(), RandomForestClassifier(4, random_state=0))
    view = view_of(piped, Need.COMMITTEE)
    np.testing.assert_allclose(view.committee.mean(axis=0), piped.predict_proba(X))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_gives_the_probabilities(classes: int) -> None:
    y = np.minimum(TRUTH, classes - 1)
    model = LogisticRegression()
    weights, bias = view_of(model, Need.HEAD, y=y).head
    odds = np.exp(X @ weights.T + bias)
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), model.predict_proba(X))


def test_out_of_fold_probabilities_come_from_others() -> None:
    noise = np.random.default_rng(5).integers(3, size=90)
    tree = DecisionTreeClassifier(random_state=0)  # by heart: its own predictions are all right
    view = view_of(tree, Need.OUT_OF_FOLD, y=noise)
    assert view.out_of_fold.shape == (30, 3)
    assert (tree.predict(X[:30]) == noise[:30]).all()
    assert (view.out_of_fold.argmax(axis=1) == noise[:30]).mean() < 0.7
    good = view_of(GaussianNB(), Need.OUT_OF_FOLD)
    assert (good.out_of_fold.argmax(axis=1) == TRUTH[:30]).mean() > 0.9


def test_out_of_fold_with_few_labels() -> None:
    watch = Watch(Need.OUT_OF_FOLD)
    learner = ActiveLearner(LogisticRegression(), watch, X_training=X[:2], y_training=NAMES[:2])
    learner.query(X[2:])
    np.testing.assert_allclose(watch._views[0].out_of_fold.sum(axis=1), 1.0)


def test_predict_takes_features() -> None:
    frame = pd.DataFrame(X, columns=list("abc"))
    for data in (X, frame):
        model = LogisticRegression()
        view = view_of(model, Need.PREDICT, Need.EMBEDDINGS, data=data)
        np.testing.assert_allclose(view.predict(view.embeddings[:5]), model.predict_proba(data[:5]))


def test_labels_and_history_reach_the_strategy() -> None:
    watch = Watch(Need.PROBABILITIES)
    learner = ActiveLearner(GaussianNB(), watch, X_training=X[:6], y_training=NAMES[:6])
    pool = X[6:]
    _, instances = learner.query(pool, 2)
    learner.teach(instances, ["cow", "ant"])
    learner.query(pool[2:], 1)
    view = watch._views[-1]
    assert view.classes == ("ant", "bee", "cow")
    assert view.labels.tolist() == [0, 1, 2, 0, 1, 2, 2, 0]
    assert view.candidates[0] == 8
    assert [(p.position, p.answer, p.note, p.round) for p in view.history] == [
        (6, 2, {"turn": 0}, 1), (7, 0, {"turn": 1}, 1),
    ]  # fmt: skip
    learner.teach(X[50:52], ["ant", "ant"])  # not what was asked
    learner.query(pool[2:], 1)
    assert len(watch._views[-1].history) == 2


def test_classes_may_appear_later_or_be_forgotten_by_the_estimator() -> None:
    learner = ActiveLearner(GaussianNB(), "margin", X_training=X[:2], y_training=NAMES[:2])
    learner.teach(X[2:5], NAMES[2:5])
    assert learner.predict_proba(X).shape == (90, 3)
    learner.teach(X[[0, 3, 4]], NAMES[[0, 3, 4]], only_new=True)
    assert learner.predict_proba(X).shape == (90, 2)
    assert len(learner.X_training) == 8
    assert len(learner.query(X, 3)[0]) == 3


def test_fit_forgets_and_failed_fits_change_nothing() -> None:
    learner = ActiveLearner(LogisticRegression(), "margin", X_training=X[:6], y_training=NAMES[:6])
    assert len(learner.fit(X[6:12], NAMES[6:12]).X_training) == 6
    for teach in (learner.teach, learner.fit):
        with pytest.raises(ValueError, match="NaN"):
            teach(np.full((1, 3), np.nan), ["ant"])
        assert len(learner.X_training) == len(learner.y_training) == 6
    with pytest.raises(BadInput, match="2 rows and 1 labels"):
        learner.teach(X[:2], ["ant"])
    with pytest.raises(BadInput, match="together"):
        ActiveLearner(GaussianNB(), X_training=X)


# -- containers ----------------------------------------------------------------------------------

CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": lambda x: x.tolist(),
    "pandas": lambda x: pd.DataFrame(x, columns=list("abc"), index=np.arange(len(x))[::-1] + 7),
    "polars": lambda x: pl.DataFrame(x, schema=list("abc")),
    "csr": sparse.csr_array,
    "csc matrix": sparse.csc_matrix,
}


@pytest.mark.parametrize("strategy", ["margin", "k-center", "badge"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_give_the_same_queries(container: str, strategy: str) -> None:
    wrap = CONTAINERS[container]
    found = []
    for make in (np.asarray, wrap):
        learner = ActiveLearner(
            LogisticRegression(), strategy, X_training=make(X[:9]), y_training=NAMES[:9]
        )
        pool, truth = X[9:], NAMES[9:]
        for _ in range(2):
            rows, instances = learner.query(make(pool), 4)
            assert type(instances) is type(make(pool))
            learner.teach(instances, pd.Series(truth[rows], index=rows))
            pool, truth = np.delete(pool, rows, axis=0), np.delete(truth, rows)
            found.append(rows.tolist())
    assert found[:2] == found[2:]


class TextOnly(LogisticRegression):
    """A classifier that reads texts itself."""


def test_texts_are_rows_too() -> None:
    texts = [f"{'good fine' if k % 2 else 'bad poor'} film {k}" for k in range(20)]
    y = [k % 2 for k in range(20)]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    learner = ActiveLearner(model, "margin", X_training=texts[:4], y_training=y[:4])
    rows, instances = learner.query(texts[4:], 2)
    assert instances == [texts[4:][row] for row in rows]
    learner.teach(instances, [1, 0])
    with pytest.raises(BadInput, match=r"(?s)X.*give embed"):
        ActiveLearner(TextOnly(), "facility-location").query(texts)
    for strategy in ("k-center", "facility-location"):
        embedded = ActiveLearner(model, strategy, embed=model[:-1].transform)
        assert len(embedded.query(texts, 3)[0]) == 3
    assert len(ActiveLearner(model, "badge").query(texts, 3)[0]) == 3  # it reads the last step


@pytest.mark.parametrize(
    "model",
    [RandomForestClassifier(10, random_state=0), MultiOutputClassifier(LogisticRegression())],
)
def test_multilabel(model: Any) -> None:
    y = np.stack([TRUTH == 0, TRUTH != 1], axis=1).astype(int)
    learner = ActiveLearner(model, "entropy", X_training=X[:20], y_training=y[:20])
    rows, instances = learner.query(X[20:], 3)
    learner.teach(instances, y[20:][rows])
    assert learner.y_training.shape == (23, 2)


def test_queries_end_with_the_pool() -> None:
    learner = ActiveLearner(GaussianNB(), "random")
    assert sorted(learner.query(X[:3], 10)[0].tolist()) == [0, 1, 2]
    with pytest.raises(BadInput, match="no rows"):
        learner.query(X[:0])
    for bad in (0, 1.5, True):
        with pytest.raises(BadInput, match="n_instances"):
            learner.query(X, bad)


@pytest.mark.parametrize("strategy", ["margin", "badge", "entropy"])
def test_predictions_that_are_nan_are_refused(strategy: str) -> None:
    X = np.random.default_rng(0).normal(size=(60, 4))
    learner = ActiveLearner(  # one row: its variances are 0
        GaussianNB(var_smoothing=0.0), strategy, X_training=X[:1], y_training=np.array(["a"])
    )
    with np.errstate(all="ignore"), pytest.raises(BadInput, match="GaussianNB returned is NaN"):
        learner.query(X[1:], 3)


def test_the_last_step_of_a_pipeline_has_the_head_and_sees_what_the_steps_before_make() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4)) * [1.0, 10.0, 100.0, 1.0]
    y = (X[:, 1] > 0).astype(int) + (X[:, 2] > 50)
    steps = make_pipeline(StandardScaler(), LogisticRegression())
    for name in ("alfa-mix", "badge", "bait", "clue"):
        learner = ActiveLearner(steps, name, X_training=X[:20], y_training=y[:20])
        scaler = steps[0]
        plain = ActiveLearner(
            LogisticRegression(), name, X_training=scaler.transform(X[:20]), y_training=y[:20]
        )
        rows, _ = learner.query(X[20:], 5)
        assert rows.tolist() == plain.query(scaler.transform(X[20:]), 5)[0].tolist()


def test_rows_that_do_not_fit_are_refused_in_words() -> None:
    learner = ActiveLearner(LogisticRegression())
    with pytest.raises(BadInput, match="no rows to teach"):
        learner.teach(np.empty((0, 2)), [])
    learner.teach(np.eye(2), ["a", "b"])
    assert "'margin', 2 labels" in repr(learner)
    with pytest.raises(BadInput, match="2 columns, this X has 3"):
        learner.query(np.eye(3))


def test_a_scaler_in_front_counts_for_every_strategy() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 4))
    y = (X[:, 0] > 0).astype(int)
    for name in ("facility-location", "typiclust", "dropquery", "uherding", "seals", "anchoral"):
        rows = []
        for scale in (1.0, 1000.0):
            steps = make_pipeline(StandardScaler(), LogisticRegression())
            known = X * [scale, 1.0, 1.0, 1.0]
            learner = ActiveLearner(steps, name, X_training=known[:20], y_training=y[:20])
            rows.append(learner.query(known[20:], 6)[0].tolist())
        assert rows[0] == rows[1], name


def test_what_belongs_elsewhere_is_said() -> None:
    with pytest.raises(BadInput, match=r"(?s)no 'costs'.*labeltrain.select takes"):
        ActiveLearner(LogisticRegression(), costs=[1.0])
    learner = ActiveLearner(LogisticRegression(), X_training=np.eye(2), y_training=["a", "b"])
    with pytest.raises(BadInput, match="before are names, these are numbers"):
        learner.teach(np.eye(2), [0, 1])
    texts = ["good film", "bad film"]
    reader = ActiveLearner(make_pipeline(TfidfVectorizer(), LogisticRegression()))
    reader.teach(texts, [1, 0])
    with pytest.raises(BadInput, match="rows of the same kind"):
        reader.query(np.array([["a film"]]))


def test_dropquery_works_on_texts() -> None:
    texts = [f"{'good fine' if k % 2 else 'bad poor'} film {k}" for k in range(20)]
    learner = ActiveLearner(make_pipeline(TfidfVectorizer(), LogisticRegression()), "dropquery")
    learner.teach(texts[:6], [k % 2 for k in range(6)])
    assert len(learner.query(texts[6:], 3)[0]) == 3


def test_the_option_of_modal_is_named() -> None:
    with pytest.raises(BadInput, match="its name here is strategy"):
        ActiveLearner(LogisticRegression(), query_strategy="margin")
