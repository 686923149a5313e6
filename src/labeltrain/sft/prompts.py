"""One prompt, from any of the shapes in which people keep instruction data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, str]

ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant"}
KNOWN = ("system", "user", "assistant", "tool")
# What a person has written to the prompt: a label, which selection must never see.
SYSTEM = ("system", "system_prompt")
ANSWERS = ("answer", "completion", "response", "output", "chosen", "rejected")


@dataclass(frozen=True)
class Prompt:
    """A prompt without its answer.

    Attributes
    ----------
    id : str
        Of the file, or made of the content.
    messages : tuple of dict
        ``role`` and ``content``; the last one is not the assistant's.
    task : str
        What the prompt belongs to; "" where the file does not say.
    line : int
        Where it stands in its file, from 1.
    record : dict
        What the file holds, without any answer.
    """

    id: str
    messages: tuple[Message, ...]
    task: str = ""
    line: int = 0
    record: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def text(self) -> str:
        """The contents of all messages, one after the other."""
        return "\n\n".join(message["content"] for message in self.messages)

    @property
    def content(self) -> str:
        """A checksum of the messages: equal prompts have the same."""
        return content_of(self.messages)


class BadRecord(ValueError):
    """A record that is no prompt; the text says why."""


def content_of(messages: Sequence[Message]) -> str:
    """Return the checksum of some messages, 32 hexadecimal digits."""
    plain = [[message["role"], message["content"]] for message in messages]
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def parsed(record: Mapping[str, Any]) -> tuple[tuple[Message, ...], str | None, dict[str, Any]]:
    """Return the messages of a record, its answer, and the record without the answer.

    Takes ``messages`` (roles and contents), ``prompt`` (a text, or messages), Alpaca
    (``instruction``, and ``input`` or ``context`` beneath it) and ShareGPT (``conversations`` of
    ``from`` and ``value``); ``system`` beside any of them is the first message.

    Raises
    ------
    BadRecord

    Examples
    --------
    >>> from labeltrain.sft.prompts import parsed
    >>> parsed({"instruction": "Add.", "input": "1 + 1", "output": "2"})[:2]
    (({'role': 'user', 'content': 'Add.\\n\\n1 + 1'},), '2')
    """
    rest = dict(record)
    answer: str | None = None
    for name in ANSWERS:
        if name in rest:
            value = rest.pop(name)
            answer = _answer_text(value) if answer is None else answer
    for name in ("messages", "prompt", "conversations", "instruction"):
        if record.get(name) is not None:
            break
    else:
        raise BadRecord(
            "there is none of the keys messages, prompt, instruction, conversations"
            + (f"; its keys are {', '.join(map(repr, record))}" if record else "")
        )
    value = record[name]
    messages: tuple[Message, ...]
    if name == "instruction":
        below = next((k for k in ("input", "context") if record.get(k)), "input")
        parts = [_text(value, "instruction"), _text(record.get(below) or "", below)]
        messages = ({"role": "user", "content": "\n\n".join(p for p in parts if p.strip())},)
    elif name == "prompt" and isinstance(value, str):
        messages = ({"role": "user", "content": value},)
    else:
        whole = _messages(_listed(value, name), name)
        messages = whole
        while messages and messages[-1]["role"] == "assistant":
            messages = messages[:-1]
        if len(messages) < len(whole):
            answer = whole[len(messages)]["content"]
            rest[name] = _listed(value, name)[: len(messages)]
    if not messages:
        raise BadRecord(f"{name!r} holds no question")
    system = next((record[k] for k in SYSTEM if isinstance(record.get(k), str)), "")
    if system.strip() and messages[0]["role"] != "system":
        messages = ({"role": "system", "content": system}, *messages)
    if not any(m["content"].strip() for m in messages if m["role"] != "system"):
        raise BadRecord("the prompt is empty")
    if not messages[-1]["content"].strip():
        raise BadRecord("the last message is empty")
    try:
        json.dumps(rest, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadRecord("a text holds half of a surrogate pair, which is no UTF-8") from error
    return messages, answer, rest


def _listed(value: Any, name: str) -> list[Any]:
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        raise BadRecord(f"{name!r} is {type(value).__name__}, expected a list of messages")
    return list(value)


def _messages(values: Sequence[Any], name: str) -> tuple[Message, ...]:
    found: list[Message] = []
    for number, value in enumerate(values, start=1):
        if not isinstance(value, Mapping):
            raise BadRecord(f"message {number} of {name!r} is no object")
        said = value.get("role", value.get("from"))
        role = ROLES.get(str(said).lower(), str(said).lower())
        if role not in KNOWN:
            raise BadRecord(f"message {number} has the role {said!r}; known: {', '.join(KNOWN)}")
        content = value["content"] if "content" in value else value.get("value")
        found.append({"role": role, "content": _text(content, f"message {number}")})
    return tuple(found)


def _text(value: Any, what: str) -> str:
    """Return a text; of parts, as multimodal data has them, their texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and value and all(isinstance(v, Mapping) for v in value):
        if any(part.get("type", "text") != "text" for part in value):
            raise BadRecord(f"{what} holds more than text")
        return "\n".join(_text(part.get("text"), what) for part in value)
    raise BadRecord(f"{what} is {type(value).__name__}, expected a text")


def _answer_text(value: Any) -> str | None:
    """Return an answer as a text; of messages the last one, of several answers the first."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Sequence) and value:
        last = value[-1] if isinstance(value[-1], Mapping) else value[0]
        if isinstance(last, Mapping):
            last = last.get("content", last.get("value"))
        return last if isinstance(last, str) else None
    return None
