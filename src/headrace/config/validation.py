"""From pydantic's errors to faults: where in which file, in the words of the file, with what to type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from headrace.config.faults import Fault, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.config.files import Document, Key

Model = TypeVar("Model", bound=BaseModel)

_ADVICE = re.compile(r": ((?:did you mean|write|one of|give|use) .*)$", re.DOTALL)


@dataclass(frozen=True)
class Origin:
    """Where the keys of a merged value were written: in a file, and for some in the layer that overrides it."""

    document: Document
    written: Callable[[Key], Key] = lambda key: key
    over: Document | None = None
    over_prefix: Key = ()
    over_written: Callable[[Key], Key] = lambda key: key

    def place(self, key: Key) -> tuple[str, int]:
        """Return the file and line of a key, or of the nearest one that encloses it."""
        above = (*self.over_prefix, *self.over_written(key))
        if self.over is not None and key and self.over.has(above):
            return self.over.file, self.over.line(above)
        return self.document.file, self.document.line(self.written(key))

    def error(self, key: Key, message: str, fix: str = "") -> Fault:
        """Return a fault at this key that keeps the project from loading."""
        return Fault("error", *self.place(key), message, fix)

    def warning(self, key: Key, message: str, fix: str = "") -> Fault:
        """Return a fault at this key that does not."""
        return Fault("warning", *self.place(key), message, fix)


class Validated(NamedTuple, Generic[Model]):
    """A model, or the faults that keep a value from being one, and the keys that they are about."""

    model: Model | None
    faults: list[Fault]
    keys: list[Key]


def validated(
    model: type[Model], value: Mapping[str, Any], origin: Origin, more_keys: Sequence[str] = ()
) -> Validated[Model]:
    """Return the model of a value, or None and every fault in it; `more_keys` may stand at the top as well."""
    try:
        return Validated(model.model_validate(value), [], [])
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=True)
    meant: set[str] = set()
    faults: list[Fault] = []
    keys: list[Key] = []
    for detail in sorted(details, key=lambda detail: detail["type"] == "missing"):
        key = _key(value, detail["loc"])
        keys.append(key)
        message, fix = _words(detail, key, dotted(origin.written(key)), model, more_keys)
        if detail["type"] == "extra_forbidden" and (near := re.fullmatch(r"did you mean '(.*)'\?", fix)):
            meant.add(near[1])
        # A mistyped key is also a missing one: saying it once is enough.
        if detail["type"] != "missing" or str(key[-1]) not in meant:
            faults.append(origin.error(key, message, fix))
    return Validated(None, faults, keys)


def _key(value: Any, location: Sequence[str | int]) -> Key:
    """Return the location without what pydantic adds to it (the branch of a union), which no file has."""
    key: list[str | int] = []
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(value, dict) and (part in value or last):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        key.append(part)
    return tuple(key)


def _words(detail: Any, key: Key, name: str, model: type[BaseModel], more_keys: Sequence[str]) -> tuple[str, str]:
    given = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            known = [*keys_at(model, key[:-1]), *(more_keys if len(key) == 1 else ())]
            where = f" in {dotted(key[:-1])}" if key[:-1] else ""
            return f"unknown key '{key[-1]}'{where}", did_you_mean(str(key[-1]), known)
        case "missing":
            return f"'{name}' is missing", f"add `{key[-1]}:`"
        case "literal_error":
            expected = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
            return f"{name}: {_shown(given)} is not allowed", _choice(given, expected)
        case "value_error":
            text = str(detail["ctx"]["error"])
            advice = _ADVICE.search(text)
            said = text[: advice.start()] if advice else text
            return (f"{name}: {said}" if name else said), advice[1] if advice else ""
        case "string_pattern_mismatch":
            return f"{name}: {_shown(given)} does not have the right form", f"it matches {detail['ctx']['pattern']}"
        case _:
            said = detail["msg"].removeprefix("Input ").removesuffix(", unable to parse string as an integer")
            if isinstance(given, dict | list) or given is None:
                kind = "empty" if given is None else "a mapping" if isinstance(given, dict) else "a list"
                said = f"{said.replace('valid dictionary or instance of', 'mapping of')}, and it is {kind}"
            else:
                said = f"{said}, and it is {_shown(given)}"
            return (f"{name}: {said}" if name else said), _wanted(detail["type"])


def _choice(given: object, expected: Sequence[str]) -> str:
    advice = did_you_mean(str(given), expected)
    listed = f"one of: {', '.join(expected)}"
    return advice if advice.startswith("one of") else f"{advice} {listed}"


def _wanted(kind: str) -> str:
    wanted = {
        "int": "write a whole number",
        "float": "write a number",
        "bool": "write true or false",
        "string": "write text; quotes make text of a number",
        "tuple": "write a list: [a, b], or a line for each with - before it",
        "dict": "write `key: value` lines below it",
        "model": "write `key: value` lines below it",
        "greater": "write a larger number",
        "less": "write a smaller number",
    }
    return next((text for start, text in wanted.items() if kind.startswith(start)), "")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def dotted(key: Key) -> str:
    """Return a key as people write it: `processing.bronze_to_silver[0].late`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def keys_at(model: type[BaseModel], key: Key) -> tuple[str, ...]:
    """Return the keys that a mapping at this place may have."""
    here: Any = model
    for part in key:
        if not isinstance(part, int):
            values = _values_of_mapping(here)
            here = next((_field(kind, part) for kind in models_in(here)), None) if values is None else values
    return tuple(name for kind in models_in(here) for name in _names(kind))


def _values_of_mapping(annotation: Any) -> Any:
    """Return what a mapping by free names holds: the Spec of `dict[str, Spec]`; None where it is no such mapping."""
    branches = [annotation, *get_args(annotation)]
    return next((get_args(branch)[1] for branch in branches if get_origin(branch) is dict), None)


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _field(model: type[BaseModel], name: str) -> Any:
    return next((field.annotation for key, field in model.model_fields.items() if (field.alias or key) == name), None)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation: in `tuple[Step, ...]`, `dict[str, Spec | None]`, `Spec`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]
