"""Prompts and answers as tokens, as scoring has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labeltrain.errors import BadInput
from labeltrain.sft import models
from labeltrain.sft.prompts import Message
from labeltrain.sft.template import ChatFormat


@dataclass(frozen=True)
class Example:
    """A prompt with its answer, as tokens.

    Attributes
    ----------
    prompt, answer : tuple of int
    cut : bool
        The beginning of the prompt, or the end of the answer, was left out.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    cut: bool


def encoded(
    chat: ChatFormat,
    pairs: Sequence[tuple[Sequence[Message], str]],
    max_answer_tokens: int | None = None,
    ids: Sequence[str] = (),
) -> list[Example]:
    """Return prompts and answers as tokens: the same as in scoring."""
    found = []
    for number, (messages, answer) in enumerate(pairs):
        try:
            prompt, tokens = chat.with_answer(messages, answer)
        except BadInput as error:
            raise BadInput(f"prompt {_name(ids, number)}: {error.problem}", error.remedy) from error
        short = tokens if max_answer_tokens is None else tokens[:max_answer_tokens]
        found.append(Example(prompt.tokens, short, prompt.cut or len(short) < len(tokens)))
    return found


def refuse_too_long(
    held: models.LanguageModel, examples: Sequence[Example], ids: Sequence[str] = ()
) -> None:
    """Raise where a prompt and its answer are longer than what the model reads.

    Raises
    ------
    BadInput
        Names the longest.
    """
    lengths = [len(e.prompt) + len(e.answer) for e in examples]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if lengths[longest] > held.context:
        raise BadInput(
            f"the prompt {_name(ids, longest)} and its answer have {lengths[longest]} tokens, "
            f"{held.name} reads {held.context}",
            "--max-prompt-tokens or --max-answer-tokens",
        )


def _name(ids: Sequence[str], number: int) -> str:
    return repr(ids[number]) if ids else f"number {number + 1}"
