"""Augmented views of items: the same thing said or seen differently."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from labeltrain.data import Dataset, read_image, take
from labeltrain.encoders.base import Encoder
from labeltrain.encoders.cache import Features, features
from labeltrain.errors import BadInput
from labeltrain.rng import stream

Strength = Literal["weak", "strong"]
WEAK_DROP = 0.1  # of the words
STRONG_DROP = 0.4
SPAN = 3  # words of a span, on average
PAD = 0.125  # of the side, by which a weak view may be shifted
OPERATIONS = 3
GREY = 127


def encoded_views(
    dataset: Dataset,
    encoder: Encoder,
    strength: Strength,
    count: int,
    seed: int,
    *,
    positions: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Encode augmented views of a data set's items.

    Parameters
    ----------
    dataset : Dataset
        Of texts or images.
    encoder : Encoder
    strength : {"weak", "strong"}
        Weak: texts without a tenth of their words; images shifted by up to an eighth of their
        side. Strong: texts without 40 % of their words, in spans; images after three random
        operations of RandAugment and a grey square (Cutout).
    count : int
        Views of each item.
    seed : int
        A view depends on it, its number and the item alone; so it is cached as other features are.
    positions : ndarray of int64, optional
        Of these items only.
    progress : callable, optional
        Called with the number of views done and their total.

    Returns
    -------
    Features
        With an array of shape (count, n, d).

    Raises
    ------
    BadInput
        Items that are neither texts nor images, or an encoder that cannot read them.

    References
    ----------
    RandAugment: Cubuk, Zoph, Shlens, Le, NeurIPS 2020. Cutout: DeVries, Taylor, 2017. Word dropout:
    Wei, Zou: EDA, EMNLP 2019.
    """
    refuse_no_views(dataset)
    n = len(dataset) if positions is None else len(positions)
    parts: list[Features] = []
    started = time.perf_counter()
    encoder = encoder.fitted(dataset.items)  # views get what the items themselves get
    learning = time.perf_counter() - started
    for number in range(count):

        def tell(done: int, total: int, before: int = number * n) -> None:
            if progress:
                progress(before + done, count * n)

        items = AugmentedItems(dataset, strength, number, seed)
        parts.append(
            features(replace(dataset, items=items), encoder, positions=positions, progress=tell)
        )
    return Features(
        np.stack([part.array for part in parts]),
        learning + sum(part.seconds for part in parts),
        all(part.from_cache for part in parts),
        "".join(part.key for part in parts),
        float(np.mean([part.fresh for part in parts])),
        learning + sum(part.always for part in parts),
    )


def refuse_no_views(dataset: Dataset) -> None:
    """Raise BadInput unless the data set holds texts or images."""
    if dataset.modality not in ("text", "image"):
        raise BadInput(
            f"{dataset.name!r} holds {dataset.modality}: only texts and images have encoded views",
            "use views made of the features: views.count=0",
        )


class AugmentedItems(Sequence[Any]):
    """The items of a data set, each augmented when it is read."""

    def __init__(self, dataset: Dataset, strength: Strength, number: int, seed: int) -> None:
        self._dataset = dataset
        self._strength: Strength = strength
        self._number, self._seed = number, seed

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, position: Any) -> Any:
        return self.take(np.array([position]))[0]

    def take(self, positions: np.ndarray) -> list[Any]:
        """Return the views of some items."""
        chosen = take(self._dataset.items, positions)
        names = [self._dataset.ids[p] for p in positions.tolist()]
        change = augmented_text if self._dataset.modality == "text" else augmented_image
        return [
            change(item, self._strength, stream(self._seed, self._strength, self._number, name))
            for item, name in zip(chosen, names, strict=True)
        ]


def augmented_text(text: str, strength: Strength, rng: np.random.Generator) -> str:
    """Return a text without some of its words; at least one stays.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.encoders.augment import augmented_text
    >>> augmented_text("a b c d e f g h i j", "strong", np.random.default_rng(0))
    'a b d e i j'
    """
    words = text.split()
    if len(words) < 2:
        return text
    keep = kept_words(len(words), strength, rng)
    return " ".join(word for word, stays in zip(words, keep, strict=True) if stays)


