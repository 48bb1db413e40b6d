"""`headrace publish`: events from files or stdin onto a source's topic; durable when it returns."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.errors import HeadraceError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from headrace.bus.base import Bus
    from headrace.config.source import Source

STDIN = "-"


@dataclass(slots=True)
class Sent:
    """What a publish has made durable so far; `empty` counts the messages without a byte."""

    messages: int = 0
    bytes: int = 0
    empty: int = 0


def run(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source, by its id.")],
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Files in order; - or none: what is piped in.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="ndjson, json, csv, tsv, parquet or avro (default: by the suffix)."
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="TABLE", help="The table, for a source that has several.")
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", metavar="K=V", help="An attribute for every message; repeatable.")
    ] = None,
    skip: Annotated[int, typer.Option("--skip", metavar="N", min=0, help="Leave out the first N messages.")] = 0,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Send events from files or stdin to a source; each one counted is durable. Works beside `up` and without it.

    Every line, CSV record, element of a JSON array, Parquet row or Avro record becomes a message, broken ones too: they
    end in quarantine. .gz, .zst, .bz2 and .zip files are read as they are. Where a file is damaged, what came before is
    durable, and --skip goes on from there.
    With --json: {"source", "topic", "messages", "seconds", "messages_per_second", "bytes"}.
    """
    shop = open_project(project, env)
    target = shop.source(source)
    attributes = message_attributes(target, dataset, attribute or [])
    output = Output(as_json)
    from headrace.bus.sqlite import SqliteBus
    from headrace.runtime.state import open_state

    started = time.perf_counter()
    sent = Sent()
    messages = read_all(target, files or [STDIN], format_, attributes, output.note)
    with closing(SqliteBus(open_state(shop.state) / "bus")) as bus, _progress(output, sent) as advanced:
        try:
            with _insistent_interrupt():
                publish(bus, target.topic, skipping(messages, skip), sent, advanced)
        except HeadraceError as error:
            raise _with_what_is_durable(error, sent, skip) from error
        except KeyboardInterrupt:
            output.note(f"interrupted: {_durable(sent, skip)}")
            raise
    seconds = time.perf_counter() - started
    rate = round(sent.messages / seconds)
    document = {
        "source": target.id,
        "topic": target.topic,
        "messages": sent.messages,
        "seconds": round(seconds, 3),
        "messages_per_second": rate,
        "bytes": sent.bytes,
    }
    text = f"published {_messages(sent.messages)} in {seconds:.1f} s ({rate:,}/s), durable"
    output.show(document, lambda: output.line(text))
    if sent.empty:
        output.note(f"{_messages(sent.empty)} without content among them: quarantined as empty_message")


def publish(
    bus: Bus, topic: str, batches: Iterable[pa.RecordBatch], sent: Sent, advanced: Callable[[], None] = lambda: None
) -> None:
    """Publish batch by batch; `sent` is always what is durable, also where this raises."""
    import pyarrow.compute as pc

    for batch in batches:
        bus.publish(topic, batch)
        sizes = pc.binary_length(batch.column("payload"))
        sent.messages += batch.num_rows
        sent.bytes += pc.sum(sizes).as_py() or 0
        sent.empty += pc.sum(pc.equal(sizes, 0)).as_py() or 0
        advanced()


def skipping(batches: Iterable[pa.RecordBatch], count: int) -> Iterator[pa.RecordBatch]:
    """Yield all messages but the first so many."""
    for batch in batches:
        left_out = min(count, batch.num_rows)
        count -= left_out
        if left_out < batch.num_rows:
            yield batch.slice(left_out)


