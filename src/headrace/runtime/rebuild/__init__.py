"""Rebuild: silver made anew from bronze by the stages and merges that the stream goes through, under what was recorded.

    ops.batches ─▶ recorded: which contracts, which lookups, from where to where ─▶ rounds
    bronze      ─▶ bronze bus ─▶ the same loop of ticks ─▶ a lake of its own

Batches fall elsewhere than they did in the stream, two sources at a time, and nothing is read but bronze: that the
outcome is the same is what `headrace verify --from-bronze` shows.
"""
