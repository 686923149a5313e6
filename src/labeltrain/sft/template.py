"""Turning messages into tokens: one way, for scoring, training and evaluation alike."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labeltrain.errors import BadInput
from labeltrain.sft.prompts import Message

PLAIN = "none"
PROBES = ("What is it?", "7 + 5 =", "Name two")
TRIES = 8  # tokens of a shortened text may join otherwise: it is shortened again


@dataclass(frozen=True)
class Rendered:
    """A prompt as tokens.

    Attributes
    ----------
    tokens : tuple of int
    cut : bool
        The beginning of its longest message was left out, for it to fit.
    whole : int
        How many tokens it had before.
    """

    tokens: tuple[int, ...]
    cut: bool
    whole: int


class ChatFormat:
    """The chat template of a model, or none.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    template : str, optional
        A file with a Jinja template, used instead of the model's own; "none": prompts are plain
        text with a line break after them, for base models. By default the model's own.
    max_prompt_tokens : int
        Longer prompts lose the beginning of their longest message: instructions and questions
        mostly stand at the end.

    Raises
    ------
    BadInput
        The model has no chat template, and none is given.
    """

    def __init__(
        self, tokenizer: Any, template: str | None = None, *, max_prompt_tokens: int = 2**20
    ) -> None:
        self.tokenizer = tokenizer
        self.max_prompt_tokens = max_prompt_tokens
        self.plain = template == PLAIN
        self.template: str | None = None
        if self.plain:
            if tokenizer.eos_token_id is None:
                raise BadInput(
                    f"{tokenizer.name_or_path}: its tokenizer has no end-of-text token",
                    "give another model, or a chat template with its own end mark",
                )
        elif template is not None:
            path = Path(template).expanduser()
            try:
                self.template = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise BadInput(
                    f"cannot read the chat template {path}: {error}", "give a Jinja file, or 'none'"
                ) from error
        elif not tokenizer.chat_template:
            raise BadInput(
                f"the model {tokenizer.name_or_path} has no chat template",
                "--chat-template FILE (Jinja), the same in training; or --chat-template none: "
                "prompts as plain text, for base models",
            )
        else:
            self.template = tokenizer.chat_template
        if max_prompt_tokens < 1:
            raise BadInput(f"max_prompt_tokens={max_prompt_tokens}", "give 1 or more")

    @cached_property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tokens that every prompt of one question begins and ends with."""
        some = [self._tokens([{"role": "user", "content": text}]) for text in PROBES]
        start = _shared(some)
        end = _shared([tokens[len(start) :][::-1] for tokens in some])
        return start, end[::-1]

    @property
    def checksum(self) -> str:
        """What the tokens depend on beside the tokenizer."""
        return hashlib.sha256((self.template or "plain").encode()).hexdigest()[:16]

    def prompt(self, messages: Sequence[Message]) -> Rendered:
        """Return the tokens of a prompt, up to where the answer begins.

        Raises
        ------
        BadInput
            The template refuses the messages, or leaves no room for them.
        """
        shortened, whole = self._shortened(messages)
        tokens = self._tokens(shortened)
        return Rendered(tuple(tokens), len(tokens) < whole, whole)

    def with_answer(
        self, messages: Sequence[Message], answer: str
    ) -> tuple[Rendered, tuple[int, ...]]:
        """Return the tokens of a prompt and those of its answer, with its end mark.

        White space before the answer is left out: it would join the tokens of the template.

        Raises
        ------
        BadInput
            The template writes the prompt otherwise once it is answered.
        """
        shortened, whole = self._shortened(messages)
        start = self._tokens(shortened)
        answer = answer.lstrip()
        if self.plain:
            ends = [*self._encode(_joined(shortened) + answer), self.tokenizer.eos_token_id]
        else:
            answered = [*shortened, {"role": "assistant", "content": answer}]
            ends = self._apply(answered, add_generation_prompt=False)
        if ends[: len(start)] != start:
            raise BadInput(
                "the chat template writes a prompt otherwise once it is answered, so that nobody "
                "can say where the answer begins",
                "use a template that keeps the beginning (as ChatML does)",
            )
        return Rendered(tuple(start), len(start) < whole, whole), tuple(ends[len(start) :])

    def _shortened(self, messages: Sequence[Message]) -> tuple[list[Message], int]:
        """Return the messages, shortened where they must be, and the length before."""
        kept = [dict(message) for message in messages]
        whole = length = len(self._tokens(kept))
        for _ in range(TRIES):
            if length <= self.max_prompt_tokens:
                return kept, whole
            sizes = [len(self._encode(message["content"], special=False)) for message in kept]
            longest = max(range(len(kept)), key=sizes.__getitem__)
            inside = self._encode(kept[longest]["content"], special=False)
            left = inside[length - self.max_prompt_tokens :]
            if not left:
                break
            text = self.tokenizer.decode(left, skip_special_tokens=False)
            kept[longest]["content"] = text.lstrip("\ufffd")  # half a character
            length = len(self._tokens(kept))
        if length <= self.max_prompt_tokens:
            return kept, whole
        raise BadInput(
            f"a prompt of {whole} tokens cannot be shortened to {self.max_prompt_tokens}: the "
            "template alone, or its other messages, take more",
            "allow more with --max-prompt-tokens",
        )

    def _tokens(self, messages: Sequence[Message]) -> list[int]:
        if self.plain:
            return self._encode(_joined(messages))
        return self._apply(messages, add_generation_prompt=True)

    def _encode(self, text: str, special: bool = True) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])

    def _apply(self, messages: Sequence[Message], **options: Any) -> list[int]:
        try:
            found = self.tokenizer.apply_chat_template(
                [dict(m) for m in messages],
                chat_template=self.template,
                tokenize=True,
                return_dict=True,
                **options,
            )
        except Exception as error:  # Jinja raises its own, templates what they like
            raise BadInput(
                f"the chat template refuses the messages: {error}",
                "roles mostly have to take turns; see the model's card",
            ) from error
        return list(found["input_ids"])


def _shared(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return what all rows begin with."""
    found = []
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        found.append(column[0])
    return tuple(found)


def _joined(messages: Sequence[Message]) -> str:
    return "\n\n".join(message["content"] for message in messages) + "\n"
