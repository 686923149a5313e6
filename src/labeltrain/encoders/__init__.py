"""Pretrained models that turn items into features, and the cache of what they made."""

from __future__ import annotations

from labeltrain.encoders.base import Encoder
from labeltrain.encoders.cache import Features, features
from labeltrain.encoders.registry import default_for, describe, make, names

__all__ = ["Encoder", "Features", "default_for", "describe", "features", "make", "names"]
