"""The `ingestion:` section of a source, or the same keys at the top of a flat file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator

from headrace.connectors.batch_file.decisions import FilesSpec
from headrace.durations import Duration
from headrace.spec import Spec
from headrace.stages.csv_rows import CsvSpec
from headrace.stages.versioning import VersioningSpec
from headrace.words import IDENTIFIER

Pattern = Literal["event_streaming", "batch_file", "streaming_api", "database_cdc", "cloud_transfer"]

PLANNED: dict[str, Any] = {"x-headrace-planned": True}
"""Marks a key that is read and kept, but that nothing acts on yet; `check` says so."""

_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def _cron(text: str) -> str:
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    try:
        CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(
            f"{text!r} is not a cron expression ({error}): write five fields, such as '0 3 * * *' for 3 AM daily"
        ) from None
    return text


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        raise ValueError(f"{text!r} cannot name a topic: letters, digits, '.', '_' and '-', at most 200")
    return text


Topic = Annotated[str, AfterValidator(_topic)]
Cron = Annotated[str, AfterValidator(_cron), WithJsonSchema({"type": "string", "pattern": r"^\s*\S+(\s+\S+){4,5}\s*$"})]


class TableSpec(VersioningSpec):
    """One table of a database source, with a contract of its own."""

    name: str = Field(min_length=1, description="The table's name in the database.", examples=["orders"])
    schema_file: str | None = Field(default=None, description="The contract of this table's rows.")
    key: tuple[str, ...] = Field(default=(), description="The columns that make a row itself.")
    version_by: str | None = Field(default=None, description="The column that orders the versions of a row.")
    event_time: str | None = Field(default=None, description="The column that holds a row's event time.")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core_schema)]}


class IngestionSpec(Spec):
    """Where a source's messages come from and what they look like."""

    pattern: Pattern = Field(description="How messages arrive.")
    message_format: Literal["json", "ndjson", "csv"] | None = Field(
        default=None, description="What one message is (default: `format`, or json)."
    )
    topic: Topic | None = Field(default=None, description="The bus topic to read (default: the source_id).")
    csv: CsvSpec = Field(default=CsvSpec(), description="How the records of a CSV source are written.")
    tables: tuple[TableSpec, ...] = Field(default=(), description="The tables to capture; a dataset each.")

    pubsub_topic: str | None = Field(
        default=None, description="The cloud topic that producers publish to.", json_schema_extra=PLANNED
    )
    window_size: Duration | None = Field(
        default=None, description="The width of the windows of aggregates over the stream.", json_schema_extra=PLANNED
    )
    location: str | None = Field(
        default=None,
        description="Where files land: a folder of the project, or a URI that a binding may map to a folder.",
        examples=["landing/example/", "gs://landing-zone/example/"],
    )
    schedule: Cron | None = Field(
        default=None,
        description="When to look for new data: cron with five fields, in the source's time zone.",
        examples=["0 3 * * *"],
    )
    format: Literal["json", "ndjson", "csv", "tsv", "parquet", "avro"] | None = Field(
        default=None, description="What the files hold (default: as their names end)."
    )
    compression: Literal["none", "gzip", "zstd", "bz2", "bzip2", "zip", "snappy"] | None = Field(
        default=None, description="How the files are compressed (default: as their names and first bytes say)."
    )
    files: FilesSpec = Field(default=FilesSpec(), description="How a folder of files is watched.")
    connector_type: str | None = Field(
        default=None, description="The connector that fetches.", examples=["rest_api"], json_schema_extra=PLANNED
    )
    api_endpoint: str | None = Field(default=None, description="The URL to fetch from.", json_schema_extra=PLANNED)
    auth_type: Literal["none", "bearer_token", "basic", "api_key", "oauth2"] | None = Field(
        default=None, description="How to authenticate.", json_schema_extra=PLANNED
    )
    secret_name: str | None = Field(
        default=None,
        description="The credential: a plain name, or a reference such as secret://env/STRIPE_KEY.",
        json_schema_extra=PLANNED,
    )
    poll_interval: Duration | None = Field(
        default=None, description="How often to fetch.", examples=["60s"], json_schema_extra=PLANNED
    )
    webhook_path: str | None = Field(
        default=None, pattern=r"^/", description="The path that receives webhooks.", json_schema_extra=PLANNED
    )
    database_type: str | None = Field(
        default=None, description="The kind of database.", examples=["postgresql"], json_schema_extra=PLANNED
    )
    connection_profile: str | None = Field(
        default=None, description="The connection to the database.", json_schema_extra=PLANNED
    )
    source_type: Literal["s3", "gcs", "azure_blob", "sftp", "http"] | None = Field(
        default=None, description="The kind of store that files are transferred from.", json_schema_extra=PLANNED
    )
    source_bucket: str | None = Field(
        default=None, description="The bucket to transfer from.", json_schema_extra=PLANNED
    )
    source_path: str | None = Field(default=None, description="The folder in the bucket.", json_schema_extra=PLANNED)
    destination: str | None = Field(
        default=None, description="Where transferred files land.", json_schema_extra=PLANNED
    )

    @model_validator(mode="after")
    def _tables_differ(self) -> IngestionSpec:
        names = [table.name for table in self.tables]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the table '{name}' is listed twice")
        return self

    def decoded_as(self) -> str:
        """Return what one message is: json, ndjson or csv."""
        if self.message_format is not None:
            return self.message_format
        kind = "csv" if self.format == "tsv" else self.format
        return kind if kind in {"ndjson", "csv"} else "json"


def dataset_name(source_id: str, table: str) -> str:
    """Return what the dataset of a table is called. Raises ValueError where that cannot be a name."""
    name = f"{source_id}__{re.sub(r'[^a-z0-9_]', '_', table.lower())}"
    if not IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is too long to name a dataset")
    return name
