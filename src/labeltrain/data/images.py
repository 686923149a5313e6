"""Folders of images, and reading one image."""

from __future__ import annotations

import os
import struct
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labeltrain.data.checks import check_ids, printable, some
from labeltrain.data.dataset import Dataset
from labeltrain.data.labels import Labels, encode_labels
from labeltrain.errors import BadInput

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


def read_image(item: str | Path | np.ndarray | Image.Image) -> Image.Image:
    """Return one image as RGB; transparent parts become white, deep grey becomes 8-bit.

    16-bit grey is divided by 257, and 32-bit grey too if a pixel is above 255. Fractions from 0 to
    1 are multiplied by 255.

    Parameters
    ----------
    item : str, pathlib.Path, PIL.Image.Image, or ndarray of uint8, (H, W) or (H, W, 3)

    Returns
    -------
    PIL.Image.Image
        Mode "RGB", turned upright if the file says how.

    Raises
    ------
    BadInput
        The file is missing, no image, or truncated; its numbers are in no known range; the item is
        none of these, or pixels of another type or shape.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.data import read_image
    >>> read_image(np.zeros((28, 28), dtype=np.uint8)).size
    (28, 28)
    """
    from PIL import Image, ImageOps

    if isinstance(item, np.ndarray):
        return _of_pixels(item)
    if not isinstance(item, str | Path | Image.Image):
        raise BadInput(
            f"an image is given as {type(item).__name__}", "give its path, pixels or a PIL image"
        )
    try:
        with nullcontext(item) if isinstance(item, Image.Image) else Image.open(item) as opened:
            image: Image.Image = ImageOps.exif_transpose(opened)
            return _on_white(image, item)
    except BadInput:
        raise
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        raise _unreadable(item, error) from error


def _of_pixels(pixels: np.ndarray) -> Image.Image:
    from PIL import Image

    shape = pixels.shape[:2] if pixels.shape[2:] == (1,) else pixels.shape
    if pixels.dtype != np.uint8 or not (len(shape) == 2 or shape[2:] == (3,)) or not pixels.size:
        raise BadInput(
            f"an image is given as {pixels.dtype} of shape {pixels.shape}",
            "give its pixels as uint8 from 0 to 255, of shape (H, W) or (H, W, 3)",
        )
    return Image.fromarray(pixels.reshape(shape)).convert("RGB")


def square(item: str | Path | np.ndarray | Image.Image, size: int) -> np.ndarray:
    """Return one image scaled to a square (bilinear), uint8 (size, size, 3); see `read_image`.

    Examples
    --------
    >>> square(np.zeros((28, 20), dtype=np.uint8), 8).shape
    (8, 8, 3)
    """
    from PIL import Image

    scaled = read_image(item).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(scaled, dtype=np.uint8)


def check_headers(paths: list[str], where: str) -> None:
    """Raise BadInput naming the files whose header is not that of an image."""
    from PIL import Image

    wrong = []
    for path in paths:
        try:
            with Image.open(path):
                pass
        except (OSError, SyntaxError, ValueError, EOFError, struct.error):
            wrong.append(path)
        except Image.DecompressionBombError as error:
            raise _unreadable(path, error) from error
    if wrong:
        raise BadInput(
            f"{where}: {len(wrong)} image files cannot be read: {some(wrong)}",
            "remove the files or replace them with sound ones",
        )


def read_folder(folder: Path, *, labelled: bool = True) -> Dataset:
    """Read a folder of images: one subfolder per class, or no subfolders and no labels.

    Subfolders called exactly ``train`` and ``test`` are the data set's own split. Links to
    folders are followed unless the folder is read already. Only headers are read now; pixels when
    they are encoded.

    Parameters
    ----------
    folder : pathlib.Path
    labelled : bool
        False: subfolders are no classes.

    Returns
    -------
    Dataset
        Ids are the paths inside the folder.

    Raises
    ------
    BadInput
        No images, images both beside and inside subfolders, or unreadable files.
    """
    tops = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    visited = {os.path.realpath(folder)}
    if set(tops) == {"train", "test"}:
        halves = [_scan(folder / half, half + "/", folder, visited) for half in ("train", "test")]
    else:
        halves = [_scan(folder, "", folder, visited)]
    if labelled:
        for half in halves:
            _refuse_loose(half, folder)
    ids = [name for half in halves for name in half.ids]
    classes = [label for half in halves for label in half.labels]
    ignored = sum(half.ignored for half in halves)
    empty = [name for half in halves for name in half.empty]
    repeated = [name for half in halves for name in half.repeated]
    if not ids:
        raise BadInput(
            f"{folder} holds no images", f"known suffixes: {', '.join(sorted(SUFFIXES))}"
        )
    check_ids(ids, str(folder))
    paths = [str((folder / name).absolute()) for name in ids]
    check_headers(paths, str(folder))
    known = labelled and any(classes)
    labels = encode_labels(classes, ids, str(folder)) if known else Labels()
    facts = {"source": str(folder)}
    left_out = [f"{ignored} files that are no images"] if ignored else []
    if empty:
        left_out.append(f"folders without images: {printable(some(empty))}")
    if repeated:
        left_out.append(f"links to folders that are read already: {printable(some(repeated))}")
    if left_out:
        facts["left out"] = "; ".join(left_out)
    return Dataset(
        name=str(folder),
        modality="image",
        items=paths,
        ids=tuple(ids),
        kind=labels.kind,
        classes=labels.classes,
        labels=labels.values,
        test=np.arange(len(halves[0].ids), len(ids), dtype=np.int64) if len(halves) == 2 else None,
        facts=facts,
    )


