"""Connectors: how the outside world's files and streams become messages."""
