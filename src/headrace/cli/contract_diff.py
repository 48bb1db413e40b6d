"""`headrace contract diff`: what changed in a contract, who breaks, and a document that shows it."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, project_root
from headrace.cli.output import Output
from headrace.contracts.compatibility.change import OPEN, Change, ContentModel, Verdict
from headrace.errors import ConfigError, InputError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headrace.config.contract_changes import DatasetChanges
    from headrace.config.contract_files import FileChanges
    from headrace.config.faults import Fault
    from headrace.config.project import Assembled
    from headrace.contracts.load import Validators

Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="The source whose contracts to compare; or a schema file, the older one."),
]
NewFile = Annotated[
    str | None, typer.Argument(metavar="[NEW_FILE]", help="The newer schema file: JSON Schema, .avsc or .proto.")
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="REV", help="A git revision, or a version such as v1, of a source (default: main)."
    ),
]
Model = Annotated[
    ContentModel,
    typer.Option("--model", metavar="MODEL", help="What writers write, and readers refuse, beyond what is declared."),
]
Mode = Annotated[
    str | None, typer.Option("--mode", metavar="MODE", help="Of two files: what must not break (default: backward).")
]

_STYLES = {Verdict.BREAKING: "red", Verdict.UNDECIDED: "yellow", Verdict.COMPATIBLE: "green"}
_WIDTH = 80


def run(
    source: Source,
    new_file: NewFile = None,
    against: Against = None,
    model: Model = OPEN,
    mode: Mode = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show each change of a contract: its rule, whether readers break, a document that shows it, the smallest fix.

    Of a source: against a git revision of the project, or an older version of the contract (`v1`, of
    schemas/SOURCE/v1.json); files of other sources are not read: `check` says what is wrong there. Of two files: JSON
    Schema, Avro, Protobuf, or another form that `add` reads, with `FILE#Name` for a part of it; no project is needed.
    Exits 1 where a change breaks under the source's `evolution`, or --mode; what cannot be decided counts as breaking.
    With --json: {"source", "against", "commit", "model", "allowed", "datasets": [{"dataset", "file", "mode", "old",
    "new", "changes": [{"pointer", "rule", "line", "backward", "forward", "breaks", "why", "backward_example",
    "forward_example", "fix"}]}], "faults": [{"severity", "file", "line", "message", "fix"}]}; of files, "source" is
    null and "line" may be.
    """
    if new_file is not None:
        if against is not None:
            raise InputError("two files are compared with each other", at="--against", fix="leave it out")
        document = _of_files(source, new_file, mode or "backward", model)
    else:
        if mode is not None:
            raise InputError("a source says in `evolution` what must not break", at="--mode", fix="leave it out")
        document = _of_source(project_root(project), env, source, against or "main", model)
    output = Output(as_json)
    output.show(document, lambda: _text(output, document))
    for fault in document["faults"]:
        output.note(f"{fault['file']}:{fault['line']}: {fault['message']} (not looked at)")
    if not document["allowed"]:
        raise typer.Exit(1)


def _of_files(old: str, new: str, mode: str, model: ContentModel) -> dict[str, Any]:
    from headrace.config.contract_files import changes_between

    found = changes_between(old, new, mode, model=model)
    return {
        "source": None,
        "against": old,
        "commit": None,
        "model": model.value,
        "allowed": not found.breaking,
        "datasets": [_entry(found, new, new, found.lines)] if found.changes else [],
        "faults": [],
    }


def _of_source(root: Path, env: str | None, source: str, against: str, model: ContentModel) -> dict[str, Any]:
    import os

    from headrace.config.project import assemble
    from headrace.contracts.load import Validators

    validators = Validators()
    assembled = assemble(root, env, os.environ, only=source, validators=validators)
    found, commit = _found(root, assembled, source, against, model, validators)
    return {
        "source": source,
        "against": against,
        "commit": commit,
        "model": model.value,
        "allowed": not any(each.breaking for each in found),
        "datasets": [_entry(each, each.dataset, each.file, each.lines(root, _all(each))) for each in found],
        "faults": [asdict(fault) for fault in assembled.faults if fault.severity == "error"],
    }


