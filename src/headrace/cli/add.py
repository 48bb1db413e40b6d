"""`headrace add`: a source from a sample of its events, or from a schema that there is already."""

from __future__ import annotations

import datetime as dt
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, project_root
from headrace.cli.output import Output

if TYPE_CHECKING:
    from headrace.contracts.inference.schema import Field
    from headrace.runtime.adding.add import Addition

_FIELDS = 40
_WIDTHS = (28, 18, 14)
_FRONT = 8
_LINE = 79


def run(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The new source's id, such as orders.")],
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A sample (.jsonl .json .csv .tsv .parquet .avro, compressed or not) or a schema (JSON Schema, Avro, "
            "Protobuf, OpenAPI, AsyncAPI, Iglu, ODCS, fields); #Name chooses one of several.",
        ),
    ],
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="What the file is, where neither its name nor its text says so."),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=0, help="Look at the first N rows of a sample; 0: at all.")
    ] = 200_000,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Allow --from, and what a schema refers to, to be fetched over HTTP.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Add a source: its file, its contract and three cases, from a sample of its events or from a schema.

    Types, formats, enums, key and event time are told from the rows, each with its evidence, and every row is then held
    against the contract by the ordinary stages. Nothing is overwritten; all files are written, or none. With --json:
    {"source", "form", "files": {path: text}, "written", "rows": {"read", "more", "unreadable": {code: n}, "kept",
    "refused": {code: n}}, "fields": [{"path", "type", "optional", "rows", "present", "nulls", "kinds": {kind: n},
    "examples", "personal", "notes"}], "key", "version_by", "event_time": {"field", "why", "others"}, "left_out":
    {field: what to do}, "notes", "next": [command]}.
    """
    from headrace.runtime.adding.add import check_free, write
    from headrace.runtime.adding.origin import added

    root = project_root(project)
    check_free(root, source)
    found = added(root, source, from_, format_, rows=rows, fetch=fetch, environment=env, now=dt.datetime.now(dt.UTC))
    if not dry_run:
        write(root, found.files)
    steps = _next(found, from_)
    output = Output(as_json)
    output.show(_document(found, steps, written=not dry_run), lambda: _text(output, found, steps, dry_run=dry_run))


def _next(found: Addition, from_: str) -> list[str]:
    steps = ["headrace check"]
    if found.cases:
        steps.append(f"headrace test {found.source}")
    steps.append(f"headrace publish {found.source} {shlex.quote(from_) if found.inferred else 'FILE'}")
    return steps


def _document(found: Addition, steps: list[str], *, written: bool) -> dict[str, Any]:
    inferred, proof = found.inferred, found.proof
    document: dict[str, Any] = {
        "source": found.source,
        "form": found.form,
        "files": dict(found.files),
        "written": written,
        "rows": None,
        "fields": [],
        "key": None,
        "version_by": None,
        "event_time": None,
        "left_out": {},
        "notes": list(found.notes),
        "next": steps,
    }
    guesses = dict(zip(("key", "event_time"), found.said, strict=True))
    if inferred is not None:
        guesses = {name: getattr(inferred, name) for name in ("key", "version_by", "event_time")}
    document |= {name: {"field": each.field, "why": each.why, "others": list(each.others)} if each else None
                 for name, each in guesses.items()}  # fmt: skip
    if inferred is None or proof is None:
        return document
    document["rows"] = {
        "read": found.read,
        "more": found.more,
        "unreadable": dict(found.unreadable),
        "kept": proof.kept,
        "refused": dict(proof.refused),
    }
    document["fields"] = [
        {
            "path": each.path, "type": each.type, "optional": each.optional, "rows": each.rows, "present": each.present,
            "nulls": each.nulls, "kinds": each.kinds, "examples": [_example(value) for value in each.examples],
            "personal": each.personal, "notes": list(each.notes),
        }
        for each in inferred.fields
    ]  # fmt: skip
    document["left_out"] = dict(inferred.left_out)
    return document


def _text(output: Output, found: Addition, steps: list[str], *, dry_run: bool) -> None:
    if found.inferred is not None:
        _evidence(output, found)
    for note in found.notes:
        _paragraph(output, note)
    output.line()
    output.line("would write:" if dry_run else "written:")
    for file in found.files:
        output.line(f"  {file}")
    if dry_run:
        for file, text in found.files.items():
            if file.endswith(".yaml"):
                output.line()
                output.line(text.rstrip())
        return
    output.line("next:")
    for step in steps:
        output.line(f"  {step}", "bold")


def _evidence(output: Output, found: Addition) -> None:
    inferred, proof = found.inferred, found.proof
    assert inferred is not None  # noqa: S101 - the caller looked
    assert proof is not None  # noqa: S101 - there is one with every sample
    some = (
        f"the first {found.read:,} rows (--rows 0 reads all)"
        if found.more
        else f"{found.read:,} row{'' if found.read == 1 else 's'}"
    )
    output.line(f"{found.source}: {some}, {_columns(inferred.schema['properties'])}", "bold")
    fields = list(inferred.fields)
    if len(fields) > _FIELDS:
        fields = [each for each in fields if each.path in inferred.schema["properties"]]
    _table(output, fields)
    if len(fields) < len(inferred.fields):
        output.line(f"… and {len(inferred.fields) - len(fields):,} fields within these: --json shows them")
    output.line()
    for label, guess in (("key", inferred.key), ("version", inferred.version_by), ("event time", inferred.event_time)):
        if guess:
            others = f" (or {', '.join(guess.others)})" if guess.others else ""
            why = guess.why
            if label == "event time" and proof.first and proof.last:
                share = 100 * proof.ordered / max(1, proof.pairs)
                why += f", {proof.first:%Y-%m-%d} to {proof.last:%Y-%m-%d}, {share:.0f}% in the order of the file"
            _paragraph(output, f"{label}: {guess.field}, a guess: {why}{others}")
        elif label != "version":
            _paragraph(output, f"{label}: none found; connectors/{found.source}.yaml says what to write")
    personal = [each.path for each in inferred.fields if each.personal]
    if personal:
        names = ", ".join(personal[:6]) + (", …" if len(personal) > 6 else "")
        _paragraph(
            output, f"personal, as it looks: {names}; tagged x-pii, so shown as ***. Take the tag out where it errs"
        )
    for name, fix in inferred.left_out.items():
        _paragraph(output, f"{name!r} is no column, and is kept in _extra: {fix}")
    for note in inferred.notes:
        _paragraph(output, note)
    for each in inferred.fields:
        if each.notes and each in fields:
            _paragraph(output, f"{each.path}: {'; '.join(each.notes)}")
    refused = proof.refused.total()
    _paragraph(output, f"held against the contract: {proof.kept:,} of {proof.rows:,} rows pass")
    if refused:
        for what, count in proof.refused.most_common(5):
            _paragraph(output, f"  {count:,} would be quarantined: {what}, {proof.reasons[what]}")


def _columns(properties: dict[str, Any]) -> str:
    return f"{len(properties)} column{'' if len(properties) == 1 else 's'}"


def _table(output: Output, fields: list[Field]) -> None:
    rows = [("field", "type", "in rows", "such as")]
    for each in fields:
        there = "all" if not each.optional else f"{each.present:,} of {each.rows:,}"
        nulls = f", {each.nulls:,} null" if each.nulls else ""
        such = ", ".join(_shown(_example(value)) for value in each.examples)
        rows.append((each.path, each.type, there + nulls, such))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    first = min(widths[0], _WIDTHS[0])
    second = min(widths[1], _WIDTHS[1])
    third = min(widths[2], 24)
    for number, row in enumerate(rows):
        left = f"{_path(row[0], first):<{first}}  {_cut(row[1], second):<{second}}  {_cut(row[2], third):<{third}}  "
        text = left + _cut(row[3], max(8, _LINE - len(left)))
        output.line(text.rstrip(), "bold" if not number else "")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _path(text: str, width: int) -> str:
    """Return a field's path cut in its middle: paths of one object differ at their ends."""
    return text if len(text) <= width else f"{text[:_FRONT]}…{text[_FRONT + 1 - width :]}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(text.split())


def _example(value: Any) -> Any:
    import decimal

    return float(value) if isinstance(value, decimal.Decimal) else value


def _paragraph(output: Output, text: str) -> None:
    import textwrap

    indent = " " * (len(text) - len(text.lstrip()))
    lines = textwrap.wrap(text.strip(), _LINE - 2, initial_indent=indent, subsequent_indent=indent + "  ")
    for line in lines:
        output.line(line)
