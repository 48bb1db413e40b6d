"""The relay: a child process of `up` that sends what waits in the outbox, each push at its own pace.

    ops.outbox ─▶ feed ─▶ rounds: choose ▸ send ▸ settle ─▶ store (position, letters), one transaction a round
    builds     ─▶

A push has a position, connections, retries and dead letters of its own: a dead or slow endpoint holds up nobody else,
and the ticks never wait for any of them.
"""
