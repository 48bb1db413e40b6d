"""`headrace plan`: what `apply` would do, in every layer, and what it would do to history."""

from __future__ import annotations

import datetime as dt
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.errors import InputError

if TYPE_CHECKING:
    from headrace.runtime.plan.making import Ask

_SIGNS = {"added": "+", "create": "+", "removed": "-"}
KEYS_SHOWN, NAMES_SHOWN, STATEMENTS_SHOWN = 12, 12, 40


def run(
    history: Annotated[
        str | None,
        typer.Option("--history", metavar="WINDOW", help="Replay this much of the past, too: 30d, 12h, or all."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Replay what came since this day or instant.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample", metavar="SHARE", help="Replay only this share of the keys, and estimate: 10%, or 0.1."
        ),
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", min=0, help="How many events to name of each kind.")
    ] = 5,
    file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the plan here (default: below the state).")
    ] = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show what `apply` would change: sources, contracts, tables, models, and what history is under the new rules.

    Nothing is changed. Exits 0 where nothing breaks, 1 where something does. With --json the plan as it is written to
    its file: {"format", "digest", "made_at", "inputs", "first", "changes": [{"layer", "name", "action", "at", "keys":
    [{"key", "was", "now"}]}], "contracts", "tables": [{"table", "action", "statements", "columns", "why", "fix"}],
    "models": [{"model", "action", "at", "columns", "rows", "breaks", "unread", "full_refresh"}], "history": {"asked",
    "since", "sample", "sources": [{"source", "first", "end", "messages", "decided_by", "sample", "unsampled",
    "now_fail", "now_pass", "still_fail", "versions", "datasets"}], "skipped": [{"source", "why"}]},
    "partitions": {dataset: [date]}, "breaking": [sentence], "refused": [{"why", "at", "fix"}], "nothing", "estimate",
    "file"}. "refused" says why `apply` would not take it now.

    With --sample, each source that was sampled has "sample": {"share", "by", "keys", "messages", "left_out",
    "confidence", "still_fail"}, and all its counts are of the sample; "whole": {"estimate", "low", "high"} beside a
    count says how many that is of all, from where to where. A source that could not be sampled says why in
    "unsampled".
    `apply` refuses such a plan.
    """
    from headrace.runtime.plan.applying import refused
    from headrace.runtime.plan.document import write
    from headrace.runtime.plan.making import plan

    output = Output(as_json)
    opened = open_project(project, env)
    asked = ask(history, since, examples, sample)
    if asked.history:
        output.note("replaying history …" if asked.sample is None else f"replaying {asked.sample:.3g} of history …")
    document = plan(opened, asked)
    document["file"] = "" if document["nothing"] else str(write(opened, document, file))
    why = refused(opened, document)
    document["refused"] = [{"why": each.message, "at": each.at, "fix": each.fix} for each in why]
    output.show(document, lambda: show(output, document))
    if document["breaking"]:
        raise typer.Exit(1)


def ask(history: str | None, since: str | None, examples: int, sample: str | None = None) -> Ask:
    """Return what the options ask for."""
    from headrace.runtime.deployment import now
    from headrace.runtime.plan.making import Ask
    from headrace.runtime.plan.windows import since_of

    share = _share(sample) if sample is not None else None
    if sample is not None and history is None and since is None:
        raise InputError("--sample is of history, and none is replayed", at="--sample", fix="add --history 30d")
    if history is not None and since is not None:
        raise InputError("--history and --since say the same thing twice", at="--since", fix="leave one out")
    if since is not None:
        try:
            instant = dt.datetime.fromisoformat(since)
        except ValueError as problem:
            raise InputError(
                f"{since!r} is no day", at="--since", fix="2026-11-01, or 2026-11-01T12:00:00Z"
            ) from problem
        return Ask(True, instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC), examples, share)
    return Ask(False, None, examples) if history is None else Ask(True, since_of(history, now()), examples, share)


def _share(text: str) -> float | None:
    """Return the share that `10%` or `0.1` is; None for all."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise InputError(f"{text!r} is no share of history", at="--sample", fix="10%, or 0.1")
    return share if share < 1 else None