def kept_words(n: int, strength: Strength, rng: np.random.Generator) -> np.ndarray:
    """Return which of `n` words a view keeps, bool (n,): nine tenths, or all but 40 % in spans."""
    keep = np.ones(n, dtype=bool)
    if strength == "weak":
        keep = rng.random(n) >= WEAK_DROP
    else:
        left = min(n - 1, math.ceil(STRONG_DROP * n))
        while left > 0:
            length = min(int(rng.geometric(1.0 / SPAN)), left)
            start = int(rng.integers(n))
            left -= int(np.count_nonzero(keep[start : start + length]))
            keep[start : start + length] = False
    if not keep.any():
        keep[int(rng.integers(n))] = True
    return keep


def augmented_image(item: Any, strength: Strength, rng: np.random.Generator) -> np.ndarray:
    """Return a view of an image, uint8: (H, W) of a grey array, else (H, W, 3).

    Weak views are shifted, never mirrored: letters and digits must stay what they are.
    """
    grey = isinstance(item, np.ndarray) and item.ndim == 2
    image = _shifted(read_image(item), rng)
    if strength == "strong":
        for _ in range(OPERATIONS):
            image = _changed(image, rng)
        image = _with_a_grey_square(image, rng)
    return np.asarray(image.convert("L") if grey else image, dtype=np.uint8)


def _shifted(image: Any, rng: np.random.Generator) -> Any:
    across, down = (int(rng.integers(-_pad(side), _pad(side) + 1)) for side in image.size)
    pixels = np.asarray(image)
    rows = np.clip(np.arange(pixels.shape[0]) - down, 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(pixels.shape[1]) - across, 0, pixels.shape[1] - 1)
    return _image(pixels[rows][:, columns])


def _pad(side: int) -> int:
    return int(PAD * side)


def _image(pixels: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


def _changed(image: Any, rng: np.random.Generator) -> Any:
    """Apply one of the fourteen operations of RandAugment, of random magnitude."""
    from PIL import Image, ImageEnhance, ImageOps

    factor = float(rng.uniform(0.05, 0.95))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    share = sign * float(rng.uniform(0.0, 0.3))
    grey = (GREY, GREY, GREY)

    def moved(matrix: tuple[float, ...]) -> Any:
        return image.transform(
            image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=grey
        )

    operations: tuple[Callable[[], Any], ...] = (
        lambda: ImageOps.autocontrast(image),
        lambda: ImageEnhance.Brightness(image).enhance(factor),
        lambda: ImageEnhance.Color(image).enhance(factor),
        lambda: ImageEnhance.Contrast(image).enhance(factor),
        lambda: ImageEnhance.Sharpness(image).enhance(factor),
        lambda: ImageOps.equalize(image),
        lambda: image,
        lambda: ImageOps.posterize(image, int(rng.integers(4, 9))),
        lambda: image.rotate(
            sign * float(rng.uniform(0, 30)), Image.Resampling.BILINEAR, fillcolor=grey
        ),
        lambda: moved((1.0, share, 0.0, 0.0, 1.0, 0.0)),
        lambda: moved((1.0, 0.0, 0.0, share, 1.0, 0.0)),
        lambda: ImageOps.solarize(image, int(rng.integers(0, 257))),
        lambda: moved((1.0, 0.0, share * image.size[0], 0.0, 1.0, 0.0)),
        lambda: moved((1.0, 0.0, 0.0, 0.0, 1.0, share * image.size[1])),
    )
    return operations[int(rng.integers(len(operations)))]()


def _with_a_grey_square(image: Any, rng: np.random.Generator) -> Any:
    width, height = image.size
    side = int(rng.uniform(0.0, 0.5) * width)
    if side == 0:
        return image
    across, down = int(rng.integers(width)), int(rng.integers(height))
    pixels = np.array(image)
    top, left = max(0, down - side // 2), max(0, across - side // 2)
    pixels[top : top + side, left : left + side] = GREY
    return _image(pixels)
