"""How one kind of event is treated: all that the stages and silver need to know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.contracts.contract import Contract
    from headrace.stages.enrich import Enrichment
    from headrace.stages.late import LateSpec
    from headrace.stages.quality import RuleSpec


@dataclass(frozen=True)
class Dataset:
    """A contract, and what makes its rows themselves.

    `name` is the silver table. `key` is empty where every message is an event of its own. `event_time` is None where
    the time of ingestion stands for it. `timezone` (IANA) gives naive times their zone. What `enrichments` add, in
    their order, is no part of the payload: an event is the same whatever a lookup says of it.
    """

    name: str
    contract: Contract
    key: tuple[str, ...] = ()
    version_by: str | None = None
    event_time: str | None = None
    timezone: str = "UTC"
    late: LateSpec | None = None
    enrichments: tuple[Enrichment, ...] = field(default=())
    rules: tuple[RuleSpec, ...] = field(default=())

    def columns(self) -> pa.Schema:
        """Return the columns of its events: those of the contract, then those that are added."""
        import pyarrow as pa

        added = (each for step in self.enrichments for each in step.fields())
        return pa.schema([*self.contract.arrow_schema(), *added])
