"""The workspace: an append-only ledger in SQLite and content-addressed arrays beside it."""

from __future__ import annotations

from labeltrain.store.ledger import Event, Ledger
from labeltrain.store.workspace import Workspace

__all__ = ["Event", "Ledger", "Workspace"]
