"""Tiny models of the Hugging Face libraries with random weights, and items for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.learners import Training

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
COLOURS = ("red", "green", "blue")
#: The words of the texts of LearnerContract, and some more.
WORDS = [*(f"{name}{k}" for name in COLOURS for k in range(12)), *COLOURS, "other", "words", "a"]
SIZES: dict[str, Any] = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 44,
    "pad_token_id": 0,
}
PIXELS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 16,
    "patch_size": 8,
}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 16, "width": 16},
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_rescale": True,
    "rescale_factor": 1 / 255,
}
#: Options under which a tiny model trains in a second.
QUICK: dict[str, Any] = {
    "steps": 12,
    "batch": 16,
    "ratio": 2,
    "max_length": 24,
    "learning_rate": 1e-3,
    "dtype": "float32",
    "device": "cpu",
}


def save_text_model(folder: Path, kind: str = "Bert", seed: int = 0, **changes: Any) -> Path:
    """Save a text model of a family, such as "Bert", and a tokenizer with one word a token.

    BERT is saved as most are: without a pooler, so that the library makes a random one.
    """
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **changes})
    parts = {"add_pooling_layer": False} if kind == "Bert" else {}
    getattr(transformers, f"{kind}Model")(config, **parts).save_pretrained(folder)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *WORDS]))
    transformers.BertTokenizer(str(vocabulary)).save_pretrained(folder)
    return folder


def save_image_model(folder: Path, kind: str = "ViT", seed: int = 0, **changes: Any) -> Path:
    """Save an image model of a family, such as "ViT", for images of 16 x 16."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**{**PIXELS, **changes})
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


def coloured_texts(n: int = 60, seed: int = 0) -> tuple[Any, np.ndarray]:
    """Return a list of texts, most words of which tell one of three classes, and the classes."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    own = [[f"{name}{k}" for k in range(12)] for name in COLOURS]
    every = [word for words in own for word in words]
    texts = [
        " ".join([*rng.choice(own[c], 4), *rng.choice(every, rng.integers(0, 4))])
        for c in truth.tolist()
    ]
    return texts, truth


def coloured_images(truth: np.ndarray, side: int = 16, seed: int = 0) -> Any:
    """Return noisy images, uint8 (n, side, side, 3), one channel of which is bright."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (len(truth), side, side, 3))
    images[np.arange(len(truth)), :, :, np.asarray(truth) % 3] += 120
    return images.astype(np.uint8)


def training_of(items: Any, truth: np.ndarray, labels: int = 18, **more: Any) -> Training:
    """Return the first `labels` items labelled, with features that say nothing."""
    rows = np.arange(labels)
    features = np.zeros((len(truth), 2), dtype=np.float32)
    return Training(features, rows, np.asarray(truth)[rows], 3, items=items, **more)
