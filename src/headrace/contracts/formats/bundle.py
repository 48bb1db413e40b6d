"""One schema out of many: what its references lead to, in the same file or in others, becomes its own `$defs`."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urljoin

from headrace.contracts.formats.form import free_name
from headrace.contracts.load import DRAFTS
from headrace.contracts.refs import followed, subschemas
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Loader = Callable[[str, str], tuple[Any, str]]

MAX_SCHEMAS = 20_000
_MAX_STEPS = 16


class Part(NamedTuple):
    """A part of a document: the document, where it lies, and the pointer of the part."""

    document: Any
    place: str
    pointer: str

    @property
    def value(self) -> Any:
        """What is there; None where nothing is."""
        try:
            return followed(self.document, self.pointer)
        except LookupError:
            return None


def meant(part: Part, load: Loader) -> Part:
    """Return the part that a reference stands for, however many references lead there; other parts are themselves.

    For what is no schema: messages, bodies, parameters. `bundled` follows those of schemas.
    """
    at = part
    for _ in range(_MAX_STEPS):
        value = at.value
        if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
            return at
        file, _, fragment = value["$ref"].partition("#")
        document, place = load(at.place, file) if file else (at.document, at.place)
        at = Part(document, place, unquote(fragment))
        if at.value is None:
            raise ContractError(f"$ref {value['$ref']!r} leads nowhere", at=part.place, fix="check its spelling")
    raise ContractError(f"the references at #{part.pointer} go round in circles", at=part.place, fix="break the circle")


def bundled(
    document: Any, pointer: str, place: str, load: Loader, *,
    draft: str | None = None, mend: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Return the schema at a pointer of a document, whole in itself.

    `place` names the document; `load` finds those that references name, and refuses what must not be read. `mend` is
    called for every subschema once. References may go round in circles. Raises `ContractError` where one leads nowhere,
    or to a schema of another draft.
    """
    return _Bundle(document, place, load, draft, mend).whole(pointer)