def show(output: Output, plan: dict[str, Any]) -> None:
    """Print a plan: what breaks comes last, where it is read."""
    from headrace.runtime.plan.sampling import is_sampled

    if plan["nothing"]:
        output.line("nothing to do: the files are what is deployed")
        _skipped(output, plan["history"])
        return
    if plan["first"]:
        output.line("nothing is deployed yet: all of it is new")
    for each in plan["changes"]:
        output.line(f"{_SIGNS.get(each['action'], '~')} {each['layer']} {each['name']}  {each['at']}".rstrip(), "bold")
        for key in each["keys"][:KEYS_SHOWN]:
            output.line(f"    {key['key']}: {_short(key['was'])} → {_short(key['now'])}")
        _more(output, each["keys"], KEYS_SHOWN)
    for each in plan["contracts"]:
        versions = " → ".join(filter(None, (each["was"], each["now"])))
        output.line(f"{_SIGNS.get(each['action'], '~')} contract {each['dataset']}  {versions}", "bold")
        kept = each["was"] in each["versions"][:-1]
        if kept:
            output.line(f"    events of {each['was']} are still taken, as what they are, and brought to the new shape")
        for change in each["changes"]:
            output.line(f"    {change['pointer'] or '/'}: {change['why']}")
            output.line(f"      readers {change['backward']}, writers {change['forward']}  ({change['rule']})")
            if change["fix"] and not kept:
                output.line(f"      fix: {change['fix']}", "dim")
    _tables(output, plan["tables"])
    _models(output, plan["models"])
    _history(output, plan["history"]["sources"])
    _skipped(output, plan["history"])
    for dataset, dates in plan["partitions"].items():
        least = "at least " if is_sampled(plan) else ""
        output.line(
            f"rewrites {least}{len(dates)} partition{'s' * (len(dates) != 1)} of silver.{dataset}: {_dates(dates)}"
        )
    if plan["history"]["sources"]:
        told = plan["estimate"]
        output.line(f"apply takes about {told['seconds']:.1f} s for {told['messages']:,} messages, by {told['how']}")
    elif not plan["history"]["asked"]:
        output.line("history stays as it was decided; --history 30d shows what these rules would make of it")
    output.line()
    for sentence in plan["breaking"]:
        output.line(f"BREAKS  {sentence}", "bold red")
    if not plan["refused"]:
        output.line(f"plan {plan['digest'][:16]}: headrace apply {shlex.quote(_nearby(plan['file']))}")
        return
    output.line(f"plan {plan['digest'][:16]} ({_nearby(plan['file'])}): apply refuses it", "bold red")
    for each in plan["refused"]:
        output.wrapped(each["why"] if each["at"] == "plan" else f"{each['at']}: {each['why']}", "  ")
        output.wrapped(f"fix: {each['fix']}", "    ")


def _nearby(file: str) -> str:
    """Return a path as it is typed from here, where that is shorter."""
    here = os.path.relpath(file)
    return here if len(here) < len(file) else file


def _tables(output: Output, tables: list[dict[str, Any]]) -> None:
    for each in tables:
        output.line(f"{_SIGNS.get(each['action'], '~')} table {each['table']}: {each['action']}", "bold")
        for column in each["columns"][:NAMES_SHOWN]:
            output.line(f"    {column['change']} {column['column']}  {_kinds(column)}")
        _more(output, each["columns"], NAMES_SHOWN)
        for statement in each["statements"][:STATEMENTS_SHOWN]:
            output.line(f"    {statement if len(statement) <= 200 else statement[:200] + ' …'}", "dim")
        _more(output, each["statements"], STATEMENTS_SHOWN)
        if each["why"]:
            output.line(f"    {each['why']}")
        if each["fix"]:
            output.line(f"    fix: {each['fix']}")


def _models(output: Output, models: list[dict[str, Any]]) -> None:
    for each in models:
        sign = "!" if each["breaks"] else _SIGNS.get(each["action"], "~")
        output.line(
            f"{sign} model {each['model']}: {'breaks' if each['breaks'] else each['action']}  {each['at']}", "bold"
        )
        if each["breaks"]:
            output.line(f"    {each['breaks']}", "red")
        for column in each["columns"][:NAMES_SHOWN]:
            said = {
                "type": "has another type:",
                "values": "has other values",
                "added": "is added:",
                "removed": "is gone:",
            }
            output.line(f"    {column['column']} {said[column['change']]} {_kinds(column)}  {column['at']}".rstrip())
        _more(output, each["columns"], NAMES_SHOWN)
        if each["rows"]:
            output.line("    other rows may be in it")
        if each["unread"]:
            output.line(f"    its columns are not known: {each['unread']}")
        if each["full_refresh"]:
            output.line("    it is incremental: make it from scratch, headrace build --full-refresh")


