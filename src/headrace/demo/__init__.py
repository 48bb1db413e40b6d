"""The demo shop: its events, made from a seed, and the project that takes them in."""
