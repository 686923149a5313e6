"""The catalogue, and telling names from paths."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from labeltrain.data import Table, describe, load, names, read_image, require_trainable, split
from labeltrain.data.attack_tactics import sentence
from labeltrain.errors import BadInput


@pytest.mark.parametrize("name", names())
def test_every_data_set_is_as_described(name: str) -> None:
    data = load(name)
    told = describe(name)
    assert told["items"] == len(data) == len(data.items) == len(set(data.ids))
    assert told["modality"] == data.modality
    assert told["classes"] == len(data.classes)
    assert told["test_items"] == (0 if data.test is None else len(data.test))
    assert told["licence"] == data.licence
    assert told["description"]
    assert told["cached"]
    assert data.facts["source"]
    assert data.labels is not None
    assert told["kind"] == data.kind
    if data.kind == "multilabel":
        assert data.labels.shape == (len(data), len(data.classes))
        assert data.labels.dtype == np.int8
        assert set(np.unique(data.labels)) == {0, 1}
        assert data.labels.any(axis=0).all()
    else:
        assert data.labels.shape == (len(data),)
        assert set(np.unique(data.labels)) == set(range(len(data.classes)))
    require_trainable(data)
    pool, test = split(data)
    assert len(pool) + len(test) == len(data)
    if data.modality == "text":
        assert all(isinstance(text, str) and text.strip() for text in data.items)


def test_reuters_r8() -> None:
    data = load("reuters-r8")
    assert data.classes == (
        *("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade"),
    )
    assert (data.ids[0], data.ids[5484], data.ids[5485]) == ("train-0", "train-5484", "test-0")
    assert data.labels is not None
    assert np.bincount(data.labels[:5485]).tolist() == [1596, 253, 2840, 41, 190, 206, 108, 251]
    assert data.items[0].startswith("champion products ch approves stock split")
    assert data.classes[data.labels[0]] == "earn"


def test_the_empty_row_of_reuters_r52_is_dropped_and_said() -> None:
    data = load("reuters-r52")
    assert data.facts["dropped"] == "train-0: no text and no label"
    assert data.ids[0] == "train-1"
    assert data.test is not None
    assert data.ids[data.test[0]] == "test-0"


def test_election_tweets_use_the_author() -> None:
    data = load("election-tweets-2016")
    assert data.classes == ("HillaryClinton", "realDonaldTrump")
    assert data.items[0].startswith("The question in this election")
    assert '"smart."' in data.items[1]


def test_mnist_and_emoji_images() -> None:
    mnist = load("mnist-5k")
    assert isinstance(mnist.items, np.ndarray)
    assert (mnist.items.dtype, mnist.items.shape) == (np.uint8, (5000, 28, 28))
    assert mnist.items.max() == 255
    emoji = load("emoji")
    assert "Component" not in emoji.classes
    grin = read_image(emoji.items[emoji.ids.index("1f600")])
    assert grin.size == (64, 64)
    assert grin.getpixel((0, 0)) == (255, 255, 255)


def test_shuttle_is_a_table_with_rare_anomalies() -> None:
    data = load("shuttle")
    assert isinstance(data.items, Table)
    assert data.items.numeric == tuple(f"f{i}" for i in range(1, 10))
    assert data.items[0] == {
        **dict(zip(data.items.numeric, (50, 21, 77, 0, 28, 0, 27, 48, 22), strict=True))
    }
    assert data.labels is not None
    assert np.bincount(data.labels).tolist() == [45586, 3511]
    assert data.classes[data.labels[0]] == "anomaly"


def test_yeast_has_several_labels_an_item() -> None:
    data = load("yeast")
    assert isinstance(data.items, np.ndarray)
    assert (data.items.dtype, data.items.shape) == (np.float32, (2417, 103))
    assert data.classes == tuple(f"Class{i}" for i in range(1, 15))
    assert data.labels is not None
    # The numbers of labels of the set as it is published: 4.237 an item, 34 of the rarest.
    assert data.labels.sum() == 10241
    assert (data.labels.sum(axis=0).min(), data.labels.sum(axis=1).min()) == (34, 1)
    assert data.items[0, 0] == np.float32(0.004168)
    assert np.flatnonzero(data.labels[0]).tolist() == [6, 7, 11, 12]


def test_sentences_on_attacks_have_the_tactics_of_their_techniques() -> None:
    data = load("attack-tactics")
    assert data.labels is not None
    assert "defense-evasion" in data.classes
    assert np.bincount(data.labels.sum(axis=1)).tolist() == [0, 13619, 1745, 403, 131, 1, 1]
    row = data.items.index("ProLock can use BITS jobs to download its malicious payload.")
    tactics = [data.classes[c] for c in np.flatnonzero(data.labels[row])]
    assert tactics == ["defense-evasion", "persistence"]
    assert len(set(data.items)) == len(data)
    assert not any("Citation" in text or "](" in text for text in data.items)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain.", "plain."),
        ("[A](https://x/y) and [B](https://z) talk.", "A and B talk."),
        ("A talks.(Citation: One)(Citation: Two)", "A talks."),
        ("A talks.(Citation: One)  B too.(Citation: T...", "A talks. B too."),
        ("A talks (loudly.(Ci...", "A talks (loudly."),
        ("A talks.(...", "A talks."),
        ("A talks to [B](htt...", "A talks to B..."),
        ("A talks to [B](...", "A talks to B..."),
        ("A talks to [B...", "A talks to B..."),
        ("A visits b[.]com (see...", "A visits b[.]com (see..."),
        ("A runs <code>ls</code> and <code>c</co...", "A runs ls and c..."),
        ("A reads &lt;b&gt;", "A reads <b>"),
    ],
)
def test_sentences_lose_citations_and_addresses_only(text: str, expected: str) -> None:
    assert sentence(text) == expected


def test_loading_twice_gives_the_same() -> None:
    first, second = (load("20newsgroups") for _ in range(2))
    joined = [
        hashlib.sha256("\0".join(data.items).encode()).hexdigest() for data in (first, second)
    ]
    assert joined[0] == joined[1]
    assert first.ids == second.ids


def test_unknown_names_suggest_the_nearest() -> None:
    for wrong, right in [("20-newsgroups", "20newsgroups"), ("reuters_r8", "reuters-r8")]:
        with pytest.raises(BadInput, match=f"did you mean '{right}'"):
            load(wrong)
        with pytest.raises(BadInput, match=f"did you mean '{right}'"):
            describe(wrong)
    with pytest.raises(BadInput, match=r"no data set and no file called '\./nowhere\.csv'"):
        load("./nowhere.csv")


def test_a_name_takes_no_options() -> None:
    with pytest.raises(BadInput, match="option text_column does not apply"):
        load("digits", text_column="text")


def test_a_path_object_is_never_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="no data set and no file"):
        load(Path("digits"))
