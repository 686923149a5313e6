"""Words that several messages share."""

from __future__ import annotations


def many(number: int, thing: str) -> str:
    """Return a number and what it counts, in the singular for one.

    Examples
    --------
    >>> from labeltrain.projects.words import many
    >>> many(1, "item"), many(0, "class"), many(20, "label")
    ('1 item', '0 classes', '20 labels')
    """
    if number == 1:
        return f"{number} {thing}"
    return f"{number} {thing}{'es' if thing.endswith('s') else 's'}"
