"""Prompts that were asked before, in the same words or nearly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import missing_extra
from labeltrain.sft.prompts import Prompt

SHINGLE = 3  # words
PERMUTATIONS = 128
NEAR = 0.9  # of the words' shingles are shared
ENDS = 24  # words at both ends, where questions stand, have to agree
MARKS = set(".,;:!?\"'()[]{}\u2026\u2018\u2019\u201c\u201d\u00bb\u00ab")


@dataclass(frozen=True)
class Repeats:
    """Groups of prompts that say the same.

    Attributes
    ----------
    first : ndarray of int64, shape (n,)
        The first prompt of the group of each; itself where it stands alone.
    exact : int
        Prompts that repeat an earlier one letter by letter.
    near : int
        Prompts that repeat an earlier one nearly.
    """

    first: np.ndarray
    exact: int
    near: int


def find_repeats(
    prompts: Sequence[Prompt], *, threshold: float | None = NEAR, seed: int = 0
) -> Repeats:
    """Return which prompts repeat another.

    Parameters
    ----------
    prompts : sequence of Prompt
    threshold : float, optional
        Near repeats share at least this part of their runs of three words (Jaccard), begin and end
        with the same 24 words, and hold the same numbers and signs: "3 + 5" and "3 - 5" are two
        questions, and so are two about one long text. Case, spaces and marks do not count. None:
        look for exact ones only.
    seed : int
        Of the hashes that propose pairs.

    Notes
    -----
    Pairs are proposed by MinHash and its index (datasketch), of 128 hashes, and then counted
    exactly: nothing below the threshold is joined, and of pairs at it about one in fifty is missed.
    Groups are chains: of three prompts the first and the last may be less alike.
    """
    first = np.arange(len(prompts), dtype=np.int64)
    by_content: dict[str, int] = {}
    for i, prompt in enumerate(prompts):
        first[i] = by_content.setdefault(prompt.content, i)
    exact = int((first != np.arange(len(prompts))).sum())
    if threshold is None:
        return Repeats(first, exact, 0)
    distinct = [i for i in range(len(prompts)) if first[i] == i]
    _join_near(prompts, distinct, first, threshold, seed)
    for i in range(len(prompts)):  # an earlier item of the group may have been joined since
        first[i] = first[first[i]]
    near = int((first != np.arange(len(prompts))).sum()) - exact
    return Repeats(first, exact, near)


def words_of(text: str) -> list[str]:
    """Return the words and signs of a text, in lower case; marks only where there is nothing else.

    Examples
    --------
    >>> words_of("What is 3 + 5?"), words_of("?!")
    (['what', 'is', '3', '+', '5'], ['?', '!'])
    """
    found = re.findall(r"\w+|[^\w\s]", text.lower())
    return [word for word in found if word not in MARKS] or found


def shingles(words: Sequence[str]) -> frozenset[str]:
    """Return the runs of three words; fewer words make one.

    Examples
    --------
    >>> sorted(shingles(["one", "two", "three", "four"]))
    ['one two three', 'two three four']
    """
    if len(words) < SHINGLE:
        return frozenset([" ".join(words)])
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))


def _join_near(
    prompts: Sequence[Prompt], distinct: list[int], first: np.ndarray, threshold: float, seed: int
) -> None:
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as error:
        raise missing_extra("datasketch", "sft", "looking for prompts that are nearly equal") from (
            error
        )
    words = {i: words_of(prompts[i].text) for i in distinct}
    sets = {i: shingles(words[i]) for i in distinct}
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    empty = MinHash(num_perm=PERMUTATIONS, seed=seed + 1)
    for i in distinct:
        sketch = empty.copy()
        sketch.update_batch([s.encode("utf-8", "surrogatepass") for s in sets[i]])
        for j in sorted(index.query(sketch)):
            shared = len(sets[i] & sets[j])
            alike = shared >= threshold * (len(sets[i]) + len(sets[j]) - shared)
            if alike and _ask_the_same(words[i], words[j]):
                first[i] = first[j]
                break
        index.insert(i, sketch)


def _ask_the_same(one: Sequence[str], other: Sequence[str]) -> bool:
    if one[:ENDS] != other[:ENDS] or one[-ENDS:] != other[-ENDS:]:
        return False
    return Counter(filter(_counts, one)) == Counter(filter(_counts, other))


def _counts(word: str) -> bool:
    """Tell whether a word is a number or a sign, which may turn the question around."""
    return not word.isalpha()
