"""Active multi-task learning: which source tasks are worth the labels of a target task?"""

from __future__ import annotations
