"""The dbt project that a build runs: generated files beside links to the user's own, in a folder under the state.

The user's folders are only read. Links keep the user's own relative paths, so dbt's messages name the user's files.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import BuildError
from headrace.lake import extensions
from headrace.warehouse.staging import generated_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.warehouse.base import Inputs

PROFILE = "headrace"
FOLDERS = {
    "model-paths": ["models"],
    "seed-paths": ["seeds"],
    "test-paths": ["tests"],
    "macro-paths": ["macros"],
    "snapshot-paths": ["snapshots"],
    "analysis-paths": ["analyses"],
}
GENERATED_FOLDER = "headrace_models"
GENERATED = {"model-paths": GENERATED_FOLDER, "macro-paths": "headrace_macros"}
OURS = ("target-path", "log-path", "clean-targets", "profile", "packages-install-path", "docs-paths", "asset-paths")
"""Settings of the user's dbt_project.yml that a build replaces with its own."""

_SNAPSHOT = re.compile(r"{%-?\s*snapshot\s+(\w+)")


@dataclass(frozen=True, slots=True)
class DbtFolder:
    """Where dbt works, under an environment's state; all of it can be deleted and is made again."""

    path: Path

    @property
    def project(self) -> Path:
        """The generated project, and the profile in it."""
        return self.path / "project"

    @property
    def target(self) -> Path:
        """What dbt leaves: the manifest, compiled SQL, run results."""
        return self.path / "target"

    @property
    def logs(self) -> Path:
        """What dbt logged, and what the worker wrote."""
        return self.path / "logs"

    @property
    def job(self) -> Path:
        """What the plugin attaches: rewritten for each build."""
        return self.path / "job.json"


def write_project(folder: DbtFolder, inputs: Inputs, *, threads: int, memory_limit: str) -> list[str]:
    """Write the project afresh; return warnings.

    Raises:
        BuildError: dbt_project.yml or a YAML file beside the models cannot be read, or a path leaves the project.
    """
    own = own_settings(inputs.root)
    paths = {key: own_paths(own, key, inputs.root) for key in FOLDERS}
    taken, declared = _own_names(inputs.root, paths)
    files, warnings = generated_files(inputs.tables, taken, declared)
    if folder.project.exists():
        shutil.rmtree(folder.project)  # links are removed, never followed
    for name, text in files.items():
        _write(folder.project / name, text)
    for names in paths.values():
        for name in names:
            _link(folder.project / name, inputs.root / name)
    for name in ("packages.yml", "dependencies.yml", "package-lock.yml", ".dbtignore"):
        if (inputs.root / name).is_file():
            _link(folder.project / name, inputs.root / name)
    settings = _settings(own, inputs, paths)
    _write(folder.project / "dbt_project.yml", json.dumps(settings, indent=1))
    _write(folder.project / "profiles.yml", json.dumps(_profile(folder, threads, memory_limit), indent=1))
    folder.logs.mkdir(parents=True, exist_ok=True)
    return warnings


def _settings(own: dict[str, Any], inputs: Inputs, paths: dict[str, list[str]]) -> dict[str, Any]:
    settings: dict[str, Any] = {key: value for key, value in own.items() if key not in OURS}
    settings.setdefault("name", re.sub(r"\W", "_", inputs.project).strip("_").lower() or "headrace")
    settings.setdefault("version", "1.0")
    settings["profile"] = PROFILE
    settings["packages-install-path"] = str(inputs.root / str(own.get("packages-install-path", "dbt_packages")))
    for key, names in paths.items():
        settings[key] = [*names, *([GENERATED[key]] if key in GENERATED else [])]
    models = dict(settings.get("models") or {})
    if not {"+materialized", "materialized"} & models.keys():
        models["+materialized"] = "table"
    settings["models"] = models
    return settings


