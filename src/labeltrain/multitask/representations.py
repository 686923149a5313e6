"""The learner of the representation that a run asks for."""

from __future__ import annotations

from labeltrain.errors import BadInput
from labeltrain.multitask.adaptive import Learner, linear_learner
from labeltrain.multitask.neural import NeuralLearner, network_options
from labeltrain.multitask.spec import RunSpec


def learner_of(
    spec: RunSpec,
    dimension: int,
    ridge: float,
    shape: tuple[int, ...] | None,
    *,
    steps: int = 100,
) -> Learner:
    """Return what learns the representation of a run.

    Parameters
    ----------
    spec : RunSpec
    dimension : int
        K; for linear representations no more than there are features.
    ridge : float
        Of linear representations.
    shape : tuple of int or None
        Height, width and channels of the images that rows are.
    steps : int
        Of linear representations, at most.

    Returns
    -------
    callable
        ``(samples, rng, previous) -> Representation``.

    Raises
    ------
    BadInput
        Convolutions, and rows are no pixels.
    """
    if spec.representation == "linear":
        return linear_learner(dimension, ridge, steps)
    if spec.representation == "cnn" and shape is None:
        raise BadInput(
            "the representation cnn reads pixels, and the features are none",
            "give images and the encoder raw, or take the representation mlp",
        )
    pixels = shape if spec.representation == "cnn" else None
    return NeuralLearner(dimension, spec.representation, pixels, **network_options(spec.network))
