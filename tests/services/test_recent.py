"""`headrace good`, `bad` and `tap` as an app's tests use them: beside an `up` that is killed and starts again."""

from __future__ import annotations

import json
import signal
import subprocess
import threading

from living import messages, orders, project_of, sqlite_bus
from typed import COMMAND, headrace_in


def started(project, *arguments):
    return subprocess.Popen(
        [*COMMAND, *arguments, "--project", str(project.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def publish(project, payloads):
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(payloads))


def test_follow_tells_each_event_once_over_killed_ups(tmp_path):
    project = project_of(tmp_path)
    following = [started(project, verb, "orders", "--follow", "--after", "-1", "--json") for verb in ("good", "bad")]
    following.append(started(project, "tap", "orders", "--after", "-1", "--json"))
    alone = "no `headrace up` runs here: what the next one commits is shown then\n"
    assert following[2].stderr.readline() == alone  # it has looked
    told = [[], [], []]
    arrived = threading.Condition()

    def listen(which):
        for line in following[which].stdout:
            with arrived:
                told[which].append(json.loads(line))
                arrived.notify_all()

    listeners = [threading.Thread(target=listen, args=(which,)) for which in range(3)]
    for each in listeners:
        each.start()
    for start in range(0, 300, 100):
        up = started(project, "up", "--no-build")
        for first in range(start, start + 100, 10):
            publish(project, [*orders(first, first + 10), {"id": first}])
        with arrived:
            assert arrived.wait_for(lambda upto=start: len(told[0]) > upto, timeout=120)
        up.kill()
        up.communicate()
    up = started(project, "up", "--no-build")
    with arrived:
        assert arrived.wait_for(lambda: [len(each) for each in told] == [300, 30, 330], timeout=120)
    up.kill()
    up.communicate()
    for each in following:
        each.send_signal(signal.SIGINT)
    for each, listener, end in zip(following, listeners, [(130, ""), (130, ""), (0, "")], strict=True):
        listener.join()
        assert (each.wait(60), each.stderr.read()) == end
        each.communicate()
    assert [each["event"]["id"] for each in told[0]] == [f"o{number}" for number in range(300)]
    assert [json.loads(each["payload"])["id"] for each in told[1]] == list(range(0, 300, 10))
    assert [each["seq"] for each in told[2]] == list(range(330))
    assert [each for each in told[2] if each["stage"] is None] == told[0]
    assert [each for each in told[2] if each["stage"]] == told[1]


def test_wait_is_an_assertion(tmp_path):
    project = project_of(tmp_path)
    short = headrace_in(project, "good", "orders", "--wait", "1", "--timeout", "0.5")
    assert (short.returncode, short.stdout) == (1, "")
    assert "0 of 1 within 0.5 s: no `headrace up` runs here" in short.stderr
    waiting = started(project, "good", "orders", "--where", "event.id=o7", "--wait", "1", "--timeout", "60", "--json")
    up = started(project, "up", "--no-build")
    publish(project, [{"id": 1}, *orders(0, 10)])
    out, _ = waiting.communicate(timeout=120)
    assert (waiting.returncode, json.loads(out)["event"]["id"]) == (0, "o7")
    held = headrace_in(project, "bad", "orders", "--wait", "2", "--timeout", "0.5", "--where", "code=type", "--json")
    assert (held.returncode, len(held.stdout.splitlines())) == (1, 1)
    assert "1 of 2 within 0.5 s" in held.stderr
    some = headrace_in(project, "good", "orders", "--wait", "2", "--after", "3", "--json")
    assert [json.loads(line)["seq"] for line in some.stdout.splitlines()] == [4, 5]
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=120)


def test_text_is_for_people(tmp_path):
    project = project_of(tmp_path)
    none = headrace_in(project, "bad", "orders")
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "none\n")
    publish(project, [{"id": "a"}, {"id": 7}])
    built = headrace_in(project, "build")
    assert built.returncode == 0
    good = headrace_in(project, "good", "orders").stdout.splitlines()
    assert good[0].split()[0::2] == ["0", "silver"]
    assert json.loads(good[1])["id"] == "a"
    bad = headrace_in(project, "bad", "orders").stdout.splitlines()
    assert "contract/type: " in bad[0]
    assert bad[1:] == ["  $.id = 7", '  {"id": 7}']
    for wrong, said in (
        (("--where", "id"), "'id' is not FIELD=VALUE"),
        (("--wait", "1", "--follow"), "--wait ends and --follow does not"),
    ):
        refused = headrace_in(project, "good", "orders", *wrong)
        assert refused.returncode == 2
        assert said in refused.stderr
