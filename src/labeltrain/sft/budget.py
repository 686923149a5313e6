"""How much may be asked: prompts, a share of them, tokens, or money."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.sft.prompts import Prompt

FORMS = "write 5000, 20%, 400000tokens, or 800usd"
_CURRENCY = {"usd": "usd", "$": "usd", "eur": "eur", "€": "eur", "gbp": "gbp", "£": "gbp"}


@dataclass(frozen=True)
class Budget:
    """A budget as it was written.

    Attributes
    ----------
    text : str
    amount : float
    unit : {"prompts", "share", "tokens", "money"}
    """

    text: str
    amount: float
    unit: str

    def prompts(self, n: int) -> int | None:
        """Return how many prompts it is of `n`; None when that depends on which."""
        if self.unit == "share":
            return int(self.amount * n / 100 + 1e-9)
        return int(self.amount) if self.unit == "prompts" else None


def parsed_budget(text: str | int | float) -> Budget:
    """Read a budget.

    Raises
    ------
    BadInput

    Examples
    --------
    >>> from labeltrain.sft.budget import parsed_budget
    >>> parsed_budget("20%").unit, parsed_budget("1e5 tokens").amount, parsed_budget("$800").unit
    ('share', 100000.0, 'money')
    """
    words = re.sub(r"(?<=\d)[,_](?=\d{3}(?!\d))", "", str(text).strip().lower())
    match = re.fullmatch(r"([$€£]?)\s*(\d+\.?\d*(?:e\d+)?)\s*(%|[a-z$€£]*)", words)
    if not match:
        raise BadInput(f"the budget {text!r} is not understood", FORMS)
    before, number, unit = match.groups()
    amount = float(number)
    if unit == "%" and not before:
        if not 0.0 < amount <= 100.0:
            raise BadInput(f"the budget {text!r} is no share", "give more than 0 and at most 100 %")
        return Budget(str(text), amount, "share")
    if unit in ("token", "tokens") and not before:
        return Budget(str(text), amount, "tokens")
    if (before or unit) in _CURRENCY and not (before and unit):
        return Budget(str(text), amount, "money")
    if before or unit not in ("", "prompt", "prompts") or amount != int(amount) or "." in number:
        raise BadInput(f"the budget {text!r} is not understood", FORMS)
    if amount < 1:
        raise BadInput(f"the budget {text!r} buys nothing", "give at least one prompt")
    return Budget(str(text), amount, "prompts")


def costs(
    budget: Budget,
    prompts: Sequence[Prompt],
    tokens: np.ndarray | None,
    *,
    price_per_answer: float | None = None,
    price_per_1000_tokens: float | None = None,
    cost_field: str | None = None,
) -> np.ndarray | None:
    """Return what the answer to each prompt costs; None when the budget counts prompts.

    Parameters
    ----------
    budget : Budget
    prompts : sequence of Prompt
    tokens : ndarray of int, shape (n,), optional
        Of the prompt and the model's own answer: about what an annotator reads and writes.
    price_per_answer, price_per_1000_tokens : float, optional
        Money; they add up.
    cost_field : str, optional
        Key of a record with the price of its answer.

    Raises
    ------
    BadInput
        Money without a price, a price that is no positive number, tokens without a scoring.
    """
    priced = [price_per_answer, price_per_1000_tokens, cost_field]
    if budget.unit != "money":
        if any(value is not None for value in priced):
            raise BadInput(
                f"prices are given, and the budget {budget.text!r} is no money", "write 800usd"
            )
        if budget.unit != "tokens":
            return None
        return _counted(tokens)
    if cost_field is not None:
        return _of_field(prompts, cost_field)
    if price_per_answer is None and price_per_1000_tokens is None:
        raise BadInput(
            f"the budget {budget.text!r} is money, and nothing has a price",
            "--price-per-answer, --price-per-1000-tokens or --cost-field",
        )
    for name, value in (("answer", price_per_answer), ("1000-tokens", price_per_1000_tokens)):
        if value is not None and not 0.0 < value < np.inf:
            raise BadInput(f"--price-per-{name} {value}", "give a price above 0")
    result = np.full(len(prompts), float(price_per_answer or 0.0))
    if price_per_1000_tokens is not None:
        result += _counted(tokens) * price_per_1000_tokens / 1000.0
    return result


def _counted(tokens: np.ndarray | None) -> np.ndarray:
    if tokens is None or not np.isfinite(tokens).all():
        raise BadInput(
            "a budget of tokens needs to know how long answers will be",
            "score the prompts with a model first (labeltrain sft score --model ...)",
        )
    return np.asarray(tokens, dtype=np.float64)


def _of_field(prompts: Sequence[Prompt], name: str) -> np.ndarray:
    found = np.empty(len(prompts))
    for i, prompt in enumerate(prompts):
        value = prompt.record.get(name)
        try:
            found[i] = float(value) if not isinstance(value, bool) else np.nan  # type: ignore[arg-type]
        except (TypeError, ValueError):
            found[i] = np.nan
        if not 0.0 < found[i] < np.inf:
            raise BadInput(
                f"prompt {prompt.id!r} (line {prompt.line}) has {name!r} = {value!r}",
                "give every prompt a price above 0",
            )
    return found
