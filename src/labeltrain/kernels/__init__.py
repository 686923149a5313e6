"""Bare numerics on arrays: no validation, no I/O, no other part of labeltrain."""
