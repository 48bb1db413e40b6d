"""Stands before pandas in every process that a test starts: it is a dependency of our tests alone.

Arrow would load it just because it is there, a third of what `headrace status` costs.
"""

raise ModuleNotFoundError("as users have it, without pandas", name="pandas")
