"""Labelling projects of real people: next, tell, status, predict."""

from __future__ import annotations

from labeltrain.projects.model import SavedModel, load_model
from labeltrain.projects.project import Project

__all__ = ["Project", "SavedModel", "load_model"]
