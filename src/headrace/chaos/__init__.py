"""Chaos: a copy of a project lives through crashes on purpose, and then everything must be there, once."""
