"""What strategies ask for and learners give: the vocabulary both floors share."""

from __future__ import annotations

from enum import StrEnum


class Need(StrEnum):
    """What a strategy reads of its view; the loop refuses what the learner cannot give."""

    EMBEDDINGS = "embeddings"
    HIDDEN = "hidden"
    PROBABILITIES = "probabilities"
    COMMITTEE = "committee"
    PREDICT = "predict"
    HEAD = "head"
    POSTERIOR = "posterior"
    OUT_OF_FOLD = "out_of_fold"
    PRIOR = "prior"
    GROUPS = "groups"
    COSTS = "costs"
    TARGETS = "targets"
    SCORES = "scores"


# What says nothing while fewer than two classes are labelled.
OF_A_TRAINED_MODEL = frozenset(
    {
        Need.PROBABILITIES,
        Need.COMMITTEE,
        Need.PREDICT,
        Need.HEAD,
        Need.POSTERIOR,
        Need.OUT_OF_FOLD,
    }
)
