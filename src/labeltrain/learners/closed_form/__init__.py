"""Learners on frozen features that take a label in by a formula, without a training loop."""
