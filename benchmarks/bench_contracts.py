"""Contracts: the diff of two large schemas, and `check --against` of many sources, in CPU seconds.

The schemas are made from a seed: objects within objects, references, choices, about a megabyte each, a few places of
them different. They are compared in this process, and by `headrace contract diff` as it is typed, from its start to its
end; so is one source of the project. The project has a git history of one commit; a tenth of its sources have changed
since.
"""

from __future__ import annotations

import copy
import json
import random
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from headrace.config.contract_changes import changes_since
from headrace.config.project import assemble
from headrace.config.revisions import revision
from headrace.contracts.compatibility import compare
from report import options, report

if TYPE_CHECKING:
    from pathlib import Path

SCALARS: list[dict[str, Any]] = [
    {"type": "string", "maxLength": 80},
    {"type": ["string", "null"]},
    {"type": "integer", "minimum": 0},
    {"type": "number"},
    {"type": "string", "format": "date-time"},
    {"enum": ["one", "two", "three"]},
    {"type": "boolean"},
]


def schema(seed: int, size: int) -> dict[str, Any]:
    """Return a schema of about so many bytes."""
    turn = random.Random(seed)
    definitions: dict[str, Any] = {}
    written = 0
    while written < size:
        names = list(definitions)
        properties: dict[str, Any] = {}
        for number in range(20):
            kind = turn.random()
            part = dict(turn.choice(SCALARS))
            if names and kind < 0.15:
                part = {"$ref": f"#/$defs/{turn.choice(names[-20:])}"}
            elif kind < 0.25:
                part = {"type": "array", "items": part}
            elif kind < 0.3:
                part = {"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 9}]}
            properties[f"field_{number}"] = part | ({} if "$ref" in part else {"description": "what it stands for"})
        definition = {"type": "object", "properties": properties, "required": ["field_0", "field_1"]}
        definitions[f"part_{len(definitions)}"] = definition
        written += len(json.dumps(definition))
    parts = {name: {"$ref": f"#/$defs/{name}"} for name in definitions}
    return {"type": "object", "properties": parts, "$defs": definitions}


def typed(*arguments: object) -> float:
    """Return the CPU seconds of a command as it is typed, the best of three: the first may have to compile modules."""
    return round(min(_once(arguments) for _ in range(3)), 3)


def _once(arguments: tuple[object, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "headrace", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode != 1:  # what breaks was to be found
        raise SystemExit(done.stderr.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bench(folder: Path, size: int, sources: int) -> dict[str, Any]:
    """Return the figures."""
    old = schema(1, size)
    new = copy.deepcopy(old)
    for number, definition in enumerate(list(new["$defs"].values())[:: len(new["$defs"]) // 20]):
        definition["properties"]["field_2"] = {"type": "integer", "minimum": number + 1}
        definition["properties"][f"more_{number}"] = {"type": "string"}
    begun = time.process_time()
    changes = compare(old, new)
    diff = time.process_time() - begun
    for name, schema_ in (("old", old), ("new", new)):
        (folder / f"{name}.json").write_text(json.dumps(schema_))
    files = typed("contract", "diff", folder / "old.json", folder / "new.json")
    for name in ("old", "new"):
        (folder / f"{name}.json").unlink()
    for name in ("connectors", "schemas"):
        (folder / name).mkdir()
    (folder / "headrace.yaml").write_text("name: many\n")
    document: dict[str, Any] = {"type": "object", "properties": {f"f{n}": part for n, part in enumerate(SCALARS * 3)}}
    for number in range(sources):
        (folder / f"schemas/s{number}.json").write_text(json.dumps(document, indent=2))
        (folder / f"connectors/s{number}.yaml").write_text(
            f"source_id: s{number}\ningestion: {{pattern: event_streaming}}\nschema: {{file: schemas/s{number}.json}}\n"
        )
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)
    document["properties"]["f3"] = {"type": "integer"}
    for number in range(0, sources, 10):
        (folder / f"schemas/s{number}.json").write_text(json.dumps(document, indent=2))
    begun = time.process_time()
    assembled = assemble(folder, None, {})
    loaded = time.process_time() - begun
    found = changes_since(assembled, folder.resolve(), revision(folder, "main"))
    against = time.process_time() - begun - loaded
    source = typed("contract", "diff", "s0", "--project", folder)
    return {
        "schema_bytes": len(json.dumps(old)),
        "diff_cpu_seconds": round(diff, 3),
        "diff_of_files_cpu_seconds": files,
        "changes": len(changes),
        "breaking": sum(change.backward == "breaking" for change in changes),
        "sources": sources,
        "load_cpu_seconds": round(loaded, 3),
        "against_cpu_seconds": round(against, 3),
        "diff_of_a_source_cpu_seconds": source,
        "sources_that_break": sum(bool(each.breaking) for each in found),
    }


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--bytes", type=int, default=1_000_000, help="how large each schema is")
    parser.add_argument("--sources", type=int, default=500)
    given = parser.parse_args()
    report(given, lambda folder: bench(folder, given.bytes, given.sources))
