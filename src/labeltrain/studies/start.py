"""What a study knows before its first label: examples, or words that say what is looked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labeltrain.data.dataset import Dataset
from labeltrain.encoders.base import Encoder
from labeltrain.errors import BadInput, unknown_name
from labeltrain.rng import stream
from labeltrain.studies.spec import ExperimentSpec


def targets_of(spec: ExperimentSpec, dataset: Dataset, encoder: Encoder) -> np.ndarray | None:
    """Return the encoded query; None without one.

    Raises
    ------
    BadInput
        Items that are no texts, or an encoder that learns from the pool or reads other than texts.
    """
    if not spec.seed_set.query:
        return None
    if dataset.modality != "text" or encoder.whole or "text" not in encoder.modalities:
        raise BadInput(
            f"seed_set.query is a text: {spec.dataset} with the encoder {encoder.name!r} cannot be "
            "compared with it",
            "use texts and an encoder such as minilm, or seed_set.examples",
        )
    return encoder.encode(list(spec.seed_set.query))


def examples_of(
    spec: ExperimentSpec, labels: np.ndarray, classes: Sequence[str], seed: int
) -> tuple[int, ...]:
    """Return the pool positions of the examples that are known beforehand, drawn for each seed.

    Raises
    ------
    BadInput
        An unknown class, or more examples than the pool holds or the seed set has room for.
    """
    found: list[int] = []
    rng = stream(seed, "examples")
    for name, wanted in spec.seed_set.examples.items():
        if name not in classes:
            raise unknown_name("class in seed_set.examples", name, classes)
        k = list(classes).index(name)
        mine = np.flatnonzero(labels == k if labels.ndim == 1 else labels[:, k] == 1)
        mine = np.setdiff1d(mine, found)
        if len(mine) < wanted:
            raise BadInput(
                f"seed_set.examples wants {wanted} of {name!r}, and the pool of seed {seed} has "
                f"{len(mine)}",
                "ask for fewer",
            )
        found += rng.choice(mine, wanted, replace=False).tolist()
    if len(found) > spec.seed_size:
        raise BadInput(
            f"seed_set.examples are {len(found)}, and the seed set has {spec.seed_size} items",
            "examples count as labels: give a larger seed_set.size",
        )
    return tuple(found)
