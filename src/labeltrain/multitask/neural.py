"""Representations that tasks share, of a network: a perceptron or small convolutions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from labeltrain.errors import BadInput, missing_extra, refuse_unknown_parameters
from labeltrain.kernels.threads import torch_threads
from labeltrain.learners.mlp import perceptron
from labeltrain.multitask.assessment import Representation
from labeltrain.multitask.samples import Samples

NETWORKS = ("mlp", "cnn")
LEFT_OUT = 0.1  # of the samples: they tell when to stop, and how noisy labels are
KEPT = 10 * 2 ** np.arange(20)  # steps after which a network is kept, for steps towards tasks
LAST = 4  # of these, up to the least error, are the ones that steps are taken from
ROWS = 4096  # encoded at once


@dataclass(frozen=True)
class NeuralRepresentation:
    """A network that was trained on all tasks at once, and the heads it was trained with.

    Attributes
    ----------
    network : torch.nn.Module
        From rows to K numbers, in evaluation mode.
    mean, deviation : ndarray of float64, shape (d,)
        What rows are standardised by.
    shape : tuple of int or None
        Height, width and channels of the images that rows are.
    heads : torch.nn.Module
        Weights and biases of the tasks, as trained: the next epoch begins with them. Relevance
        reads heads that are refitted.
    noise : float
        Root mean squared error of the left-out samples, an upper bound of the labels' noise.
    steps : int
        Steps until the least error of left-out samples.
    along : tuple of NeuralRepresentation
        What it was on the way to the least error in the first epoch: after about an eighth, a
        quarter and half of the steps, and at their end.
    """

    network: Any
    mean: np.ndarray
    deviation: np.ndarray
    shape: tuple[int, ...] | None
    heads: Any
    noise: float
    steps: int
    along: tuple[NeuralRepresentation, ...] = ()

    freedom: ClassVar[int] = 0  # its noise is told by left-out samples instead

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Return the representation of rows, float64 (n, K)."""
        import torch

        parts = []
        with torch.no_grad(), torch_threads(torch):
            for first in range(0, len(rows), ROWS):
                parts.append(self.network(self.inputs(rows[first : first + ROWS])).numpy())
        if not parts:
            return np.zeros((0, self.dimension))
        return np.concatenate(parts).astype(np.float64)

    @property
    def dimension(self) -> int:
        """K."""
        return int(self.heads[0].weight.shape[1])

    def inputs(self, rows: np.ndarray) -> Any:
        """Return rows as the network reads them, a float32 tensor."""
        import torch

        standard = (np.asarray(rows, dtype=np.float64) - self.mean) / self.deviation
        found = torch.from_numpy(standard.astype(np.float32))
        if self.shape is not None:
            found = found.reshape(-1, *self.shape).permute(0, 3, 1, 2).contiguous()
        return found

    def starts(self) -> tuple[NeuralRepresentation, ...]:
        """Return what it was while it was trained: what steps towards tasks are taken from."""
        return self.along or (self,)

    def stepped(
        self, rows: np.ndarray, values: np.ndarray, head: np.ndarray, rate: float
    ) -> NeuralRepresentation:
        """Return it after a step of the network down the mean squared error of a task.

        Parameters
        ----------
        rows : ndarray of float64, shape (n, d)
        values : ndarray of float64, shape (n,)
            Less the task's intercept.
        head : ndarray of float64, shape (K,)
            It does not change.
        rate : float

        Returns
        -------
        NeuralRepresentation
        """
        import torch

        network = copy.deepcopy(self.network)
        with torch_threads(torch):
            wanted = torch.from_numpy(np.asarray(values, dtype=np.float32))
            weights = torch.from_numpy(np.asarray(head, dtype=np.float32))
            loss = ((network(self.inputs(rows)) @ weights - wanted) ** 2).mean()
            parameters = list(network.parameters())
            slopes = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for parameter, slope in zip(parameters, slopes, strict=True):
                    parameter.sub_(slope, alpha=rate)
        return NeuralRepresentation(
            network, self.mean, self.deviation, self.shape, self.heads, self.noise, self.steps
        )


