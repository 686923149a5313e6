"""Tiny language models, made on the spot: two layers, random weights, a real tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = [
    "what", "is", "the", "capital", "of", "france", "add", "one", "two", "three", "numbers",
    "name", "a", "colour", "say", "yes", "or", "no", "red", "blue", "paris", "four", "user",
    "assistant", "system", "please", "answer", "question", "how", "many", "apples", "are", "there",
]  # fmt: skip


def make_model(
    folder: Path, *, template: str | None = CHATML, seed: int = 0, **config: Any
) -> Path:
    """Write a small Llama with byte-level BPE over a few words into a folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 20, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    fast.chat_template = template
    torch.manual_seed(seed)
    settings = {
        "vocab_size": len(fast), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 256, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1,
        "initializer_range": 0.3,
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**{**settings, **config}))
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny chat model."""
    return make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model without a chat template."""
    return make_model(tmp_path_factory.mktemp("plain"), template=None)
