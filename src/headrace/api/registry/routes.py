"""Which path does what: a table of them, and what each asks of the registry and answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from headrace.api.registry.iglu import schema_at
from headrace.api.registry.refusal import invalid_schema, no_schema, plain
from headrace.api.registry.schema import TYPES, read_schema
from headrace.api.registry.settings import LEVEL, MODE, set_level, set_mode
from headrace.api.registry.store import MAX_ID
from headrace.identity.tokens import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.api.registry.asked import Asked
    from headrace.api.registry.schema import Schema
    from headrace.api.registry.subjects import Registered


class Unescaped(NamedTuple):
    """An answer that is a schema's text as it is, and not a JSON string of it."""

    text: str


class Route(NamedTuple):
    """A path and method; `role` is what a token must be good for: None is any."""

    method: str
    path: re.Pattern[str]
    role: Role | None
    run: Callable[[Asked], Any]


def found(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """Return the route of a request, and what its path names. Raises `Refusal` (404, 405)."""
    methods = []
    path = path.rstrip("/") or "/"
    for route in ROUTES:
        match = route.path.fullmatch(path)
        if match is not None:
            if route.method == method or (route.method, method) == ("GET", "HEAD"):
                return route, match.groups()
            methods.append(route.method)
    if methods:
        raise plain(405, headers=(("allow", ", ".join(methods)),))
    raise plain(404)


def _subjects(asked: Asked) -> list[str]:
    prefix = asked.query.get("subjectPrefix", asked.query.get("subject", [""]))[-1]
    if prefix == ":*:":
        prefix = ""
    names = asked.registry.names(deleted=asked.flag("deleted"), deleted_only=asked.flag("deletedOnly"))
    return asked.page([name for name in names if name.startswith(prefix)])


def _versions(asked: Asked) -> list[int]:
    only = asked.flag("deletedOnly") or asked.flag("deleted_only")
    rows = asked.registry.rows(asked.names[0], deleted=asked.flag("deleted") or only)
    return asked.page([row.version for row in rows if row.deleted or not only])


def _version(asked: Asked) -> dict[str, Any]:
    return _shown(asked, asked.registry.version(*asked.names, deleted=asked.flag("deleted")))


def _text(asked: Asked) -> Unescaped:
    return Unescaped(asked.registry.version(*asked.names, deleted=asked.flag("deleted")).schema.written(asked.form))


def _referring(asked: Asked) -> list[int]:
    found = asked.registry.version(*asked.names, deleted=True)
    return asked.page(asked.registry.referring(found.subject, found.row.version))


def _with_metadata(asked: Asked) -> dict[str, Any]:
    wanted = dict(zip(asked.query.get("key", []), asked.query.get("value", []), strict=False))
    wanted = {unquote(key): unquote(value) for key, value in wanted.items()}
    (subject,) = asked.names
    for row in reversed(asked.registry.rows(subject, deleted=asked.flag("deleted"))):
        said = asked.registry.schema(row.id).metadata or {}
        if wanted.items() <= said.get("properties", {}).items():
            return _shown(asked, asked.registry.version(subject, str(row.version), deleted=True))
    raise no_schema()


def _look_up(asked: Asked) -> dict[str, Any]:
    schema = read_schema(asked.body)
    return _shown(asked, asked.registry.look_up(asked.names[0], schema, deleted=asked.flag("deleted")), schema)


def _register(asked: Asked) -> dict[str, Any]:
    schema = read_schema(asked.body)
    made = asked.registry.register(
        asked.names[0], schema, version=_given(asked, "version"), schema_id=_given(asked, "id")
    )
    if not asked.takes_more:
        return {"id": made.row.id}
    return _shown(asked, made, schema)


def _given(asked: Asked, name: str) -> int | None:
    value: Any = asked.said(name)
    if value is None or value == -1 or (name == "version" and value == 0):
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_schema(f"{name} is a number")
    return int(value)


def _compare(asked: Asked) -> dict[str, Any]:
    subject, *version = asked.names
    result = asked.registry.compare(subject, read_schema(asked.body), version[0] if version else None)
    answer: dict[str, Any] = {"is_compatible": result.allowed}
    if asked.flag("verbose"):
        answer["messages"] = list(result.messages)
    return answer


def _by_id(asked: Asked) -> dict[str, Any]:
    schema = asked.registry.schema(_id(asked))
    more = {"guid": schema.guid} if asked.takes_more else {}
    most = {"maxId": MAX_ID} if asked.flag("fetchMaxId") else {}
    return {**schema.shown(asked.form), **more, **most}


def _text_by_id(asked: Asked) -> Unescaped:
    return Unescaped(asked.registry.schema(_id(asked)).written(asked.form))


def _by_guid(asked: Asked) -> dict[str, Any]:
    _, schema = asked.registry.schema_by_guid(asked.names[0])
    return {**schema.shown(asked.form), "guid": schema.guid}


def _holders(asked: Asked) -> list[dict[str, Any]]:
    subject = asked.query.get("subject", [""])[-1]
    holders = asked.registry.holders(_id(asked), deleted=asked.flag("deleted"))
    return asked.page([{"subject": name, "version": number} for name, number in holders if subject in {"", name}])


def _holding(asked: Asked) -> list[str]:
    holders = asked.registry.holders(_id(asked), deleted=asked.flag("deleted"))
    return asked.page(sorted({name for name, _ in holders}))


def _schemas(asked: Asked) -> list[dict[str, Any]]:
    prefix = asked.query.get("subjectPrefix", [""])[-1]
    shown = []
    for name in asked.registry.names(deleted=asked.flag("deleted")):
        if name.startswith(prefix):
            rows = asked.registry.rows(name, deleted=asked.flag("deleted"))
            rows = rows[-1:] if asked.flag("latestOnly") else rows
            shown += [_shown(asked, asked.registry.version(name, str(row.version), deleted=True)) for row in rows]
    return asked.page(shown)


def _delete_subject(asked: Asked) -> list[int]:
    return asked.registry.delete_subject(asked.names[0], permanent=asked.flag("permanent"))


def _delete_version(asked: Asked) -> int:
    return asked.registry.delete_version(*asked.names, permanent=asked.flag("permanent"))


def _id(asked: Asked) -> int:
    text = asked.names[0]
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise plain(404)
    return int(text)


def _shown(asked: Asked, of: Registered, sent: Schema | None = None) -> dict[str, Any]:
    # A client takes what answers a schema that it sent for that schema: it has the form that it came in.
    form = "serialized" if sent is not None and sent.serialized and of.schema.serialized else asked.form
    shown = {"subject": of.subject, "version": of.row.version, "id": of.row.id}
    more = {"guid": of.schema.guid} if asked.takes_more else {}
    deleted = {"deleted": True} if of.row.deleted else {}
    return {**shown, **more, **of.schema.shown(form), **deleted}


def _route(method: str, path: str, role: Role | None, run: Callable[[Asked], Any]) -> Route:
    # What a client wrote as %2F is a slash by now, and a subject may have some: it takes all that what follows leaves.
    return Route(method, re.compile(path.replace("{subject}", "(.+)").replace("{}", "([^/]+)"), re.DOTALL), role, run)


_WRITE, _ADMIN = Role.WRITE, Role.ADMIN
# The longest first: a subject may hold slashes.
ROUTES = (
    _route("GET", "/schemas/{}/{}/{}/{}", None, lambda asked: schema_at(asked.registry.root, *asked.names)),
    _route("GET", "/subjects/{subject}/versions/{}/schema", None, _text),
    _route("GET", "/subjects/{subject}/versions/{}/referencedby", None, _referring),
    _route("POST", "/compatibility/subjects/{subject}/versions/{}", None, _compare),
    _route("GET", "/subjects/{subject}/versions/{}", None, _version),
    _route("DELETE", "/subjects/{subject}/versions/{}", _ADMIN, _delete_version),
    _route("GET", "/schemas/ids/{}/schema", None, _text_by_id),
    _route("GET", "/schemas/ids/{}/subjects", None, _holding),
    _route("GET", "/schemas/ids/{}/versions", None, _holders),
    _route("POST", "/compatibility/subjects/{subject}/versions", None, _compare),
    _route("GET", "/subjects/{subject}/metadata", None, _with_metadata),
    _route("GET", "/subjects/{subject}/versions", None, _versions),
    _route("POST", "/subjects/{subject}/versions", _WRITE, _register),
    _route("GET", "/schemas/guids/{}", None, _by_guid),
    _route("GET", "/schemas/ids/{}", None, _by_id),
    _route("GET", "/v1/metadata/version", None, lambda _: {"version": _version_of_headrace(), "commitId": ""}),
    _route("GET", "/v1/metadata/id", None, lambda _: {"id": "", "scope": {"path": [], "clusters": {}}}),
    _route("POST", "/subjects/{subject}", None, _look_up),
    _route("DELETE", "/subjects/{subject}", _ADMIN, _delete_subject),
    _route("GET", "/schemas/types", None, lambda _: list(TYPES)),
    _route("GET", "/config/{subject}", None, LEVEL.shown),
    _route("PUT", "/config/{subject}", _ADMIN, set_level),
    _route("DELETE", "/config/{subject}", _ADMIN, LEVEL.dropped),
    _route("GET", "/mode/{subject}", None, MODE.shown),
    _route("PUT", "/mode/{subject}", _ADMIN, set_mode),
    _route("DELETE", "/mode/{subject}", _ADMIN, MODE.dropped),
    _route("GET", "/", None, lambda _: {}),
    _route("GET", "/subjects", None, _subjects),
    _route("GET", "/schemas", None, _schemas),
    _route("GET", "/config", None, LEVEL.shown),
    _route("PUT", "/config", _ADMIN, set_level),
    _route("DELETE", "/config", _ADMIN, LEVEL.dropped),
    _route("GET", "/mode", None, MODE.shown),
    _route("PUT", "/mode", _ADMIN, set_mode),
    _route("DELETE", "/mode", _ADMIN, MODE.dropped),
    _route("GET", "/contexts", None, lambda asked: asked.page(["."])),
)


def _version_of_headrace() -> str:
    from headrace import __version__

    return f"headrace {__version__}"
