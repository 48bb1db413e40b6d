"""The collector's OpenAPI document, written by hand, and held to by a test that sends what it allows and what not."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import headrace

_PROBLEM = {"$ref": "#/components/responses/Problem"}
_RETRY = {"$ref": "#/components/responses/Retry"}
_SOURCE = {
    "name": "source",
    "in": "path",
    "required": True,
    "description": "The id of a source.",
    "schema": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$", "maxLength": 63},
}


@cache
def document() -> bytes:
    """Return the document, as JSON."""
    return json.dumps(_document(), indent=1).encode()


def _document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headrace collector",
            "version": headrace.__version__,
            "description": "Events in over HTTP, acknowledged once they are durable.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/events/{source}": {"parameters": [_SOURCE], "post": _SEND, "options": _PREFLIGHT},
            "/v1/good/{source}": {
                "parameters": [_SOURCE],
                "get": _recent("good", "The last accepted messages."),
            },
            "/v1/bad/{source}": {
                "parameters": [_SOURCE],
                "get": _recent("bad", "The last rejected messages, with reasons."),
            },
            "/health": {"get": _shown("health", "Whether the process lives.", _status("alive"))},
            "/ready": {"get": _shown("ready", "Whether events go to the bus.", _status("ready"), {"503": _RETRY})},
            "/metrics": {"get": _METRICS},
            "/openapi.json": {"get": _shown("openapi", "This document.", {"type": "object"})},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "headrace token create"}},
            "headers": {
                "RequestId": {
                    "schema": {"type": "string"},
                    "description": "The client's id, or one made here.",
                }
            },
            "responses": {
                "Problem": {"description": "It was refused, and nothing was taken.", "content": _problem()},
                "Retry": {
                    "description": "Not now, and nothing is promised of it: send it again later.",
                    "headers": {"Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}},
                    "content": _problem(),
                },
            },
            "schemas": {"Problem": _PROBLEM_SCHEMA, "Accepted": _ACCEPTED},
        },
    }


def _problem() -> dict[str, Any]:
    return {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _status(word: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["status", "workers", "living"],
        "properties": {
            "status": {"const": word},
            "workers": {"type": "integer", "minimum": 1, "description": "How many processes should take events in."},
            "living": {"type": "integer", "minimum": 0, "description": "How many of them do."},
        },
        "additionalProperties": False,
    }


def _shown(name: str, what: str, schema: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
    ok = {"description": what, "content": {"application/json": {"schema": schema}}}
    return {"operationId": name, "summary": what, "responses": {"200": ok, "403": _PROBLEM, **(more or {})}}


def _recent(name: str, what: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["source", "cursor", "events"],
        "properties": {
            "source": {"type": "string"},
            "cursor": {"type": "integer", "description": "The `after` of the next call."},
            "events": {"type": "array", "items": {"type": "object"}},
        },
    }
    return {
        **_shown(name, what, schema, {"400": _PROBLEM, "401": _PROBLEM, "404": _PROBLEM, "429": _RETRY, "503": _RETRY}),
        "security": [{"token": []}, {}],
        "parameters": [
            {
                "name": "limit",
                "in": "query",
                "description": "How many at most.",
                "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20},
            },
            {
                "name": "after",
                "in": "query",
                "description": "Those that follow this cursor; without it, the last ones.",
                "schema": {"type": "integer", "minimum": -1, "maximum": 2**53},
            },
        ],
    }


_PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457: what is wrong, where, and what to do.",
    "required": ["type", "title", "status", "detail", "reason", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "reason": {"type": "string", "pattern": "^[a-z_]+$", "description": "A stable word to program against."},
        "request_id": {"type": "string"},
        "at": {"type": "string"},
        "fix": {"type": "string"},
    },
    "additionalProperties": False,
}

_ACCEPTED = {
    "type": "object",
    "required": ["accepted", "request_id", "first_message_id", "last_message_id"],
    "properties": {
        "accepted": {"type": "integer", "minimum": 0, "description": "How many events are durable."},
        "request_id": {"type": "string"},
        "first_message_id": {"type": ["string", "null"], "description": "Null where they lie in the spool as yet."},
        "last_message_id": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}

_EVENTS = {"oneOf": [{"type": "object"}, {"type": "array"}]}

_SEND = {
    "operationId": "send",
    "summary": "Send events to a source; 202 says that they are durable.",
    "security": [{"token": []}, {}],
    "parameters": [
        {
            "name": "dataset",
            "in": "query",
            "description": "The table, for a source that has several.",
            "schema": {"type": "string"},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _EVENTS},
            "application/x-ndjson": {"schema": {"type": "string", "minLength": 2}},
        },
    },
    "responses": {
        "202": {
            "description": "All events of the request are durable.",
            "headers": {
                "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
                "Traceparent": {"schema": {"type": "string"}, "description": "The trace that the events belong to."},
            },
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Accepted"}}},
        },
        **dict.fromkeys(("400", "401", "403", "404", "405", "408", "413", "415"), _PROBLEM),
        "429": _RETRY,
        "503": _RETRY,
    },
}

_PREFLIGHT = {
    "operationId": "preflight",
    "summary": "Ask what a web page may send.",
    "responses": {"204": {"description": "What it may send."}, "403": _PROBLEM},
}

_METRICS = {
    "operationId": "metrics",
    "summary": "What was counted, in the text format of Prometheus.",
    "security": [{"token": []}, {}],
    "responses": {
        "200": {"description": "The counts.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        "401": _PROBLEM,
        "403": _PROBLEM,
        "503": _RETRY,
    },
}