def _profile(folder: DbtFolder, threads: int, memory_limit: str) -> dict[str, Any]:
    # One dbt thread: two writing connections of one DuckLake catalog meet `database is locked`; DuckDB itself is
    # parallel.
    output = {
        "type": "duckdb",
        "path": ":memory:",
        "database": "gold",
        "schema": "main",
        "threads": 1,
        "config_options": {
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": str(folder.path / "spill"),
            **extensions.CONFIG,
        },
        "settings": {"TimeZone": "UTC"},
        "plugins": [{"module": "headrace.warehouse.attach", "config": {"job": str(folder.job)}}],
        # The plugin has attached it by then; this entry tells the adapter that it is DuckLake.
        "attach": [{"path": "ducklake:gold", "alias": "gold"}],
    }
    return {PROFILE: {"target": "gold", "outputs": {"gold": output}}}


def own_settings(root: Path) -> dict[str, Any]:
    """Return what the user's dbt_project.yml says. Raises `BuildError` where it is not YAML."""
    path = root / "dbt_project.yml"
    return _yaml(path, root) if path.is_file() else {}


def own_paths(own: dict[str, Any], key: str, root: Path) -> list[str]:
    """Return the user's folders of a kind that are there. Raises `BuildError` where one is outside of the project."""
    if not own:
        return []
    names = own.get(key, FOLDERS[key])
    for name in names:
        place = (root / name).resolve()
        if place == root.resolve() or not place.is_relative_to(root.resolve()):
            raise BuildError(
                f"{key} names {name!r}, which is not a folder inside the project",
                at="dbt_project.yml",
                fix=f"move its files into a folder such as {FOLDERS[key][0]}/",
            )
    return [name for name in names if (root / name).is_dir()]


def _own_names(root: Path, paths: dict[str, list[str]]) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the names of the user's models, seeds and snapshots, and the (source, table) pairs of the user's YAML."""
    names: set[str] = set()
    declared: set[tuple[str, str]] = set()
    for key, suffixes in {"model-paths": {".sql", ".py"}, "seed-paths": {".csv"}, "snapshot-paths": {".sql"}}.items():
        for path in _files(root, paths[key]):
            if path.suffix in suffixes:
                names.add(path.stem)
            if path.suffix == ".sql" and key == "snapshot-paths":
                names.update(_SNAPSHOT.findall(path.read_text(encoding="utf-8", errors="replace")))
            if path.suffix in {".yml", ".yaml"} and key == "model-paths":
                declared |= _declared_sources(path, root)
    return names, declared


def _declared_sources(path: Path, root: Path) -> set[tuple[str, str]]:
    document = _yaml(path, root)
    sources = document.get("sources") or []
    return {
        (str(source.get("name")), str(table.get("name")))
        for source in sources
        if isinstance(source, dict)
        for table in source.get("tables") or []
        if isinstance(table, dict)
    }


def _yaml(path: Path, root: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BuildError(
            f"not valid YAML: {error.problem}", at=f"{path.relative_to(root)}:{line}", fix="correct the file"
        ) from error
    return document if isinstance(document, dict) else {}


def _files(root: Path, folders: list[str]) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in sorted((root / folder).rglob("*")) if path.is_file())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.resolve())


def readers_of(state: Path, dataset: str) -> list[str]:
    """Return the models that read a silver dataset, directly or through others, as the last build of all saw them."""
    try:
        graph = json.loads((DbtFolder(state / "dbt").target / "graph_summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nothing was built yet
        return []
    nodes: dict[str, dict[str, Any]] = graph["linked"]
    reached: set[str] = set()
    begin = [key for key, node in nodes.items() if node["name"].endswith(f".silver.{dataset}")]
    while begin:
        follows = {str(each) for key in begin for each in nodes[key].get("succ", ())} - reached
        reached |= follows
        begin = sorted(follows)
    return sorted(nodes[key]["name"].rpartition(".")[2] for key in reached if nodes[key]["type"] == "model")
