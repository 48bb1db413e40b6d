"""What the collector counts, and how `/metrics` tells it: the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Counts:
    """Plain counters, all written by the event loop: a request costs a few additions."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int, str]] = Counter()  # source, status, reason
        self.events: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._acks = [0] * (len(BOUNDS) + 1)
        self._ack_secs = 0.0

    def accepted(self, source: str, events: int, size: int, secs: float) -> None:
        """Count a request that was acknowledged, and how long that took from its head to its answer."""
        self.requests[source, 202, "accepted"] += 1
        self.events[source] += events
        self.bytes[source] += size
        self._acks[bisect_left(BOUNDS, secs)] += 1
        self._ack_secs += secs

    def metrics(self, gauges: Mapping[str, Callable[[], float]]) -> Iterator[Metric]:
        """Yield everything, as the client library of Prometheus wants it."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(
            "headrace_collector_requests",
            "Requests to send events, by source, status and reason.",
            labels=["source", "status", "reason"],
        )
        for (source, status, reason), count in sorted(self.requests.items()):
            requests.add_metric([source, str(status), reason], count)
        yield requests
        events = CounterMetricFamily("headrace_collector_events", "Events acknowledged, by source.", labels=["source"])
        for source, count in sorted(self.events.items()):
            events.add_metric([source], count)
        yield events
        sizes = CounterMetricFamily(
            "headrace_collector_bytes", "Bytes of bodies acknowledged, decompressed, by source.", labels=["source"]
        )
        for source, count in sorted(self.bytes.items()):
            sizes.add_metric([source], count)
        yield sizes
        buckets, total = [], 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self._acks, strict=True):
            total += count
            buckets.append((bound, float(total)))
        acks = HistogramMetricFamily(
            "headrace_collector_ack_seconds", "From a request's head to its durable acknowledgement."
        )
        acks.add_metric([], buckets, self._ack_secs)
        yield acks
        for name, value in gauges.items():
            gauge = GaugeMetricFamily(f"headrace_collector_{name}", _GAUGES[name])
            gauge.add_metric([], value())
            yield gauge


_GAUGES = {
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


def text_of(counts: Counts, gauges: Mapping[str, Callable[[], float]]) -> bytes:
    """Return what `/metrics` answers."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Once:
        def collect(self) -> Iterator[Metric]:
            return counts.metrics(gauges)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)
