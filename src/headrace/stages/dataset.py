"""How one kind of event is treated: all that the stages and silver need to know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from headrace import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from headrace.contracts.contract import Contract
    from headrace.contracts.iglu import Family
    from headrace.contracts.versions import Version
    from headrace.stages.enrich import Enrichment
    from headrace.stages.late import LateSpec
    from headrace.stages.quality import RuleSpec
    from headrace.stages.upcast import UpcastStep
    from headrace.stages.versioned import VersionFrom


@dataclass(frozen=True)
class Dataset:
    """A contract, and what makes its rows themselves.

    `name` is the silver table. `key` is empty where every message is an event of its own. `event_time` is None where
    the time of ingestion stands for it. `timezone` (IANA) gives naive times their zone. What `enrichments` add, in
    their order, is no part of the payload: an event is the same whatever a lookup says of it.

    `versions` has all of the contract's, the oldest first; the last is `contract`, whose columns all else is about. It
    is empty only where a dataset is made by hand. `upcasts` has the steps from each version to the next, by its name;
    `version_from` says where an event names its version, and `downcasts` has the declared steps from the next version
    back to each, for what is sent on in an older shape. `iglu` is what self-describing events are of, where they come
    in Iglu's envelopes: these name the version.
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
    versions: tuple[Version, ...] = field(default=())
    upcasts: Mapping[str, tuple[UpcastStep, ...]] = field(default_factory=lambda: MappingProxyType({}))
    version_from: VersionFrom | None = None
    downcasts: Mapping[str, tuple[UpcastStep, ...]] = field(default_factory=lambda: MappingProxyType({}))
    iglu: Family | None = None

    @property
    def is_versioned(self) -> bool:
        """Whether an event may be of another version than the newest, or name one."""
        return len(self.versions) > 1 or self.version_from is not None or self.iglu is not None

    def payload(self) -> pa.Schema:
        """Return the columns that make an event itself: those of the contract, and the unknown fields if lenient."""
        import pyarrow as pa

        schema = self.contract.arrow_schema()
        return schema.append(pa.field(words.EXTRA, pa.string())) if self.contract.validation == "lenient" else schema

    def columns(self) -> pa.Schema:
        """Return the columns of its events: those of the contract, then those that are added."""
        import pyarrow as pa

        added = (each for step in self.enrichments for each in step.fields())
        return pa.schema([*self.contract.arrow_schema(), *added])
