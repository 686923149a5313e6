"""Fine-tuning learns the answers, and nothing but the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labeltrain.errors import BadInput
from labeltrain.sft import training
from labeltrain.sft.evaluation import TestItem, evaluate
from labeltrain.sft.models import load
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.training import TrainSettings, encoded, train

PAIRS = [
    (({"role": "user", "content": f"what is the capital of {where}"},), answer)
    for where, answer in [("france", "paris"), ("one", "two"), ("a colour", "red"), ("no", "yes")]
]


def items() -> list[TestItem]:
    return [
        TestItem(str(i), "capitals", messages, answer, (answer,), ("paris", "two", "red", "yes"))
        for i, (messages, answer) in enumerate(PAIRS)
    ]


def settings(tiny: Path, **more: Any) -> TrainSettings:
    given = {"epochs": 60, "batch": 4, "learning_rate": 3e-2, "rank": 8, "alpha": 16}
    return TrainSettings(str(tiny), **{**given, **more})


@pytest.mark.parametrize(
    "more", [{}, {"tune": "full", "learning_rate": 5e-3}, {"dtype": "bfloat16"}]
)
def test_a_model_learns_its_answers(tiny: Path, more: dict[str, Any]) -> None:
    options = settings(tiny, **more)
    untuned = load(str(tiny), device="cpu", threads=1)
    chat = ChatFormat(untuned.tokenizer)
    before = evaluate(untuned, chat, items(), max_new_tokens=8)
    found = train(options, PAIRS, device="cpu", threads=1)
    after = evaluate(found.held, chat, items(), max_new_tokens=8)
    assert after.macro("nll") < 0.3 < before.macro("nll")
    assert after.macro("choice_accuracy") == 1.0
    assert after.macro("exact_match") == 1.0
    assert found.steps == 60
    tokens = sum(len(e.prompt) + len(e.answer) for e in encoded(chat, PAIRS))
    factor = 6 if options.tune == "full" else 4
    assert found.tokens == tokens
    assert found.flops == factor * untuned.parameters * tokens * 60


def test_the_same_seed_makes_the_same_model(tiny: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        held = train(settings(tiny, epochs=2, seed=seed), PAIRS, device="cpu", threads=1).held
        return torch.cat([p.flatten() for n, p in held.model.named_parameters() if "lora" in n])

    first = weights(0)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_only_answers_are_learned(tiny: Path) -> None:
    held = load(str(tiny), device="cpu", threads=1)
    examples = encoded(ChatFormat(held.tokenizer), PAIRS)
    trainer = training._trainer(settings(tiny, tune="full"), held, examples, None, None)
    batch = next(iter(trainer.get_train_dataloader()))
    by_tokens = {(*e.prompt, *e.answer): e for e in examples}
    for row, labels, mask in zip(
        batch["input_ids"].tolist(), batch["labels"].tolist(), batch["attention_mask"].tolist(),
        strict=True,
    ):  # fmt: skip
        size = sum(mask)
        example = by_tokens[tuple(row[:size])]
        assert labels[:size] == [-100] * len(example.prompt) + list(example.answer)
        assert set(labels[size:]) <= {-100}
    # The loss is that of a plain computation.
    loss = float(trainer.compute_loss(held.model, dict(batch)).detach())
    logp = torch.log_softmax(held.model(batch["input_ids"], batch["attention_mask"]).logits, -1)
    shifted = batch["labels"][:, 1:]
    picked = logp[:, :-1].gather(2, shifted.clamp(min=0)[..., None])[..., 0]
    assert loss == pytest.approx(float(-picked[shifted != -100].mean().detach()), rel=1e-4)
    # And that of TRL, which makes the logits of the prompts, too.
    theirs = super(type(trainer), trainer).compute_loss(held.model, dict(batch))
    assert loss == pytest.approx(float(theirs.detach()), rel=1e-4)
    count = torch.tensor(7)
    ours = trainer.compute_loss(held.model, dict(batch), num_items_in_batch=count)
    whole = super(type(trainer), trainer).compute_loss(
        held.model, dict(batch), num_items_in_batch=count
    )
    assert float(ours.detach()) == pytest.approx(float(whole.detach()), rel=1e-4)


def test_an_adapter_is_written_and_read(tiny: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    done = train(settings(tiny, epochs=3), PAIRS, device="cpu", threads=1, out=tmp_path / "a")
    base = load(str(tiny), device="cpu", threads=1)
    tokens = torch.tensor([encoded(ChatFormat(base.tokenizer), PAIRS)[0].prompt])
    again = PeftModel.from_pretrained(base.model, tmp_path / "a").eval()
    with torch.no_grad():
        np.testing.assert_allclose(
            again(tokens).logits.numpy(), done.held.model(tokens).logits.numpy(), atol=1e-5
        )


def test_progress_is_told(tiny: Path) -> None:
    said: list[tuple[float, float]] = []
    train(
        settings(tiny, epochs=2, batch=2), PAIRS, device="cpu", threads=1,
        progress=lambda done, total: said.append((done, total)),
    )  # fmt: skip
    assert said == [(1.0, 4.0), (2.0, 4.0), (3.0, 4.0), (4.0, 4.0)]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tune": "qlora"}, "lora or full"),
        ({"tune": "full", "dtype": "bfloat16"}, "small updates vanish"),
        ({"rank": 0}, "rank=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"warmup": 1.0}, "warmup=1.0"),
    ],
)
def test_settings_that_make_no_sense(tiny: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        settings(tiny, **more)


def test_what_cannot_be_trained(tiny: Path, plain: Path) -> None:
    with pytest.raises(BadInput, match="no answered prompt"):
        train(settings(tiny), [], device="cpu")
    with pytest.raises(BadInput, match="no chat template"):
        train(settings(plain), PAIRS, device="cpu")
    long = [(({"role": "user", "content": "add"},), "one " * 400)]
    with pytest.raises(
        BadInput, match=r"number 1 and its answer have 41[0-9] tokens, .* reads 256"
    ):
        train(settings(tiny), long, device="cpu")
    short = train(settings(tiny, epochs=1, max_answer_tokens=9), long, device="cpu", threads=1)
    assert short.cut == 1
