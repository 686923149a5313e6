"""The loop: select, ask, learn, score; the same parts for a simulation and for a person."""

from __future__ import annotations

from labeltrain.loop.oracle import Oracle, SimulatedOracle
from labeltrain.loop.select import Selection, select
from labeltrain.loop.trajectory import Plan, Pool, Trajectory

__all__ = ["Oracle", "Plan", "Pool", "Selection", "SimulatedOracle", "Trajectory", "select"]
