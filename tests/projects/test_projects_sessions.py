"""Sessions as people have them, from Python."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain import Dataset
from labeltrain.errors import BadInput
from labeltrain.projects import Project, load_model


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def test_cold_start_is_by_clusters_and_then_the_strategy_takes_over(begin: Any) -> None:
    project, truth = begin(audit_share=0.0)
    first = project.next(6)
    assert {p["strategy"] for p in project.state.asked.values()} == {"clusters"}
    assert len({truth[i] for i in ids(first)}) == 3  # three groups, six centres: all are met
    project.tell(dict.fromkeys(ids(first), "ant"))  # one class so far: nothing to be unsure about
    second = project.next(4)
    assert {project.state.asked[project._position[i]]["strategy"] for i in ids(second)} == {
        "clusters"
    }
    project.tell({i: truth[i] for i in ids(first) + ids(second)})
    third = project.next(4)
    assert {project.state.asked[project._position[i]]["strategy"] for i in ids(third)} == {
        "uherding"
    }


def test_status_and_predictions_without_any_label(begin: Any) -> None:
    project, _ = begin()
    status = project.status()
    assert status["labels"] == 0
    assert status["audit"]["score"] is None
    assert status["audit"]["next_at"] is None  # 12 set aside never make 30
    assert status["agreement"]["pairwise"] is None
    with pytest.warns(UserWarning, match="no label trains the model so far"):
        rows = project.predict()
    assert len(rows) == 120
    assert all(row["confidence"] == pytest.approx(1 / 3) for row in rows)
    assert project.export() == []


def test_a_model_of_fewer_than_two_classes_says_so(begin: Any) -> None:
    project, truth = begin()
    project.next(20)
    trains = [i for p, i in enumerate(truth) if not project.state.is_audit(p)]
    one = {name: next(i for i in trains if truth[i] == name) for name in ("ant", "bee")}
    project.tell({one["ant"]: "ant"})
    with pytest.warns(UserWarning, match=r"one class only \('ant'\).* tell .*FILE"):
        project.model()
    project.tell({one["bee"]: "bee"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        project.model()


def test_a_question_is_asked_once_until_withdrawn(begin: Any) -> None:
    project, truth = begin()
    a, b = project.next(10), project.next(10)  # next called twice before any answer
    assert not set(ids(a)) & set(ids(b))
    assert ids(project.reissue()) == ids(a) + ids(b)
    project.tell({i: truth[i] for i in ids(a)[:4]})
    project.tell({ids(a)[4]: "don't know", ids(a)[5]: "Skip"})
    assert ids(project.reissue()) == ids(a)[6:] + ids(b)
    assert project.status()["skipped"] == 2
    assert project.tell({ids(a)[0]: "withdraw"})["withdrawn"] == 1
    assert ids(project.reissue()) == ids(a)[6:] + ids(b)  # it waits for no answer
    told = project.tell({ids(a)[0]: truth[ids(a)[0]]})
    assert (told["new"], told["unasked"]) == (1, 0)


def test_a_withdrawn_item_is_asked_again(begin: Any) -> None:
    project, truth = begin(n=30, audit_share=0.0)
    rows = ids(project.next(10))
    project.tell({i: truth[i] for i in rows})
    project.tell({rows[0]: truth[rows[0]]}, annotator="Ann")
    project.tell(dict.fromkeys(rows[:2], "withdraw"))  # Ann's answer to the first one stands
    assert project.state.returned == {project._position[rows[1]]}
    assert project.status()["open"] == 0
    assert project.status()["labels"] == 9
    project.close()
    with Project.open(project.folder) as again:
        assert again.state == project.state
        left = ids(again.next(100))
        assert len(left) == 21
        assert rows[1] in left
        assert again.state.returned == set()
        assert ids(again.reissue()) == left  # in the order asked, the second time
        assert again.next(1) == []
        state = again.state
    with Project.open(project.folder) as again:
        assert again.state == state
        again.tell({i: truth[i] for i in left})
        assert again.status()["labels"] == 30


def test_a_withdrawn_audit_item_comes_first_with_the_next_batch(begin: Any) -> None:
    project, truth = begin(n=200, audit_share=0.5)
    project.tell({i: truth[i] for i in ids(project.next(20))})
    order = [project.items.ids[p] for p in project.state.audit_order]
    project.tell(dict.fromkeys(order[4:7], "withdraw"))
    assert project.state.audit_asked == 10  # their turn has been
    assert project.status()["audit"]["labels"] == 7
    assert project.reissue() == []
    project.tell({order[5]: truth[order[5]]})  # somebody answers meanwhile
    first = ids(project.next(1))
    assert first in ([order[4]], [order[6]])
    rows = ids(project.next(9))
    again, fresh = {order[4], order[6]} - set(first), set(order[10:15])
    audited = {i for i in rows if project.state.is_audit(project._position[i])}
    assert len(rows) == 9
    assert audited == again | (audited & fresh)
    assert project.state.audit_asked == round(0.5 * len(project.state.asked))
    assert set(ids(project.reissue())) == {*first, *rows}


def test_a_class_added_by_mistake(begin: Any) -> None:
    project, truth = begin(audit_share=0.0)
    rows = ids(project.next(20))
    project.tell({i: truth[i] for i in rows})
    with pytest.warns(UserWarning, match="'ants' is spelt almost like 'ant'"):
        project.tell({rows[0]: "ants"}, add_classes=True)
    with pytest.raises(BadInput, match="'ants' is the answer to 1 item: "):
        project.drop_class("ants")
    with pytest.raises(BadInput, match="did you mean 'cow'"):
        project.drop_class("cows")
    project.tell({rows[0]: truth[rows[0]]})
    before = project.predict()
    project.drop_class("ants")
    assert project.state.classes == ["ant", "bee", "cow"]
    assert project.status()["classes"].keys() == {"ant", "bee", "cow"}
    assert "class dropped: ants" in project.history()[-1]["what"]
    assert {r["model_label"] for r in before} <= {"ant", "bee", "cow"}
    project.close()
    with Project.open(project.folder) as again:
        assert again.state == project.state
        assert again.predict() == project.predict()
        again.tell({rows[1]: "yak"}, add_classes=True)  # like nothing else: no warning
    small, _ = begin(classes=["x", "y"])
    with pytest.raises(BadInput, match="one of two classes"):
        small.drop_class("x")


def test_strategies_that_look_at_no_model_need_none(begin: Any) -> None:
    project, truth = begin(audit_share=0.0)
    project.tell({i: truth[i] for i in ids(project.next(20))})
    project._fitted = None
    assert len(project.next(5, strategy="random")) == 5
    assert project._fitted is None
    assert len(project.next(5)) == 5
    assert project._fitted is not None


def test_wrong_repeated_and_changed_answers(begin: Any) -> None:
    project, _ = begin()
    first, second = ids(project.next(2))
    assert project.tell({first: "ant", second: "bee"})["new"] == 2
    assert project.tell({first: "ant", second: "bee"})["repeated"] == 2
    before = len(list(project._workspace.events()))
    project.tell({first: "ant"})
    assert len(list(project._workspace.events())) == before  # nothing is written for a repeat
    assert project.tell({first: "cow"})["changed"] == 1
    assert project.state.label(project._position[first]) == "cow"
    assert project.tell({first: "skip"})["changed"] == 1
    assert project.state.label(project._position[first]) is None
    assert project.tell({"i119": "withdraw"})["repeated"] == 1


def test_unasked_answers_train_but_never_bend_the_audit(begin: Any) -> None:
    project, truth = begin(audit_share=0.5)
    assert project.tell(truth)["unasked"] == 120  # everything volunteered
    state = project.state
    assert len(state.training()[0]) == 60
    assert state.audited() == {}
    assert project.next(10) == []  # nothing is left to ask
    assert project.status()["audit"]["score"] is None


def test_a_volunteered_audit_answer_counts_when_its_turn_comes(begin: Any) -> None:
    project, truth = begin(audit_share=0.5)
    order = project.state.audit_order
    early = [project.items.ids[p] for p in order[1:3]]
    project.tell({i: truth[i] for i in early})
    assert project.state.audited() == {}
    asked = project.next(8)  # four turns: the first, two volunteered ones, the fourth
    assert len(asked) == 8
    assert project.state.audit_asked == 4
    assert not set(early) & set(ids(asked))
    assert set(project.state.audited()) == set(order[1:3])


def test_the_whole_pool_is_labelled_in_the_end(begin: Any) -> None:
    project, truth = begin(audit_share=0.3)
    seen: list[str] = []
    for count in (50, 40, 1000):
        rows = project.next(count)
        seen += ids(rows)
        project.tell({i: truth[i] for i in ids(rows)})
    assert sorted(seen) == sorted(truth)
    assert project.next(5) == []
    assert project.status()["open"] == 0
    assert project.status()["audit"]["labels"] == 36
    assert {r["source"] for r in project.predict()} == {"person"}


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "3"])
def test_counts_that_are_none(begin: Any, count: Any) -> None:
    project, _ = begin()
    with pytest.raises(BadInput, match="not a number of items"):
        project.next(count)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5])
def test_audit_share_is_kept_at_every_batch(begin: Any, share: float) -> None:
    project, truth = begin(audit_share=share)
    for count in (1, 2, 3, 7, 10, 20):
        project.tell({i: truth[i] for i in ids(project.next(count))})
        assert project.state.audit_asked == round(share * len(project.state.asked))


def test_audit_items_cannot_be_told_from_the_others(begin: Any) -> None:
    project, _ = begin(audit_share=0.5)
    rows = project.next(40)
    assert {tuple(row) for row in rows} == {("id", "label")}
    flags = [project.state.is_audit(project._position[i]) for i in ids(rows)]
    assert sum(flags) == 20
    assert flags != sorted(flags)  # mixed, not in a block
    assert flags != sorted(flags, reverse=True)


def test_new_classes_in_mid_project(begin: Any) -> None:
    project, _ = begin(classes=["ant", "bee"], audit_share=0.0)
    rows = ids(project.next(12))
    project.tell({i: ("ant", "bee")[k % 2] for k, i in enumerate(rows[:6])})
    with pytest.raises(BadInput, match="'cow' is not a class"):
        project.tell({rows[6]: "ant", rows[7]: "cow"})
    assert project.status()["labels"] == 6  # all or nothing
    project.tell({rows[6]: "cow", rows[7]: "Cow"}, add_classes=True)
    assert project.state.classes == ["ant", "bee", "cow"]
    assert project.status()["classes"]["cow"] == 2
    assert {r["model_label"] for r in project.predict()} <= {"ant", "bee", "cow"}
    assert len(project.next(5)) == 5


def test_a_listed_class_nobody_has_seen_yet(begin: Any) -> None:
    project, truth = begin(classes=["ant", "bee", "cow", "yak"], audit_share=0.0)
    project.tell({i: truth[i] for i in ids(project.next(30))})
    assert project.status()["classes"]["yak"] == 0
    saved = project.model()
    assert saved.probabilities_of_features(project.features())[:, 3].max() < 0.1
    assert len(project.next(5)) == 5


def test_several_annotators(begin: Any) -> None:
    project, _ = begin()
    a, b, c = ids(project.next(3))
    project.tell({a: "ant", b: "ant", c: "bee"}, annotator="Ann")
    project.tell({a: "ant", b: "bee"}, annotator="Bob")
    label = {i: project.state.label(project._position[i]) for i in (a, b, c)}
    assert label == {a: "ant", b: "bee", c: "bee"}  # on a tie the latest word counts
    agreement = project.status()["agreement"]
    assert (agreement["items"], agreement["disputed"], agreement["pairwise"]) == (2, 1, 0.5)
    project.tell({b: "ant"}, annotator="Cid")
    assert project.state.label(project._position[b]) == "ant"  # the majority
    project.tell({c: "skip"}, annotator="Bob")
    assert project.state.label(project._position[c]) == "bee"
    assert project.status()["annotators"] == {"Ann": 3, "Bob": 2, "Cid": 1}
    rows = [r for r in project.export() if r["id"] == b]
    assert [(r["annotator"], r["answer"], r["label"]) for r in rows] == [
        ("Ann", "ant", "ant"),
        ("Bob", "bee", "ant"),
        ("Cid", "ant", "ant"),
    ]


def test_labels_that_came_with_the_data(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    rows = [("a1", "1", "ant"), ("a2", "2", ""), ("a3", "3", "bee")]
    rows += [(f"b{k}", str(k), "") for k in range(20)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "size", "label"), *rows])
    with Project.new(tmp_path / "p", path, audit_share=0.5) as project:
        assert project.state.classes == ["ant", "bee"]
        status = project.status()
        assert (status["labels"], status["imported"]) == (2, 2)
        assert not {0, 2} & set(project.state.audit_order)
        assert len(project.next(3)) == 3
        project.tell({"a1": "bee"})  # a correction: the latest of one against one
        assert project.state.labels()[0] == "bee"
    with pytest.raises(BadInput, match=r"'bee' \(1 item\)"):
        Project.new(tmp_path / "q", path, classes=["ant", "wasp"])


def test_state_is_the_same_after_reopening(begin: Any) -> None:
    project, truth = begin(audit_share=0.5)
    project.tell({i: truth[i] for i in ids(project.next(70))})
    project.next(5)
    project.tell({"i000": "yak"}, add_classes=True, annotator="Ann")
    project.close()
    with Project.open(project.folder) as again:
        assert again.state == project.state
        assert again.status() == again.status()
        assert again.state.measurements


def test_same_seed_same_questions(tmp_path: Path, begin: Any) -> None:
    runs = []
    for seed in (3, 3, 4):
        project, truth = begin(seed=seed)
        seen = []
        for _ in range(3):
            rows = ids(project.next(10))
            seen.append(rows)
            project.tell({i: truth[i] for i in rows})
        runs.append(seen)
    assert runs[0] == runs[1] != runs[2]


def test_saved_model_predicts_what_the_project_predicts(tmp_path: Path, begin: Any) -> None:
    project, truth = begin(audit_share=0.5)
    project.tell({i: truth[i] for i in ids(project.next(80))})
    path = tmp_path / "model.npz"
    project.model().save(path)
    model = load_model(path)
    rows = project.predict()
    assert model.predict(project.features()) == [r["model_label"] for r in rows]
    assert model.predict(project.features().tolist()) == [r["model_label"] for r in rows]
    sure = model.predict_proba(project.features()).max(axis=1)
    assert np.array_equal(sure, [r["model_confidence"] for r in rows])
    assert model.facts["audit"]["labels"] == 40
    assert model.predict([]) == []
    with pytest.raises(BadInput, match="do not fit the model"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(BadInput, match="reads rows of numbers, and was given others"):
        model.predict(["I was charged twice"])


@pytest.mark.parametrize("keep", [0, 1, 10, 200, -1])
def test_a_damaged_model_file_is_refused(tmp_path: Path, begin: Any, keep: int) -> None:
    project, _ = begin()
    path = tmp_path / "model.npz"
    project.model().save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="not a model"):
        load_model(path)


def test_other_files_are_no_models(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "b.npz", X=np.zeros(3))
    (tmp_path / "c.npz").write_text("hello")
    for name in ("a.npy", "b.npz", "c.npz"):
        with pytest.raises(BadInput, match="not a model"):
            load_model(tmp_path / name)
    with pytest.raises(BadInput, match="cannot read"):
        load_model(tmp_path / "absent.npz")


def test_rows_of_a_table_need_the_project(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    colours = ("red", "blue")
    lines = "\n".join(f"{k},{colours[k % 2]},x{k % 3}" for k in range(40))
    path.write_text(f"size,colour,Label\n{lines}\n")
    with Project.new(tmp_path / "p", path, classes=["x0", "x1", "x2"]) as project:
        assert project.status()["labels"] == 40
        assert list(project.items.row(0)) == ["id", "size", "colour"]
        with pytest.raises(BadInput, match="together with the project's own rows"):
            project.model().predict([{"size": 1, "colour": "red"}])


def test_columns_that_would_be_taken_for_answers_get_another_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,user,Answer,user_,size\n" + "".join(f"r{k},u,a,b,{k}\n" for k in range(9)))
    with Project.new(tmp_path / "p", path, classes=["x", "y"]) as project:
        assert list(project.items.columns) == ["user_", "Answer_", "user__", "size"]


def test_projects_that_cannot_be(tmp_path: Path, begin: Any) -> None:
    items = begin(n=10)[0].items
    features: Any = np.zeros((10, 2), np.float32)

    def new(**more: Any) -> None:
        options = {"classes": ["a", "b"], **more}
        Project.new(tmp_path / "x", Dataset("d", "features", features, items.ids), **options)

    for options, message in [
        ({"classes": []}, "0 class"),
        ({"classes": ["a"]}, "1 class"),
        ({"classes": ["a", "b", "a"]}, "given twice"),
        ({"classes": "a,b"}, "is the text"),
        ({"classes": ["a", "b\ud800"]}, "broken character"),
        ({"audit_share": 0.95}, "not a share"),
        ({"audit_share": float("nan")}, "not a share"),
        ({"strategy": "margins"}, "did you mean 'margin'"),
        ({"learner": "liner"}, "did you mean 'linear'"),
        ({"encoder": "minilm"}, "holds features items"),
    ]:
        with pytest.raises(BadInput, match=message):
            new(**options)
        assert not (tmp_path / "x").exists()  # a refusal leaves nothing behind
    (tmp_path / "x").write_text("a file")
    with pytest.raises(BadInput, match="is a file"):
        new()


def test_data_sets_made_by_hand_are_checked(tmp_path: Path) -> None:
    def refused(message: str, features: Any, names: Any, labels: Any = None) -> None:
        held = Dataset("d", "features", features, names, "multiclass", ("a", "b"), labels)
        with pytest.raises(BadInput, match=message):
            Project.new(tmp_path / "x", held)

    three: Any = np.zeros((3, 2), np.float32)
    refused("unique", three, ("a", "a", "b"))
    refused("3 items and 2 ids", three, ("a", "b"))
    refused("2 labels for 3 items", three, ("a", "b", "c"), np.array([0, 1]))
    refused("NaN", np.full((2, 2), np.nan, np.float32), ("a", "b"))
    whole: Any = (1, 2, 3)
    items: Any = np.eye(3, dtype=np.float32)
    with Project.new(
        tmp_path / "y", Dataset("d", "features", items, whole), classes=["a", "b"]
    ) as p:
        pass
    assert p.items.ids == ("1", "2", "3")


def test_one_batch_by_another_strategy_gets_what_that_strategy_needs(begin: Any) -> None:
    project, truth = begin(audit_share=0.0)
    first = project.next(8)
    project.tell({i: truth[i] for i in ids(first)})
    before = [row["confidence"] for row in project.predict()]
    rows = project.next(4, strategy="bald")  # it asks a committee, margin does not
    assert len(rows) == 4
    asked = project.state.asked
    assert {asked[project._position[i]]["strategy"] for i in ids(rows)} == {"bald"}
    assert [row["confidence"] for row in project.predict()] == before


def test_large_projects_begin_with_a_strategy_that_needs_no_pass_over_all_pairs() -> None:
    from labeltrain.learners import make
    from labeltrain.projects.founding import SMALL, default_for
    from labeltrain.strategies import registry

    linear, network = make("linear", {}), make("transformer", {})
    assert default_for(SMALL, linear) == "uherding"
    assert default_for(SMALL + 1, linear) == "margin"
    assert default_for(5, network) == "margin"  # it has no out-of-fold predictions
    assert {default_for(0, linear), default_for(10**6, linear)} <= set(registry.names())
