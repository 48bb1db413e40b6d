"""`headrace registry serve` as Kafka's own clients use it."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from headrace.api.registry.ids import given
from headrace.api.registry.store import Store
from headrace.config.project import load_project
from headrace.identity.tokens import Role, TokenFile
from headrace.runtime.verify import verify
from living import ORDERS, codes, lived, messages, silver, sqlite_bus, write_source
from machine import wait_until
from registering import registry
from typed import headrace

PAYMENT = {
    "type": "record",
    "name": "Payment",
    "namespace": "shop",
    "fields": [{"name": "id", "type": "string"}, {"name": "amount", "type": "double"}],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("registry")
    write_source(root, "orders")
    return root


@pytest.fixture(scope="module")
def server(root):
    with registry(root) as running:
        yield running


@pytest.fixture
def client(server):
    with SchemaRegistryClient({"url": server.url}) as found:
        yield found


def refused(call, *arguments, **options):
    """Return what a call of the client is refused with: status and code."""
    with pytest.raises(SchemaRegistryError) as caught:
        call(*arguments, **options)
    return caught.value.http_status_code, caught.value.error_code, caught.value.error_message


def value_of(topic):
    return SerializationContext(topic, MessageField.VALUE)


def test_a_contract_is_a_subject_that_the_json_serializer_writes_by(server, client):
    assert server.said["subjects"] == ["orders-value"]
    latest = client.get_latest_version("orders-value")
    assert (latest.version, latest.schema.schema_type) == (1, "JSON")
    order = {"id": "o-1", "version": 1, "amount": 9.5}
    # The file's own text, in another order of its keys, is the same schema.
    text = json.dumps(dict(reversed(ORDERS.items())))
    for schema, options in ((text, {}), (None, {"auto.register.schemas": False, "use.latest.version": True})):
        write = JSONSerializer(schema or latest.schema.schema_str, client, conf=options)
        message = write(order, value_of("orders"))
        assert message[:5] == b"\0" + latest.schema_id.to_bytes(4, "big")
        read = JSONDeserializer(None, schema_registry_client=client)
        assert read(message, value_of("orders")) == order
        with pytest.raises(SerializationError):
            write({"version": 1}, value_of("orders"))  # not by the contract
    other = {**ORDERS, "properties": {**ORDERS["properties"], "note": {"type": "string"}}}
    status, code, why = refused(client.register_schema, "orders-value", Schema(json.dumps(other), "JSON"))
    assert (status, code) == (422, 42205)
    assert "schemas/orders.json" in why
    assert "headrace contract diff orders" in why
    broken = {**ORDERS, "properties": {**ORDERS["properties"], "amount": {"type": "string"}}}
    status, code, why = refused(client.register_schema, "orders-value", Schema(json.dumps(broken), "JSON"))
    assert (status, code) == (409, 409)
    assert "#/properties/amount" in why


def test_messages_of_the_json_serializer_are_read_by_their_ids(tmp_path):
    """The bytes are the serializer's own; a registry that lost its file gives the ids of the project's files again."""
    write_source(tmp_path, "orders")
    (subject,) = given(load_project(tmp_path), "orders")["subjects"]
    assert subject["yaml"] == "version_from: {confluent: {v1: [1]}}"
    newer = {**ORDERS, "properties": {**ORDERS["properties"], "note": {"type": "string"}}}
    (tmp_path / "schemas/orders").mkdir()
    (tmp_path / "schemas/orders.json").rename(tmp_path / "schemas/orders/v1.json")
    (tmp_path / "schemas/orders.json").write_text(json.dumps(newer))
    path = tmp_path / "connectors/orders.yaml"
    path.write_text(path.read_text().replace("orders.json}", f"orders.json, {subject['yaml'][:-2]}, v2: [7]}}}}}}"))
    project = load_project(tmp_path)
    with registry(tmp_path) as running, SchemaRegistryClient({"url": running.url}) as client:
        sent = []
        for schema, order in ((ORDERS, {"id": "a"}), (newer, {"id": "b", "note": "x"}), (ORDERS, {"id": "c"})):
            write = JSONSerializer(json.dumps(schema), client)
            sent.append(write({**order, "version": 1, "amount": 2.5}, value_of("orders")))
    assert [int.from_bytes(each[1:5], "big") for each in sent] == [1, 7, 1]
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([*sent, b"\0\0\0\0\x09{}"]))
        lived(project, bus)
    assert [(each["id"], each["note"]) for each in silver(project)] == [("a", None), ("b", "x"), ("c", None)]
    assert codes(project) == {"contract/version_unknown": 1}
    assert verify(project, from_bronze=True).equal
    shutil.rmtree(project.state / "registry")
    assert [each["id"] for each in given(project, None)["subjects"][0]["versions"]] == [1, 7]


def test_the_protobuf_serializer_sends_and_asks_for_descriptors(server, client):
    file = FileDescriptorProto(name="refund.proto", package="shop", syntax="proto3")
    file.message_type.add(name="Refund").field.add(name="id", number=1, type=9, label=1, json_name="id")
    pool = DescriptorPool()
    pool.Add(file)
    refund = GetMessageClass(pool.FindMessageTypeByName("shop.Refund"))
    plain, latest = {"use.deprecated.format": False}, {"auto.register.schemas": False, "use.latest.version": True}
    message = ProtobufSerializer(refund, client, plain)(refund(id="r-1"), value_of("descriptors"))
    with SchemaRegistryClient({"url": server.url}) as another:
        assert ProtobufDeserializer(refund, plain, another)(message, value_of("descriptors")) == refund(id="r-1")
        write = ProtobufSerializer(refund, another, {**plain, **latest})
        assert write(refund(id="r-1"), value_of("descriptors")) == message
    text = server.get("/subjects/descriptors-value/versions/latest")["schema"]
    assert "string id = 1;" in text
    # The same as text has its id, and the descriptor is there for whoever asks; none is made of a text alone.
    assert client.register_schema("as-text", Schema(text, "PROTOBUF")) == int.from_bytes(message[1:5], "big")
    client.register_schema("only-text", Schema('syntax = "proto3"; message Alone { int32 a = 1; }', "PROTOBUF"))
    assert refused(client.get_latest_version, "only-text", fmt="serialized")[:2] == (422, 42201)
    for broken in ("AAAA", "aGVsbG8gd29ybGQ="):
        assert refused(client.register_schema, "broken", Schema(broken, "PROTOBUF"))[:2] == (422, 42201)


def test_avro_is_written_and_read_under_one_id(server, client):
    write = AvroSerializer(client, json.dumps(PAYMENT))
    payment = {"id": "p-1", "amount": 2.5}
    message = write(payment, value_of("payments"))
    assert AvroDeserializer(client)(message, value_of("payments")) == payment
    schema_id = int.from_bytes(message[1:5], "big")
    assert client.get_latest_version("payments-value").schema_id == schema_id
    assert server.get(f"/schemas/ids/{schema_id}/schema") == PAYMENT  # the text itself, not a string of it
    assert server.get("/subjects/payments-value/versions/1/schema") == PAYMENT
    # The same schema has its id in every subject, however it is spelt.
    spelt = json.dumps(PAYMENT, indent=2, sort_keys=True)
    assert client.register_schema("refunds-value", Schema(spelt, "AVRO")) == schema_id
    assert client.get_subjects_by_schema_id(schema_id) == ["payments-value", "refunds-value"]
    assert [each.subject for each in client.get_schema_versions(schema_id)] == ["payments-value", "refunds-value"]
    assert client.lookup_schema("payments-value", Schema(spelt, "AVRO")).version == 1


def test_avro_is_judged_as_its_readers_resolve(server, client):
    plus = {**PAYMENT, "fields": [*PAYMENT["fields"], {"name": "note", "type": "string"}]}
    client.register_schema("judged-avro", Schema(json.dumps(PAYMENT), "AVRO"))
    assert refused(client.register_schema, "judged-avro", Schema(json.dumps(plus), "AVRO"))[:2] == (409, 409)
    judged = server.post(
        "/compatibility/subjects/judged-avro/versions?verbose=true", {"schema": json.dumps(plus)}
    ).json()
    assert "note" in judged["messages"][0]
    plus["fields"][-1]["default"] = ""
    client.register_schema("judged-avro", Schema(json.dumps(plus), "AVRO"))
    money = {"type": "fixed", "name": "Money", "namespace": "shop", "size": 8}
    client.register_schema("money", Schema(json.dumps(money), "AVRO"))
    used = {**PAYMENT, "fields": [{"name": "amount", "type": "Money"}]}
    assert refused(client.register_schema, "priced", Schema(json.dumps(used), "AVRO"))[:2] == (422, 42201)
    client.register_schema("priced", Schema(json.dumps(used), "AVRO", [SchemaReference("shop.Money", "money", 1)]))


def test_versions_are_judged_and_told_why(server, client):
    first = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
    client.register_schema("judged", Schema(json.dumps(first), "JSON"))
    harmless = {**first, "properties": {**first["properties"], "c": {"type": "string"}}}
    breaking = {**first, "required": ["a"]}
    assert client.test_compatibility("judged", Schema(json.dumps(harmless), "JSON"))
    assert not client.test_compatibility("judged", Schema(json.dumps(breaking), "JSON"))
    body = {"schema": json.dumps(breaking), "schemaType": "JSON"}
    judged = server.post("/compatibility/subjects/judged/versions/latest?verbose=true", body).json()
    assert judged["is_compatible"] is False
    assert "required" in judged["messages"][0]
    assert "unreadable under this: {" in judged["messages"][0]  # the document that shows it
    assert refused(client.register_schema, "judged", Schema(json.dumps(breaking), "JSON"))[:2] == (409, 409)
    client.set_compatibility("judged", "NONE")
    assert client.get_compatibility("judged") == "NONE"
    client.register_schema("judged", Schema(json.dumps(breaking), "JSON"))
    assert client.get_versions("judged") == [1, 2]
    client.set_compatibility("judged", "FORWARD_TRANSITIVE")
    assert client.test_compatibility_all_versions("judged", Schema(json.dumps(breaking), "JSON"))
    client.delete_config("judged")
    assert refused(client.get_compatibility, "judged")[1] == 40408
    assert refused(client.set_compatibility, "judged", "SIDEWARD")[:2] == (422, 42203)
    assert refused(client.set_compatibility, "orders-value", "NONE")[:2] == (422, 42205)


def test_references_are_resolved_among_subjects(client):
    client.register_schema("address", Schema('{"type": "object", "required": ["city"]}', "JSON"))
    person = json.dumps({"type": "object", "properties": {"home": {"$ref": "address.json"}}})
    alone = Schema(person, "JSON")
    assert refused(client.register_schema, "person", alone)[:2] == (422, 42201)
    together = Schema(person, "JSON", [SchemaReference("address.json", "address", 1)])
    made = client.register_schema("person", together)
    assert client.get_referenced_by("address", 1) == [made]
    assert refused(client.delete_version, "address", 1)[:2] == (422, 42206)
    read = client.get_version("person", 1)
    assert [each.name for each in read.schema.references] == ["address.json"]
    # A change of what is referred to is a change of the whole.
    client.set_compatibility("address", "NONE")
    client.register_schema("address", Schema('{"type": "object", "required": ["city", "zip"]}', "JSON"))
    later = Schema(person, "JSON", [SchemaReference("address.json", "address", 2)])
    assert not client.test_compatibility("person", later)


def test_deleting_is_soft_at_first(client):
    client.set_compatibility("gone", "NONE")
    for text in ('{"type": "string"}', '{"type": "integer"}'):
        last = client.register_schema("gone", Schema(text, "JSON"))
    assert refused(client.delete_version, "gone", 1, permanent=True)[1] == 40407
    assert client.delete_version("gone", 1) == 1
    assert client.get_versions("gone") == [2]
    assert refused(client.get_version, "gone", 1)[1] == 40402
    assert client.get_version("gone", 1, deleted=True).version == 1
    assert refused(client.delete_version, "gone", 1)[1] == 40406
    assert refused(client.delete_subject, "gone", permanent=True)[1] == 40405
    assert client.delete_subject("gone") == [2]
    assert "gone" not in client.get_subjects()
    assert "gone" in client.get_subjects(deleted=True)
    client.delete_subject("gone", permanent=True)
    assert refused(client.get_versions, "gone")[:2] == (404, 40401)
    client.clear_caches()
    assert client.get_schema(last).schema_str == '{"type": "integer"}'  # messages that name it stay readable
    assert refused(client.delete_subject, "orders-value")[:2] == (422, 42205)


def test_modes_hold_writers_off_and_let_imports_in(server, client):
    client.register_schema("frozen", Schema('"string"', "AVRO"))
    client.update_mode("frozen", "READONLY")
    for change in (client.delete_subject, lambda name: client.delete_version(name, 1)):
        assert refused(change, "frozen")[:2] == (422, 42205)
    assert refused(client.set_compatibility, "frozen", "NONE")[:2] == (422, 42205)
    assert client.get_versions("frozen") == [1]
    client.update_mode("held", "READONLY")
    assert refused(client.register_schema, "held", Schema('"string"', "AVRO"))[:2] == (422, 42205)
    client.update_mode("held", "IMPORT")
    body = {"schema": '"bytes"', "id": 70_000, "version": 7}
    assert server.post("/subjects/held/versions", body).json() == {"id": 70_000}
    taken = server.post("/subjects/held/versions", {**body, "schema": '"long"', "version": 8})
    assert (taken.status_code, taken.json()["error_code"]) == (422, 42205)
    assert client.delete_mode("held") == "IMPORT"
    assert client.get_versions("held") == [7]
    assert client.register_schema("later", Schema('"float"', "AVRO")) > 70_000
    assert client.get_mode("orders-value") == "READONLY"
    assert refused(client.update_mode, "held", "SIDEWAYS")[:2] == (422, 42204)


PROTO = 'syntax = "proto3"; package shop; message Parcel { string id = 1; }'


def test_protobuf_is_kept_by_what_it_means(client):
    first = client.register_schema("parcels", Schema(PROTO, "PROTOBUF"))
    assert client.register_schema("boxes", Schema(PROTO.replace("; ", ";\n// so\n"), "PROTOBUF")) == first
    assert refused(client.register_schema, "parcels", Schema("message {", "PROTOBUF"))[:2] == (422, 42201)
    assert refused(client.register_schema, "parcels", Schema(PROTO.replace("string", "int32"), "PROTOBUF"))[0] == 409
    grown = Schema(PROTO.replace("}", "int32 grams = 2; }"), "PROTOBUF")
    assert client.register_schema("parcels", grown) != first
    importing = PROTO.replace("package", 'import "parcel.proto"; package').replace("Parcel { string", "Van { Parcel")
    reference = [SchemaReference("parcel.proto", "parcels", 1)]
    client.register_schema("vans", Schema(importing, "PROTOBUF", reference))
    assert client.test_compatibility(
        "vans", Schema(importing, "PROTOBUF", [SchemaReference("parcel.proto", "parcels", 2)])
    )
    assert refused(client.register_schema, "vans-alone", Schema(importing, "PROTOBUF"))[:2] == (422, 42201)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("JSON", "{"),
        ("JSON", '{"type": "strang"}'),
        ("JSON", '{"$ref": "http://127.0.0.1:1/never-fetched.json"}'),
        ("JSON", '{"$schema": "https://example.com/own-draft"}'),
        ("JSON", "[" * 200 + "]" * 200),
        ("JSON", '{"items":' * 100_000 + "1" + "}" * 100_000),
        ("JSON", '{"const": NaN}'),
        ("JSON", '"\ud800"'),
        ("AVRO", '{"type": "record", "name": "no fields"}'),
        ("AVRO", '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Unknown"}]}'),
        ("AVRO", '["int", "int"]'),
        ("PROTOBUF", 'syntax = "proto3"; message A { B b = 1; }'),
        ("XML", "<a/>"),
        ("JSON", ""),
    ],
)
def test_what_is_no_schema_is_told_so(server, kind, text):
    answer = server.post("/subjects/bad/versions", {"schema": text, "schemaType": kind})
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42201), answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "content", "kind", "status"),
    [
        ("GET", "/nowhere", b"", "", 404),
        ("PUT", "/subjects", b"", "", 405),
        ("GET", "/subjects/nobody/versions", b"", "", 404),
        ("GET", "/subjects/orders-value/versions/two", b"", "", 422),
        ("GET", "/subjects/orders-value/versions/9", b"", "", 404),
        ("GET", "/schemas/ids/999999", b"", "", 404),
        ("GET", "/schemas/ids/x", b"", "", 404),
        ("GET", "/subjects?offset=x", b"", "", 400),
        ("POST", "/subjects/s/versions", b"{", "application/json", 400),
        ("POST", "/subjects/s/versions", b"[" * 100_000, "application/json", 400),
        ("POST", "/subjects/s/versions", b"{}", "application/json", 422),
        ("POST", "/subjects/s/versions", b"{}", "text/plain", 415),
        ("POST", "/subjects/s/versions", b" " * (11 << 20), "application/json", 413),
        ("POST", "/subjects/%0A/versions", b'{"schema": "\\"int\\""}', "application/json", 422),
        ("PUT", "/config/s", b'{"compatibility": 5}', "application/json", 422),
        ("PUT", "/mode", b"null", "application/json", 422),
    ],
)
def test_every_refusal_has_the_shape_that_clients_read(server, method, path, content, kind, status):
    answer = server.client.request(method, path, content=content, headers={"content-type": kind} if kind else {})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert str(answer.json()["error_code"]).startswith(str(status))
    assert answer.json()["message"]


def test_an_answer_before_its_body_came_says_that_it_is_the_last_of_its_connection(server):
    for kind, ends in (("text/plain", "close"), ("application/json", None)):
        told = server.client.post("/subjects/s/versions", content=b"{", headers={"content-type": kind})
        assert told.headers.get("connection") == ends


def test_a_foreign_name_or_page_is_not_answered(server):
    assert server.client.get("/subjects", headers={"host": "rebound.example.com"}).status_code == 403
    assert server.client.get("/subjects", headers={"host": "localhost:1"}).status_code == 200


def test_a_static_iglu_repository_is_handed_out(server, root):
    own = {"vendor": "com.shop", "name": "order", "format": "jsonschema", "version": "1-0-0"}
    folder = root / "iglu/schemas/com.shop/order/jsonschema"
    folder.mkdir(parents=True)
    (folder / "1-0-0").write_text(json.dumps({"self": own, "type": "object"}))
    (folder / "1-0-1").write_text(json.dumps({"self": own, "type": "object"}))
    (folder / "1-0-2").symlink_to("/etc/hostname")
    assert server.get("/schemas/com.shop/order/jsonschema/1-0-0") == {"self": own, "type": "object"}
    for wrong in ("1-0-1", "1-0-2", "1-0-3", "..", "1-0-0%00"):
        answer = server.client.get(f"/schemas/com.shop/order/jsonschema/{wrong}")
        assert (answer.status_code, str(answer.json()["error_code"])[:3]) == (404, "404"), wrong


def test_a_subject_may_hold_a_slash(client):
    client.register_schema("a/b", Schema('"int"', "AVRO"))
    assert client.get_versions("a/b") == [1]


def test_a_change_of_the_files_is_served_and_the_old_id_stays(tmp_path):
    write_source(tmp_path, "orders")
    with registry(tmp_path) as server, SchemaRegistryClient({"url": server.url}) as client:
        before = client.get_latest_version("orders-value")
        folder = tmp_path / "schemas/orders"
        folder.mkdir()
        (folder / "v1.json").write_text(json.dumps(ORDERS))
        newer = {**ORDERS, "version": "v2", "properties": {**ORDERS["properties"], "note": {"type": "string"}}}
        (tmp_path / "schemas/orders.json").write_text(json.dumps(newer))
        wait_until(lambda: client.get_versions("orders-value") == [1, 2])
        client.clear_caches()
        assert client.get_version("orders-value", 1).schema_id == before.schema_id
        assert client.get_latest_version("orders-value").schema_id != before.schema_id
        (tmp_path / "schemas/orders.json").write_text("{")  # what does not load changes nothing
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_two_servers_and_a_kill_never_give_an_id_twice(tmp_path):
    write_source(tmp_path, "orders")
    given: list[tuple[int, str]] = []
    with registry(tmp_path) as one, registry(tmp_path) as other:
        enough = threading.Event()

        def register(server, name):
            for number in range(1000):
                text = json.dumps({"type": "enum", "name": name, "symbols": [f"S{number}"]})
                try:
                    answer = server.post(f"/subjects/{name}-{number}/versions", {"schema": text})
                except httpx.TransportError:  # it was killed
                    return
                given.append((answer.json()["id"], text))
                if number == 20:
                    enough.set()

        with ThreadPoolExecutor(4) as threads:
            for name, server in (("A", one), ("B", one), ("C", other), ("D", other)):
                threads.submit(register, server, name)
            enough.wait()
            one.process.kill()
            other.process.kill()
    assert len({schema_id for schema_id, _ in given}) == len(given) > 20
    store = Store(load_project(tmp_path).state)
    assert {schema_id: store.schema(schema_id).text for schema_id, _ in given} == dict(given)
    store.close()


def test_other_machines_need_tokens_and_a_producer_its_own(tmp_path):
    write_source(tmp_path, "orders")
    done = headrace("registry", "serve", "--host", "0.0.0.0", "--port", "0", "--project", tmp_path)
    assert done.returncode == 2
    assert "headrace token create" in done.stderr
    tokens = TokenFile(load_project(tmp_path).state)
    admin, orders = tokens.create(Role.ADMIN).text, tokens.create(Role.WRITE, "orders").text
    with registry(tmp_path, "--host", "0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        with SchemaRegistryClient({"url": url}) as nobody:
            assert refused(nobody.get_subjects)[0] == 401
        with SchemaRegistryClient({"url": url, "basic.auth.user.info": f"anyone:{orders}"}) as producer:
            order = {"id": "o-1"}
            assert JSONSerializer(json.dumps(ORDERS), producer)(order, value_of("orders"))[0] == 0
            assert refused(producer.register_schema, "mine", Schema('"int"', "AVRO"))[0] == 403
            assert refused(producer.set_compatibility, "mine", "NONE")[0] == 403
        with SchemaRegistryClient({"url": url, "basic.auth.user.info": f"anyone:{admin}"}) as owner:
            owner.register_schema("mine", Schema('"int"', "AVRO"))
