"""Fields of specs that are stricter than pydantic's: no silent conversions."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict


def whole(value: Any) -> Any:
    """Pass whole numbers and None; pydantic alone would read true and 2.0 as numbers too."""
    if isinstance(value, np.integer):
        return int(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError("not a whole number")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def class_name(value: Any) -> str:
    """Return the name of a class; YAML reads some as numbers, and yes and no as no text at all."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("not the name of a class; write it in quotes")
    return unicodedata.normalize("NFC", value.strip())


def listed(value: Any) -> Any:
    """Read a text as names with commas, and anything else that is no list as a list of one."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value,)
    return value


Whole = Annotated[int, BeforeValidator(whole)]
Number = Annotated[float, BeforeValidator(_number)]
ClassName = Annotated[str, BeforeValidator(class_name)]
ClassNames = Annotated[tuple[ClassName, ...], BeforeValidator(listed)]


class Strict(BaseModel):
    """A part of a spec: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
