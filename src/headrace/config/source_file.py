"""The shape of `connectors/<source_id>.yaml`: every component's Spec, assembled.

Two forms mean the same: the full one (`ingestion: schema: processing: serving: monitoring:`) and the flat one, with
`pattern:` and the other keys of `ingestion:` at the top and `schema_file:` for `schema: {file: …}`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from headrace.config.iglu import IgluSpec  # noqa: TC001 - pydantic reads it when it runs
from headrace.config.settings import BatchRows, Evolution, FreshnessSecs, SlaMinutes, TimeZone, Validation
from headrace.connectors.ingestion import PLANNED, IngestionSpec
from headrace.connectors.push import PushSpec
from headrace.durations import Duration
from headrace.spec import Spec
from headrace.stages.enrich import EnrichSpec
from headrace.stages.late import LateSpec
from headrace.stages.merge import DeduplicationSpec
from headrace.stages.quality import RuleSpec
from headrace.stages.versioning import VersioningSpec
from headrace.warehouse.gold import GoldStep
from headrace.words import IDENTIFIER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FLAT_SCHEMA = "schema_file"

_ROUNDS = 4
_HARMLESS: dict[str, Any] = {
    "bronze_to_silver": {"data_quality": {"rules": []}},
    "rules": {"check": "1 = 1"},
    "silver_to_gold": {"filter": "true"},
    "push": {"name": "push", "topic": "none"},
    "upcast": {"drop": ["nothing"]},
    "downcast": {"drop": ["nothing"]},
}


def _identifier(text: str) -> str:
    if not IDENTIFIER.fullmatch(text):
        raise ValueError(f"{text!r} cannot be a name: a lower-case letter, then letters, digits and _, at most 63")
    return text


class SchemaSpec(VersioningSpec):
    """The contract of a source's events, and how strictly it is held."""

    file: str | None = Field(
        default=None, description="The contract: JSON Schema or the `fields` form.", examples=["schemas/orders.json"]
    )
    inline: dict[str, Any] | None = Field(default=None, description="The contract itself, in place of a file.")
    iglu: IgluSpec | None = Field(
        default=None,
        description="The contract of self-describing events: a schema of Iglu, in place of a file.",
        examples=["com.example/order"],
    )
    validation: Validation | None = Field(
        default=None, description="strict quarantines an event with unknown fields; lenient keeps them in _extra."
    )
    evolution: Evolution | None = Field(
        default=None, description="Which changes of the schema are allowed: what `check --against` holds it to."
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        given = [name for name in ("file", "inline", "iglu") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give `{given[0]}` or `{given[1]}`, not both")
        if self.iglu is not None and self.version_from is not None:
            raise ValueError("events name their version in Iglu's envelope: give `iglu` without `version_from`")
        return self


class DataQualitySpec(Spec):
    """Rules that an event must meet beyond its contract."""

    rules: tuple[RuleSpec, ...] = Field(description="Each on a field, or an expression over several.")


class SilverStep(Spec):
    """One step of `bronze_to_silver`; exactly one of the keys is given."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    deduplication: DeduplicationSpec | None = None
    late: LateSpec | None = None
    enrich: EnrichSpec | None = None
    data_quality: DataQualitySpec | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a step of bronze_to_silver has exactly one of {', '.join(type(self).model_fields)}")
        return self


class ProcessingSpec(Spec):
    """What happens to events between bronze and gold."""

    bronze_to_silver: tuple[SilverStep, ...] = Field(
        default=(), description="Deduplication, enrichment, late data, quality."
    )
    silver_to_gold: tuple[GoldStep, ...] = Field(default=(), description="The steps of the dataset's gold model.")
    freshness_secs: FreshnessSecs | None = Field(
        default=None, description="How soon after an event arrives a commit is due (default 1.0)."
    )
    batch_rows: BatchRows | None = Field(
        default=None, description="How many messages one batch holds at most (default 100,000)."
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        for name in ("deduplication", "late"):
            if sum(getattr(step, name) is not None for step in self.bronze_to_silver) > 1:
                raise ValueError(f"`{name}` is given twice in bronze_to_silver; keep one")
        return self


class ServingSpec(Spec):
    """Who may read what this source becomes, and who is sent it."""

    third_party_api: bool = Field(default=False, description="Partners, through the API.", json_schema_extra=PLANNED)
    reporting: bool = Field(default=False, description="Dashboards and reports.", json_schema_extra=PLANNED)
    ml_features: bool = Field(default=False, description="The feature store.", json_schema_extra=PLANNED)
    push: tuple[PushSpec, ...] = Field(default=(), description="Who is sent events, failures or commits as they come.")

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [push.name for push in self.push]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two pushes are called {twice!r}: give each a name of its own")
        return self


class MonitoringSpec(Spec):
    """What is watched, and who is told."""

    sla_minutes: SlaMinutes | None = Field(default=None, description="How old the newest data may be.", examples=[60])
    alert_email: str | None = Field(
        default=None, pattern=r"^[^@\s]+@[^@\s]+$", description="Who is told.", json_schema_extra=PLANNED
    )
    metrics: tuple[str, ...] = Field(
        default=(), description="What is measured.", examples=[["record_count"]], json_schema_extra=PLANNED
    )


class SourceFile(Spec):
    """One source: where its events come from, and all that happens to them."""

    source_id: Annotated[str, AfterValidator(_identifier)] = Field(
        description="The source's name; also the name of its file.",
        examples=["orders"],
        json_schema_extra={"pattern": f"^{IDENTIFIER.pattern}$"},
    )
    display_name: str | None = Field(default=None, description="What people call it.")
    description: str | None = Field(default=None, description="What it holds, in a sentence.")
    owner: str | None = Field(default=None, description="The team that answers for it.", examples=["commerce-team"])
    ingestion: IngestionSpec = Field(description="Where messages come from and what they look like.")
    schema_: SchemaSpec | None = Field(default=None, alias="schema", description="The contract of the events.")
    event_time: str | None = Field(default=None, description="The field that says when an event happened.")
    timezone: TimeZone | None = Field(default=None, description="The IANA zone of times that carry none (default UTC).")
    dedup_window: Duration | None = Field(
        default=None, description="How far back a key is remembered (default: for ever).", json_schema_extra=PLANNED
    )
    processing: ProcessingSpec = Field(default=ProcessingSpec(), description="What happens between bronze and gold.")
    serving: ServingSpec = Field(default=ServingSpec(), description="Who may read the result.")
    monitoring: MonitoringSpec = Field(default=MonitoringSpec(), description="What is watched, and who is told.")


def is_flat(source: Mapping[str, Any]) -> bool:
    """Whether a source file has the keys of `ingestion:` at its top."""
    return "ingestion" not in source


def full_form(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source file in its full form; every key is kept, and a key that fits nowhere stays where it is."""
    full = dict(source)
    if is_flat(source):
        keys = [key for key in source if key in IngestionSpec.model_fields]
        full["ingestion"] = {key: full.pop(key) for key in keys}
    if FLAT_SCHEMA in full and not isinstance(full.get("schema", {}), dict):
        return full
    if FLAT_SCHEMA in full and "file" not in full.get("schema", {}):
        full["schema"] = {**full.get("schema", {}), "file": full.pop(FLAT_SCHEMA)}
    return full


def written_key(source: Mapping[str, Any], key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return where a key of the full form stands in the file as it was written."""
    if key[:1] == ("ingestion",) and is_flat(source):
        return key[1:]
    if FLAT_SCHEMA in source and (key[:2] == ("schema", "file") or (key == ("schema",) and "schema" not in source)):
        return (FLAT_SCHEMA, *key[2:])
    return key


def without(source: Mapping[str, Any], wrong: Sequence[tuple[Any, ...]]) -> SourceFile | None:
    """Return what is left of a source file, in its full form, without the keys that are wrong.

    It serves to look for faults in the rest at once; None where nothing sensible is left. Items of lists keep their
    index, so that keys still lead to their lines.
    """
    rest = copy.deepcopy(dict(source))
    for _ in range(_ROUNDS):
        for key in wrong:
            _take_out(rest, key)
        if not isinstance(rest.get("ingestion"), dict):
            rest["ingestion"] = {}
        rest["ingestion"].setdefault("pattern", "event_streaming")
        rest.setdefault("source_id", "source")
        try:
            return SourceFile.model_validate(rest)
        except ValidationError as error:
            wrong = [detail["loc"] for detail in error.errors(include_url=False, include_input=False)]
    return None


def _take_out(rest: dict[str, Any], key: tuple[Any, ...]) -> None:
    """Take a key out; where it is not there (it is missing), what encloses it; an item of a list becomes harmless."""
    trail: list[tuple[Any, Any]] = []
    value: Any = rest
    for part in key:
        inside = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
        if not inside:
            break
        trail.append((value, part))
        value = value[part]
    if not trail:
        return
    holder, part = trail[-1]
    if isinstance(holder, dict):
        del holder[part]
    else:
        name = next((str(part) for _, part in reversed(trail) if isinstance(part, str)), "")
        holder[part] = copy.deepcopy(_HARMLESS.get(name, ""))
