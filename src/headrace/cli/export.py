"""`headrace export`: a contract in a form that other tools take. One verb a target."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.runtime.exporting import Export

run = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

SourceName = Annotated[str, typer.Argument(metavar="SOURCE", help="The source whose contract it is.")]
DatasetName = Annotated[
    str | None, typer.Option("--dataset", metavar="TABLE", help="The table, for a source that has several.")
]
Target = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write it to a new file (default: to stdout).")
]


_PLAIN = {
    "jsonschema": """Export a contract as the JSON Schema that events are held against, key and event time required.

    What the form cannot say is named on stderr. With --json: {"source", "dataset", "form", "text", "dropped": [text],
    "file"}; that is the shape of every export.
    """,
    "odcs": """Export a contract as an Open Data Contract (v3.1.0), with key and owner; --json as of
    `export jsonschema`.
    """,
    "bigquery": "Export the columns of a contract as a BigQuery table schema; --json as of `export jsonschema`.",
}
"""The forms that take no option of their own, and what their verbs say of themselves."""


def _plain(form: str) -> Callable[..., None]:
    def verb(
        source: SourceName,
        dataset: DatasetName = None,
        output: Target = None,
        project: ProjectDir = None,
        env: EnvName = None,
        as_json: AsJson = False,
    ) -> None:
        _export(form, source, dataset, output, project, env, as_json=as_json)

    return verb


for _form, _said in _PLAIN.items():
    run.command(_form, help=_said)(_plain(_form))


@run.command("avro")
def avro(
    source: SourceName,
    dataset: DatasetName = None,
    namespace: Annotated[str, typer.Option("--namespace", metavar="NAME", help="The record's namespace.")] = "",
    output: Target = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Export a contract as an Avro record schema; --json as of `export jsonschema`."""
    _export("avro", source, dataset, output, project, env, as_json=as_json, namespace=namespace)


@run.command("protobuf")
def protobuf(
    source: SourceName,
    dataset: DatasetName = None,
    package: Annotated[str, typer.Option("--package", metavar="NAME", help="The package of the message.")] = "",
    output: Target = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Export a contract as a message of proto3; --json as of `export jsonschema`."""
    _export("protobuf", source, dataset, output, project, env, as_json=as_json, namespace=package)


@run.command("iglu")
def iglu(
    source: SourceName,
    dataset: DatasetName = None,
    vendor: Annotated[
        str, typer.Option("--vendor", metavar="NAME", help="Who the schema is of, such as com.example.")
    ] = "com.example",
    version: Annotated[
        str, typer.Option("--schema-version", metavar="M-R-A", help="The version in SchemaVer.")
    ] = "1-0-0",
    output: Target = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Export a contract as a self-describing schema of Iglu (draft 4); --json as of `export jsonschema`."""
    _export("iglu", source, dataset, output, project, env, as_json=as_json, namespace=vendor, version=version)


def _export(
    form: str, source: str, dataset: str | None, file: Path | None, project: Path | None, env: str | None, *,
    as_json: bool, namespace: str = "", version: str = "",
) -> None:  # fmt: skip
    from headrace.runtime.exporting import exported

    shop = open_project(project, env)
    found = exported(shop.source(source), dataset, form, namespace=namespace, version=version)
    if file is not None:
        _write(file, found)
    output = Output(as_json)
    for line in found.dropped:
        output.note(f"not in {form}: {line}")
    if as_json:
        document = {
            "source": source,
            "dataset": found.dataset,
            "form": form,
            "text": found.text,
            "dropped": list(found.dropped),
            "file": str(file) if file else None,
        }
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif file is None:
        sys.stdout.write(found.text)
    else:
        output.note(f"written: {file}")


def _write(file: Path, found: Export) -> None:
    if file.is_dir():
        raise UserError("this is a folder", at=str(file), fix="name a file in it")
    try:
        with file.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(found.text)
    except FileExistsError as error:
        raise UserError(
            "the file is there already, and nothing is overwritten", at=str(file), fix=f"rm {file}, or name another"
        ) from error
    except OSError as error:
        raise UserError(
            f"the file cannot be written: {error.strerror}", at=str(file), fix="check the folder's rights and space"
        ) from error
