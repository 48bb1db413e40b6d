"""Layers, environments, digests: what a project is in one environment."""

import pytest

from headrace.config.project import assemble, load_project
from headrace.config.settings import Settings, layered
from headrace.errors import ConfigError


def loaded(shop, environment=None, environ=None):
    return assemble(shop.root, environment, environ or {}).project


LAYERS = """\
name: shop
defaults: {batch_rows: 200, sla_minutes: 30, timezone: Asia/Tokyo}
environments:
  local: {}
  busy:
    overrides: {sla_minutes: 0, freshness_secs: 0}
  special:
    overrides: {sla_minutes: 8, batch_rows: 10, freshness_secs: 3}
    sources:
      orders:
        monitoring: {sla_minutes: 7}
        processing: {batch_rows: 9}
"""


def test_what_is_built_in(shop, orders):
    shop.source(orders)
    source = loaded(shop).source("orders")
    assert source.settings == Settings()
    assert (source.freshness_secs, source.batch_rows, source.sla_minutes) == (1.0, 100_000, None)
    assert source.datasets[0].timezone == "UTC"


def test_each_layer_wins_over_the_one_below(shop, orders):
    shop.write("headrace.yaml", LAYERS)
    shop.source(orders)
    assert loaded(shop).source("orders").settings == Settings(batch_rows=200, sla_minutes=30, timezone="Asia/Tokyo")
    assert loaded(shop).source("orders").datasets[0].timezone == "Asia/Tokyo"
    shop.source(orders + "  batch_rows: 300\ntimezone: Europe/Paris\n")
    source = loaded(shop).source("orders")
    assert (source.batch_rows, source.sla_minutes, source.datasets[0].timezone) == (300, 30, "Europe/Paris")
    assert loaded(shop, "special").source("orders").batch_rows == 9
    assert loaded(shop, "special").source("orders").sla_minutes == 7
    assert loaded(shop, "special").source("orders").freshness_secs == 3
    assert loaded(shop, "special").settings.batch_rows == 10
    assert loaded(shop, "special", {"HEADRACE_FRESHNESS_SECS": "4"}).source("orders").freshness_secs == 4
    assert loaded(shop, "special", {"HEADRACE_BATCH_ROWS": "11"}).source("orders").batch_rows == 11


def test_an_override_of_zero_is_an_override(shop, orders):
    shop.write("headrace.yaml", LAYERS)
    shop.source(orders + "monitoring: {sla_minutes: 45}\n")
    assert loaded(shop).source("orders").sla_minutes == 45
    busy = loaded(shop, "busy").source("orders")
    assert (busy.sla_minutes, busy.freshness_secs) == (0, 0)
    assert loaded(shop, "local", {"HEADRACE_SLA_MINUTES": "0"}).source("orders").sla_minutes == 0


def test_an_override_of_empty_text_is_an_override(shop, orders):
    shop.write("headrace.yaml", "name: shop\nenvironments: {local: {sources: {orders: {description: ''}}}}\n")
    shop.source(orders + "description: Long\n")
    assert loaded(shop).source("orders").spec.description == ""


def test_an_empty_value_says_nothing(shop, orders):
    shop.write("headrace.yaml", LAYERS)
    shop.source(orders + "  batch_rows:\ntimezone:\nmonitoring:\n  sla_minutes:\n")
    assert loaded(shop).source("orders").settings == Settings(batch_rows=200, sla_minutes=None, timezone="Asia/Tokyo")


