"""`headrace contract diff`: what changed in a contract, who breaks, and a document that shows it."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.contracts.compatibility.change import OPEN, Change, ContentModel, Verdict
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from headrace.config.contract_changes import DatasetChanges
    from headrace.config.project import Project

SourceId = Annotated[str, typer.Argument(metavar="SOURCE", help="The source whose contracts to compare.")]
Against = Annotated[
    str, typer.Option("--against", metavar="REV", help="A git revision, or a version of the contract such as v1.")
]
Model = Annotated[
    ContentModel,
    typer.Option("--model", metavar="MODEL", help="What writers write, and readers refuse, beyond what is declared."),
]

_STYLES = {Verdict.BREAKING: "red", Verdict.UNDECIDED: "yellow", Verdict.COMPATIBLE: "green"}
_WIDTH = 80


def run(
    source: SourceId,
    against: Against = "main",
    model: Model = OPEN,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show each change of a contract: its rule, whether readers break, a document that shows it, the smallest fix.

    Against a git revision of the project, or an older version of the contract (`v1`, of schemas/SOURCE/v1.json). Exits
    1 where a change breaks under the source's `evolution`; what cannot be decided counts as breaking. With --json:
    {"source", "against", "commit", "model", "allowed", "datasets": [{"dataset", "file", "mode", "old", "new",
    "changes": [{"pointer", "rule", "line", "backward", "forward", "breaks", "why", "backward_example",
    "forward_example", "fix"}]}]}.
    """
    shop = open_project(project, env)
    known = shop.sources.get(source)
    found, commit = _found(shop, source, against, model)
    if known is None and not found:
        shop.source(source)
    output = Output(as_json)
    allowed = not any(each.breaking for each in found)
    document = {
        "source": source,
        "against": against,
        "commit": commit,
        "model": model.value,
        "allowed": allowed,
        "datasets": [_dataset(shop, each) for each in found],
    }
    output.show(document, lambda: _text(output, document))
    if not allowed:
        raise typer.Exit(1)


def _found(shop: Project, source: str, against: str, model: ContentModel) -> tuple[list[DatasetChanges], str | None]:
    from headrace.config.contract_changes import changes_from_version, changes_since
    from headrace.config.project import assemble
    from headrace.config.revisions import revision
    from headrace.contracts.versions import number_of

    number = number_of(against)
    known = shop.sources.get(source)
    if known is None and number is not None and against.startswith("v"):
        shop.source(source)
    if known is not None and number is not None:
        having = [each for each in known.datasets if any(one.number == number for one in each.versions)]
        if having or against.startswith("v"):
            datasets = having or known.datasets
            mode = known.settings.evolution
            return [changes_from_version(each, source, mode, against, model) for each in datasets], None
    try:
        there = revision(shop.root, against)
    except ConfigError:
        shop.source(source)  # a name that nobody has is what is wrong first
        raise
    if known is None and not any(file.startswith(f"connectors/{source}.") for file in there.blobs):
        shop.source(source)
    assembled = assemble(shop.root, shop.environment, shop.variables)
    found = changes_since(assembled, shop.root, there, only=source, model=model, environ=shop.variables)
    return found, there.commit


def _dataset(shop: Project, each: DatasetChanges) -> dict[str, Any]:
    from headrace.config.schemas import line_of

    lines = (
        [line_of(shop.root, each.file, change.pointer) for change in each.changes]
        if each.new is not None and each.file.endswith(".json")
        else [1] * len(each.changes)
    )
    told = {(change.pointer, change.rule) for change in each.breaking}
    more = [change for change in each.breaking if change not in each.changes]
    return {
        "dataset": each.dataset,
        "file": each.file,
        "mode": each.mode,
        "old": each.old,
        "new": each.new,
        "changes": [
            _change(change, line, breaks=(change.pointer, change.rule) in told)
            for change, line in zip([*each.changes, *more], [*lines, *([1] * len(more))], strict=True)
        ],
    }


def _change(change: Change, line: int, *, breaks: bool) -> dict[str, Any]:
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
        output.line(f"{document['source']}: nothing changed against {document['against']}{commit}")
        return
    for each in document["datasets"]:
        versions = "" if each["old"] == each["new"] else f", {each['old'] or 'not there'} → {each['new'] or 'gone'}"
        output.line(f"{each['dataset']} against {document['against']}{commit}{versions}", "bold")
        for change in each["changes"]:
            output.line()
            output.line(f"{each['file']}:{change['line']}: {change['rule']}", "bold red" if change["breaks"] else "")
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
