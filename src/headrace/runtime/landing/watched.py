"""A source whose files are watched: where they lie, how they are read, and what their messages are numbered by."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.config.locations import place_of
from headrace.connectors.byte_stream import NAMES, Bounds
from headrace.connectors.csv_dialect import Said, said_by
from headrace.connectors.files import read_messages, says_cells
from headrace.errors import HeadraceError, InputError
from headrace.words import DATASET_ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    import pyarrow as pa

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.connectors.batch_file.places import Place

PATTERN = "batch_file"
OWN_COMPRESSION = ("snappy",)  # what Parquet and Avro do within; the file itself is not compressed
COMPRESSIONS = {"none": "", "zip": "zip", **NAMES}


@dataclass(frozen=True)
class Watched:
    """One source of watched files. `reading` is all that decides, beside its table, what messages a file gives."""

    id: str
    topic: str
    place: Place
    format: str | None
    compression: str | None
    usual: str
    said: Said
    bounds: Bounds
    tables: tuple[str, ...]
    only: tuple[str, ...]
    every_secs: float
    settle_secs: float
    schedule: str | None
    timezone: str
    reading: tuple[object, ...]

    def messages(self, path: str, file: BinaryIO, note: Callable[[str], None]) -> Iterator[pa.RecordBatch]:
        """Yield the messages of a file of this source; see `read_messages`."""
        yield from read_messages(
            file,
            name=path,
            format=self.format,
            compression=self.compression,
            attributes=self._attributes(path),
            usual=self.usual,
            csv=self.said,
            bounds=self.bounds,
            note=note,
        )

    def settings(self, path: str) -> str:
        """Return what stands for how a file is read: with others, the same bytes are other messages.

        The table is part of it, since messages name theirs: the other tables of the source are not. So is whether a
        file's name says that it holds lines of cells, and not JSON: its bytes alone may well be either.
        """
        table = self._table(path)
        cells = ("csv",) if self.format is None and says_cells(path) else ()
        return _standing_for((*self.reading, self.tables if table is None else (table,), *cells))

    def producer(self, digest: str, path: str) -> str:
        """Return the name under which the topic counts the messages of a file with this digest at this path."""
        return f"file:{self.id}:{digest}:{self.settings(path)}"

    def _table(self, path: str) -> str | None:
        """Return the table whose folder a file lies in, None where it lies in none."""
        table, slash, _ = path.partition("/")
        return table if slash and table in self.tables else None

    def _attributes(self, path: str) -> dict[str, str]:
        if not self.tables:
            return {}
        table = self._table(path)
        if table is not None:
            return {DATASET_ATTRIBUTE: table}
        raise InputError(
            "the file lies in no folder of a table",
            at=path,
            fix=f"move it into one: {', '.join(f'{name}/' for name in self.tables)}",
        )


@functools.lru_cache(maxsize=4096)  # asked for each file of a folder, at each look
def _standing_for(reading: tuple[object, ...]) -> str:
    return hashlib.sha256(json.dumps(reading).encode()).hexdigest()[:12]


def watched(project: Project) -> tuple[dict[str, Watched], dict[str, HeadraceError]]:
    """Return the sources whose files are watched, and those that cannot be, with the reason."""
    found: dict[str, Watched] = {}
    faults: dict[str, HeadraceError] = {}
    for source in project.sources.values():
        if is_watched(source):
            try:
                found[source.id] = _watched(source, project)
            except HeadraceError as error:
                faults[source.id] = error
    return found, faults


def is_watched(source: Source) -> bool:
    """Say whether a source takes files from a location."""
    return source.pattern == PATTERN and bool(source.spec.ingestion.location)


def _watched(source: Source, project: Project) -> Watched:
    spec = source.spec.ingestion
    said = said_by(source.csv)
    told = spec.compression
    compression = None if told is None or told in OWN_COMPRESSION else COMPRESSIONS[told]
    return Watched(
        id=source.id,
        topic=source.topic,
        place=place_of(spec.location or "", project.root, project.bindings, f"connectors/{source.file.name}"),
        format=spec.format,
        compression=compression,
        usual=source.message_format,
        said=said,
        bounds=Bounds(spec.files.max_unpacked_bytes, spec.files.max_unpacked_ratio),
        tables=tuple(table.name for table in spec.tables),
        only=spec.files.only,
        every_secs=spec.files.every.total_seconds(),
        settle_secs=spec.files.settle.total_seconds(),
        schedule=spec.schedule,
        timezone=source.settings.timezone,
        reading=(spec.format, compression, source.message_format, said),
    )
