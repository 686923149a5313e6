"""What a continuing learner keeps of the items it has learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

PREFIX = "memory."


@dataclass(frozen=True)
class Memory:
    """The items that were learned, in the order they came, and what their model said of them.

    Attributes
    ----------
    positions, labels, rounds : ndarray of int64, shape (m,)
        Rounds are those of the learner: 0 for the first fit.
    targets : ndarray of float16, shape (m, C)
        Logits, in evaluation mode, of the model that had just learned the item; NaN where there are
        none. They never change afterwards.
    dropped, dropped_labels : ndarray of int64, shape (k,)
        Items that were learned and are replayed no more, for the memory to stay bounded.
    """

    positions: np.ndarray
    labels: np.ndarray
    rounds: np.ndarray
    targets: np.ndarray
    dropped: np.ndarray
    dropped_labels: np.ndarray

    @classmethod
    def empty(cls, classes: int) -> Memory:
        """Return a memory of nothing."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, none, np.empty((0, classes), np.float16), none, none)

    @property
    def bytes(self) -> int:
        """What it takes, beside the items themselves."""
        return sum(array.nbytes for array in vars(self).values())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return it as arrays for a stored model."""
        return {PREFIX + name: array for name, array in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Memory:
        """Rebuild it."""
        return cls(**{name: arrays[PREFIX + name] for name in cls.__dataclass_fields__})

    def parted(self, labelled: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which of the labelled items are new, and which may be replayed.

        An item whose label was changed is new again; one whose label was withdrawn is gone.

        Parameters
        ----------
        labelled, labels : ndarray of int64, shape (m,)

        Returns
        -------
        new : ndarray of int64
            Rows of `labelled`.
        old : ndarray of int64
            Rows of `labelled` that this memory holds, in its order.
        """
        row = {int(p): i for i, p in enumerate(labelled)}
        old = [
            row[p] for p, label in zip(self.positions.tolist(), self.labels.tolist(), strict=True)
            if p in row and labels[row[p]] == label
        ]  # fmt: skip
        gone = [
            row[p] for p, label in zip(
                self.dropped.tolist(), self.dropped_labels.tolist(), strict=True
            )
            if p in row and labels[row[p]] == label
        ]  # fmt: skip
        fresh = np.ones(len(labelled), dtype=bool)
        fresh[old] = fresh[gone] = False
        return np.flatnonzero(fresh), np.array(old, dtype=np.int64)

    def targets_of(self, positions: np.ndarray) -> np.ndarray:
        """Return the targets of items, float32 (k, C); NaN for items without."""
        row = {int(p): i for i, p in enumerate(self.positions)}
        found = np.full((len(positions), self.targets.shape[1]), np.nan, dtype=np.float32)
        for i, p in enumerate(positions.tolist()):
            if p in row:
                found[i] = self.targets[row[p]]
        return found

    def after(
        self,
        labelled: np.ndarray,
        labels: np.ndarray,
        old: np.ndarray,
        new: np.ndarray,
        targets: np.ndarray,
        *,
        most: int | None,
        rng: np.random.Generator,
    ) -> Memory:
        """Return the memory after a round.

        Parameters
        ----------
        labelled, labels : ndarray of int64, shape (m,)
        old, new : ndarray of int64
            As :meth:`parted` returns them.
        targets : ndarray, shape (len(new), C)
            Of the new items.
        most : int, optional
            Items that are kept at most, a random draw from all that were learned so far; all by
            default.
        rng : numpy.random.Generator
        """
        held = {int(p): i for i, p in enumerate(self.positions)}
        stays = np.array([held[p] for p in labelled[old].tolist()], dtype=np.int64)
        number = int(self.rounds.max()) + 1 if len(self.rounds) else 0
        positions = np.concatenate([labelled[old], labelled[new]])
        still = np.isin(self.dropped, labelled) & ~np.isin(self.dropped, positions)
        kept = np.arange(len(positions))
        if most is not None and len(kept) > most:
            # As many new ones as a draw from all that were ever learned would have.
            before = len(old) + int(still.sum())
            fresh = max(int(rng.hypergeometric(len(new), before, most)), most - len(old))
            kept = np.sort(np.concatenate([
                rng.permutation(len(old))[: most - fresh],
                len(old) + rng.permutation(len(new))[:fresh],
            ]))  # fmt: skip
        lost = np.setdiff1d(np.arange(len(positions)), kept)
        answers = np.concatenate([labels[old], labels[new]])
        rounds = np.concatenate([self.rounds[stays], np.full(len(new), number)])
        # As half floats, but not infinite: a distillation would never end.
        top = np.finfo(np.float16).max
        stored = np.clip(np.asarray(targets, dtype=np.float32), -top, top).astype(np.float16)
        outputs = np.concatenate([self.targets[stays], stored])
        return Memory(
            positions[kept],
            answers[kept],
            rounds[kept].astype(np.int64),
            outputs[kept],
            np.concatenate([self.dropped[still], positions[lost]]),
            np.concatenate([self.dropped_labels[still], answers[lost]]),
        )
