"""Checks of a learner's options: each names the learner, the option and what it takes."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from labeltrain.errors import BadInput


def check_whole(owner: str, least: int = 1, **values: Any) -> None:
    """Raise unless every value is a whole number of at least `least`.

    Raises
    ------
    BadInput
    """
    for option, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
            raise BadInput(f"{owner}: {option}={value!r}", f"give a whole number, {least} or more")


def check_positive(owner: str, **values: Any) -> None:
    """Raise unless every value is a finite number above 0.

    Raises
    ------
    BadInput
    """
    for option, value in values.items():
        if not _number(value) or not value > 0:
            raise BadInput(f"{owner}: {option}={value!r}", "give a number above 0")


def check_not_negative(owner: str, **values: Any) -> None:
    """Raise unless every value is a finite number of at least 0.

    Raises
    ------
    BadInput
    """
    for option, value in values.items():
        if not _number(value) or not value >= 0:
            raise BadInput(f"{owner}: {option}={value!r}", "give a number, 0 or more")


def check_share(owner: str, **values: Any) -> None:
    """Raise unless every value is a number from 0 to 1.

    Raises
    ------
    BadInput
    """
    for option, value in values.items():
        if not _number(value) or not 0 <= value <= 1:
            raise BadInput(f"{owner}: {option}={value!r}", "give a number from 0 to 1")


def check_choice(owner: str, known: Collection[str], **values: Any) -> None:
    """Raise unless every value is one of the known words.

    Raises
    ------
    BadInput
    """
    for option, value in values.items():
        if value not in known:
            raise BadInput(f"{owner}: {option}={value!r}", f"use one of: {', '.join(known)}")


def check_flag(owner: str, **values: Any) -> None:
    """Raise unless every value is True or False.

    Raises
    ------
    BadInput
    """
    for option, value in values.items():
        if not isinstance(value, bool):
            raise BadInput(f"{owner}: {option}={value!r}", "give true or false")


def check_device(owner: str, device: Any) -> None:
    """Raise unless `device` is a name.

    Raises
    ------
    BadInput
    """
    if not isinstance(device, str):
        raise BadInput(f"{owner}: device={device!r} is no name", "such as auto, cpu or cuda")


def _number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return -float("inf") < float(value) < float("inf")