def _found(
    root: Path, assembled: Assembled, source: str, against: str, model: ContentModel, validators: Validators
) -> tuple[list[DatasetChanges], str | None]:
    import os

    from headrace.config.contract_changes import changes_from_version, changes_since, read_of
    from headrace.config.project import source_files
    from headrace.config.revisions import revision
    from headrace.contracts.versions import number_of

    read = read_of(assembled, source)
    names = [path.stem for path in source_files(root) if not path.name.startswith("_")]
    if source in names and (read is None or read.source is None):
        told = assembled.faults if read is None else read.faults
        errors = [fault for fault in told if fault.severity == "error"]
        raise _first(sorted(errors, key=lambda fault: not fault.file.startswith("connectors/")))  # its own first
    number = number_of(against)
    known = None if read is None else read.source
    if known is None and number is not None and against.startswith("v"):
        raise _unknown(names, source)
    if known is not None and number is not None:
        having = [each for each in known.datasets if any(one.number == number for one in each.versions)]
        if having or against.startswith("v"):
            datasets = having or known.datasets
            evolution = known.settings.evolution
            return [
                changes_from_version(each, source, evolution, against, model, validators) for each in datasets
            ], None
    try:
        there = revision(root, against)
    except ConfigError as error:
        # A name that nobody has is what is wrong first.
        raise (_unknown(names, source) if known is None else error) from error
    if known is None and not any(file.startswith(f"connectors/{source}.") for file in there.blobs):
        raise _unknown(names, source)
    found = changes_since(assembled, root, there, only=source, model=model, environ=os.environ, validators=validators)
    return found, there.commit


def _first(faults: Sequence[Fault]) -> ConfigError:
    first, *others = faults
    more = f"{len(others)} more error{'' if len(others) == 1 else 's'}: headrace check" if others else ""
    return replace(first, fix="; ".join(filter(None, (first.fix, more)))).as_error()


def _unknown(known: Sequence[str], source: str) -> UserError:
    from pathlib import Path

    from headrace.config.faults import did_you_mean

    if Path(source).is_file():
        return InputError("one file has nothing to be compared with", at=source, fix="headrace contract diff OLD NEW")
    hint = did_you_mean(source, known) or f"write connectors/{source}.yaml"
    return ConfigError(f"no source '{source}'", at="connectors/", fix=hint)


def _all(each: DatasetChanges | FileChanges) -> list[Change]:
    told = {(change.pointer, change.rule, change.why) for change in each.changes}
    return [*each.changes, *(item for item in each.breaking if (item.pointer, item.rule, item.why) not in told)]


def _entry(
    each: DatasetChanges | FileChanges, name: str, file: str, lines: Sequence[int | None]
) -> dict[str, Any]:  # fmt: skip
    told = {(change.pointer, change.rule) for change in each.breaking}
    return {
        "dataset": name,
        "file": file,
        "mode": each.mode,
        "old": each.old,
        "new": each.new,
        "changes": [
            _change(change, line, breaks=(change.pointer, change.rule) in told)
            for change, line in zip(_all(each), lines, strict=True)
        ],
    }


def _change(change: Change, line: int | None, *, breaks: bool) -> dict[str, Any]:
    return {
        "pointer": change.pointer,
        "rule": change.rule,
        "line": line,
        "backward": change.backward.value,
        "forward": change.forward.value,
        "breaks": breaks,
        "why": change.why,
        "backward_example": change.backward_example,
        "forward_example": change.forward_example,
        "fix": change.fix,
    }


def _text(output: Output, document: dict[str, Any]) -> None:
    commit = f" ({document['commit'][:10]})" if document["commit"] else ""
    if not document["datasets"]:
        output.line(f"{document['source'] or 'the two files'}: nothing changed against {document['against']}{commit}")
        return
    for each in document["datasets"]:
        plain = each["old"] == each["new"] or document["source"] is None
        versions = "" if plain else f", {each['old'] or 'not there'} → {each['new'] or 'gone'}"
        output.line(f"{each['dataset']} against {document['against']}{commit}{versions}", "bold")
        for change in each["changes"]:
            output.line()
            where = each["file"] if change["line"] is None else f"{each['file']}:{change['line']}"
            output.line(f"{where}: {change['rule']}", "bold red" if change["breaks"] else "")
            output.line(f"  {change['pointer']}", "dim")
            for lead, side in (("new readers, old events: ", "backward"), ("old readers, new events: ", "forward")):
                verdict = Verdict(change[side])
                output.line(f"  {lead}{verdict}", _STYLES[verdict])
                if verdict is Verdict.BREAKING:
                    _wrapped(output, json.dumps(change[f"{side}_example"], ensure_ascii=False), "    ")
            _wrapped(output, f"why: {change['why']}", "  ")
            if change["fix"]:
                _wrapped(output, f"fix: {change['fix']}", "  ")
        output.line()
        breaking = sum(change["breaks"] for change in each["changes"])
        count = len(each["changes"])
        output.line(f"{count} change{'' if count == 1 else 's'}, {breaking or 'none'} breaking under {each['mode']}")


def _wrapped(output: Output, text: str, indent: str) -> None:
    shown = text if len(text) <= 1_000 else f"{text[:1_000]}…"
    output.line(
        textwrap.fill(shown, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)
    )