def message_attributes(source: Source, dataset: str | None, pairs: Iterable[str]) -> dict[str, str]:
    """Return the attributes of every message. Raises `UserError` where `--dataset` does not fit the source's tables."""
    from headrace.words import DATASET_ATTRIBUTE

    attributes: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UserError(f"{pair!r} is not an attribute", at="--attribute", fix="write --attribute key=value")
        attributes[key] = value
    tables = [table.name for table in source.spec.ingestion.tables]
    if not tables:
        if dataset is not None:
            raise UserError(f"source '{source.id}' has no tables", at="--dataset", fix="leave --dataset out")
        return attributes
    if dataset is None and DATASET_ATTRIBUTE not in attributes:
        raise UserError(
            f"source '{source.id}' has tables",
            at="--dataset",
            fix=f"say which: --dataset {' or '.join(tables)}",
        )
    if dataset is not None:
        if dataset not in tables:
            from headrace.config.faults import did_you_mean

            fix = did_you_mean(dataset, tables) or f"use one of {', '.join(tables)}"
            raise UserError(f"source '{source.id}' has no table '{dataset}'", at="--dataset", fix=fix)
        attributes[DATASET_ATTRIBUTE] = dataset
    return attributes


def read_all(
    source: Source, files: Iterable[str], format_: str | None, attributes: dict[str, str], note: Callable[[str], None]
) -> Iterator[pa.RecordBatch]:
    """Yield the messages of all files in order, CSV by the source's own dialect.

    Where what a file holds is not what the source's messages usually are, each message says so: `content-type`.
    """
    from headrace.connectors.csv_dialect import said_by
    from headrace.connectors.files import format_of, read_messages

    opened: list[tuple[Path | BinaryIO, str | None]] = []
    for name in files:  # every name is judged before the first message is sent
        where: Path | BinaryIO = sys.stdin.buffer if name == STDIN else Path(name)
        if isinstance(where, Path) and where.is_dir():
            raise UserError("this is a folder", at=name, fix=f"name its files: headrace publish {source.id} {where}/*")
        usual = "csv" if name == STDIN and source.message_format == "csv" else None
        archive = isinstance(where, Path) and where.suffix.lower() == ".zip"
        kind = format_ if archive else format_of(where, format_ or usual)  # an archive's members say their own
        if isinstance(where, Path) and not where.exists():
            raise UserError("the file does not exist", at=name, fix=f"see what is there: ls {where.parent}")
        opened.append((where, kind))
    for where, kind in opened:
        yield from read_messages(
            where,
            format=kind,
            attributes=attributes,
            usual=source.message_format,
            csv=said_by(source.csv),
            note=note,
        )


def _with_what_is_durable(error: HeadraceError, sent: Sent, skip: int) -> HeadraceError:
    if not sent.messages:
        return error
    return type(error)(f"{error.message}; {_durable(sent, skip)}", at=error.at, fix=error.fix)


def _durable(sent: Sent, skip: int) -> str:
    are, them = ("is", "it") if sent.messages == 1 else ("are", "them")
    go_on = f"go on after {them} with --skip {skip + sent.messages}"
    return f"{_messages(sent.messages)} before that {are} durable, {go_on}"


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"


@contextmanager
def _insistent_interrupt() -> Iterator[None]:
    """Make Ctrl-C end the block for sure.

    The exception that Python raises for it is lost where a library's callback or a finaliser happens to run; so it is
    raised again every half second until the block has ended, and once more at its end.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    heard = threading.Event()

    def interrupt(*_: object) -> None:
        heard.set()
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        raise KeyboardInterrupt

    before = [(each, signal.signal(each, interrupt)) for each in (signal.SIGINT, signal.SIGALRM)]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each, handler in before:
            signal.signal(each, handler)
    if heard.is_set():
        raise KeyboardInterrupt


@contextmanager
def _progress(output: Output, sent: Sent) -> Iterator[Callable[[], None]]:
    """Show how many messages are durable, on a terminal only."""
    if output.as_json or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns: Any = (SpinnerColumn(), TextColumn("{task.completed:,} messages durable"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("publish", total=None)
        yield lambda: progress.update(task, completed=sent.messages)
