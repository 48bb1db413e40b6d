"""`headrace query`: one SELECT over published gold, silver, bronze and ops, or what tables there are.

With --json (or --format json): {"columns": [{"name", "type"}], "rows": [{…}], "truncated", "gold", "lake_snapshot"}:
`gold` is the build and `lake_snapshot` the version that was read. Bytes that are not text are base64,
and a decimal with places is a string, so that no digit is lost. With --tables: {"tables": [{"name", "kind",
"columns": count, "description"}]}; with --describe: {"name", "kind", "description", "columns": [{"name", "type",
"description"}]}.
"""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import json
import math
import sys
from dataclasses import asdict
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.errors import InputError, UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.config.project import Project
    from headrace.warehouse.base import Answer
    from headrace.warehouse.listing import Listed

SHOWN_ROWS = 200
STDIN = "-"


class Format(StrEnum):
    """What the rows are written as."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def run(
    sql: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL", help="One SELECT; - reads it from stdin. Put -- before one that begins with a dash."
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Read the SELECT from here.")] = None,
    tables: Annotated[bool, typer.Option("--tables", help="List the tables that there are.")] = False,
    describe: Annotated[
        str | None, typer.Option("--describe", metavar="TABLE", help="Show the columns of a table.")
    ] = None,
    form: Annotated[Format | None, typer.Option("--format", "-f", help="Default: table, or by --output.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, metavar="N", help="At most N rows.")] = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Run one SELECT over gold, silver, bronze and ops."""
    from headrace.warehouse.embedded import DbtWarehouse
    from headrace.warehouse.query import bounded_process

    _one_thing({"SQL": sql is not None, "--file": file is not None, "--tables": tables, "--describe": bool(describe)})
    if tables or describe:
        _list(open_project(project, env), describe, Output(as_json or form is Format.JSON))
        return
    chosen = Format.JSON if as_json else form or _by_name(output)
    if chosen is Format.PARQUET and output is None and sys.stdout.isatty():
        raise InputError("Parquet is not for a terminal", at="--format", fix="--output FILE.parquet, or a pipe")
    if chosen is Format.TABLE and output is not None:
        raise InputError("a table is for a terminal", at=str(output), fix="--format json, csv or parquet")
    if limit is None and chosen is Format.TABLE:
        limit = SHOWN_ROWS
    with DbtWarehouse(open_project(project, env).state) as warehouse, bounded_process():
        answer = warehouse.query(_text(sql, file), limit=limit)
    out = Output(as_json)
    if chosen is Format.TABLE:
        _show(out, answer.rows)
    else:
        _write(_rendered(answer, chosen), output)
    if output is not None:
        out.note(f"{len(answer.rows):,} rows in {output}")
    if answer.truncated:
        out.note(f"the first {len(answer.rows):,} rows; there are more (--limit N)")


def _one_thing(asked: dict[str, bool]) -> None:
    given = [name for name, there in asked.items() if there]
    if len(given) != 1:
        what = f"{' and '.join(given)} at once" if given else "no SQL"
        raise UserError(
            what, at="query", fix='one of: headrace query "select …", --file FILE, --tables, --describe TABLE'
        )


def _text(sql: str | None, file: Path | None) -> str:
    """Return the SQL that was typed, piped in, or lies in a file."""
    if file is None and sql != STDIN:
        return sql or ""
    try:
        content = sys.stdin.buffer.read() if file is None else file.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"the SQL cannot be read: {error.strerror}", at=str(file), fix=f"see what is there: ls -l {file}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("the SQL is not UTF-8", at=str(file or "stdin"), fix="save it as UTF-8") from error


def _list(project: Project, name: str | None, out: Output) -> None:
    """Show the tables, or one of them with its columns."""
    from headrace.runtime.inputs import inputs
    from headrace.warehouse.embedded import DbtWarehouse

    with DbtWarehouse(project.state) as warehouse:
        found = warehouse.tables(inputs(project).tables, name)
    if name is None:
        documents = [asdict(table) | {"columns": len(table.columns)} for table in found]
        out.show({"tables": documents}, lambda: _show_tables(out, found))
    else:
        table = found[0]
        out.show(asdict(table), lambda: _show_columns(out, table))


