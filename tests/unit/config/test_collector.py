"""The collector's settings: layers, variables, and what is refused."""

import pytest

from headrace.config.collector import CollectorSpec, collector_settings
from headrace.config.project import load_project
from headrace.errors import ConfigError
from living import project_of


def test_the_later_layer_wins_and_variables_win_over_all():
    below, above = CollectorSpec(port=1, max_depth=5), CollectorSpec(port=0)
    found = collector_settings(below, above, environ={"HEADRACE_COLLECTOR_BODY_SECS": "2.5"})
    assert (found.port, found.max_depth, found.body_secs, found.host) == (0, 5, 2.5, "127.0.0.1")
    origins = {"HEADRACE_COLLECTOR_ALLOWED_ORIGINS": " https://a.example , http://localhost:3000"}
    assert collector_settings(environ=origins).allowed_origins == ("https://a.example", "http://localhost:3000")
    assert collector_settings(environ={"HEADRACE_COLLECTOR_ENABLED": "0"}).enabled is False


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "70000"), ("HOST", "example.com"), ("ALLOWED_ORIGINS", "https://a/path"), ("PORT", "")]
)
def test_a_wrong_variable_is_named(name, value):
    with pytest.raises(ConfigError) as refused:
        collector_settings(environ={f"HEADRACE_COLLECTOR_{name}": value})
    assert refused.value.at == f"$HEADRACE_COLLECTOR_{name}"


def test_loopback_is_told_from_the_rest():
    loopback = {"127.0.0.1": True, "127.8.8.8": True, "::1": True, "localhost": True, "0.0.0.0": False, "::": False}
    assert {host: CollectorSpec(host=host).is_loopback for host in (*loopback, "10.0.0.1")} == {
        **loopback, "10.0.0.1": False,
    }  # fmt: skip


def test_a_project_and_its_environment_say_it(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADRACE_COLLECTOR_ENABLED", raising=False)
    project_of(tmp_path)
    (tmp_path / "headrace.yaml").write_text(
        "name: lab\ncollector: {port: 9000, max_depth: 7}\nenvironments:\n  local: {collector: {port: 9001}}\n"
    )
    found = load_project(tmp_path).collector
    assert (found.port, found.max_depth, found.enabled) == (9001, 7, True)
    (tmp_path / "headrace.yaml").write_text("name: lab\ncollector: {prot: 9000}\n")
    with pytest.raises(ConfigError, match="did you mean 'port'"):
        load_project(tmp_path)