@dataclass(frozen=True)
class NeuralLearner:
    """Trains a network on all tasks, each with a linear head and an intercept.

    Squared error of all samples alike, so that a task counts by its samples; Adam; from the network
    of the epoch before, where there is one. Heads that relevance is read from are refitted
    afterwards, on the frozen network: those of training are regularised by chance.

    Parameters
    ----------
    dimension : int
        K, the numbers that tasks share.
    network : {"mlp", "cnn"}
        Hidden layers with ReLU; two convolutions at a half and a quarter of the side.
    shape : tuple of int, optional
        Height, width and channels of the images that rows are, for "cnn".
    width : int
        Of hidden layers; a convolution has an eighth and a quarter as many channels.
    layers : int
        Hidden ones, of "mlp".
    steps : int
        At most. It ends once the error of left-out samples, a tenth of all, has not fallen for
        `patience` steps, and goes back to the least. It is looked at after each pass.
    patience : int
    batch : int
    learning_rate, weight_decay : float
        Of AdamW.

    Notes
    -----
    Under an intercept (``Plan.intercept``) networks read rows as they are, unlike linear
    representations (`raw`).

    References
    ----------
    Chen et al.: Active multi-task representation learning, ICML 2022, arXiv 2202.00911, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.neural import NeuralLearner
    >>> from labeltrain.multitask.samples import Samples
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 4))
    >>> both = Samples.of([(x, np.abs(x[:, 0])), (x, 1 - np.abs(x[:, 0]))])
    >>> found = NeuralLearner(3, width=32)(both, rng, None)
    >>> found.encode(x).shape, bool(found.noise < 0.3)
    ((200, 3), True)
    """

    dimension: int
    network: str = "mlp"
    shape: tuple[int, ...] | None = None
    width: int = 128
    layers: int = 1
    steps: int = 3000
    patience: int = 400
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4

    raw: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse options that mean nothing."""
        if self.network not in NETWORKS:
            raise BadInput(f"network={self.network!r}", f"use {' or '.join(NETWORKS)}")
        for name in ("dimension", "width", "layers", "steps", "patience", "batch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BadInput(f"{name}={value!r}", "give a whole number, 1 or more")
        for name, above in (("learning_rate", True), ("weight_decay", False)):
            value = getattr(self, name)
            fine = isinstance(value, float | int) and not isinstance(value, bool)
            if not fine or not np.isfinite(value) or value < 0 or (above and value == 0):
                raise BadInput(
                    f"{name}={value!r}", f"give a number {'above' if above else 'from'} 0"
                )
        if self.network == "cnn" and (self.width % 8 or self.shape is None or len(self.shape) != 3):
            raise BadInput(
                f"a cnn of width={self.width} and shape={self.shape}",
                "give a width that is a multiple of 8, and height, width and channels of images",
            )

    def __call__(
        self, samples: Samples, rng: np.random.Generator, previous: Representation | None
    ) -> NeuralRepresentation:
        """Return the representation of these samples.

        Raises
        ------
        BadInput
            Fewer than two samples, or rows that are no such images.
        """
        try:
            import torch
        except ImportError as error:
            raise missing_extra("torch", "hf", f"the representation {self.network}") from error
        if len(samples.rows) < 2:
            raise BadInput(f"{len(samples.rows)} samples to train a network on", "draw more")
        if self.shape is not None and int(np.prod(self.shape)) != samples.rows.shape[1]:
            raise BadInput(
                f"rows of {samples.rows.shape[1]} features are no images of shape {self.shape}",
                "give the shape of the images",
            )
        with torch_threads(torch), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            return self._trained(samples, rng, previous)

    def _begun(self, samples: Samples, previous: Representation | None) -> NeuralRepresentation:
        """Return the network to begin with: that of the epoch before, or a fresh one."""
        import torch
        from torch import nn

        if isinstance(previous, NeuralRepresentation):
            return NeuralRepresentation(
                copy.deepcopy(previous.network), previous.mean, previous.deviation, previous.shape,
                copy.deepcopy(previous.heads), previous.noise, 0, previous.along,
            )  # fmt: skip
        rows, tasks = samples.rows, samples.tasks
        if self.shape is None:
            mean, deviation = rows.mean(axis=0), rows.std(axis=0)
            deviation = np.where(deviation > 0, deviation, 1.0)
            network = perceptron(rows.shape[1], self.width, self.layers, 0.0, self.dimension)
        else:  # one scale for all pixels: borders that never vary say nothing
            mean = np.full(rows.shape[1], rows.mean())
            deviation = np.full(rows.shape[1], float(rows.std()) or 1.0)
            network = convolutions(self.shape, self.width, self.dimension)
        heads = nn.ModuleList([nn.Embedding(tasks, self.dimension), nn.Embedding(tasks, 1)])
        with torch.no_grad():
            heads[0].weight.mul_(self.dimension**-0.5)
            heads[1].weight.copy_(torch.from_numpy(samples.means()[1][:, None].astype(np.float32)))
        return NeuralRepresentation(network, mean, deviation, self.shape, heads, float("inf"), 0)

    def _trained(
        self, samples: Samples, rng: np.random.Generator, previous: Representation | None
    ) -> NeuralRepresentation:
        import torch

        body = self._begun(samples, previous)
        inputs, values = body.inputs(samples.rows), torch.from_numpy(samples.values).float()
        owners = torch.from_numpy(samples.owners)
        order = rng.permutation(len(values))
        some = max(1, int(LEFT_OUT * len(order)))
        left_out, kept = torch.from_numpy(np.sort(order[:some])), order[some:]
        parameters = [*body.network.parameters(), *body.heads.parameters()]
        optimiser = torch.optim.AdamW(
            parameters, lr=self.learning_rate, weight_decay=self.weight_decay
        )

        def missed(rows: Any) -> Any:
            encoded, tasks = body.network(inputs[rows]), owners[rows]
            own = (encoded * body.heads[0](tasks)).sum(dim=1) + body.heads[1](tasks)[:, 0]
            return ((own - values[rows]) ** 2).mean()

        best, least, taken = float("inf"), 0, 0
        held = [p.detach().clone() for p in parameters]
        along: dict[int, NeuralRepresentation] = {}
        while True:
            with torch.no_grad():
                error = float(missed(left_out))
            if not np.isfinite(error):
                break
            if error < best:
                best, least = error, taken
                for mine, parameter in zip(held, parameters, strict=True):
                    mine.copy_(parameter.detach())
            if taken - least >= self.patience or taken >= self.steps:
                break
            shuffled = torch.from_numpy(rng.permutation(kept))
            for rows in shuffled.split(self.batch)[: self.steps - taken]:
                if previous is None and taken in KEPT:
                    along[taken] = replace(body, network=copy.deepcopy(body.network))
                taken += 1
                optimiser.zero_grad(set_to_none=True)
                missed(rows).backward()
                optimiser.step()
        with torch.no_grad():
            for mine, parameter in zip(held, parameters, strict=True):
                parameter.copy_(mine)
        body.network.eval()
        return NeuralRepresentation(
            body.network,
            body.mean,
            body.deviation,
            body.shape,
            body.heads,
            best**0.5,
            least,
            body.along or tuple(one for at, one in along.items() if at <= least)[-LAST:],
        )


def convolutions(shape: tuple[int, ...], width: int, outputs: int) -> Any:
    """Return a new network: two convolutions, each at half the side of before, and a linear map.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels.
    width : int
        A multiple of 8; the convolutions have an eighth and a quarter as many channels.
    outputs : int

    Returns
    -------
    torch.nn.Module
        From (n, channels, height, width) to (n, outputs).
    """
    from torch import nn

    height, breadth, channels = shape
    first, second = width // 8, width // 4
    size = -(-height // 4) * -(-breadth // 4) * second
    return nn.Sequential(
        nn.Conv2d(channels, first, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(size, outputs),
    )


def network_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of :class:`NeuralLearner` that a user gave, all of them known.

    Raises
    ------
    BadInput
        An option that is none of them.
    """
    known = [
        f.name for f in fields(NeuralLearner) if f.name not in ("dimension", "shape", "network")
    ]
    refuse_unknown_parameters("network", options, known)
    return dict(options)
