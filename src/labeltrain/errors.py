"""Every error a user can meet, each naming the item or option and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LabelTrainError(Exception):
    """Base of all LabelTrain errors.

    Parameters
    ----------
    problem : str
        What is wrong, naming the item, file or option.
    remedy : str, optional
        What the user can do about it.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}\n  remedy: {remedy}" if remedy else problem)

    def __reduce__(self) -> tuple[type[LabelTrainError], tuple[str, str]]:
        # Errors cross process borders (worker processes), so they must copy faithfully.
        return type(self), (self.problem, self.remedy)


class BadInput(LabelTrainError, ValueError):
    """A value, file or option that cannot be used as given."""


class MissingExtra(LabelTrainError, ImportError):
    """An optional dependency is needed and not installed."""


class AssetUnavailable(LabelTrainError, OSError):
    """A pinned third-party file could not be fetched or does not match its checksum."""


class StoreDamaged(LabelTrainError):
    """A workspace file is torn, flipped or missing; the remedy names the repairing command."""


class StoreMissing(StoreDamaged):
    """A workspace file is gone; what can be made again from the ledger is made again."""


class StoreUnwritable(LabelTrainError, OSError):
    """A workspace cannot be written: full disk, read-only directory, no permission."""


class WorkspaceBusy(LabelTrainError):
    """Another process works on this workspace."""


class MissingNeed(LabelTrainError, ValueError):
    """A strategy asks for something the learner or the data cannot give."""


class HiddenLabel(LabelTrainError):
    """A strategy tried to read the label of an item that has not been labelled."""


class BrokenContract(LabelTrainError):
    """A strategy, learner or encoder returned something its contract forbids."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest in spelling to `name`, or None if none is close.

    One that `name` is the beginning of comes first: ``proba`` stands for ``probabilities``.
    """
    lowered = {k.lower(): k for k in known}
    longer = [k for k in lowered if len(name) > 2 and k.startswith(name.lower())]
    if len(longer) == 1:
        return lowered[longer[0]]
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return lowered[close[0]] if close else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """Build the error for an unknown name, with the nearest valid one and the whole list."""
    names = sorted(str(k) for k in known)
    close = nearest(name, names)
    hint = f"did you mean {close!r}? " if close else ""
    return BadInput(f"unknown {kind} {name!r}", f"{hint}known: {', '.join(names) or 'none'}")


def refuse_unknown_parameters(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise for the first parameter that `owner` does not have, with the nearest one it has."""
    names = list(known)
    for key in given:
        if key not in names:
            close = nearest(key, names)
            raise BadInput(
                f"{owner} has no parameter {key!r}",
                f"{f'did you mean {close!r}? ' if close else ''}known: "
                f"{', '.join(names) or 'none'}",
            )


def missing_extra(module: str, extra: str, purpose: str) -> MissingExtra:
    """Build the error for an optional dependency that is not installed."""
    return MissingExtra(
        f"{purpose} needs the package {module!r}, which is not installed",
        f"pip install 'labeltrain[{extra}]'",
    )