def test_mappings_merge_and_all_else_replaces():
    assert layered({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": []}}, {"d": 0, "e": None}) == {
        "a": {"b": 1, "c": []},
        "d": 0,
        "e": None,
    }


def test_an_override_may_be_flat_as_a_flat_source_is(shop):
    shop.source("source_id: orders\npattern: event_streaming\nmessage_format: json\n")
    shop.write("headrace.yaml", "name: shop\nenvironments: {local: {sources: {orders: {message_format: ndjson}}}}\n")
    source = loaded(shop).source("orders")
    assert (source.message_format, source.pattern) == ("ndjson", "event_streaming")
    assert source.raw["message_format"] == "json"


def test_the_environment_is_the_one_asked_for_or_the_variable_or_the_default(shop):
    shop.write("headrace.yaml", "name: shop\nenvironments: {gcp: {}, local: {}, test: {}}\n")
    assert loaded(shop).environment == "local"
    assert loaded(shop, None, {"HEADRACE_ENV": "test"}).environment == "test"
    assert loaded(shop, "gcp", {"HEADRACE_ENV": "test"}).environment == "gcp"
    assert loaded(shop, "gcp").state == shop.root / ".headrace/gcp"
    shop.write("headrace.yaml", "name: shop\ndefault_environment: gcp\nenvironments: {gcp: {}, local: {}}\n")
    assert loaded(shop).environment == "gcp"
    shop.write("headrace.yaml", "name: shop\nenvironments: {gcp: {}}\n")
    assert loaded(shop).environment == "gcp"
    shop.write("headrace.yaml", "name: shop\n")
    assert loaded(shop).environment == "local"


def test_an_environment_that_does_not_exist(shop):
    with pytest.raises(ConfigError) as raised:
        load_project(shop.root, "locl")
    assert (raised.value.message, raised.value.fix) == ("no environment 'locl'", "did you mean 'local'?")
    with pytest.raises(ConfigError, match="no environment ''"):
        load_project(shop.root, "")


def test_a_variable_that_cannot_be_a_setting(shop):
    with pytest.raises(ConfigError) as raised:
        loaded(shop, None, {"HEADRACE_BATCH_ROWS": "many"})
    assert raised.value.at == "$HEADRACE_BATCH_ROWS"


def test_bindings_of_the_environment_win(shop):
    shop.write(
        "headrace.yaml",
        "name: shop\nbindings: {gs://a/: ./a, gs://b/: ./b}\nenvironments: {local: {bindings: {gs://b/: ./c}}}\n",
    )
    assert dict(loaded(shop).bindings) == {"gs://a/": "./a", "gs://b/": "./c"}


def test_a_source_by_its_id_or_the_nearest(shop, orders):
    shop.source(orders)
    project = loaded(shop)
    assert project.source("orders").id == "orders"
    with pytest.raises(ConfigError) as raised:
        project.source("order")
    assert raised.value.fix == "did you mean 'orders'?"


def test_the_digest_changes_with_what_a_tick_does_and_with_nothing_else(shop, orders):
    shop.source(orders)
    first = loaded(shop).digest
    shop.write("README.md", "words")
    shop.write("schemas/unused.json", "{}")
    assert loaded(shop).digest == first
    digests = {first, loaded(shop, None, {"HEADRACE_BATCH_ROWS": "7"}).digest}
    shop.write("schemas/orders.json", (shop.root / "schemas/orders.json").read_text() + "\n")
    digests.add(loaded(shop).digest)
    shop.source(orders + "# a word\n")
    digests.add(loaded(shop).digest)
    shop.write("headrace.yaml", "name: shop\nenvironments: {local: {}, other: {}}\n")
    digests |= {loaded(shop).digest, loaded(shop, "other").digest}
    assert len(digests) == 6


def test_the_files_are_those_that_the_digest_covers_wherever_they_lie(shop, orders, tmp_path):
    shop.write("headrace.yaml", "name: shop\nbindings: {gs://contracts/: ../contracts}\n")
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/users.json").write_bytes(b'{"type": "object", "properties": {}}')
    shop.write("deep/er/items.json", '{"type": "object", "properties": {}}')
    shop.write("schemas/unused.json", "{}")
    shop.source(orders)
    files = {"users": "../contracts/users.json", "items": "deep/er/items.json"}
    for name, file in files.items():
        text = f"source_id: {name}\ningestion: {{pattern: event_streaming}}\nschema: {{file: {file}}}\n"
        shop.source(text, name)
    project = loaded(shop)
    expected = {"headrace.yaml", "schemas/orders.json", *files.values()}
    expected |= {f"connectors/{name}.yaml" for name in ("orders", "users", "items")}
    assert set(project.files) == expected
    assert project.files["../contracts/users.json"] == b'{"type": "object", "properties": {}}'
    for file in files.values():
        (shop.root / file).write_bytes(project.files[file] + b"\n")
        assert loaded(shop).digest != project.digest, file
        (shop.root / file).write_bytes(project.files[file])
        assert loaded(shop).digest == project.digest


def test_a_moved_project_has_the_same_digest(shop, orders, tmp_path):
    shop.source(orders)
    before = loaded(shop)
    moved = shop.root.rename(tmp_path / "elsewhere")
    after = load_project(moved)
    assert (after.digest, after.root) == (before.digest, moved)


def test_a_project_without_sources(shop):
    assert dict(loaded(shop).sources) == {}


def test_a_loaded_project_cannot_be_changed(shop, orders):
    shop.source(orders)
    project = loaded(shop)
    with pytest.raises(TypeError):
        project.sources["other"] = project.source("orders")
    with pytest.raises(AttributeError):
        project.name = "other"


def test_a_project_that_does_not_load_names_its_first_fault_and_how_many_more_there_are(shop, orders):
    shop.source(orders.replace("event_streaming", "event_streamin"))
    with pytest.raises(ConfigError) as refused:
        load_project(shop.root)
    assert "more error" not in refused.value.fix
    shop.write("connectors/b.yaml", "a: [1, 2")
    shop.write("connectors/c.yaml", "")
    with pytest.raises(ConfigError) as refused:
        load_project(shop.root)
    assert refused.value.at == "connectors/b.yaml:1"
    assert refused.value.fix.endswith("; 2 more errors: headrace check")
