"""The `headrace` command: one verb, one file; each parses, calls the floors below, and shows."""
