"""The part of the dbt project that contracts say: sources, staging models, their tests, and `silver_to_gold`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.warehouse import gold
from headrace.warehouse.rules import TEST_MACROS, rule_tests

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from headrace.warehouse.base import SilverTable

LAKE_DATABASE = "memory"
"""The database that sources name: views over the pinned lake, so that a table without rows yet is there too."""

OPS_TABLES = ("batches", "ledger", "positions", "quarantine")

MACROS = """\
{# The event dates of a dataset that changed since the last build that saw all of silver: for incremental models.
   `where {{ headrace_touched('orders') }}` is true for every row when the model is built from scratch, or nobody knows
   what changed. #}
{% macro headrace_touched(dataset, column='_event_date') -%}
  {%- if not execute or not is_incremental() -%} true
  {%- else -%}
    {%- set known = run_query("select known from memory.headrace.build").rows[0][0] -%}
    {%- if not known -%} true
    {%- else -%}
      {%- set query = "select event_date from memory.headrace.touched where dataset = '" ~ dataset ~ "' order by 1" -%}
      {%- set rows = run_query(query).rows -%}
      {%- if not rows -%} false
      {%- else -%}
        {{ column }} in ({% for row in rows %}date '{{ row[0] }}'{{ ", " if not loop.last }}{% endfor %})
      {%- endif -%}
    {%- endif -%}
  {%- endif -%}
{%- endmacro %}

{# A sum of integers is a HUGEINT, which DuckLake would store as a double: digits lost, and files that do not merge. #}
{% macro duckdb__create_table_as(
    temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none
) -%}
  {%- if language == 'sql' and execute and not config.get('sql_header') -%}
    {%- set exact = [] -%}
    {%- for row in run_query("describe (" ~ compiled_code ~ "\n)").rows if row[1] in ("HUGEINT", "UHUGEINT") -%}
      {%- do exact.append('cast("' ~ row[0] ~ '" as decimal(38, 0)) as "' ~ row[0] ~ '"') -%}
    {%- endfor -%}
    {%- if exact -%}
      {%- set compiled_code = "select * replace (" ~ exact | join(", ") ~ ") from (" ~ compiled_code ~ "\n)" -%}
    {%- endif -%}
  {%- endif -%}
  {{ return(dbt.duckdb__create_table_as(temporary, relation, compiled_code, language, partitioned_by, sorted_by)) }}
{%- endmacro %}

{# Gold is published as pinned tables: a view would read whatever its inputs are when somebody looks. #}
{% materialization view, adapter='duckdb' %}
  {{ return(dbt.materialization_table_duckdb()) }}
{% endmaterialization %}
"""


def generated_files(
    tables: Sequence[SilverTable], taken: Collection[str], declared: Collection[tuple[str, str]]
) -> tuple[dict[str, str], list[str]]:
    """Return the generated files by path, and a warning for each model that cannot be made.

    `taken` are the names of the user's own models, seeds and snapshots, which win over generated ones; `declared` the
    (source, table) pairs that the user's own YAML declares.
    """
    found, warnings = generated_models(tables, taken)
    models: list[dict[str, Any]] = []
    for table in tables:
        if _staging_path(table) in found:
            models.append(_documented(table))
        if table.gold and _gold_path(table) in found:
            description = plain(f"silver_to_gold of the source {table.source_id}.")
            models.append({"name": gold.model_name(table.name), "description": description})
    sources = [_silver_source(tables, declared), *_other_sources(declared)]
    document = {"version": 2, "sources": [source for source in sources if source["tables"]], "models": models}
    files = {"headrace_macros/headrace.sql": MACROS, "headrace_macros/tests.sql": TEST_MACROS, **found}
    files["headrace_models/headrace.yml"] = json.dumps(document, indent=1, ensure_ascii=False)
    return files, warnings


def generated_models(tables: Sequence[SilverTable], taken: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Return the generated models alone, by path: their SQL, and a warning for each that cannot be made."""
    files: dict[str, str] = {}
    warnings: list[str] = []
    names = {table.name for table in tables}
    models = {f"stg_{name}" for name in names} | {gold.model_name(table.name) for table in tables if table.gold}
    models |= set(taken)
    for table in tables:
        if f"stg_{table.name}" not in taken:
            files[_staging_path(table)] = _staging_sql(table)
        name = gold.model_name(table.name)
        if not table.gold or name in taken:
            continue
        try:
            files[_gold_path(table)] = _gold_sql(table, names, models)
        except LookupError as missing:
            warnings.append(f"{name} is not built: silver_to_gold of {table.source_id} joins {missing.args[0]}")
    return files, warnings


def _staging_path(table: SilverTable) -> str:
    return f"headrace_models/staging/stg_{table.name}.sql"


def _gold_path(table: SilverTable) -> str:
    return f"headrace_models/gold/{gold.model_name(table.name)}.sql"


def plain(text: str) -> str:
    """Return text that dbt will not take for Jinja."""
    for mark in ("{{", "{%", "{#"):
        text = text.replace(mark, f"{mark[0]} {mark[1]}")
    return text


def _staging_sql(table: SilverTable) -> str:
    columns = ",\n    ".join(f'"{column.name}"' for column in table.columns)
    return (
        "{{ config(materialized='ephemeral') }}\n"
        f'select\n    {columns}\nfrom "{LAKE_DATABASE}"."silver"."{table.name}"\n'
    )


def _gold_sql(table: SilverTable, datasets: Collection[str], models: Collection[str]) -> str:
    def reference(name: str) -> str:
        schema, _, bare = name.rpartition(".")
        if schema != "gold" and bare in datasets:
            return f"{{{{ ref('stg_{bare}') }}}}"
        if schema != "silver" and bare in models:
            return f"{{{{ ref('{bare}') }}}}"
        raise LookupError(f"{name}, and there is no {'dataset' if schema == 'silver' else 'model'} {bare}")

    columns = [column.name for column in table.columns]
    return "{{ config(materialized='table') }}\n" + gold.model_sql(table.name, columns, table.gold, reference)


def _documented(table: SilverTable) -> dict[str, Any]:
    """Return the properties of a staging model: column docs, and tests from the key and the quality rules."""
    tests: dict[str, list[Any]] = {column.name: [] for column in table.columns}
    model_tests: list[Any] = []
    if len(table.key) == 1 and table.key[0] in tests:
        tests[table.key[0]].append({"unique": {"name": f"{table.name}_key_is_unique"}})
    elif table.key:
        model_tests.append(
            {"headrace_unique": {"name": f"{table.name}_key_is_unique", "arguments": {"columns": list(table.key)}}}
        )
    for column, test in rule_tests(table.name, table.rules):
        tests.get(column, model_tests).append(test)
    columns = [
        {"name": c.name, "description": plain(c.description), "data_type": c.type, "quote": True}
        | ({"data_tests": tests[c.name]} if tests[c.name] else {})
        for c in table.columns
    ]
    model: dict[str, Any] = {"name": f"stg_{table.name}", "description": plain(table.description), "columns": columns}
    if model_tests:
        model["data_tests"] = model_tests
    return model


def _silver_source(tables: Sequence[SilverTable], declared: Collection[tuple[str, str]]) -> dict[str, Any]:
    return {
        "name": "silver",
        "database": LAKE_DATABASE,
        "schema": "silver",
        "tables": [_source_table(table) for table in tables if ("silver", table.name) not in declared],
    }


def _source_table(table: SilverTable) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "name": table.name,
        "description": plain(table.description),
        "columns": [{"name": c.name, "description": plain(c.description), "data_type": c.type} for c in table.columns],
        "config": {"meta": {"owner": plain(table.owner), "source_id": table.source_id}},
    }
    if table.sla_minutes is not None:
        # The SLA is when people start to worry, twice the SLA is when it is broken for sure.
        minutes = max(1, round(table.sla_minutes))
        properties["config"] |= {
            "loaded_at_field": "_ingest_time",
            "freshness": {
                "warn_after": {"count": minutes, "period": "minute"},
                "error_after": {"count": 2 * minutes, "period": "minute"},
            },
        }
    return properties


def _other_sources(declared: Collection[tuple[str, str]]) -> list[dict[str, Any]]:
    wanted: Mapping[str, tuple[str, ...]] = {"bronze": ("messages",), "ops": OPS_TABLES}
    return [
        {
            "name": schema,
            "database": LAKE_DATABASE,
            "schema": schema,
            "tables": [{"name": name} for name in names if (schema, name) not in declared],
        }
        for schema, names in wanted.items()
    ]
