"""What embedding costs is told as if no cache had helped, and once for a pool."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from labeltrain.cli.app import app
from labeltrain.encoders import Encoder, registry
from labeltrain.sft import encoding_cost as module
from labeltrain.sft.embedding import embedded
from labeltrain.sft.encoding_cost import encoding_cost, keep_encoding_cost
from labeltrain.sft.overview import overview
from labeltrain.sft.reading import read_prompts
from labeltrain.sft.workspace import PromptWorkspace


class Letters(Encoder):
    """Counts of letters times a matrix: 2 * 26 * 8 operations a text."""

    name = "letters-of-the-test"
    modalities = frozenset({"text"})

    def fingerprint(self) -> dict[str, Any]:
        return {"encoder": self.name, "version": 1}

    @property
    def dimension(self) -> int:
        return 8

    def encode(self, items: Any) -> np.ndarray:
        counts = torch.tensor([[text.count(chr(97 + c)) for c in range(26)] for text in items])
        return (counts.float() @ torch.ones(26, 8)).numpy()


@pytest.fixture(autouse=True)
def letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    entry = registry._Entry(Letters, ("text",), (), "")
    monkeypatch.setitem(registry._REGISTRY, Letters.name, entry)


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    rows = [{"prompt": f"what is {i} and {i * i}"} for i in range(200)]
    with PromptWorkspace.create(tmp_path / "w", read_prompts(rows), "rows") as held:
        yield held


def test_operations_are_counted_on_a_sample(workspace: PromptWorkspace) -> None:
    fresh = embedded(Letters.name, workspace.prompts, None)
    assert fresh.fresh == 1.0
    cost = encoding_cost(Letters.name, workspace.prompts, fresh)
    assert cost == {"seconds": fresh.seconds, "flops": 200 * 2 * 26 * 8, "estimated": False}


def test_what_a_cache_held_is_estimated(
    workspace: PromptWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded(Letters.name, workspace.prompts, None)
    again = embedded(Letters.name, workspace.prompts, None)
    assert again.fresh == 0.0
    ticks = iter([5.0, 8.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks))
    cost = encoding_cost(Letters.name, workspace.prompts, again)
    assert (cost["seconds"], cost["estimated"]) == (pytest.approx(3.0 * 200 / 64), True)
    part = dataclasses.replace(again, seconds=2.0, fresh=0.5)
    cost = encoding_cost(Letters.name, workspace.prompts, part)
    assert (cost["seconds"], cost["estimated"]) == (4.0, False)


def test_it_is_noted_once_for_a_pool(workspace: PromptWorkspace) -> None:
    found = embedded(Letters.name, workspace.prompts, None)
    body = keep_encoding_cost(workspace, Letters.name, found)
    assert keep_encoding_cost(workspace, Letters.name, found) == body
    assert keep_encoding_cost(workspace, "weighted", found) is None
    assert len(list(workspace.events("embedded"))) == 1
    lsa = embedded("lsa", workspace.prompts, None)
    cost = encoding_cost("lsa", workspace.prompts, lsa)
    assert cost == {"seconds": lsa.seconds, "flops": None, "estimated": False}


def test_commands_book_the_encoder_once(tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text(
        "".join(json.dumps({"prompt": f"tell me about {i} {chr(97 + i % 26)}"}) + "\n"
                for i in range(40))
    )  # fmt: skip
    folder = str(tmp_path / "w")
    for words in (
        ["score", str(pool), "-w", folder, "--encoder", Letters.name],
        ["select", "-w", folder, "--method", "k-center", "--budget", "5",
         "--embeddings", Letters.name],
    ):  # fmt: skip
        done = CliRunner().invoke(app, ["sft", *words])
        assert done.exit_code == 0, done.output
    with PromptWorkspace.open(tmp_path / "w", read_only=True) as held:
        assert len(list(held.events("embedded"))) == 1
        assert overview(held)["choices"][0]["embeddings"] == Letters.name
