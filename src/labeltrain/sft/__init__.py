"""Label-efficient supervised fine-tuning: which prompts should be answered?"""

from __future__ import annotations
