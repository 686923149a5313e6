"""Learners: labels in, models out."""

from __future__ import annotations

from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training
from labeltrain.learners.registry import make, rebuild, register

__all__ = ["Cost", "Learner", "Model", "PriorModel", "Training", "make", "rebuild", "register"]
