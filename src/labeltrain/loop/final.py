"""Selection via proxy: an expensive learner, trained at a few budgets on what the loop selected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labeltrain.learners.base import Learner

END = "end"


@dataclass(frozen=True)
class Final:
    """The expensive learner, and when it is trained.

    Attributes
    ----------
    learner : Learner
    at : tuple of int
        Numbers of labels; trained after the first round that has as many. Empty: once, at the end.
    refresh : bool
        The trained network encodes all items anew, and the loop goes on with these features; not
        after the last round.
    """

    learner: Learner
    at: tuple[int, ...] = ()
    refresh: bool = False

    def due(self, labels: int, done: Sequence[int | str], ended: bool) -> list[int | str]:
        """Return the budgets for which the learner is to be trained now.

        Parameters
        ----------
        labels : int
            At the last scored round.
        done : sequence of int or "end"
            Budgets it was trained for.
        ended : bool
            No round is left.
        """
        return due(self.at, labels, done, ended)


def due(at: Sequence[int], labels: int, done: Sequence[int | str], ended: bool) -> list[int | str]:
    """Return the budgets among `at` for which a training is to run now; see :class:`Final`."""
    if not at:
        return [END] if ended and END not in done else []
    return [budget for budget in at if budget <= labels and budget not in done]
