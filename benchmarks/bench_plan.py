"""What `headrace plan` takes without history: 500 sources and 2,000 models, one contract of them changed.

    bench_plan.py [--sources 500] [--models 2000] [--json]

A project is generated: sources of a dozen fields, and models in layers, each over two of the layer below, by joins,
unions, windows and aggregates. It is deployed, one column gets another type, and plan runs twice: with no lineage kept,
and with what the first run kept. `whole_lineage` is the lineage of all models, with nothing kept: a plan needs as much
where a change reaches all of them. Whole processes are not counted: `import` of what is used is.
"""

from __future__ import annotations

import json
import resource
import shutil
import time
from typing import TYPE_CHECKING, Any

from headrace.config.project import load_project
from headrace.runtime.building import bring_in
from headrace.runtime.lineage import CACHE, lineage
from headrace.runtime.plan.making import plan
from report import options, report

if TYPE_CHECKING:
    from pathlib import Path

LAYER = 500
FIELDS = ("id", "at", *(f"f{number}" for number in range(10)))


def write_project(root: Path, sources: int, models: int) -> None:
    """Write a project of so many sources and models."""
    for folder in ("connectors", "schemas", "models"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "headrace.yaml").write_text("name: bench\n")
    (root / "dbt_project.yml").write_text("name: bench\nversion: '1.0'\n")
    types = {"id": {"type": "string"}, "at": {"type": "string", "format": "date-time"}}
    types |= {name: {"type": "integer" if int(name[1:]) % 2 else "number"} for name in FIELDS[2:]}
    for number in range(sources):
        name = f"s{number:04}"
        schema = {"type": "object", "required": ["id", "at"], "properties": types}
        (root / f"schemas/{name}.json").write_text(json.dumps(schema))
        (root / f"connectors/{name}.yaml").write_text(
            f"source_id: {name}\ningestion: {{pattern: event_streaming, message_format: json}}\n"
            f"schema: {{file: schemas/{name}.json}}\nevent_time: at\n"
            "processing:\n  bronze_to_silver:\n  - deduplication: {key: [id]}\n"
        )
    for number in range(models):
        (root / f"models/m{number:04}.sql").write_text(_model(number, sources))


def _model(number: int, sources: int) -> str:
    layer, place = divmod(number, LAYER)
    if layer == 0:
        below = [f"{{{{ source('silver', 's{(place + step) % sources:04}') }}}}" for step in (0, 1)]
    else:
        below = [f"{{{{ ref('m{(layer - 1) * LAYER + (place + step) % LAYER:04}') }}}}" for step in (0, 7)]
    return (
        "with ranked as (\n    select *, row_number() over (partition by id order by f1 desc) as place\n"
        f"    from {below[0]}\n),\n"
        f"other as (\n    select id, sum(f2) as f2, max(f3) as f3 from {below[1]} group by id\n)\n"
        "select\n    ranked.id,\n    coalesce(other.f2, 0) + ranked.f0 as f0,\n    ranked.f1,\n    other.f2,\n"
        "    case when ranked.f3 > other.f3 then ranked.f3 else other.f3 end as f3\n"
        "from ranked\nleft join other on ranked.id = other.id\nwhere ranked.place = 1\n"
    )


def bench(folder: Path, sources: int, models: int) -> dict[str, Any]:
    """Return what the two plans took."""
    root = folder / "project"
    write_project(root, sources, models)
    project = load_project(root)
    bring_in(project)
    schema = json.loads((root / "schemas/s0000.json").read_text())
    schema["properties"]["f2"] = {"type": "string"}
    (root / "schemas/s0000.json").write_text(json.dumps(schema))
    figures: dict[str, Any] = {"sources": sources, "models": models}
    for name in ("first", "again"):
        began, cpu = time.perf_counter(), time.process_time()
        loaded = load_project(root)
        figures[f"{name}_load_seconds"] = round(time.perf_counter() - began, 2)
        found = plan(loaded)
        figures[f"{name}_seconds"] = round(time.perf_counter() - began, 2)
        figures[f"{name}_cpu_seconds"] = round(time.process_time() - cpu, 2)
        figures["models_told"] = len(found["models"])
    (project.state / CACHE).unlink()
    cpu = time.process_time()
    figures["whole_lineage_tables"] = len(lineage(project).tables)
    figures["whole_lineage_cpu_seconds"] = round(time.process_time() - cpu, 2)
    figures["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    shutil.rmtree(root)
    return figures


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--sources", type=int, default=500)
    parser.add_argument("--models", type=int, default=2000)
    given = parser.parse_args()
    report(given, lambda folder: bench(folder, given.sources, given.models))
