"""The reference pages say every verb with its options, every setting, and every key of a file."""

import re
import typing
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from headrace.cli.main import VERBS, _load
from headrace.config.collector import VARIABLE, CollectorSpec
from headrace.config.contract_policy import ContractPolicy
from headrace.config.project_file import ProjectFile
from headrace.config.settings import SOURCE_KEYS, Settings
from headrace.config.source_file import SourceFile
from headrace.spec import Spec

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def commands():
    for verb in VERBS:
        command = _load(verb)
        if hasattr(command, "commands"):
            yield from ((f"{verb.name} {name}", inner) for name, inner in sorted(command.commands.items()))
        else:
            yield verb.name, command


SHARED = {"project", "env", "as_json"}  # said once, for all verbs, at the top of the page


def option_rows(command):
    """Return the line of the page for each argument and option of a verb."""
    rows = []
    for parameter in command.params:
        if parameter.name in SHARED:
            continue
        names = parameter.name.upper() if parameter.param_type_name == "argument" else ", ".join(parameter.opts)
        metavar = parameter.metavar or ""
        shown = metavar or names if parameter.param_type_name == "argument" else f"{names} {metavar}".rstrip()
        rows.append(f"| `{shown}` | {parameter.help} |")
    return rows


def setting_rows():
    rows = []
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else field.default
        where = ".".join(SOURCE_KEYS[name])
        rows.append(f"| `{name}` | `{where}` | `HEADRACE_{name.upper()}` | `{default}` | {field.description} |")
    return rows


def collector_rows():
    rows = []
    for name, field in CollectorSpec.model_fields.items():
        default = {None: "none", (): "none", True: "true"}.get(field.default, field.default)
        rows.append(f"| `{name}` | `{VARIABLE}{name.upper()}` | `{default}` | {field.description} |")
    return rows


def key_rows(spec, prefix=""):
    """Return the line of the page for each key of a file, and of what is below it."""
    rows = []
    for name, field in spec.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        planned = isinstance(field.json_schema_extra, dict) and "x-headrace-planned" in field.json_schema_extra
        inner, many = _inner(field.annotation)
        description = field.description or (inner.__doc__.splitlines()[0] if inner else "")
        note = " *Read and kept; nothing acts on it yet.*" if planned else ""
        must = " *Required.*" if field.default is PydanticUndefined and field.default_factory is None else ""
        rows.append(f"| `{key}{many}` | {description.replace('|', chr(92) + '|')}{must}{note} |")
        if inner and inner not in {Settings, CollectorSpec}:
            rows += key_rows(inner, f"{key}{many}.")
    return rows


def _inner(annotation, many=""):
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation, many
    origin = typing.get_origin(annotation)
    kind = {tuple: "[]", dict: ".<name>"}.get(origin, "")
    for argument in typing.get_args(annotation):
        inner, below = _inner(argument, many + kind)
        if inner:
            return inner, below
    return None, ""


def sections(page):
    parts = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].strip("` "): part for part in parts}


@pytest.mark.parametrize("name", [verb.name for verb in VERBS])
def test_every_verb_has_a_section_and_its_options(name):
    page = sections((REFERENCE / "command-line.md").read_text(encoding="utf-8"))
    for full, command in commands():
        if full.split()[0] != name:
            continue
        section = page.get(f"headrace {full}")
        assert section, f"docs/reference/command-line.md has no section `headrace {full}`"
        missing = [row for row in option_rows(command) if row not in section]
        assert not missing, f"`headrace {full}` lacks:\n" + "\n".join(missing)


def test_no_section_is_of_a_verb_that_is_gone():
    page = sections((REFERENCE / "command-line.md").read_text(encoding="utf-8"))
    known = {f"headrace {name}" for name, _ in commands()}
    assert {title for title in page if title.startswith("headrace ")} == known


@pytest.mark.parametrize(
    ("page", "rows"),
    [
        ("settings.md", setting_rows()),
        ("source-file.md", key_rows(SourceFile)),
        ("project-file.md", key_rows(ProjectFile)),
        ("collector.md", collector_rows()),
        ("contract-policy.md", key_rows(ContractPolicy)),
    ],
    ids=["settings", "source file", "project file", "collector", "contract policy"],
)
def test_every_key_is_documented_and_none_that_is_gone(page, rows):
    lines = (REFERENCE / page).read_text(encoding="utf-8").splitlines()
    assert not (missing := [row for row in rows if row not in lines]), f"docs/reference/{page} lacks:\n" + "\n".join(
        missing
    )
    documented = [line for line in lines if line.startswith("| `")]
    assert not (gone := [line for line in documented if line not in rows]), f"docs/reference/{page} still has {gone}"
