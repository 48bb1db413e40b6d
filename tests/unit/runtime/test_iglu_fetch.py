"""Fetching versions of an Iglu schema: what is written, and what of a server is never taken. It is on this machine."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headrace.config.lint import lint
from headrace.connectors.iglu_repository import MAX_BYTES
from headrace.errors import ConfigError, ExternalError, InputError
from headrace.runtime.adding.iglu_fetch import fetch

FOLDER = "/schemas/com.shop/order/jsonschema"
HERE = f"iglu{FOLDER}"


def schema(version, **more):
    own = {"vendor": "com.shop", "name": "order", "format": "jsonschema", "version": version}
    return json.dumps({"self": own, "type": "object", "properties": {"id": {"type": "string"}}} | more).encode()


@contextmanager
def repository(*versions, first=None):
    """Serve versions; `first` is the status and the body (or place) of 1-0-0 instead."""
    found = {f"{FOLDER}/{each}": (200, schema(each)) for each in versions}
    if first is not None:
        found[f"{FOLDER}/1-0-0"] = first
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, body = found.get(self.path, (404, b""))
            self.send_response(status)
            if status == 302:
                self.send_header("location", body.decode())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", asked
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture
def root(tmp_path):
    (tmp_path / "headrace.yaml").write_text("name: shop\n")
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors/orders.yaml").write_text(
        "source_id: orders\ningestion: {pattern: event_streaming}\nschema: {iglu: com.shop/order}\n"
    )
    return tmp_path


def fetched(root, url, *versions, private=True, dry_run=False):
    found = fetch(root, "orders", versions, url=url, private=private, dry_run=dry_run)
    return {each["version"]: each["state"] for each in found["versions"]}


def faults(root):
    return [each.message for each in lint(root, environ={}) if each.severity == "error"]


def test_all_that_follow_each_other_become_files_with_their_digests(root):
    with repository("1-0-0", "1-0-1", "1-1-0", "2-0-0") as (url, _):
        assert set(fetched(root, url, dry_run=True).values()) == {"new"}
        assert not (root / "iglu").exists()
        assert list(fetched(root, url)) == ["1-0-0", "1-0-1", "1-1-0", "2-0-0"]
        assert fetched(root, url, "1-0-1") == {"1-0-1": "same"}
    assert faults(root) == []
    assert (root / HERE / "1-1-0").read_bytes() == schema("1-1-0")
    (root / HERE / "1-0-1").write_bytes(schema("1-0-1", title="edited"))
    assert faults(root) == [f"it is not what was fetched from {url}{FOLDER}/1-0-1"]


def test_a_version_that_is_there_stays(root):
    with repository("1-0-0") as (url, _):
        fetched(root, url)
    with repository(first=(200, schema("1-0-0", title="another"))) as (url, _):
        assert fetched(root, url) == {"1-0-0": "differs"}
    assert (root / HERE / "1-0-0").read_bytes() == schema("1-0-0")


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((302, b"/elsewhere"), ExternalError, "answered 302, and redirects are not followed"),
        ((500, b""), ExternalError, "it answered 500"),
        ((200, b"<html>"), InputError, "it is no JSON"),
        ((200, b"[]"), InputError, "it is no object"),
        ((200, schema("1-0-1")), InputError, "its path says version 1-0-0, and its `self` 1-0-1"),
        ((200, b" " * (MAX_BYTES + 1)), InputError, "it is larger than"),
    ],
)
def test_what_is_no_such_schema_is_not_taken(root, answer, error, said):
    with repository(first=answer) as (url, asked), pytest.raises(error, match=said):
        fetched(root, url)
    assert asked == [f"{FOLDER}/1-0-0"]
    assert not (root / "iglu").exists()


def test_no_private_address_is_asked_unless_that_is_allowed(root):
    with repository("1-0-0") as (url, asked):
        for place in (url, url.replace("127.0.0.1", "localhost")):
            with pytest.raises(InputError, match="this machine"):
                fetched(root, place, private=False)
    for place in ("http://10.0.0.1", "http://[::ffff:169.254.169.254]"):
        with pytest.raises(ExternalError, match="private address"):
            fetched(root, place, private=False)
    for place in ("file:///etc", "http://user@iglu.example", "ftp://iglu.example"):
        with pytest.raises(InputError, match="cannot be asked"):
            fetched(root, place)
    assert asked == []


def test_a_version_that_is_not_there_is_told(root):
    with repository("1-0-0") as (url, _):
        with pytest.raises(InputError, match="it has no 1-0-7"):
            fetched(root, url, "1-0-7")
        with pytest.raises(InputError, match="'v1' is no version"):
            fetched(root, url, "v1")
    with repository() as (url, _), pytest.raises(InputError, match="no version of iglu:"):
        fetched(root, url)


def test_each_version_that_is_named_is_of_the_first_repository_that_has_it(root):
    source = root / "connectors/orders.yaml"
    with repository("1-0-0") as (one, _), repository("1-0-0", "1-0-1") as (other, _):
        places = f"{{schema: com.shop/order, repositories: [iglu, '{one}', '{other}']}}"
        source.write_text(source.read_text().replace("iglu: com.shop/order", f"iglu: {places}"))
        with pytest.raises(InputError, match="it has no 1-0-7"):
            fetch(root, "orders", ["1-0-0", "1-0-7"], url=None, private=True, dry_run=False)
        assert not (root / "iglu").exists(), "all that is asked for, or nothing"
        found = fetch(root, "orders", ["1-0-0", "1-0-1"], url=None, private=True, dry_run=False)
        assert [each["from"].removesuffix(f"{FOLDER}/{each['version']}") for each in found["versions"]] == [one, other]
        (root / HERE / "fetched.json").write_text("<<<<<<< ours")
        with pytest.raises(ConfigError, match="cannot be read"):
            fetch(root, "orders", ["1-0-0"], url=None, private=True, dry_run=False)
