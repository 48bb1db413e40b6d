"""Headrace: a data platform for event streams that is fresh, correct, and able to prove it."""

__version__ = "0.1.0"
