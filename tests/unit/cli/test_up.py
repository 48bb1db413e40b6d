from headrace.cli.up import _warned
from headrace.config.faults import Fault


def test_ten_warnings_are_shown_and_the_rest_counted():
    warnings = [Fault("warning", "connectors/a.yaml", line, "odd") for line in range(1, 13)]
    assert _warned(warnings[:1]) == ["warning: connectors/a.yaml:1: odd"]
    assert len(_warned(warnings[:10])) == 10
    assert _warned(warnings)[10:] == ["… and 2 more: headrace check shows all"]
    assert _warned([]) == []
