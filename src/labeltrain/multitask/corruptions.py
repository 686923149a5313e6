"""Conditions that images are seen under: noise, blur, turned, inverted, and as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from labeltrain.assets import cache_dir, read_array, write_array
from labeltrain.data import Dataset
from labeltrain.errors import BadInput, missing_extra, unknown_name
from labeltrain.rng import stream

if TYPE_CHECKING:
    from torch import Tensor

IDENTITY = "identity"
RECIPE = 1  # another number when a condition changes: images that were kept are of no use then
Progress = Callable[[int, int], None]
Change = Callable[["Tensor", np.random.Generator], "Tensor"]


@dataclass(frozen=True)
class Condition:
    """A corruption of one fixed severity.

    Attributes
    ----------
    summary : str
    change : callable, optional
        ``(image, rng) -> image``, float64 (1, C, H, W) from 0 to 1; None leaves images as they are.
    """

    summary: str
    change: Change | None = None


def conditions(
    dataset: Dataset,
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Dataset]:
    """Return a data set of images under conditions: one data set for each, items in their order.

    Parameters
    ----------
    dataset : Dataset
        Images as one array.
    names : sequence of str, optional
        Of :data:`CONDITIONS`; all of them by default.
    seed : int
        Of what is drawn for an image: noise, direction, place.
    progress : callable, optional
        Called with the number of images done, and their total.

    Returns
    -------
    list of Dataset
        Named after the conditions; ids, labels and test items are those of the data set.

    Raises
    ------
    BadInput
        Not images of one shape, an unknown condition, or one that is given twice.
    MissingExtra
        kornia is not installed.
    StoreUnwritable
        The cache cannot be written.

    Notes
    -----
    What was made is kept in the cache, each condition for itself.
    """
    wanted = tuple(CONDITIONS) if names is None else tuple(names)
    for name in wanted:
        if name not in CONDITIONS:
            raise unknown_name("condition", name, CONDITIONS)
    if not wanted or len(set(wanted)) < len(wanted):
        raise BadInput(f"the conditions {list(wanted)}", "give one or more, each once")
    items = dataset.items
    if dataset.modality != "image" or not isinstance(items, np.ndarray):
        raise BadInput(
            f"{dataset.name} holds no images as one array, so they cannot be seen under conditions",
            "use images of one shape, such as those of mnist-5k",
        )
    total, found = len(wanted) * len(items), []
    for place, name in enumerate(wanted):
        done = place * len(items)
        shown = None if progress is None else _shifted(progress, done, total)
        images = _kept(items, name, seed, dataset.ids, shown)
        found.append(replace(dataset, name=name, items=images))  # type: ignore[arg-type]
    return found


def _kept(
    images: np.ndarray, name: str, seed: int, keys: Sequence[str], progress: Progress | None
) -> np.ndarray:
    """Return images under a condition, made once and kept in the cache."""
    if CONDITIONS[name].change is None:
        return corrupted(images, name, seed=seed, keys=keys, progress=progress)
    _refuse_missing()
    import kornia
    import torch

    made = sha256(f"{RECIPE} {kornia.__version__} {torch.__version__} {name} {seed}".encode())
    made.update(f"{images.shape}".encode())
    made.update(np.ascontiguousarray(images).tobytes())
    for key in keys:
        made.update(sha256(key.encode("utf-8", "surrogatepass")).digest())
    path = cache_dir() / "conditions" / f"{made.hexdigest()}.npy"
    found = read_array(path, "made again")
    if found is None:
        found = corrupted(images, name, seed=seed, keys=keys, progress=progress)
        write_array(path, found)
    elif progress is not None:
        progress(len(images), len(images))
    return found


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)


def corrupted(
    images: np.ndarray,
    name: str,
    *,
    seed: int = 0,
    keys: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return images under a condition.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, H, W) or (n, H, W, 3)
    name : str
        Of :data:`CONDITIONS`.
    seed : int
    keys : sequence of str, optional
        A name of each image, which what is drawn for it depends on; its position by default.
    progress : callable, optional

    Returns
    -------
    ndarray of uint8, of the same shape
        Each image is changed alone: the result depends on the image, its key and the seed, not on
        what else there is, nor on the order. Under ``identity`` they are the same bytes.

    Raises
    ------
    BadInput
        Other arrays, or an unknown condition.
    MissingExtra
        kornia is not installed.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        raise BadInput(
            f"images of shape {images.shape} and type {images.dtype}",
            "give uint8 of shape (n, H, W) or (n, H, W, 3)",
        )
    if name not in CONDITIONS:
        raise unknown_name("condition", name, CONDITIONS)
    change = CONDITIONS[name].change
    if change is None:
        return images.copy()
    _refuse_missing()
    import torch

    found = np.empty_like(images)
    named = [str(i) for i in range(len(images))] if keys is None else list(keys)
    for i, (image, key) in enumerate(zip(images, named, strict=True)):
        planes = image[None] if image.ndim == 2 else np.moveaxis(image, 2, 0)
        before = torch.from_numpy(planes.astype(np.float64) / 255.0)[None]
        with torch.no_grad():
            after = change(before, stream(seed, "condition", name, key))
        pixels = np.rint(after[0].clamp(0.0, 1.0).numpy() * 255.0).astype(np.uint8)
        found[i] = pixels[0] if image.ndim == 2 else np.moveaxis(pixels, 0, 2)
        if progress is not None and (i % 500 == 499 or i + 1 == len(images)):
            progress(i + 1, len(images))
    return found


def _refuse_missing() -> None:
    try:
        import kornia  # noqa: F401
    except ImportError as error:
        raise missing_extra("kornia", "corruptions", "seeing images under conditions") from error


def _side(image: Tensor) -> float:
    """Return the shorter side in pixels: lengths are shares of it."""
    return float(min(image.shape[-2:]))


def _odd(length: float) -> int:
    """Return the nearest odd whole number, 3 or more."""
    return max(3, 2 * round((length - 1) / 2) + 1)


def _pair(image: Tensor, first: float, second: float) -> Any:
    return image.new_tensor([[first, second]])


def _sign(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def _like(image: Tensor, values: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values)).to(image)


def _noise(image: Tensor, rng: np.random.Generator) -> Any:
    return image + _like(image, rng.normal(0.0, 0.25, size=tuple(image.shape)))


def _impulse(image: Tensor, rng: np.random.Generator) -> Any:
    drawn = _like(image, rng.random(size=(1, 1, *image.shape[-2:])))
    salted = image.where(drawn >= 0.075, image.new_tensor(1.0))
    return salted.where((drawn < 0.075) | (drawn >= 0.15), image.new_tensor(0.0))


def _blur(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.filters import gaussian_blur2d

    sigma = 0.065 * _side(image)
    return gaussian_blur2d(image, _odd(5 * sigma), (sigma, sigma))


def _motion_blur(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.filters import motion_blur

    angle = float(rng.uniform(0.0, 180.0))
    return motion_blur(image, _odd(0.18 * _side(image)), angle, 0.0, "constant", "bilinear")


def _shear(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.geometry.transform import affine

    slant, middle = 0.5 * _sign(rng), (image.shape[-2] - 1) / 2
    # About the middle: kornia's own shear keeps the upper left corner, and digits leave the image.
    matrix = image.new_tensor([[[1.0, slant, -slant * middle], [0.0, 1.0, 0.0]]])
    return affine(image, matrix, align_corners=True)


def _scale(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.geometry.transform import scale

    return scale(image, _pair(image, 0.6, 0.6))


def _rotate(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.geometry.transform import rotate

    return rotate(image, image.new_tensor([30.0 * _sign(rng)]))


def _brightness(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.enhance import adjust_brightness

    return adjust_brightness(image, 0.5)


def _contrast(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.enhance import adjust_contrast

    return adjust_contrast(image, 0.3)


def _translate(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.geometry.transform import translate

    far = 0.15 * _side(image)
    return translate(image, _pair(image, far * _sign(rng), far * _sign(rng)))


def _stripe(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.enhance import invert

    width = image.shape[-1]
    wide = max(1, round(0.15 * width))
    first = int(rng.integers(width // 4, width - width // 4 - wide + 1))
    found = image.clone()
    found[..., first : first + wide] = invert(found[..., first : first + wide])
    return found


def _canny(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.filters import canny

    return canny(image, 0.1, 0.2, (3, 3), (1.0, 1.0))[1].expand(image.shape)


def _elastic(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.geometry.transform import elastic_transform2d

    side = _side(image)
    sigma = 0.14 * side
    drawn = _like(image, rng.uniform(-1.0, 1.0, size=(1, 2, *image.shape[-2:])))
    return elastic_transform2d(
        image, drawn, (_odd(4 * sigma), _odd(4 * sigma)), (sigma, sigma), (2.2, 2.2),
        align_corners=True,
    )  # fmt: skip


def _invert(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.enhance import invert

    return invert(image)


def _dilate(image: Tensor, rng: np.random.Generator) -> Any:
    from kornia.morphology import dilation

    wide = _odd(0.1 * _side(image))
    return dilation(image, image.new_ones(wide, wide))


CONDITIONS = {
    IDENTITY: Condition("as it is, the same bytes"),
    "noise": Condition("normal noise of standard deviation 0.25 on each pixel", _noise),
    "impulse": Condition("15 % of the pixels black or white", _impulse),
    "blur": Condition("Gaussian blur", _blur),
    "motion-blur": Condition("blurred along a line of random direction", _motion_blur),
    "shear": Condition("sheared to the left or to the right", _shear),
    "scale": Condition("at 60 % of its size", _scale),
    "rotate": Condition("turned by 30 degrees, to the left or to the right", _rotate),
    "translate": Condition("moved aslant by 15 % of its side in a random direction", _translate),
    "brightness": Condition("brighter by half, what is over 1 cut off", _brightness),
    "contrast": Condition("30 % of its contrast", _contrast),
    "stripe": Condition("inverted in an upright stripe at a random place", _stripe),
    "canny": Condition("edges only, by Canny's detector", _canny),
    "elastic": Condition("bent by a smooth random field", _elastic),
    "invert": Condition("black for white", _invert),
    "dilate": Condition("thick strokes: the lightest of the neighbouring pixels", _dilate),
}
