"""Supervised fine-tuning on answered prompts, with TRL and PEFT."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labeltrain.errors import BadInput, missing_extra
from labeltrain.sft import models
from labeltrain.sft.prompts import Message
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.tokenised import Example, encoded, refuse_too_long

FULL, LORA = "full", "lora"
IGNORED = -100  # a label without a loss
# Of a token, in multiples of the weights: forward 2, backward 4; LoRA: no gradients of weights.
OPERATIONS = {FULL: 6.0, LORA: 4.0}


@dataclass(frozen=True)
class TrainSettings:
    """How a model is tuned.

    Attributes
    ----------
    model : str
    tune : {"lora", "full"}
    rank, alpha : int
        Of LoRA, on all linear layers but the head.
    dropout : float
        Of LoRA.
    learning_rate : float, optional
        5e-4 for LoRA, 2e-5 for all weights.
    epochs : float
    batch : int
        Examples of a step.
    schedule : str
        Of the learning rate, as transformers calls it.
    warmup : float
        Share of the steps.
    weight_decay : float
    max_prompt_tokens : int, optional
        As in scoring.
    max_answer_tokens : int, optional
        Longer answers are cut, and counted.
    dtype : {"float32", "bfloat16"}
        Of the weights; adapters and optimizer are float32.
    chat_template : str, optional
    seed : int
        Of the adapters, and of the order of the examples.
    """

    model: str
    tune: str = LORA
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    learning_rate: float | None = None
    epochs: float = 2.0
    batch: int = 8
    schedule: str = "linear"
    warmup: float = 0.03
    weight_decay: float = 0.0
    max_prompt_tokens: int | None = None
    max_answer_tokens: int | None = None
    dtype: str = "float32"
    chat_template: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises
        ------
        BadInput
        """
        if self.tune not in OPERATIONS:
            raise BadInput(f"tune={self.tune!r}", "give lora or full")
        if self.dtype not in ("float32", "bfloat16"):
            raise BadInput(f"dtype={self.dtype!r}", "give float32 or bfloat16")
        if self.tune == FULL and self.dtype != "float32":
            raise BadInput(
                f"dtype={self.dtype!r} with tune='full'",
                "small updates vanish in 8 bits: use float32, or lora",
            )
        for name in ("rank", "alpha", "batch"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}", "give 1 or more")
        if not 0.0 < self.epochs <= 1000.0:
            raise BadInput(f"epochs={self.epochs}", "give a number above 0")
        if not 0.0 <= self.warmup < 1.0:
            raise BadInput(f"warmup={self.warmup}", "give a share of the steps")

    @property
    def rate(self) -> float:
        """The learning rate."""
        default = 5e-4 if self.tune == LORA else 2e-5
        return default if self.learning_rate is None else self.learning_rate


@dataclass(frozen=True)
class Trained:
    """A tuned model, and what it took.

    Attributes
    ----------
    held : labeltrain.sft.models.LanguageModel
    examples, steps, tokens : int
        Tokens of one pass over the examples.
    cut : int
        Examples that were shortened.
    seconds, flops : float
    loss : float
        Mean over the steps.
    """

    held: models.LanguageModel
    examples: int
    steps: int
    tokens: int
    cut: int
    seconds: float
    flops: float
    loss: float

    def facts(self) -> dict[str, Any]:
        """Return all but the model."""
        return {key: value for key, value in vars(self).items() if key != "held"}


