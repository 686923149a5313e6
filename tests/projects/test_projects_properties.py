"""Whatever the sequence of actions, a project keeps its promises."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from labeltrain import Dataset
from labeltrain.errors import BadInput
from labeltrain.projects import Project

N = 40
POINTS: Any = np.random.default_rng(1).normal(size=(N, 3)).astype(np.float32)
IDS = tuple(f"{k:03d}" for k in range(N))
CLASSES = ["ant", "bee", "cow"]
people = st.sampled_from(["", "Ann", "Bob"])
labels = st.sampled_from([*CLASSES, "skip"])


class Sessions(RuleBasedStateMachine):
    """next, tell, change, withdraw, skip, volunteer, add a class, reopen: in any order."""

    @initialize(share=st.sampled_from([0.0, 0.1, 0.5]), known=st.booleans())
    def begin(self, share: float, known: bool) -> None:
        self.folder = Path(tempfile.mkdtemp())
        given = np.full(N, -1)
        if known:
            given[:5] = [0, 1, 2, 0, 1]
        items = Dataset("d", "features", POINTS, IDS, "multiclass", tuple(CLASSES), given)
        self.share = share
        self.project = Project.new(self.folder / "p", items, classes=CLASSES, audit_share=share)
        # What a person believes the project to know: (id, annotator) -> label.
        self.believed = {
            (IDS[p], "imported"): CLASSES[given[p]] for p in range(N) if known and p < 5
        }
        self.asked: list[str] = []  # those that wait for an answer, or have one
        self.returned: set[str] = set()  # asked once; the last answer was withdrawn

    def teardown(self) -> None:
        if hasattr(self, "project"):
            self.project.close()
            shutil.rmtree(self.folder)

    def answered(self) -> set[str]:
        return {item for item, _ in self.believed}

    @rule(count=st.integers(1, 12), strategy=st.sampled_from([None, "random", "entropy"]))
    def next(self, count: int, strategy: str | None) -> None:
        before = self.answered() | set(self.asked)
        again = [p for p in self.project.state.audit_order if IDS[p] in self.returned]
        rows = self.project.next(count, strategy=strategy)
        picked = [row["id"] for row in rows]
        assert len(set(picked)) == len(picked)
        assert not set(picked) & before  # never what is labelled or waits for an answer
        assert len(picked) == min(count, N - len(before))
        assert {IDS[p] for p in again[:count]} <= set(picked)  # their turn has been
        state = self.project.state
        for item in picked:
            pick = state.asked[IDS.index(item)]
            assert (pick["strategy"] == "audit") == state.is_audit(IDS.index(item))
        self.asked += picked
        self.returned -= set(picked)

    def tell(self, item: str, label: str, person: str, **more: Any) -> None:
        counts = self.project.tell({item: label}, annotator=person, **more)
        state = self.project.state
        held = self.believed.get((item, person))
        assert sum(counts.values()) - counts["unasked"] == 1
        if label == "withdraw":
            self.believed.pop((item, person), None)
            assert counts["withdrawn" if held else "repeated"] == 1
            if held and item not in self.answered() and IDS.index(item) in state.asked:
                self.returned.add(item)
                self.asked = [other for other in self.asked if other != item]
            return
        self.believe(item, person, label)
        if held is None:
            assert counts["skipped" if label == "skip" else "new"] == 1
        else:
            assert counts["repeated" if held == label else "changed"] == 1

    def believe(self, item: str, person: str, label: str) -> None:
        self.believed[item, person] = label
        if item in self.returned:
            self.returned.remove(item)
            self.asked.append(item)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), label=labels, person=people)
    def answer(self, data: Any, label: str, person: str) -> None:
        self.tell(data.draw(st.sampled_from(self.asked)), label, person)

    @rule(data=st.data(), upto=st.integers(1, 30))
    def answer_the_batch(self, data: Any, upto: int) -> None:
        waiting = [row["id"] for row in self.project.reissue()]
        told = {item: CLASSES[int(item) % 3] for item in waiting[:upto]}
        self.project.tell(told)
        self.believed |= {(item, ""): label for item, label in told.items()}

    @rule(item=st.sampled_from(IDS), label=labels, person=people)
    def volunteer(self, item: str, label: str, person: str) -> None:
        self.tell(item, label, person)

    @precondition(lambda self: self.believed)
    @rule(data=st.data())
    def withdraw(self, data: Any) -> None:
        item, person = data.draw(st.sampled_from(sorted(self.believed)))
        self.tell(item, "withdraw", person)

    @rule(item=st.sampled_from(IDS), label=st.sampled_from(["yak", "Yak", "fox"]))
    def add_a_class(self, item: str, label: str) -> None:
        self.project.tell({item: label}, annotator="Cid", add_classes=True)
        spelled = next(c for c in self.project.state.classes if c.lower() == label.lower())
        self.believe(item, "Cid", spelled)

    @rule(label=st.sampled_from(["yak", "Yak", "fox"]))
    def drop_a_class(self, label: str) -> None:
        classes = self.project.state.classes
        if label not in classes:
            return
        if label in self.believed.values():
            with pytest.raises(BadInput, match="is the answer to"):
                self.project.drop_class(label)
        else:
            self.project.drop_class(label)
        assert (label in self.project.state.classes) == (label in self.believed.values())

    @rule()
    def reopen(self) -> None:
        held, rows = self.project.state, self.project.predict()
        self.project.close()
        self.project = Project.open(self.folder / "p")
        assert self.project.state == held
        assert self.project.predict() == rows

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "project"):
            return
        held = {
            (IDS[position], vote.annotator): vote.label or "skip"
            for position, votes in self.project.state.votes.items()
            for vote in votes.values()
        }
        assert held == self.believed
        waiting = [row["id"] for row in self.project.reissue()]
        assert (
            set(waiting)
            == {IDS[p] for p in self.project.state.asked if IDS[p] not in self.answered()}
            - self.returned
        )
        assert {IDS[p] for p in self.project.state.returned} == self.returned
        assert set(self.project.state.first_round) == set(self.project.state.votes)

    @invariant()
    def the_audit_never_trains_and_keeps_its_share(self) -> None:
        if not hasattr(self, "project"):
            return
        state = self.project.state
        reserve = set(state.audit_order)
        assert not reserve & set(state.training()[0].tolist())
        turns = [p for p in state.audit_order if p in state.asked]
        assert turns == state.audit_order[: len(turns)]  # strictly in the order drawn
        assert set(state.audited()) <= set(turns)
        left = len(reserve) - len(turns)
        if left:  # it may only be ahead when the strategy had nothing left to pick
            assert len(turns) >= min(len(reserve), int(self.share * len(self.asked)) - 1)


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
