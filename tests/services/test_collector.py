"""The front door, as clients meet it: what it takes, what it refuses, and how it says so."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import stat
import subprocess
import sys

import httpx
import pyarrow as pa
import pytest

from clients import EVENT, answers, head
from collecting import collecting, listening, settings_of, start, taken, up
from headrace.identity.tokens import Role, TokenFile
from living import lived, project_of, rows, silver, write_source
from machine import free_port, wait_until
from typed import answered

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JSON = "application/json"
LINES = "application/x-ndjson"


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    project = project_of(tmp_path_factory.mktemp("project"), "orders", "users")
    with collecting(project, max_body_bytes=100_000, max_event_bytes=10_000, max_events=500) as door:
        door.project = project
        yield door


def zstd(data):
    return pa.Codec("zstd").compress(data, asbytes=True)


def test_events_are_kept_as_the_bytes_that_were_sent(tmp_path):
    project = project_of(tmp_path)
    odd = b'{"id" : "a","amount":1.000000000000000000001 , "n":1E400, "s":"\\u00e9\xc3\xa9, ]}"}'
    with collecting(project) as door:
        assert door.post("orders", odd).json()["accepted"] == 1
        assert door.post("orders", b"\xef\xbb\xbf [" + odd + b" ,\n " + odd + b"]\n", content_type=JSON).json()[
            "accepted"
        ] == 2  # fmt: skip
        assert door.post("orders", odd + b"\r\n\n  \n{broken\n" + odd, content_type=LINES).json()["accepted"] == 3
        assert door.post("orders", gzip.compress(odd), content_encoding="gzip").status_code == 202
        assert door.post("orders", zstd(odd), content_encoding="zstd", content_type="text/plain").status_code == 202
        chunked = door.client.post("/v1/events/orders", content=iter([odd[:9], odd[9:] + b"\n", odd]))
        assert chunked.json()["accepted"] == 2
        assert door.end() == 0
    assert [payload for payload, _ in taken(project)] == [odd] * 4 + [b"{broken"] + [odd] * 5


def test_ids_are_those_of_the_messages_and_the_trace_ends_in_silver(tmp_path):
    project = project_of(tmp_path)
    with collecting(project) as door:
        first = door.post("orders", '{"id": "a"}', traceparent=PARENT, x_request_id="mine-1")
        assert (first.headers["traceparent"], first.headers["x-request-id"]) == (PARENT, "mine-1")
        assert first.json()["request_id"] == "mine-1"
        made = door.post("orders", '[{"id": "b"}, {"id": "c"}]', traceparent="00-zz", x_request_id="has\ttab")
        assert made.json()["first_message_id"].endswith("-1")
        assert made.json()["last_message_id"].endswith("-2")
        assert made.headers["x-request-id"] != "has\ttab"
    lived(project)
    found = {row["id"]: row for row in rows(project, "SELECT id, _event_id, _trace_id FROM lake.silver.orders")}
    assert found["a"]["_trace_id"] == PARENT[3:35]
    assert found["a"]["_event_id"] == first.json()["first_message_id"]
    assert {found[name]["_trace_id"] for name in "bc"} == {made.headers["traceparent"][3:35]}
    assert found["c"]["_event_id"] == made.json()["last_message_id"]


REFUSED = [
    ("no source", "order", "{}", {}, 404, "unknown_source"),
    ("a path as a source", "../orders", "{}", {}, 404, "unknown_path"),
    ("empty", "orders", "", {}, 400, "empty_body"),
    ("blank", "orders", " \n\r\n", {"content_type": LINES}, 400, "empty_body"),
    ("a number", "orders", "5", {"content_type": JSON}, 400, "not_json"),
    ("half an object", "orders", '{"id": "a', {}, 400, "not_json"),
    ("half an array", "orders", '[{"id": "a"}', {}, 400, "not_json"),
    ("brackets crossed", "orders", '[{"id": "a"]}', {}, 400, "not_json"),
    ("a comma too many", "orders", '[{"id": "a"},,{}]', {}, 400, "not_json"),
    ("two that claim to be one", "orders", '{"id": "a"}\n{"id": "b"}', {"content_type": JSON}, 400, "not_one_document"),
    ("something after an array", "orders", "[] x", {}, 400, "not_one_document"),
    ("deep", "orders", '{"a":' + "[" * 100 + "]" * 100 + "}", {}, 400, "too_deep"),
    ("deep on a line", "orders", "{}\n" + "[" * 101 + "]" * 101, {"content_type": LINES}, 400, "too_deep"),
    ("very deep", "orders", "[" * 50_000 + "]" * 50_000, {}, 400, "too_deep"),
    ("half a gzip", "orders", gzip.compress(b'{"id": 1}' * 99)[:30], {"content_encoding": "gzip"}, 400, "damaged_body"),
    ("no gzip", "orders", b"{}", {"content_encoding": "gzip"}, 400, "damaged_body"),
    ("half a zstd", "orders", zstd(b'{"id": 1}' * 99)[:20], {"content_encoding": "zstd"}, 400, "damaged_body"),
    ("a bomb of gzip", "orders", gzip.compress(b" " * 50_000_000), {"content_encoding": "gzip"}, 413, "body_too_large"),
    ("a bomb of zstd", "orders", zstd(b" " * 50_000_000), {"content_encoding": "zstd"}, 413, "body_too_large"),
    ("large", "orders", b" " * 100_001, {}, 413, "body_too_large"),
    ("a large event", "orders", b'{"id": "' + b"a" * 10_000 + b'"}', {}, 413, "event_too_large"),
    ("a large line", "orders", b"{}\n" + b"a" * 10_001, {"content_type": LINES}, 413, "event_too_large"),
    ("many lines", "orders", b"{}\n" * 501, {"content_type": LINES}, 413, "too_many_events"),
    ("many elements", "orders", b"[" + b"{}," * 500 + b"{}]", {}, 413, "too_many_events"),
    ("XML", "orders", "<a/>", {"content_type": "application/xml"}, 415, "media_type"),
    ("UTF-16", "orders", "{}", {"content_type": "application/json; charset=utf-16"}, 415, "charset"),
    ("brotli", "orders", "{}", {"content_encoding": "br"}, 415, "content_encoding"),
    ("a web page", "orders", "{}", {"origin": "https://evil.example"}, 403, "origin"),
    ("a token nobody made", "orders", "{}", {"authorization": "Bearer hr_a_b"}, 401, "bad_token"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "body", "headers", "status", "reason"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_what_is_refused_says_why_and_is_stored_nowhere(door, source, body, headers, status, reason):
    before = len(taken(door.project))
    answer = door.post(source, body, **headers)
    assert (answer.status_code, answer.json().get("reason")) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"] == f"urn:headrace:problem:{reason}"
    assert document["detail"]
    assert document["at"]
    assert document["fix"]
    assert document["request_id"] == answer.headers["x-request-id"]
    assert len(taken(door.project)) == before
    # Of its own connection: a server that has not read all of a body hangs up after its answer.
    counted = httpx.get(f"http://127.0.0.1:{door.port}/metrics", timeout=30, trust_env=False).text
    label = source if source == "orders" else ""
    assert f'requests_total{{reason="{reason}",source="{label}",status="{status}"}}' in counted


@pytest.mark.parametrize(
    ("request_head", "is_last"),
    [
        (head(20).replace(b"orders", b"order"), True),
        (head(20, "authorization: Bearer hr_a_b"), True),
        (head(20, "content-type: application/xml"), True),
        (head(100_001), True),
        (head(20).replace(b"/v1/events/orders", b"/health"), True),
        (head(3) + b"[[[", False),
        (head(len(EVENT)) + EVENT, False),
    ],
    ids=["no source", "a token nobody made", "XML", "large", "no path for it", "not JSON", "an event"],
)
def test_an_answer_before_its_body_came_says_that_it_is_the_last_of_its_connection(door, request_head, is_last):
    with door.connect() as connection:
        connection.sendall(request_head)
        told = connection.recv(65536)
        assert (b"connection: close\r\n" in told) == is_last
        if not is_last:
            connection.sendall(head(len(EVENT)) + EVENT)
        assert answers(connection, 1) == ([] if is_last else [202])


def test_a_chunked_body_past_the_limit_is_cut_off(door):
    def endless():
        while True:
            yield b" " * 10_000

    with contextlib.suppress(httpx.TransportError):  # the connection may end before the client reads the answer
        assert door.client.post("/v1/events/orders", content=endless()).json()["reason"] == "body_too_large"
    assert door.post("orders", "{}").status_code == 202


def test_an_empty_array_is_taken_and_holds_nothing(door):
    answer = door.post("users", "[ ]", content_type=JSON)
    assert answer.status_code == 202
    assert answer.json() | {"request_id": ""} == {
        "accepted": 0,
        "request_id": "",
        "first_message_id": None,
        "last_message_id": None,
    }


def test_the_rest_of_the_house(door):
    get = door.client.get
    assert get("/health").json() == {"status": "alive", "workers": 1, "living": 1}
    assert get("/ready").json() == {"status": "ready", "workers": 1, "living": 1}
    assert get("/openapi.json").json()["openapi"].startswith("3.1")
    assert get("/v1/events/orders").status_code == 405
    assert get("/v1/events/orders").headers["allow"] == "POST, OPTIONS"
    assert door.client.post("/health").status_code == 405
    assert door.client.head("/health").status_code == 200
    assert get("/").json()["reason"] == "unknown_path"
    assert "did you mean 'orders'?" in door.post("oders", "{}").json()["fix"]


def test_pages_of_allowed_origins_may_send(tmp_path):
    project = project_of(tmp_path)
    with collecting(project, allowed_origins="https://shop.example, http://localhost:3000") as door:
        asked = door.client.options(
            "/v1/events/orders",
            headers={"origin": "https://shop.example", "access-control-request-method": "POST"},
        )
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == "https://shop.example"
        assert "content-type" in asked.headers["access-control-allow-headers"]
        sent = door.post("orders", "{}", origin="http://localhost:3000")
        assert sent.status_code == 202
        assert sent.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert door.post("orders", "{}", origin="https://shop.example.evil.org").status_code == 403
        bad = door.post("orders", "", origin="https://shop.example")
        assert bad.headers["access-control-allow-origin"] == "https://shop.example"


def test_a_source_with_tables_needs_to_know_which(tmp_path):
    project = project_of(tmp_path)
    (project.root / "connectors/shop.yaml").write_text(
        "source_id: shop\ningestion: {pattern: database_cdc, message_format: json, tables: [users, carts]}\n"
    )
    with collecting(project) as door:
        assert door.post("shop", "{}").json()["reason"] == "unknown_dataset"
        assert "did you mean 'users'?" in door.post("shop?dataset=user", "{}").json()["fix"]
        assert door.post("shop?dataset=users", "{}").status_code == 202
        assert door.post("shop", "[{},{}]", headrace_dataset="carts").status_code == 202
        door.end()
    assert [attributes["dataset"] for _, attributes in taken(project, "shop")] == ["users", "carts", "carts"]


def test_a_token_guards_its_source_from_when_it_is_made_until_it_is_revoked(tmp_path):
    project = project_of(tmp_path, "orders", "users")
    file = TokenFile(project.state)
    with collecting(project) as door:
        assert door.post("orders", "{}").status_code == 202
        token, text = file.create(Role.WRITE, "orders")
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
        assert text not in file.path.read_text()
        wait_until(lambda: door.post("orders", "{}").status_code == 401)
        bearer = f"Bearer {text}"
        assert door.post("orders", "{}").headers["www-authenticate"].startswith("Bearer")
        assert door.post("orders", "{}", authorization=bearer).status_code == 202
        assert door.post("users", "{}").status_code == 202, "no token was ever made for it"
        assert door.post("users", "{}", authorization=bearer).json()["reason"] == "wrong_token"
        assert door.post("gone", "{}", authorization=bearer).json()["reason"] == "wrong_token"
        assert door.client.get("/metrics").status_code == 200
        assert door.client.get("/metrics", headers={"authorization": bearer}).status_code == 403
        admin = f"Bearer {file.create(Role.ADMIN).text}"
        wait_until(lambda: door.client.get("/metrics").status_code == 401)
        assert door.client.get("/metrics", headers={"authorization": admin}).status_code == 200
        assert door.post("orders", "{}", authorization=admin).status_code == 202
        assert "fix" in door.post("odrers", "{}").json()
        assert "orders" not in door.post("odrers", "{}").json()["fix"], "who may not see sources is not told of them"
        file.revoke(token.id)
        wait_until(lambda: door.post("orders", "{}", authorization=bearer).status_code == 401)
        assert door.post("orders", "{}").json()["reason"] == "no_token", "a door that had a lock stays locked"
        file.path.write_text("{")
        wait_until(lambda: door.post("orders", "{}", authorization=admin).status_code == 503)


def test_other_machines_need_tokens(tmp_path):
    project = project_of(tmp_path)
    refused = start(project, host="0.0.0.0")
    told = refused.communicate(timeout=60)[0]
    assert refused.returncode == 2
    assert "without tokens" in json.loads(told)["problem"]
    assert "headrace token create" in json.loads(told)["problem"]
    text = TokenFile(project.state).create(Role.WRITE, "orders").text
    with collecting(project, host="0.0.0.0") as door:
        door.client.base_url = f"http://127.0.0.1:{door.port}"
        assert door.post("orders", "{}").json()["reason"] == "no_token"
        assert door.post("orders", "{}", authorization=f"Bearer {text}").status_code == 202
        assert door.client.get("/metrics").status_code == 401
        assert door.client.get("/ready").status_code == 200


def test_the_verbs_of_tokens(tmp_path):
    project = project_of(tmp_path)

    def token(*arguments):
        return answered("token", *arguments, "--project", project.root)

    _, made = token("create", "--source", "orders", "--note", "till")
    assert TokenFile(project.state).read().holder(made["token"]).id == made["id"]
    listed = {name: value for name, value in made.items() if name != "token"}
    assert token("list") == (0, {"tokens": [listed]})
    code, revoked = token("revoke", made["id"])
    assert (code, revoked["id"]) == (0, made["id"])
    assert revoked["revoked_at"]
    assert token("revoke", "nobody")[0] == 2
    assert token("create")[0] == 2
    assert token("create", "--source", "order")[1]["error"]["fix"] == "did you mean 'orders'?"


def test_a_taken_port_is_a_problem_of_the_collector_and_not_of_up(tmp_path):
    write_source(tmp_path / "one", "orders")
    write_source(tmp_path / "two", "orders")
    one, two = (project_of(tmp_path / name) for name in ("one", "two"))
    with collecting(one, port=free_port()) as door:
        command = [sys.executable, "-m", "headrace", "up", "--json", "--no-build", "--project", str(two.root)]
        environment = settings_of(port=door.port)
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for line in running.stdout:
            problem = json.loads(line).get("children", {}).get("collector", {}).get("problem")
            if problem:
                break
        assert f"port {door.port}" in problem
        assert "HEADRACE_COLLECTOR_PORT" in problem
        door.end()
        assert listening(running)["listening"] == door.url  # it tries again by itself
        running.terminate()
        assert running.communicate(timeout=60)[0]
        assert running.returncode == 0


def test_up_takes_events_in_and_without_a_collector_it_does_not(tmp_path):
    project = project_of(tmp_path)
    with up(project) as door:
        assert door.post("orders", '{"id": "a"}').status_code == 202
        assert door.end() == 0
    assert silver(project) == [{"id": "a", "version": None, "amount": None}]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", door.port), timeout=5)
    command = [sys.executable, "-m", "headrace", "up", "--json", "--no-build", "--no-collector"]
    running = subprocess.Popen(
        [*command, "--project", str(project.root)], stdout=subprocess.PIPE, text=True, env=settings_of()
    )
    told = [json.loads(running.stdout.readline()), json.loads(running.stdout.readline())]
    running.terminate()
    assert running.communicate(timeout=60)
    assert told[1]["children"] == {}


def test_what_came_in_last_is_shown_to_admins(tmp_path):
    project = project_of(tmp_path)
    with collecting(project) as door:
        door.post("orders", '[{"id": "a"}, {"id": 5}, {"id": "b"}]')
        lived(project)
        good = door.client.get("/v1/good/orders").json()
        assert [each["event"]["id"] for each in good["events"]] == ["a", "b"]
        bad = door.client.get("/v1/bad/orders", params={"limit": 1}).json()
        assert [(each["payload"], each["path"]) for each in bad["events"]] == [('{"id": 5}', "$.id")]
        door.post("orders", '{"id": "c"}')
        lived(project)
        follows = door.client.get("/v1/good/orders", params={"after": good["cursor"], "event.id": "c"}).json()
        assert len(follows["events"]) == 1
        assert door.client.get("/v1/good/order").json()["fix"] == "did you mean 'orders'?"
        assert door.client.get("/v1/good/orders", params={"limit": "many"}).json()["reason"] == "query"
        rebound = door.client.get("/v1/good/orders", headers={"host": f"evil.example:{door.port}"})
        assert rebound.json()["reason"] == "host"
        text = TokenFile(project.state).create(Role.ADMIN).text
        wait_until(lambda: door.client.get("/v1/bad/orders").status_code == 401)
        shown = door.client.get("/v1/bad/orders", headers={"authorization": f"Bearer {text}"})
        assert shown.status_code == 200