def _history(output: Output, sources: list[dict[str, Any]]) -> None:
    for one in sources:
        sample = one["sample"]
        replayed = one["messages"] if sample is None else sample["messages"]
        share = 100 * one["now_fail"]["messages"] / max(1, replayed)
        if sample is None:
            output.line(f"history of {one['source']}: {replayed:,} messages replayed", "bold")
        else:
            _sample(output, one)
        if one["decided_by"]:
            output.line(f"    headrace {', '.join(one['decided_by'])} decided messages of it")
        if one["unsampled"]:
            output.line(f"    not sampled: {one['unsampled']}")
        output.line(
            f"    {one['now_fail']['messages']:,} would now fail ({share:.2f} %), "
            f"{one['now_pass']['messages']:,} would now pass, {one['still_fail']:,} fail as before"
        )
        if sample is not None:
            fates = {"fail": one["now_fail"]["whole"], "pass": one["now_pass"]["whole"]}
            _of_all(output, fates | {"fail as before": sample["still_fail"]})
        for what, sign in (("now_fail", "fails"), ("now_pass", "passes, failed")):
            for reason in one[what]["reasons"][:3]:
                at = f" at {reason['path']}" if reason["path"] else ""
                output.line(f"    {reason['messages']:,} × {sign}: {reason['stage']}/{reason['code']}{at}")
            for event in one[what]["examples"]:
                output.line(f"      headrace explain {event['id']}   {event['reason']}")
        for each in one["datasets"]:
            output.line(
                f"    silver.{each['dataset']}: {each['entered']:,} rows enter, {each['left']:,} leave, "
                f"{each['changed']:,} change, {each['unchanged']:,} stay; "
                f"{len(each['partitions'])} partitions change: {_dates(each['partitions']) or 'none'}"
            )
            if each["whole"]:
                said = {"entered": "enter", "left": "leave", "changed": "change"}
                _of_all(output, {said[name]: count for name, count in each["whole"].items()})
            for column in each["columns"]:
                output.line(f"      {column['column']}: {column['rows']:,} other values")
            for event in each["examples"]:
                output.line(f"      {event['id']}: {event['column']} {_short(event['was'])} → {_short(event['now'])}")


def _sample(output: Output, one: dict[str, Any]) -> None:
    sample = one["sample"]
    by = f"of the keys, by {', '.join(sample['by'])}" if sample["by"] else "of the messages"
    output.line(f"history of {one['source']}: a sample, {100 * sample['share']:.3g} % {by}", "bold")
    output.line(
        f"    {sample['messages']:,} of {one['messages']:,} messages replayed, {sample['left_out']:,} left out. "
        "Of those replayed:"
    )


def _of_all(output: Output, counts: dict[str, dict[str, int]]) -> None:
    """Print what the counts of a sample are of all: each with the bounds within which it is, 19 times of 20."""
    from headrace.runtime.plan.scaled import spoken

    output.line(f"      of all about {', '.join(f'{spoken(each)} {said}' for said, each in counts.items())}")


def _skipped(output: Output, history: dict[str, Any]) -> None:
    sources: dict[str, list[str]] = {}
    for each in history["skipped"]:
        sources.setdefault(each["why"], []).append(each["source"])
    for why, names in sources.items():
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        verb = "is" if len(names) == 1 else "are"
        output.line(f"history of {', '.join(names[:NAMES_SHOWN])}{more} {verb} not replayed: {why}")
    if history["asked"] and not (history["sources"] or history["skipped"]):
        output.line(
            "every message of the window was decided by these rules and by this version of Headrace: history stays "
            "as it is"
        )


def _dates(dates: list[str]) -> str:
    return ", ".join(dates) if len(dates) <= NAMES_SHOWN else f"{dates[0]} … {dates[-1]}"


def _kinds(column: dict[str, Any]) -> str:
    return " → ".join(_short(kind) for kind in (column["was"], column["now"]) if kind)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = str(value)
    return text if len(text) <= 60 else text[:60] + " …"


def _more(output: Output, these: list[Any], shown: int) -> None:
    if len(these) > shown:
        output.line(f"    and {len(these) - shown} more: --json shows all")
