"""Models as SQL, without dbt: what `ref`, `source` and `config` of a model say, rendered by Jinja alone.

dbt takes tens of seconds to compile two thousand models, and asks the warehouse while it does. To know which column
comes from which, no answer of the warehouse is needed: a model is rendered as if it were built from scratch, with the
project's own macros. One that needs more (a package, an answer of the warehouse) has no SQL, and says why; what it
refers to is known all the same.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from headrace.warehouse import gold
from headrace.warehouse.dbt_project import FOLDERS, own_paths, own_settings
from headrace.warehouse.staging import generated_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from headrace.warehouse.base import Inputs

_REFERS = re.compile(r"""\bref\(\s*(?:['"]\w+['"]\s*,\s*)?['"](\w+)['"]""")
_SOURCES = re.compile(r"""\bsource\(\s*['"](\w+)['"]\s*,\s*['"](\w+)['"]""")
_SNAPSHOT = re.compile(r"{%-?\s*snapshot\s+(\w+)\s*-?%}(.*?){%-?\s*endsnapshot\s*-?%}", re.DOTALL)
_MACRO = re.compile(r"{%-?\s*macro\s+(\w+)")
# What most models have of Jinja: {{ ref('a') }}, {{ source('a', 'b') }}, {{ config(key=constant) }}.
_PLAIN = re.compile(
    r"""{{\s*(?:(ref|source)\(\s*['"](\w+)['"]\s*(?:,\s*['"](\w+)['"]\s*)?\)|config\(([^{}]*)\))\s*}}"""
)
SNAPSHOT_COLUMNS = ("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to")
LONGEST_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class Model:
    """A model, seed or snapshot: its SQL over `schema.name` tables, or why there is none.

    `file` is relative to the project, and `text` what it holds. A generated model's file is the source that asks for
    it. Of a seed `columns` are known, and there is no SQL. `parents` are the tables that it refers to.
    """

    name: str
    kind: str
    file: str
    text: str
    sql: str
    parents: frozenset[str]
    materialized: str = "table"
    columns: tuple[str, ...] = ()
    problem: str = ""

    @property
    def table(self) -> str:
        """The name by which others refer to it."""
        return f"gold.{self.name.lower()}"

    @property
    def digest(self) -> str:
        """What changes when its SQL does, or what it refers to."""
        said = "\0".join((self.kind, self.sql, self.problem, *self.columns, *sorted(self.parents)))
        return hashlib.sha256(said.encode()).hexdigest()


def dbt_files(inputs: Inputs) -> dict[str, bytes]:
    """Return the user's dbt files, by their path in the project; of a seed its columns and digest stand for its rows.

    Raises `BuildError` where dbt_project.yml cannot be read.
    """
    own = own_settings(inputs.root)
    files: dict[str, bytes] = {}
    for name in ("dbt_project.yml", "packages.yml"):
        if (inputs.root / name).is_file():
            files[name] = (inputs.root / name).read_bytes()
    for key in FOLDERS:
        for folder in own_paths(own, key, inputs.root):
            for path in sorted((inputs.root / folder).rglob("*")):
                if not path.is_file() or path.suffix not in {".sql", ".yml", ".yaml", ".csv", ".py"}:
                    continue
                name = path.relative_to(inputs.root).as_posix()
                files[name] = _seed(path) if path.suffix == ".csv" else path.read_bytes()
    return files


def _seed(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        header = stream.readline(LONGEST_HEADER)
        digest.update(header)
        for part in iter(lambda: stream.read(1 << 20), b""):
            digest.update(part)
    return header.rstrip(b"\r\n") + b"\n# sha256 " + digest.hexdigest().encode() + b"\n"


def models(
    inputs: Inputs, files: Mapping[str, bytes] | None = None, known: dict[tuple[str, ...], Model] | None = None
) -> list[Model]:
    """Return every model, seed and snapshot, generated ones included; `files` are the dbt files, where not today's.

    `known` is filled with what was rendered. Given again for other files, what is the same there is the same `Model`.
    """
    files = dbt_files(inputs) if files is None else files
    own = _settings_of(files)
    taken = {name.rpartition("/")[2].rpartition(".")[0] for name in files if not name.endswith((".yml", ".yaml"))}
    rendering = Rendering(own.get("vars"), _macros(files, own.get("macro-paths", FOLDERS["macro-paths"])), known)
    found: dict[str, Model] = {}
    for name, content in files.items():
        for model in _of_file(rendering, name, content.decode(errors="replace"), own):
            found.setdefault(model.name, model)
    generated, _ = generated_models(inputs.tables, taken)
    sources = {f"stg_{table.name}": table.file for table in inputs.tables}
    sources |= {gold.model_name(table.name): table.file for table in inputs.tables}
    for name, text in generated.items():
        stem = name.rpartition("/")[2].removesuffix(".sql")
        if stem not in found:
            found[stem] = rendering.model(stem, "model", sources.get(stem, name), text)
    return [found[name] for name in sorted(found)]


def _settings_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    try:
        document = yaml.safe_load(files.get("dbt_project.yml", b""))
    except yaml.YAMLError:
        return {}
    return document if isinstance(document, dict) else {}


def _of_file(rendering: Rendering, name: str, text: str, own: Mapping[str, Any]) -> Iterator[Model]:
    stem = name.rpartition("/")[2].rpartition(".")[0]

    def lies_in(key: str) -> bool:
        return any(name.startswith(f"{folder}/") for folder in own.get(key, FOLDERS[key]))

    if name.endswith(".csv") and lies_in("seed-paths"):
        header = text.partition("\n")[0]
        columns = tuple(each.strip().strip('"') for each in header.split(","))
        yield Model(stem, "seed", name, text, "", frozenset(), "seed", columns)
    elif name.endswith(".sql") and lies_in("snapshot-paths"):
        for snapshot, body in _SNAPSHOT.findall(text):
            yield rendering.model(snapshot, "snapshot", name, body)
    elif name.endswith(".sql") and lies_in("model-paths"):
        yield rendering.model(stem, "model", name, text)
    elif name.endswith(".py") and lies_in("model-paths"):
        parents = frozenset(f"gold.{each.lower()}" for each in _REFERS.findall(text))
        yield Model(stem, "model", name, text, "", parents, problem="it is a Python model")


def _macros(files: Mapping[str, bytes], folders: list[str]) -> list[str]:
    return [
        content.decode(errors="replace")
        for name, content in files.items()
        if name.endswith(".sql") and any(name.startswith(f"{folder}/") for folder in folders)
    ]


def _constants(arguments: str) -> dict[str, Any] | None:
    """Return the keywords of a call where all are constants that Python and Jinja write alike; else None."""
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(each.arg is None for each in call.keywords):
            return None
        return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


class _NeedsMoreError(Exception):
    """The model asks for what only dbt can give."""


class Rendering:
    """Renders models of one project, in a sandbox: what a model's Jinja may do is say SQL."""

    def __init__(
        self,
        variables: Mapping[str, Any] | None,
        macros: list[str],
        known: dict[tuple[str, ...], Model] | None = None,
    ) -> None:
        import jinja2
        import jinja2.ext
        from jinja2.sandbox import SandboxedEnvironment

        class Unknown(jinja2.Undefined):
            def _fail_with_undefined_error(self, *_: Any, **__: Any) -> NoReturn:
                raise _NeedsMoreError(f"it uses {self._undefined_name}, which only dbt knows")

            __call__ = __getattr__ = __str__ = __iter__ = __bool__ = __getitem__ = _fail_with_undefined_error

        self._environment = SandboxedEnvironment(extensions=[jinja2.ext.do], undefined=Unknown, autoescape=False)
        self._variables = dict(variables or {})
        self._known = {} if known is None else known
        self._rules = hashlib.sha256("\0".join((repr(self._variables), *macros)).encode()).hexdigest()
        self._said: dict[str, Any] = {}
        self._parents: set[str] = set()
        self._environment.globals.update(self._globals())
        for text in macros:
            self._take_macros(text)

    def model(self, name: str, kind: str, file: str, text: str) -> Model:
        """Return a model from what its file holds."""
        key = (self._rules, name, kind, file, text)
        made = self._known.get(key)
        if made is None:
            made = self._known[key] = self._model(name, kind, file, text)
        return made

    def _model(self, name: str, kind: str, file: str, text: str) -> Model:
        import jinja2

        self._said, self._parents = {}, set()
        problem, sql = "", text
        try:
            if "{{" in text or "{%" in text or "{#" in text:
                sql = self._plainly(text) or self._environment.from_string(text).render(this=f'"gold"."{name}"')
        except _NeedsMoreError as more:
            problem = str(more)
        except (jinja2.TemplateError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as wrong:
            problem = f"its Jinja cannot be rendered without dbt: {wrong}"
        if problem:
            sql = ""
            self._parents |= {f"gold.{each.lower()}" for each in _REFERS.findall(text)}
            self._parents |= {f"{schema}.{table}".lower() for schema, table in _SOURCES.findall(text)}
        materialized = str(self._said.get("materialized", "snapshot" if kind == "snapshot" else "table"))
        return Model(
            name, kind, file, text, sql.strip().rstrip(";"), frozenset(self._parents), materialized, (), problem
        )

    def _plainly(self, text: str) -> str:
        """Return the SQL of a model that has of Jinja only plain calls; nothing where Jinja has to render it.

        Compiling a template takes some milliseconds, and there are thousands of models.
        """
        if "{%" in text or "{#" in text or "\r" in text or "{{" in _PLAIN.sub("", text):
            return ""
        configs = [_constants(found[4]) for found in _PLAIN.finditer(text) if found[1] is None]
        if any(each is None for each in configs):
            return ""

        def rendered(found: re.Match[str]) -> str:
            verb, *names = found[1], *(each for each in (found[2], found[3]) if each is not None)
            if verb is None:
                return ""
            call: Any = self._environment.globals[verb]
            return str(call(*names))

        sql = _PLAIN.sub(rendered, text)
        for each in configs:
            self._said |= each or {}
        return sql

    def _take_macros(self, text: str) -> None:
        """Make the macros of a file known by their names; a file that is not Jinja alone has none."""
        import jinja2

        try:
            module = self._environment.from_string(text).module
        except (jinja2.TemplateError, _NeedsMoreError, TypeError, ValueError):
            return
        for name in _MACRO.findall(text):
            if name not in self._environment.globals and hasattr(module, name):
                self._environment.globals[name] = getattr(module, name)

    def _globals(self) -> dict[str, Callable[..., Any] | Any]:
        def ref(*names: str, **_: Any) -> str:
            self._parents.add(f"gold.{names[-1].lower()}")
            return f'"gold"."{names[-1]}"'

        def source(schema: str, table: str) -> str:
            self._parents.add(f"{schema}.{table}".lower())
            return f'"{schema}"."{table}"'

        def config(*_: Any, **said: Any) -> str:
            self._said |= said
            return ""

        def var(name: str, default: Any = None) -> Any:
            if name not in self._variables and default is None:
                raise _NeedsMoreError(f"it uses the variable {name}, which has no value")
            return self._variables.get(name, default)

        def env_var(name: str, default: str | None = None) -> str:
            if default is None:
                raise _NeedsMoreError(f"it uses the variable {name} of the environment")
            return default

        return {
            "ref": ref,
            "source": source,
            "config": config,
            "var": var,
            "env_var": env_var,
            "is_incremental": lambda: False,
            "headrace_touched": lambda *_, **__: "true",
            "execute": False,
            "return": lambda value: value,
            "log": lambda *_, **__: "",
            "target": {"name": "gold", "schema": "main", "database": "gold", "type": "duckdb"},
        }
