"""Watched folders: which files lie there, which were taken, and their rows as numbered messages."""
