"""Arrays of other libraries as NumPy arrays; none of the libraries is imported for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labeltrain.errors import BadInput

DENSE_LIMIT = 4 * 2**30  # bytes that a sparse matrix may take as a dense one


def as_numpy(name: str, values: Any) -> np.ndarray:
    """Return values of NumPy, torch, SciPy sparse, pandas, polars or pyarrow as a NumPy array.

    Parameters
    ----------
    name : str
        What errors call the array.
    values : array-like
        A data frame gives a matrix, and the only column of a frame of vectors is the matrix
        itself. Rows keep their order; the index of pandas is not read.

    Returns
    -------
    ndarray
        Shares memory with `values` where that is possible.

    Raises
    ------
    BadInput
        Ragged rows, masked or missing entries, columns that are not numbers, a sparse matrix too
        large to be dense.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from labeltrain.loop.as_numpy import as_numpy
    >>> as_numpy("embeddings", csr_array([[0, 1], [2, 0]])).tolist()
    [[0.0, 1.0], [2.0, 0.0]]
    """
    read = _READERS.get(library(values))
    if read is not None:
        return read(name, values)
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise BadInput(f"{name} has masked entries", "fill them, or leave these items out")
    if isinstance(values, list | tuple) and values and library(values[0]) == "torch":
        values = [_from_torch(name, value) for value in values]
    try:
        return np.asarray(values)
    except ValueError as error:
        raise BadInput(f"{name} has rows of different lengths", "make them equal") from error


def library(values: Any) -> str:
    """Return the library a value comes from, or "" when NumPy can read it by itself."""
    for cls in type(values).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in _READERS:
            return root
    return ""


def _from_torch(name: str, tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if str(tensor.layout) != "torch.strided":
        tensor = tensor.to_dense()
    kind = str(tensor.dtype)
    if "bfloat16" in kind or "float8" in kind or "float4" in kind:
        tensor = tensor.float()  # NumPy has no such types
    return tensor.numpy()


def _from_sparse(name: str, values: Any) -> np.ndarray:
    if not hasattr(values, "tocsr"):
        return np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise BadInput(f"{name} has dtype {values.dtype}", "give numbers")
    size = 4 * int(np.prod(values.shape, dtype=object))
    if size > DENSE_LIMIT:
        raise BadInput(
            f"{name} is sparse, of shape {values.shape}: dense it would take {size / 2**30:.1f} "
            f"GiB, the limit is {DENSE_LIMIT / 2**30:.0f} GiB",
            "reduce it first, for example with sklearn.decomposition.TruncatedSVD(256)",
        )
    return values.astype(np.float32).toarray()


def _from_pandas(name: str, values: Any) -> np.ndarray:
    if not hasattr(values, "columns"):
        return values.to_numpy()
    from pandas.api.types import is_numeric_dtype

    types = list(zip(values.columns, values.dtypes, strict=True))
    words = [str(title) for title, dtype in types if not is_numeric_dtype(dtype)]
    if words and len(types) == 1:
        return values.iloc[:, 0].to_numpy()
    _refuse_columns(name, words)
    array = values.to_numpy()
    if array.dtype == object:  # columns that can hold pandas.NA
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return array


def _from_polars(name: str, values: Any) -> np.ndarray:
    if hasattr(values, "collect"):
        raise BadInput(f"{name} is a lazy frame", "call .collect() on it")
    if hasattr(values, "columns"):
        if values.shape[1] == 1 and values.dtypes[0].is_nested():
            return _from_polars(name, values.to_series(0))
        types = zip(values.columns, values.dtypes, strict=True)
        _refuse_columns(name, [c for c, t in types if not t.is_numeric() and str(t) != "Boolean"])
        return values.to_numpy()
    if values.dtype.is_nested():
        return _from_arrow(name, values.to_arrow())
    return values.to_numpy()


def _from_arrow(name: str, values: Any) -> np.ndarray:
    if hasattr(values, "column_names"):
        if values.num_columns != 1:
            return as_numpy(name, values.to_pandas())
        values = values.column(0)
    if hasattr(values, "combine_chunks"):
        values = values.combine_chunks()
        if hasattr(values, "num_chunks"):  # older pyarrow keeps an empty chunked array
            values = values.chunk(0) if values.num_chunks else values
    if "list" not in str(values.type):
        return values.to_numpy(zero_copy_only=False)
    if values.null_count or values.flatten().null_count:
        raise BadInput(f"{name} has missing entries", "fill them, or leave these items out")
    lengths = np.unique(values.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise BadInput(f"{name} has rows of {lengths[:5].tolist()} entries", "make them equal")
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(values), int(lengths[0]) if len(lengths) else 0)


def _refuse_columns(name: str, words: list[str]) -> None:
    if words:
        raise BadInput(
            f"column(s) {', '.join(map(repr, words[:5]))} of {name} are not numbers",
            "leave them out",
        )


_READERS: dict[str, Callable[[str, Any], np.ndarray]] = {
    "torch": _from_torch,
    "scipy": _from_sparse,
    "pandas": _from_pandas,
    "polars": _from_polars,
    "pyarrow": _from_arrow,
}