def train(
    settings: TrainSettings,
    pairs: Sequence[tuple[Sequence[Message], str]],
    *,
    ids: Sequence[str] = (),
    device: str = "auto",
    threads: int | None = None,
    out: Path | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Trained:
    """Fine-tune a model on answered prompts; the loss is that of the answers only.

    Parameters
    ----------
    settings : TrainSettings
    pairs : sequence of (messages, answer)
    ids : sequence of str
        Of the prompts, for errors; their numbers if not given.
    device : str
    threads : int, optional
    out : Path, optional
        Write the adapter (LoRA) or the model here, with its tokenizer.
    progress : callable, optional
        Called with steps done and steps in all.

    Raises
    ------
    BadInput
        No pairs, a prompt the template refuses.
    MissingExtra
        TRL or PEFT is not installed.
    """
    if not pairs:
        raise BadInput("there is no answered prompt to train on", "labeltrain sft import FILE")
    try:
        import trl  # noqa: F401
        from peft import LoraConfig
    except ImportError as error:
        raise missing_extra(error.name or "trl", "sft", "fine-tuning") from error
    held = models.load(settings.model, device=device, dtype=settings.dtype, threads=threads)
    weights = held.parameters
    chat = ChatFormat(
        held.tokenizer,
        settings.chat_template,
        max_prompt_tokens=settings.max_prompt_tokens or held.context,
    )
    examples = encoded(chat, pairs, settings.max_answer_tokens, ids)
    refuse_too_long(held, examples, ids)
    adapter = None
    if settings.tune == LORA:
        adapter = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
    started = time.perf_counter()
    with _quiet():
        trainer = _trainer(settings, held, examples, adapter, progress)
        loss = float(trainer.train().training_loss)
        tuned = trainer.model.eval()
        if out is not None:
            tuned.save_pretrained(out)
            held.tokenizer.save_pretrained(out)
    seconds = time.perf_counter() - started
    if not math.isfinite(loss):
        raise BadInput("the training diverged: its loss is not finite", "lower --learning-rate")
    for parameter in tuned.parameters():
        parameter.requires_grad_(False)
    tokens = sum(len(e.prompt) + len(e.answer) for e in examples)
    done = models.LanguageModel(
        settings.model, held.folder, held.config, held.tokenizer, tuned, held.device, held.dtype
    )
    return Trained(
        done,
        len(examples),
        int(trainer.state.global_step),
        tokens,
        sum(e.cut for e in examples),
        seconds,
        OPERATIONS[settings.tune] * weights * tokens * settings.epochs,
        loss,
    )


def _trainer(
    settings: TrainSettings,
    held: models.LanguageModel,
    examples: Sequence[Example],
    adapter: Any,
    progress: Callable[[float, float], None] | None,
) -> Any:
    """Return TRL's trainer, on examples that are tokens already."""
    import tempfile

    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    class Told(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if progress is not None:
                progress(float(state.global_step), float(state.max_steps))

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
        """Makes logits where answers are only: prompts are most of the tokens, and have no loss.

        Half of the time of a step, with a small model on a processor, and most of the memory.
        """

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            import torch

            if getattr(held.config.get_text_config(), "output_router_logits", False):
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            labels = inputs["labels"][:, 1:]
            places = torch.nonzero((labels != IGNORED).any(dim=0)).flatten()
            outputs = model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                logits_to_keep=places,
                use_cache=False,
            )
            loss = torch.nn.functional.cross_entropy(
                outputs.logits.float().flatten(0, 1),
                labels[:, places].flatten(),
                ignore_index=IGNORED,
                reduction="sum",
            )
            count = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
            loss = loss / count
            if self.args.average_tokens_across_devices and num_items_in_batch is not None:
                loss = loss * self.accelerator.num_processes  # gradients are averaged over them
            return (loss, outputs) if return_outputs else loss

    rows = [
        {
            "input_ids": [*e.prompt, *e.answer],
            "completion_mask": [0] * len(e.prompt) + [1] * len(e.answer),
            "length": len(e.prompt) + len(e.answer),
        }
        for e in examples
    ]
    steps = math.ceil(len(rows) / settings.batch) * settings.epochs
    half = held.device == "cuda" and held.dtype == "bfloat16"
    with tempfile.TemporaryDirectory() as scratch:
        config = SFTConfig(
            output_dir=scratch,
            per_device_train_batch_size=settings.batch,
            num_train_epochs=settings.epochs,
            learning_rate=settings.rate,
            lr_scheduler_type=settings.schedule,
            warmup_steps=round(settings.warmup * steps),
            weight_decay=settings.weight_decay,
            max_length=None,
            completion_only_loss=True,
            train_sampling_strategy="group_by_length",
            length_column_name="length",
            bf16=half or (held.device == "cpu" and held.dtype == "bfloat16"),
            activation_checkpointing=False,
            use_cpu=held.device == "cpu",
            dataloader_pin_memory=held.device == "cuda",
            seed=settings.seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        set_seed(settings.seed)  # the adapters are drawn when the trainer is made
        trainer = AnswerTrainer(
            model=held.model,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=held.tokenizer,
            peft_config=adapter,
            callbacks=[Told()],
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def settings_body(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings as the ledger keeps them."""
    return {**asdict(settings), "learning_rate": settings.rate}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries from writing bars and notes beside ours."""
    import warnings

    import datasets
    import transformers

    level = transformers.logging.get_verbosity()
    bars = datasets.is_progress_bar_enabled()
    logger = logging.getLogger("trl")
    before = logger.level
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(level)
        logger.setLevel(before)
        if bars:
            datasets.enable_progress_bars()
