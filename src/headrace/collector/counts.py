"""What the collector counts, and how `/metrics` tells it: the text format of Prometheus, all workers together."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from headrace.collector.board import SUPERVISOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from headrace.collector.board import Board, Key

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BUCKETS = [("ack", str(at)) for at in range(len(BOUNDS) + 1)]
_ACK_SECS = ("ack_secs",)
_UNREADY = ("gauge", "unready")


class Counts:
    """The counters of one worker, which its event loop writes, and the sums of all: a request costs a few additions.

    They go on where a worker ended, and begin anew with the collector.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._totals: dict[str, float] = {}

    def refused(self, source: str, status: int, reason: str) -> None:
        """Count a request that was not acknowledged."""
        self._board.add(("requests", source, str(status), reason))

    def accepted(self, source: str, events: int, size: int, secs: float) -> None:
        """Count a request that was acknowledged, and how long that took from its head to its answer."""
        add = self._board.add
        add(("requests", source, "202", "accepted"))
        add(("events", source), events)
        add(("bytes", source), size)
        add(_BUCKETS[bisect_left(BOUNDS, secs)])
        add(_ACK_SECS, secs)

    def note(self, gauges: Mapping[str, float], totals: Mapping[str, float]) -> None:
        """Take in how much of something there is now, and how much there ever was since this worker began."""
        for name, value in gauges.items():
            self._board.put(("gauge", name), value)
        for name, total in totals.items():
            if grown := total - self._totals.get(name, 0):
                self._board.add(("gauge", name), grown)
                self._totals[name] = total

    def lives(self, worker: int, *, lives: bool) -> None:
        """Note whether a worker takes events; for the one who watches over it."""
        self._board.put(("lives", str(worker)), lives)

    @property
    def workers(self) -> int:
        """How many workers there should be."""
        return self._board.workers

    def living(self) -> frozenset[int]:
        """Return the numbers of the workers that take events."""
        if self._board.workers == 1:
            return frozenset({1})
        return frozenset(int(key[1]) for key, lives in self._board.of(SUPERVISOR).items() if lives)

    def unready(self) -> int:
        """Return how many other workers live that have events which do not go to the bus."""
        others = self.living() - {self._board.mine}
        return sum(bool(part.get(_UNREADY)) for number, part in self._board.all().items() if number in others)

    def metrics(self) -> Iterator[Metric]:
        """Yield everything, as the client library of Prometheus wants it."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        sums = self._sums()
        requests = CounterMetricFamily(
            "headrace_collector_requests",
            "Requests to send events, by source, status and reason.",
            labels=["source", "status", "reason"],
        )
        events = CounterMetricFamily("headrace_collector_events", "Events acknowledged, by source.", labels=["source"])
        sizes = CounterMetricFamily(
            "headrace_collector_bytes", "Bytes of bodies acknowledged, decompressed, by source.", labels=["source"]
        )
        of = {"requests": requests, "events": events, "bytes": sizes}
        for (kind, *labels), count in sorted(sums.items()):
            if kind in of:
                of[kind].add_metric(labels, count)
        yield from of.values()
        buckets, total = [], 0.0
        for bound, key in zip((*map(str, BOUNDS), "+Inf"), _BUCKETS, strict=True):
            total += sums[key]
            buckets.append((bound, total))
        acks = HistogramMetricFamily(
            "headrace_collector_ack_seconds", "From a request's head to its durable acknowledgement."
        )
        acks.add_metric([], buckets, sums[_ACK_SECS])
        yield acks
        for name, what in _GAUGES.items():
            gauge = GaugeMetricFamily(f"headrace_collector_{name}", what)
            gauge.add_metric([], sums["gauge", name])
            yield gauge

    def _sums(self) -> Counter[Key]:
        living = self.living()
        sums: Counter[Key] = Counter()
        for number, part in self._board.all().items():
            for key, value in part.items():
                if number in living or key not in _OF_THE_LIVING:
                    sums[key] += value  # type: ignore[assignment] # Counter counts in floats just as well
        sums["gauge", "workers"] = len(living)
        sums["gauge", "draining"] = min(1, sums["gauge", "draining"])
        return sums


_GAUGES = {
    "workers": "Workers that take events.",
    "waiting_bytes": "Bytes of bodies that are read or wait for their acknowledgement.",
    "waiting_requests": "Requests that are read or wait for their acknowledgement.",
    "spool_bytes": "Bytes that the spool takes of its disk.",
    "spool_segments": "Segments that wait in the spool.",
    "spooled_events": "Events that went to the spool since the start.",
    "replayed_events": "Events of the spool that were published since the start.",
    "group_commits": "Commits to the bus since the start; each took all requests that waited.",
    "group_commit_seconds": "Time spent in them.",
    "draining": "1 once it was asked to end.",
}
_OF_THE_LIVING = frozenset({("gauge", "waiting_bytes"), ("gauge", "waiting_requests"), ("gauge", "draining")})


def text_of(counts: Counts) -> bytes:
    """Return what `/metrics` answers."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Once:
        def collect(self) -> Iterator[Metric]:
            return counts.metrics()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)
