"""The doctor: which files of an environment's state are damaged, what is lost with them, and the way out of it.

Each component knows how to look at its own files (`bus.remains`, `lake.soundness`, `sqlite_file.trouble`); here it is
put against what the lake has committed, which says whether anything is lost.
"""
