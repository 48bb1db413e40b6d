"""`headrace schema`: the JSON Schema of a source file, for editors."""

from __future__ import annotations

import json

import typer

from headrace.cli.options import AsJson


def run(as_json: AsJson = False) -> None:  # noqa: ARG001 - it is JSON either way
    """Print the JSON Schema (2020-12) of connectors/SOURCE.yaml, for editors.

    Save it once: headrace schema > connectors/source.schema.json. A source file whose first line is
    `# yaml-language-server: $schema=source.schema.json` is then checked and completed while you type.
    """
    from headrace.config.editor import source_schema

    typer.echo(json.dumps(source_schema(), indent=2, ensure_ascii=False))
