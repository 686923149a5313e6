"""Messages become the same tokens in scoring and in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from labeltrain.errors import BadInput
from labeltrain.sft.template import ChatFormat

QUESTION = ({"role": "user", "content": "what is the capital of france"},)


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny)


def test_a_prompt_ends_where_the_answer_begins(tokenizer: Any) -> None:
    chat = ChatFormat(tokenizer)
    prompt = chat.prompt(QUESTION)
    text = "<|im_start|>user\nwhat is the capital of france<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(prompt.tokens) == text
    again, answer = chat.with_answer(QUESTION, "paris")
    assert again == prompt
    assert tokenizer.decode(answer) == "paris<|im_end|>\n"


def test_the_tokens_are_those_of_the_trainer(tokenizer: Any) -> None:
    """As TRL makes them of a conversational prompt and its completion."""
    from trl.data_utils import maybe_apply_chat_template

    chat = ChatFormat(tokenizer)
    prompt, answer = chat.with_answer(QUESTION, "paris")
    row = {
        "prompt": [dict(m) for m in QUESTION],
        "completion": [{"role": "assistant", "content": "paris"}],
    }
    made = maybe_apply_chat_template(row, tokenizer)
    assert tokenizer.decode(prompt.tokens) == made["prompt"]
    assert tokenizer.decode([*prompt.tokens, *answer]) == made["prompt"] + made["completion"]


def test_models_without_a_template(plain: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(plain)
    with pytest.raises(BadInput, match=r"(?s)has no chat template.*--chat-template"):
        ChatFormat(tokenizer)
    chat = ChatFormat(tokenizer, "none")
    prompt, answer = chat.with_answer(QUESTION, "paris")
    assert tokenizer.decode(prompt.tokens) == "what is the capital of france\n"
    assert (tokenizer.decode(answer), answer[-1]) == ("paris<|im_end|>", tokenizer.eos_token_id)
    (tmp_path / "t.jinja").write_text("{{ messages[0]['content'] }}{{ '>' }}{% if not "
                                      "add_generation_prompt %}{{ messages[-1]['content'] }}"
                                      "{% endif %}")  # fmt: skip
    own = ChatFormat(tokenizer, str(tmp_path / "t.jinja"))
    prompt, answer = own.with_answer(QUESTION, "paris")
    assert tokenizer.decode(prompt.tokens + answer) == "what is the capital of france>paris"
    assert len({chat.checksum, own.checksum}) == 2
    with pytest.raises(BadInput, match="cannot read the chat template"):
        ChatFormat(tokenizer, str(tmp_path / "none.jinja"))


def test_templates_that_cannot_serve(plain: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(plain)
    path = tmp_path / "t.jinja"
    path.write_text("{{ messages|length }}{{ messages[0]['content'] }}")
    with pytest.raises(BadInput, match="where the answer begins"):
        ChatFormat(tokenizer, str(path)).with_answer(QUESTION, "paris")
    path.write_text("{{ raise_exception('take turns') }}")
    with pytest.raises(BadInput, match="refuses the messages: take turns"):
        ChatFormat(tokenizer, str(path)).prompt(QUESTION)


def test_a_long_prompt_loses_its_beginning_and_keeps_its_frame(tokenizer: Any) -> None:
    chat = ChatFormat(tokenizer, max_prompt_tokens=40)
    words = " ".join(["one", "two", "three"] * 40)
    messages = ({"role": "system", "content": "add"}, {"role": "user", "content": words + " four"})
    found = chat.prompt(messages)
    text = tokenizer.decode(found.tokens)
    assert found.cut
    assert found.whole > len(found.tokens)
    assert len(found.tokens) <= 40
    assert text.startswith("<|im_start|>system\nadd<|im_end|>\n<|im_start|>user\n")
    assert text.endswith("three four<|im_end|>\n<|im_start|>assistant\n")
    assert chat.with_answer(messages, "ten")[0] == found  # in training alike
    with pytest.raises(BadInput, match="cannot be shortened to 5"):
        ChatFormat(tokenizer, max_prompt_tokens=5).prompt(messages)
    assert not chat.prompt(QUESTION).cut


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(min_size=1, max_size=200), st.integers(24, 60))
def test_any_prompt_fits(tokenizer: Any, text: str, most: int) -> None:
    text = text.encode("utf-8", "replace").decode()
    found = ChatFormat(tokenizer, max_prompt_tokens=most).prompt(
        ({"role": "user", "content": text},)
    )
    assert len(found.tokens) <= most
    assert found.cut == (found.whole > most)
