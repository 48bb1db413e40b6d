"""The runtime: the tick, `up`, and what a running project can be asked."""
