"""Gradients of answers: those of training where it begins, kept once made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labeltrain.errors import BadInput
from labeltrain.sft import kept_gradients, training
from labeltrain.sft.answers import Given, take_answers
from labeltrain.sft.gradients import _Sketch, answer_gradients
from labeltrain.sft.kept_gradients import GradientOptions, gradients_in
from labeltrain.sft.models import LanguageModel, load
from labeltrain.sft.reading import read_prompts
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.tokenised import encoded
from labeltrain.sft.training import TrainSettings
from labeltrain.sft.workspace import PromptWorkspace

PAIRS = [
    (({"role": "user", "content": f"what is the capital of {where}"},), answer)
    for where, answer in [("france", "paris"), ("one", "two three"), ("a colour", "red")]
]


@pytest.fixture(scope="module")
def held(tiny: Path) -> LanguageModel:
    return load(str(tiny), device="cpu", threads=1)


def test_it_is_the_gradient_of_training_at_its_first_step(tiny: Path, held: LanguageModel) -> None:
    """Against TRL's trainer with PEFT's adapters, an answer at a time."""
    from peft import LoraConfig

    chat = ChatFormat(held.tokenizer)
    mine = answer_gradients(held, chat, PAIRS, rank=4, dimensions=0, seed=3)
    settings = TrainSettings(str(tiny), rank=4, alpha=4, batch=1, seed=3)
    adapter = LoraConfig(r=4, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM")
    for row, pair in zip(mine, PAIRS, strict=True):
        fresh = load(str(tiny), device="cpu", threads=1)
        trainer = training._trainer(settings, fresh, encoded(chat, [pair]), adapter, None)
        named = dict(trainer.model.named_parameters())
        ours = {k: v for k, v in named.items() if "lora_A" in k}
        with torch.random.fork_rng():  # the same first matrices
            torch.manual_seed(3)
            other = load(str(tiny), device="cpu", threads=1)
            from peft import get_peft_model

            for name, weight in get_peft_model(other.model, adapter).named_parameters():
                if name in ours:
                    ours[name].data.copy_(weight.data)
        trainer.model.eval()
        trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader()))).backward()
        slow = [v.grad.flatten().numpy() for k, v in named.items() if "lora_B" in k]
        np.testing.assert_allclose(row, np.concatenate(slow), rtol=1e-3, atol=1e-6)
        assert all(not v.grad.any() for k, v in named.items() if "lora_A" in k)


def test_it_is_a_product_of_what_goes_in_and_what_comes_back(held: LanguageModel) -> None:
    """By hand, for one layer: the sum over tokens of dL/d(out) (A x)^T."""
    chat = ChatFormat(held.tokenizer)
    mine = answer_gradients(held, chat, PAIRS[:1], rank=2, dimensions=0)[0]
    layer = held.model.model.layers[0].self_attn.q_proj
    seen: dict[str, Any] = {}

    def forward(_module: Any, inputs: Any, out: Any) -> Any:
        seen["x"] = inputs[0][0].detach()
        out.requires_grad_(True)
        out.register_hook(lambda grad: seen.update(delta=grad[0]))
        return out

    handle = layer.register_forward_hook(forward)
    example = encoded(chat, PAIRS[:1])[0]
    tokens = torch.tensor([[*example.prompt, *example.answer]])
    labels = torch.tensor([[-100] * len(example.prompt) + list(example.answer)])
    held.model(input_ids=tokens, labels=labels).loss.backward()
    handle.remove()
    held.model.zero_grad()
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LoraConfig(r=2, lora_alpha=2, target_modules="all-linear", task_type="CAUSAL_LM")
        tuned = get_peft_model(held.model, config)
        first = tuned.base_model.model.model.layers[0].self_attn.q_proj.lora_A["default"].weight
        slow = seen["delta"].T @ (seen["x"] @ first.detach().T)
        tuned.unload()
    np.testing.assert_allclose(mine[: slow.numel()], slow.flatten().numpy(), rtol=1e-3, atol=1e-7)


def test_the_model_is_as_it_was_and_the_same_again_is_the_same(held: LanguageModel) -> None:
    chat = ChatFormat(held.tokenizer)
    before = {k: v.clone() for k, v in held.model.state_dict().items()}
    state = torch.random.get_rng_state()
    one = answer_gradients(held, chat, PAIRS)
    assert one.shape == (3, 4096)
    assert one.dtype == np.float32
    after = held.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(one, answer_gradients(held, chat, PAIRS))
    np.testing.assert_array_equal(one[1:2], answer_gradients(held, chat, PAIRS[1:2]))
    assert not np.allclose(one, answer_gradients(held, chat, PAIRS, seed=1))


def test_the_projection_keeps_cosines(held: LanguageModel) -> None:
    chat = ChatFormat(held.tokenizer)
    pairs = [(messages, answer) for messages, _ in PAIRS for answer in ("paris", "red", "no")]

    def cosines(rows: np.ndarray) -> np.ndarray:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit @ unit.T

    whole = cosines(answer_gradients(held, chat, pairs, dimensions=0))
    small = cosines(answer_gradients(held, chat, pairs, dimensions=4096))
    np.testing.assert_allclose(small, whole, atol=5 / np.sqrt(4096))
    assert np.ptp(whole) > 0.3


def test_the_sketch_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500)).astype(np.float32)
    b += a
    products = []
    for seed in range(300):
        sketch = _Sketch(["x", "y"], [200, 300], 64, seed)
        parts = [[torch.from_numpy(v[:200]), torch.from_numpy(v[200:])] for v in (a, b)]
        products.append(float(sketch.of(parts[0]) @ sketch.of(parts[1])))
    error = np.std(products) / np.sqrt(len(products))
    assert abs(np.mean(products) - float(a @ b)) < 4 * error
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    assert np.std(products) < 2 * size / np.sqrt(64)


def test_what_is_too_long_is_named(held: LanguageModel) -> None:
    long = (({"role": "user", "content": "red " * 300},), "blue")
    with pytest.raises(BadInput, match=r"the prompt 'b' and its answer have \d+ tokens"):
        answer_gradients(held, ChatFormat(held.tokenizer), [PAIRS[0], long], ids=["a", "b"])


# -- in a workspace --------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    rows = [{"id": f"p{i}", "prompt": f"say {i}", "task": "ab"[i % 2]} for i in range(6)]
    with PromptWorkspace.create(tmp_path / "w", read_prompts(rows), "rows") as found:
        yield found


def target(*answers: str | None) -> Any:
    rows = [{"id": f"t{i}", "prompt": f"name {i}", "answer": a} for i, a in enumerate(answers)]
    return read_prompts([{k: v for k, v in r.items() if v is not None} for r in rows],
                        answers="keep")  # fmt: skip


def test_gradients_are_made_once(
    workspace: PromptWorkspace, tiny: Path, held: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = answer_gradients

    def counted(model: Any, chat: Any, pairs: Any, **more: Any) -> np.ndarray:
        made.append(len(pairs))
        return real(model, chat, pairs, **more)

    monkeypatch.setattr(kept_gradients, "answer_gradients", counted)
    monkeypatch.setattr(kept_gradients, "SHARD", 2)
    options = GradientOptions(str(tiny), device="cpu", threads=1)
    take_answers(workspace, [Given(1, "p1", "red"), Given(2, "p4", "blue")], "f")
    found = gradients_in(workspace, target("one", "two"), options)
    assert made == [2, 2]
    assert found.rows.shape == (6, 4096)
    assert found.targets.shape == (2, 4096)
    assert np.flatnonzero(found.rows.any(axis=1)).tolist() == [1, 4]
    chat = ChatFormat(held.tokenizer)
    pair = (workspace.prompts[4].messages, "blue")
    np.testing.assert_array_equal(found.rows[4], real(held, chat, [pair])[0])
    again = gradients_in(workspace, target("one", "two"), options)
    assert made == [2, 2]
    np.testing.assert_array_equal(again.rows, found.rows)
    take_answers(workspace, [Given(1, "p4", "red"), Given(2, "p0", "no")], "f")
    gradients_in(workspace, target("two", "two"), options)  # of the target one is another
    assert made == [2, 2, 2, 1]
    gradients_in(workspace, target("two", "two"), GradientOptions(str(tiny), None, 20))
    assert made == [2, 2, 2, 1, 2, 2, 1]


def test_what_is_missing_is_told(workspace: PromptWorkspace, tiny: Path) -> None:
    options = GradientOptions(str(tiny), device="cpu", threads=1)
    with pytest.raises(BadInput, match=r"(?s)nobody has answered yet.*random-balanced"):
        gradients_in(workspace, target("one"), options)
    take_answers(workspace, [Given(1, "p1", "red")], "f")
    with pytest.raises(BadInput, match=r"T.jsonl: 2 of 3 prompts have no answer .*line 2"):
        gradients_in(workspace, target("one", None, " "), options, where="T.jsonl")
    with pytest.raises(BadInput, match=r"(?s)no model scored the pool.*--model"):
        gradients_in(workspace, target("one"), GradientOptions())
    for model in ("one", "two"):
        body = {"scoring": model, "settings": {"model": model}, "shards": [[0, 1]]}
        workspace.append("planned", body)
    with pytest.raises(BadInput, match="several models scored the pool: one, two"):
        gradients_in(workspace, target("one"), GradientOptions())
