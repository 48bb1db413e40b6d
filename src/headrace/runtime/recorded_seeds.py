"""What is recorded of the seeds that a deployment looks up: their columns, which decide what silver has.

Their rows are recorded by themselves, with each batch. A seed that gains, loses or renames a column, or is taken away,
is another one from then on; a rebuild of what came before needs it as it was.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from headrace.config.lookups import declared

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

    from headrace.config.source import Source


def columns_of(sources: Iterable[Source]) -> str:
    """Return what lays out the seeds that sources look up, without rows: JSON of lookup to an Arrow schema, base64.

    Of each seed it has the columns that any step uses, or declares the type of, in the order of the step that uses
    most: a step that takes all takes them in that order again. A seed that two steps read with different types is left
    out.
    """
    import pyarrow as pa

    sources = list(sources)
    found: dict[str, dict[str, pa.DataType]] = {}
    unclear: set[str] = set()
    steps = [step for source in sources for dataset in source.datasets for step in dataset.enrichments]
    for step in sorted(steps, key=lambda step: -len(step.columns)):
        if step.seed is None:
            continue
        columns = found.setdefault(step.lookup, {})
        for field in step.seed.select(list(step.columns)).schema:
            if columns.setdefault(field.name, field.type) != field.type:
                unclear.add(step.lookup)
    for asked in (step.enrich for source in sources for step in source.spec.processing.bronze_to_silver):
        if asked is not None and asked.lookup in found:
            for name, word in asked.types.items():
                found[asked.lookup].setdefault(name, declared(word))
    said = {
        name: base64.b64encode(pa.schema(list(columns.items())).serialize().to_pybytes()).decode()
        for name, columns in found.items()
        if name not in unclear
    }
    return json.dumps(said, sort_keys=True)


def lay_out(said: str, folder: Path) -> None:
    """Write the seeds that `columns_of` told, without rows, into a folder; what it has of these names goes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas: dict[str, str] = json.loads(said)
    for path in [*folder.rglob("*")] if schemas and folder.is_dir() else []:
        if path.stem in schemas and path.is_file():
            path.unlink()
    for name, encoded in schemas.items():
        folder.mkdir(parents=True, exist_ok=True)
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(encoded)))
        path = folder / f"{name}.parquet"
        path.unlink(missing_ok=True)  # where names ignore case, one of another case: what it links to is not written to
        pq.write_table(schema.empty_table(), path)
