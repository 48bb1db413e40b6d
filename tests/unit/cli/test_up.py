from headrace.cli.up import Said, _warned, while_heard
from headrace.config.faults import Fault


def test_ten_warnings_are_shown_and_the_rest_counted():
    warnings = [Fault("warning", "connectors/a.yaml", line, "odd") for line in range(1, 13)]
    assert _warned(warnings[:1]) == ["warning: connectors/a.yaml:1: odd"]
    assert len(_warned(warnings[:10])) == 10
    assert _warned(warnings)[10:] == ["… and 2 more: headrace check shows all"]
    assert _warned([]) == []


def test_a_problem_is_said_in_full_once_again_when_it_changes_and_when_it_is_over():
    said = Said()
    taken = {"collector": "the port is taken.\ntake another port: HEADRACE_COLLECTOR_PORT=8081 headrace up"}
    assert said.news({}) == []
    assert said.news(taken) == [
        "collector: the port is taken. take another port: HEADRACE_COLLECTOR_PORT=8081 headrace up"
    ]
    assert said.news(taken) == []
    assert said.news({"collector": "gone", "gold": "a test failed"}) == ["collector: gone", "gold: a test failed"]
    assert said.news({"gold": "a test failed"}) == ["collector: works again"]
    assert said.news(taken | {"gold": "a test failed"})[0].startswith("collector: the port")


def test_where_nobody_reads_it_no_more_is_shown_and_no_trouble_made():
    def show(line):
        shown.append(line)
        raise BrokenPipeError

    shown = []
    while_heard(show, "up 1 s")
    assert shown == ["up 1 s"]