class _Bundle:
    def __init__(
        self, document: Any, place: str, load: Loader, draft: str | None, mend: Callable[[dict[str, Any]], None]
    ) -> None:
        self._documents = {place: document}
        self._place = place
        self._load = load
        self._mend = mend
        self._draft = draft or draft_of(document)
        self._names: dict[tuple[str, str], str] = {}
        self._addresses: dict[str, dict[str, str]] = {}
        self._found: dict[str, Any] = {}
        self._waiting: list[tuple[str, str, str]] = []

    def whole(self, pointer: str) -> dict[str, Any]:
        root = copy.deepcopy(self._at(self._place, pointer))
        if not isinstance(root, dict):
            raise ContractError(f"there is no schema at #{pointer}", fix="choose another part of the file")
        defs = "$defs" if "20" in self._draft else "definitions"
        own = {name: root.pop(name) for name in ("$defs", "definitions") if not pointer and name in root}
        root.pop("$schema", None)
        self._names[self._place, pointer] = ""
        self._rewrite(root, self._place, defs)
        while self._waiting:
            place, inner, name = self._waiting.pop()
            part = copy.deepcopy(self._at(place, inner))
            if len(self._found) > MAX_SCHEMAS:
                raise ContractError(f"the schema refers to more than {MAX_SCHEMAS:,} others", fix="choose a part of it")
            self._found[name] = part
            if isinstance(part, dict):
                within = inner if _has_address(part) else ""
                for word in ("$id", "id", "$schema", "$anchor"):
                    if isinstance(part.get(word), str):
                        part.pop(word)
                self._rewrite(part, place, defs, within, inner)
        del own  # what no reference leads to says nothing about events
        found = {"$schema": DRAFTS[self._draft], **root}
        return found | ({defs: dict(sorted(self._found.items()))} if self._found else {})

    def _rewrite(self, schema: dict[str, Any], place: str, defs: str, within: str = "", pointer: str = "") -> None:
        """Lead the references of a schema, which stands at a pointer of a document, to where the whole has them.

        `within` is the pointer of the schema around it that has an address: what begins with # is reckoned from there.
        """
        around = {"#": within}
        for at, part in subschemas(schema):
            if part is not schema and _has_address(part):
                around[at] = pointer + at[1:]
                part.pop("$id")
            if part is not schema and isinstance(part.get("$schema"), str) and draft_of(part) != self._draft:
                raise ContractError(
                    f"{at} is of {draft_of(part)}, and the schema of {self._draft}: drafts are mixed",
                    fix="write all of it in one draft",
                )
            self._mend(part)
            reference = part.get("$ref")
            if isinstance(reference, str):
                nearest = max((each for each in around if f"{at}/".startswith(f"{each}/")), key=len)
                part["$ref"] = self._reference(reference, place, defs, around[nearest])

    def _reference(self, reference: str, place: str, defs: str, around: str = "") -> str:
        file, _, fragment = reference.partition("#")
        document = self._documents[place]
        base = document.get("$id") or document.get("id") if isinstance(document, dict) else None
        base = base.partition("#")[0] if isinstance(base, str) else ""
        if file and urljoin(base, file) == base:
            file = ""
        within = self._addressed(place, base).get(urljoin(base, file), "") if file else ""
        if within:
            fragment = fragment if fragment and not fragment.startswith("/") else within + fragment
        elif file:
            document, found = self._load(place, file)
            if isinstance(document, dict) and "$schema" in document and draft_of(document) != self._draft:
                raise ContractError(
                    f"{reference} is of {draft_of(document)}, and the schema of {self._draft}: drafts are mixed",
                    fix="write all of it in one draft",
                )
            place = found
            self._documents.setdefault(place, document)
        pointer = unquote(fragment)
        if pointer and not pointer.startswith("/"):
            pointer = self._anchor(place, pointer)
        elif (
            around
            and not reference.partition("#")[0]
            and Part(self._documents[place], place, around + pointer).value is not None
        ):
            pointer = around + pointer
        self._at(place, pointer)
        if (place, pointer) not in self._names:
            wanted = re.sub(r"[^A-Za-z0-9_.-]", "_", pointer.rpartition("/")[2] or place.rpartition("/")[2]) or "schema"
            name = free_name(wanted, lambda one: one in self._found or one in self._names.values())
            self._names[place, pointer] = name
            self._waiting.append((place, pointer, name))
        name = self._names[place, pointer]
        return f"#/{defs}/{name}" if name else "#"

    def _addressed(self, place: str, base: str) -> dict[str, str]:
        """Return the pointers of the schemas of a document that have an address of their own."""
        if place not in self._addresses:
            self._addresses[place] = {
                urljoin(base, part["$id"]): at[1:]
                for at, part in subschemas(self._documents[place])
                if at != "#" and _has_address(part)
            }
        return self._addresses[place]

    def _anchor(self, place: str, name: str) -> str:
        for at, part in subschemas(self._documents[place]):
            if part.get("$anchor") == name or part.get("$id") == f"#{name}" or part.get("id") == f"#{name}":
                return at[1:]
        raise ContractError(f"$ref '#{name}' names no anchor of the schema", fix=f"add '$anchor: {name}'")

    def _at(self, place: str, pointer: str) -> Any:
        try:
            return followed(self._documents[place], pointer)
        except LookupError:
            raise ContractError(f"#{pointer} leads nowhere", at=place, fix="check its spelling") from None


def _has_address(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("$id"), str) and not part["$id"].startswith("#")


def draft_of(document: Any) -> str:
    """Return the draft of a schema, by the words of `DRAFTS`. Raises `ContractError` for one that is unknown."""
    declared = document.get("$schema") if isinstance(document, dict) else None
    if declared is None:
        return "draft/2020-12"
    found = next((word for word in DRAFTS if isinstance(declared, str) and f"/{word}/" in declared), None)
    if found is None:
        raise ContractError(
            f"$schema {declared!r} is no draft that is known", fix="use draft 4, 6, 7, 2019-09 or 2020-12"
        )
    return found


def circular(schema: Mapping[str, Any]) -> str | None:
    """Return a reference that leads, through references alone, to itself; None where there is none.

    Such a schema says nothing, and a validator would follow it for ever.
    """
    defs = {
        f"#/{word}/{name}": part for word in ("$defs", "definitions") for name, part in schema.get(word, {}).items()
    }
    targets = {"#": schema, **defs}
    for start in targets:
        seen, at = [start], start
        while isinstance(targets.get(at), dict) and isinstance(targets[at].get("$ref"), str):
            at = str(targets[at]["$ref"])
            if at in seen:
                return at
            seen.append(at)
    return None
