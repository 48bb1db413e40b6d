"""Loads a project: assembles every component's model, merges, lints, and points at file:line."""
