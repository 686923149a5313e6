"""Active multi-task learning: which source tasks are worth the labels of a target task?"""

from __future__ import annotations

from labeltrain.multitask.adaptive import linear_learner, run
from labeltrain.multitask.methods import METHODS, Method
from labeltrain.multitask.neural import NeuralLearner
from labeltrain.multitask.page import write_page
from labeltrain.multitask.plan import Plan
from labeltrain.multitask.reading import Reading, read_tasks
from labeltrain.multitask.records import Epoch, Outcome
from labeltrain.multitask.results import MethodRun, RunResults, read_results
from labeltrain.multitask.running import run_in
from labeltrain.multitask.sources import ArraySource, TaskSource
from labeltrain.multitask.spec import RunSpec, make_spec
from labeltrain.multitask.summary import RunSummary, summarise
from labeltrain.multitask.synthetic import Synthetic, generate
from labeltrain.multitask.tasks import Task, TaskSet

__all__ = [
    "METHODS",
    "ArraySource",
    "Epoch",
    "Method",
    "MethodRun",
    "NeuralLearner",
    "Outcome",
    "Plan",
    "Reading",
    "RunResults",
    "RunSpec",
    "RunSummary",
    "Synthetic",
    "Task",
    "TaskSet",
    "TaskSource",
    "generate",
    "linear_learner",
    "make_spec",
    "read_results",
    "read_tasks",
    "run",
    "run_in",
    "summarise",
    "write_page",
]
