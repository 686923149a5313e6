"""What a project says about itself: status and history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labeltrain.loop import audit
from labeltrain.metrics import krippendorff_alpha, pairwise_agreement
from labeltrain.projects import measuring
from labeltrain.projects.founding import IMPORTED
from labeltrain.projects.state import MEMORY
from labeltrain.projects.words import many
from labeltrain.store import Event

if TYPE_CHECKING:
    from labeltrain.projects.project import Project


def status(project: Project) -> dict[str, Any]:
    """Return labels, classes, audited score, agreement and what is open."""
    state = project.state
    labels = state.labels()
    counts = Counter(labels.values())
    triples = [
        (position, vote.annotator, vote.label)
        for position, votes in state.votes.items()
        for vote in votes.values()
        if vote.label is not None
    ]
    people = Counter(position for position, _, _ in triples)
    return {
        "items": len(project.items.ids),
        "labels": len(labels),
        "training_labels": sum(1 for p in labels if not state.is_audit(p)),
        "imported": sum(1 for _, person, _ in triples if person == IMPORTED),
        "rounds": state.rounds,
        "open": len(state.pending),
        "skipped": sum(1 for p in state.votes if state.skipped(p)),
        "classes": {c: counts.get(c, 0) for c in state.classes},
        "audit": {"share": project.spec["audit_share"], **_audit(project)},
        "agreement": {
            "items": sum(1 for n in people.values() if n > 1),
            "disputed": sum(1 for p, n in people.items() if n > 1 and state.disputed(p)),
            "pairwise": pairwise_agreement(triples),
            "krippendorff_alpha": krippendorff_alpha(triples),
        },
        "annotators": dict(Counter(person or "(not named)" for _, person, _ in triples)),
        "encoder": project.spec["encoder"],
        "learner": project.spec["learner"],
        "strategy": project.spec["strategy"],
        "model": _model(project),
    }


def _model(project: Project) -> dict[str, int | None] | None:
    """Return what is kept of the model that a learner goes on from."""
    kept = project.state.model
    if kept is None:
        return None
    told = kept.get("told", {})  # not in projects of earlier versions
    return {"round": kept["round"] + 1, **{key: told.get(key) for key in MEMORY}}


def _audit(project: Project) -> dict[str, Any]:
    state = project.state
    labels = len(state.audited())
    latest = state.measurements[-1] if state.measurements else None
    next_at = audit.next_checkpoint(latest["labels"] if latest else None)
    if state.audit_changed and labels < audit.FIRST:
        latest = None  # so many answers were withdrawn that nothing is known any more
        next_at = audit.FIRST
    skipped = sum(1 for p in state.audit_order if p in state.asked and state.skipped(p))
    # None: the audit items that are left cannot reach it.
    reached = next_at if next_at <= len(state.audit_order) - skipped else None
    first = latest is None
    return {
        "reserved": len(state.audit_order),
        "asked": state.audit_asked,
        "labels": labels,
        "skipped": skipped,
        "score": latest["score"] if latest else None,
        "low": latest["low"] if latest else None,
        "high": latest["high"] if latest else None,
        "measured_on": latest["labels"] if latest else None,
        "measured_at_training_labels": latest["training_labels"] if latest else None,
        "next_at": reached,
        "labels_to_first": _labels_to_first(project) if first and reached else None,
        "smallest_share": _smallest_share(project) if first and not reached else None,
        "due": measuring.is_due(state),
    }


def _labels_to_first(project: Project) -> int:
    """Return about how many more labels it takes until the first measurement."""
    state, share = project.state, project.spec["audit_share"]
    missing = max(0, audit.FIRST - len(state.audited()))
    on_the_way = sum(1 for p in state.audit_order if p in state.asked and p not in state.votes)
    turns = state.audit_asked + max(0, missing - on_the_way)
    answered = sum(1 for p in state.asked if p in state.votes)
    more = max(missing, audit.questions_until(share, turns) - answered)
    # Once the strategy has nothing left to pick, all questions are the audit's.
    return min(more, len(project.items.ids) - len(state.votes))


def _smallest_share(project: Project) -> float | None:
    """Return the share with which a project on these items would be measured."""
    known = sum(1 for votes in project.state.votes.values() if IMPORTED in votes)
    return audit.smallest_share(len(project.items.ids) - known)


def history(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return one row per event: time (UTC), kind, and a sentence."""
    return [
        {
            "time": datetime.fromtimestamp(event.time, UTC).isoformat(timespec="seconds"),
            "event": event.kind,
            "what": _sentence(event),
        }
        for event in events
    ]


def _sentence(event: Event) -> str:
    body = event.body
    if event.kind == "project":
        return (
            f"project on {body['name']}: {body['encoder']}, {body['learner']}, {body['strategy']}"
        )
    if event.kind == "classes":
        dropped = body.get("removed")
        return (
            f"class dropped: {', '.join(dropped)}"
            if dropped
            else (f"classes: {', '.join(body['added'])}")
        )
    if event.kind == "reserved":
        return f"{many(len(body['positions']), 'item')} set aside for the audit"
    if event.kind == "encoded":
        return f"items encoded in {body['seconds']:.1f} s"
    if event.kind == "opened":
        picked = Counter(p["strategy"] for p in body["picks"])
        parts = ", ".join(f"{n} by {s}" for s, n in sorted(picked.items()))
        inside = f" of {body['budget']}" if "budget" in body else ""
        chosen = many(len(body["picks"]), "item")
        return f"round {body['round'] + 1}{inside}: {chosen} chosen ({parts})"
    if event.kind == "answered":
        effects = Counter(a["effect"] for a in body["answers"])
        parts = ", ".join(f"{n} {e}" for e, n in sorted(effects.items()))
        return f"answers from {body['source']}: {parts}"
    if event.kind == "measured":
        return (
            f"audited accuracy {body['score']:.3f} ({body['low']:.3f} to {body['high']:.3f}) "
            f"on {body['labels']} audit labels, at {body['training_labels']} training labels"
        )
    return f"(an event of another version: {', '.join(sorted(body))})"