def _show_tables(out: Output, found: list[Listed]) -> None:
    if not found:
        out.line("there are no tables yet: headrace publish, then headrace up")
        return
    out.table(["table", "kind", "columns"], [(t.name, t.kind, len(t.columns)) for t in found], right=["columns"])
    if not any(table.kind == "model" for table in found):
        out.note("no gold is published yet: headrace build")
    out.note("the columns of one: headrace query --describe TABLE")


def _show_columns(out: Output, table: Listed) -> None:
    out.line(f"{table.name} ({table.kind})", "bold")
    if table.description:
        out.line(f"  {table.description}")
    out.line()
    described = any(column.description for column in table.columns)
    names = ["column", "type", "description"] if described else ["column", "type"]
    out.table(names, [(c.name, c.type, c.description)[: len(names)] for c in table.columns])


def _show(out: Output, rows: pa.Table) -> None:
    """Print a table where it fits the terminal, else each row as a list of its columns."""
    names, cells = _cells(rows)
    shown = [[_flat(cell) for cell in row] for row in cells]
    columns = [[name, *(str(row[place]) for row in shown)] for place, name in enumerate(names)]
    if sum(max(map(len, column)) + 2 for column in columns) <= out.console.width:
        numbers = [name for name, field in zip(names, rows.schema, strict=True) if _is_number(field.type)]
        out.table(names, shown, right=numbers)
        return
    width = max(map(len, names))
    for number, row in enumerate(shown, start=1):
        out.line(f"row {number}", style="bold")
        for name, cell in zip(names, row, strict=True):
            out.line(f"  {name:<{width}}  {'-' if cell is None else cell}")


def _by_name(output: Path | None) -> Format:
    suffix = output.suffix.lstrip(".").lower() if output else ""
    return Format(suffix) if suffix in set(Format) else Format.TABLE


def _rendered(answer: Answer, chosen: Format) -> bytes:
    if chosen is Format.PARQUET:
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(answer.rows.rename_columns(_names(answer.rows)), buffer)
        return buffer.getvalue()
    names, rows = _cells(answer.rows)
    text = io.StringIO()
    if chosen is Format.JSON:
        columns = [
            {"name": name, "type": str(field.type)} for name, field in zip(names, answer.rows.schema, strict=True)
        ]
        document = {
            "columns": columns,
            "rows": [dict(zip(names, row, strict=True)) for row in rows],
            "truncated": answer.truncated,
            "gold": answer.gold,
            "lake_snapshot": answer.lake_snapshot,
        }
        json.dump(document, text, indent=2, default=str, ensure_ascii=False, allow_nan=False)
        text.write("\n")
    else:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([["" if cell is None else _flat(cell) for cell in row] for row in rows])
    return text.getvalue().encode()


def _write(content: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"cannot write the result: {error.strerror}", at=str(output), fix="choose another file"
        ) from error


def _cells(rows: pa.Table) -> tuple[list[str], list[list[Any]]]:
    """Return the column names, each once, and the rows as values that JSON has."""
    columns = [
        [_value(value) for value in _values(name, column)]
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    ]
    return _names(rows), [list(row) for row in zip(*columns, strict=True)]


def _values(name: str, column: pa.ChunkedArray) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError) as error:  # what DuckDB has as a date, and Python does not
        raise InputError(
            f"the column {name} has a time beyond the years 1 to 9999",
            at="query",
            fix=f"select it as text: CAST({name} AS VARCHAR); --format parquet has it as it is",
        ) from error
    return values


def _names(rows: pa.Table) -> list[str]:
    names: list[str] = []
    for name in rows.column_names:
        count = 1
        unique = name
        while unique in names:
            count += 1
            unique = f"{name}_{count}"
        names.append(unique)
    return names


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): _value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_value(inner) for inner in value]
    return value


def _flat(value: Any) -> Any:
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict | list) else value


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
