"""How good an answer is beside a reference."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\s+(?=\w)")  # of "A. bank" it is the name of a choice
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
# What says something stays: points of decimals, signs of numbers, C++ and C#, percent, fractions.
_MARKS = re.compile(
    r"(?<!\d)\.|\.(?!\d)|-(?!\s*\d)|(?<=[^\W\d])-|(?<!\d)/|/(?!\d)|[^\w\s.\-/+#%=<>*^$\u20ac\u00a3]|_"
)


def normalised(text: str) -> str:
    """Return a text in lower case, without marks, articles and spare spaces.

    As the answers of SQuAD and Natural Questions are compared, with spaces for marks; but numbers
    keep their signs and decimals, and a letter that names a choice is no article.

    Examples
    --------
    >>> normalised("The  Eiffel-Tower!"), normalised("A. -3.50, or 1,000 %"), normalised("C++")
    ('eiffel tower', 'a -3.50 or 1000 %', 'c++')
    """
    plain = _ARTICLES.sub("", text.lower().replace("\u2212", "-"))
    return " ".join(_MARKS.sub(" ", _THOUSANDS.sub("", plain)).split())


def exact_match(answer: str, accepted: Sequence[str]) -> bool:
    """Return True when an answer is one of those accepted, but for case, marks and articles.

    Examples
    --------
    >>> exact_match("B. bank", ["b. Bank."]), exact_match("bank", ["B. bank"])
    (True, False)
    """
    said = normalised(answer)
    if not said:
        return any(answer.strip().lower() == right.strip().lower() for right in accepted)
    return any(said == normalised(right) for right in accepted)


def rouge_l(answer: str, accepted: Sequence[str]) -> float:
    """Return the ROUGE-L F-measure to the closest reference: the longest common subsequence.

    Words are runs of letters and digits in lower case, without stemming (Lin 2004).

    Examples
    --------
    >>> round(rouge_l("the cat sat on the mat", ["the cat is on the mat"]), 4)
    0.8333
    """
    return max((_rouge(_words(answer), _words(right)) for right in accepted), default=0.0)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _rouge(said: Sequence[str], right: Sequence[str]) -> float:
    if not said or not right:
        return float(not said and not right)
    before = [0] * (len(right) + 1)
    for word in said:
        now = [0]
        for j, other in enumerate(right):
            now.append(before[j] + 1 if word == other else max(before[j + 1], now[j]))
        before = now
    common = before[-1]
    if common == 0:
        return 0.0
    precision, recall = common / len(said), common / len(right)
    return 2.0 * precision * recall / (precision + recall)
