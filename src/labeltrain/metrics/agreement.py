"""How far annotators agree, with answers missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

from labeltrain.errors import BadInput

Answer = tuple[Hashable, Hashable, Hashable]


def pairwise_agreement(answers: Iterable[Answer]) -> float | None:
    """Share of pairs of answers to the same item that are equal.

    Parameters
    ----------
    answers : iterable of (item, annotator, label)
        A label of None counts as missing.

    Returns
    -------
    float or None
        None when no item has two answers.

    Raises
    ------
    BadInput
        If an annotator answered an item twice.

    Examples
    --------
    >>> pairwise_agreement([("a", "ann", 1), ("a", "bob", 1), ("b", "ann", 0), ("b", "bob", 1)])
    0.5
    """
    equal = pairs = 0
    for counts in _counts(answers):
        n = sum(counts.values())
        pairs += n * (n - 1)
        equal += sum(c * (c - 1) for c in counts.values())
    return equal / pairs if pairs else None


def krippendorff_alpha(answers: Iterable[Answer]) -> float | None:
    """Krippendorff's alpha for nominal labels.

    Parameters
    ----------
    answers : iterable of (item, annotator, label)
        A label of None counts as missing.

    Returns
    -------
    float or None
        1 for perfect agreement, 0 for what chance gives, below 0 for systematic disagreement.
        None when no item has two answers, or when only one label was ever used, so that chance
        agreement cannot be told from real agreement.

    Raises
    ------
    BadInput
        If an annotator answered an item twice.

    References
    ----------
    Krippendorff, Computing Krippendorff's alpha-reliability, 2011.

    Examples
    --------
    >>> ann = "a a b b d c c c e d d a".split()
    >>> bob = "b a b b b c c c e d d d".split()
    >>> answers = [(i, "ann", v) for i, v in enumerate(ann)]
    >>> answers += [(i, "bob", v) for i, v in enumerate(bob)]
    >>> round(krippendorff_alpha(answers), 3)
    0.692
    """
    observed = 0.0
    totals: Counter[Hashable] = Counter()
    for counts in _counts(answers):
        n = sum(counts.values())
        if n > 1:
            totals.update(counts)
            observed += (n * n - sum(c * c for c in counts.values())) / (n - 1)
    values = sum(totals.values())
    expected = values * values - sum(c * c for c in totals.values())
    return 1.0 - (values - 1) * observed / expected if expected else None


def _counts(answers: Iterable[Answer]) -> list[Counter[Hashable]]:
    """Count the labels given to each item."""
    seen: set[tuple[Hashable, Hashable]] = set()
    items: dict[Hashable, Counter[Hashable]] = {}
    for item, annotator, label in answers:
        if (item, annotator) in seen:
            raise BadInput(
                f"annotator {annotator!r} answered item {item!r} twice",
                "keep each annotator's last answer to an item",
            )
        seen.add((item, annotator))
        if label is not None:
            items.setdefault(item, Counter())[label] += 1
    return list(items.values())
