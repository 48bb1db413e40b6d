"""Secrets are references, resolved late and never shown."""
