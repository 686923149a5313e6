"""Loading models of the Hugging Face libraries safely, and saying what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labeltrain.errors import BadInput, missing_extra


def import_transformers(name: str) -> Any:
    """Return the module transformers, or raise for the encoder `name` when it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", "hf", f"the encoder {name!r}") from error
    return transformers


def load_model(
    folder: Path, torch: Any, transformers: Any, device: str
) -> tuple[Any, frozenset[str]]:
    """Return the model in float32 and which weights of its pooler the files lack."""
    with _quiet(transformers.logging), named(folder):
        model, info = transformers.AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    missing = frozenset(info["missing_keys"])
    lost = sorted(key for key in missing if "pooler" not in key.split("."))
    if lost:
        raise BadInput(
            f"the weights of {folder} lack {len(lost)} tensors, such as {lost[0]}",
            "download the model again; random weights are never used",
        )
    return model.eval().to(device), missing


@contextmanager
def named(folder: Path) -> Iterator[None]:
    """Turn what the library raises on a broken model into an error that names its folder."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # safetensors and tokenizers raise plain Exceptions too
        first = str(error).strip().splitlines()
        raise BadInput(
            f"the model {folder} cannot be loaded: {first[0] if first else repr(error)}",
            "check its files, or download it again; models that need their own code, and weights "
            "other than safetensors, are not loaded",
        ) from error


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep the library's progress bar and its report of missing weights off the screen."""
    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
