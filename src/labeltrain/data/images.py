"""Folders of images, and reading one image."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labeltrain.data.checks import check_ids, some
from labeltrain.data.dataset import Dataset
from labeltrain.data.labels import Labels, encode_labels
from labeltrain.errors import BadInput

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


def read_image(item: str | Path | np.ndarray) -> Image.Image:
    """Return one image as RGB; transparent parts become white, 16-bit grey becomes 8-bit.

    Parameters
    ----------
    item : str, pathlib.Path or ndarray of uint8, (H, W) or (H, W, 3)

    Returns
    -------
    PIL.Image.Image
        Mode "RGB", turned upright if the file says how.

    Raises
    ------
    BadInput
        The file is missing, no image, or truncated.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.data import read_image
    >>> read_image(np.zeros((28, 28), dtype=np.uint8)).size
    (28, 28)
    """
    from PIL import Image, ImageOps

    if isinstance(item, np.ndarray):
        return Image.fromarray(item).convert("RGB")
    try:
        with Image.open(item) as opened:
            image: Image.Image = ImageOps.exif_transpose(opened)
            return _on_white(image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        raise _unreadable(item, error) from error


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


def read_folder(folder: Path) -> Dataset:
    """Read a folder of images: one subfolder per class, or no subfolders and no labels.

    Subfolders called exactly ``train`` and ``test`` are the data set's own split. Only headers
    are read now; pixels when they are encoded.

    Parameters
    ----------
    folder : pathlib.Path

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
    if set(tops) == {"train", "test"}:
        halves = [_scan(folder / half, half + "/") for half in ("train", "test")]
    else:
        halves = [_scan(folder, "")]
    ids = [name for half in halves for name in half.ids]
    classes = [label for half in halves for label in half.labels]
    ignored = sum(half.ignored for half in halves)
    if not ids:
        raise BadInput(
            f"{folder} holds no images", f"known suffixes: {', '.join(sorted(SUFFIXES))}"
        )
    paths = [str((folder / name).absolute()) for name in ids]
    check_headers(paths, str(folder))
    labels = encode_labels(classes, ids, str(folder)) if any(classes) else Labels()
    facts = {"source": str(folder)}
    if ignored:
        facts["left out"] = f"{ignored} files that are no images"
    return Dataset(
        name=str(folder),
        modality="image",
        items=paths,
        ids=check_ids(ids, str(folder)),
        kind=labels.kind,
        classes=labels.classes,
        labels=labels.values,
        test=np.arange(len(halves[0].ids), len(ids), dtype=np.int64) if len(halves) == 2 else None,
        facts=facts,
    )


class _Scan:
    """The images below one folder: ids, the subfolder each lies in, and other files counted."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.ignored = 0


def _scan(folder: Path, prefix: str) -> _Scan:
    scan = _Scan()
    for root, subfolders, files in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        inside = Path(root).relative_to(folder)
        for name in sorted(files):
            if name[0] == ".":
                continue
            if Path(name).suffix.lower() not in SUFFIXES:
                scan.ignored += 1
                continue
            scan.ids.append(prefix + (inside / name).as_posix())
            scan.labels.append(inside.parts[0] if inside.parts else "")
    loose = [name for name, label in zip(scan.ids, scan.labels, strict=True) if not label]
    if loose and len(loose) < len(scan.ids):
        raise BadInput(
            f"{folder} holds images beside subfolders ({some(loose)}): have they a class or not?",
            "put every image into the subfolder of its class, or all into one folder",
        )
    return scan


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        cut = image.convert("RGBA")
        white = Image.new("RGBA", cut.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, cut).convert("RGB")
    return image.convert("RGB")


def _unreadable(path: Any, error: Exception) -> BadInput:
    return BadInput(
        f"the image {path} cannot be read: {error}",
        "remove the file or replace it with a sound one",
    )