class _Scan:
    """The images below one folder: ids, the subfolder each lies in, and what is left out."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.ignored = 0
        self.empty: list[str] = []
        self.repeated: list[str] = []


def _scan(folder: Path, prefix: str, whole: Path, visited: set[str]) -> _Scan:
    scan = _Scan()
    tops: list[str] = []
    for root, subfolders, files in os.walk(folder, followlinks=True):
        inside = Path(root).relative_to(folder)
        names = sorted(name for name in subfolders if name[0] != ".")
        subfolders[:] = [name for name in names if _is_new(Path(root) / name, whole, visited)]
        for name in names:
            if name not in subfolders:
                scan.repeated.append(prefix + (inside / name).as_posix())
        if not inside.parts:
            tops = list(subfolders)
        for name in sorted(files):
            if name[0] == ".":
                continue
            if Path(name).suffix.lower() not in SUFFIXES:
                scan.ignored += 1
                continue
            scan.ids.append(prefix + (inside / name).as_posix())
            scan.labels.append(inside.parts[0] if inside.parts else "")
    filled = set(scan.labels)
    scan.empty = [prefix + name for name in tops if name not in filled]
    return scan


def _refuse_loose(scan: _Scan, folder: Path) -> None:
    loose = [name for name, label in zip(scan.ids, scan.labels, strict=True) if not label]
    if loose and len(loose) < len(scan.ids):
        raise BadInput(
            f"{folder} holds images beside subfolders ({some(loose)}): have they a class or not?",
            "put every image into the subfolder of its class, or all into one folder; or ignore "
            "the classes with label_column ''",
        )


def _is_new(folder: Path, whole: Path, visited: set[str]) -> bool:
    """Tell whether a subfolder is to be read, and remember it: links could lead in circles."""
    real = os.path.realpath(folder)
    if real in visited:
        return False
    if folder.is_symlink():
        target, top = Path(real), Path(os.path.realpath(whole))
        if top.is_relative_to(target):
            return False  # the whole folder again, and its neighbours
        if target.is_relative_to(top):
            inside = target.relative_to(top).parts
            if not any(part[0] == "." for part in inside):
                return False  # met without the link; what is hidden is met only by links
    visited.add(real)
    return True


def _on_white(image: Image.Image, path: Any) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(image) / 257.0)).convert("RGB")
    if image.mode in {"I", "F"}:
        return Image.fromarray(_rescaled(np.asarray(image), image.mode, path)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        cut = image.convert("RGBA")
        white = Image.new("RGBA", cut.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, cut).convert("RGB")
    return image.convert("RGB")


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    # A half is rounded up, as in print; numpy rounds it to the even neighbour.
    return np.floor(grey + 0.5).astype(np.uint8)


def _rescaled(grey: np.ndarray, mode: str, path: Any) -> np.ndarray:
    """Bring 32-bit grey to 0 to 255; converting it directly would cut everything above 255."""
    low, high = float(grey.min()), float(grey.max())
    if mode == "I" and low >= 0 and high <= 65535:
        return _eight_bits(grey / 257.0 if high > 255 else grey.astype(np.float64))
    if mode == "F" and low >= 0 and high <= 255:
        return _eight_bits(grey * 255.0 if high <= 1 else grey.astype(np.float64))
    wanted = "0 to 65535" if mode == "I" else "0 to 1 or 0 to 255"
    raise BadInput(
        f"the image {path} holds grey values from {low:g} to {high:g}, which have no known range",
        f"rescale it to {wanted}, or save it with 8 bits",
    )


def _unreadable(path: Any, error: Exception) -> BadInput:
    return BadInput(
        f"the image {path} cannot be read: {error}",
        "remove the file or replace it with a sound one",
    )
