"""Learners that go on from the model of the round before."""
