"""Refusals: every one is documented, and says what, where and what to do."""

import json
import re
from pathlib import Path

import headrace.collector
from headrace.http.problems import Refused, method_not_allowed, retry_after

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "send-events.md"


def test_every_reason_and_status_is_on_the_page():
    code = "".join(path.read_text() for path in Path(headrace.collector.__path__[0]).glob("*.py"))
    found = set(re.findall(r'(?:Refused|retry_after)\(\s*(\d{3}),\s*"([a-z_]+)"', code))
    found |= {("405", "method")}
    assert len(found) > 25
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)]
    missing = [
        (status, reason)
        for status, reason in found
        if not any(status in row.split("|")[1] and f"`{reason}`" in row for row in rows)
    ]
    assert not missing


def test_a_refusal_is_problem_json():
    refused = Refused(400, "not_json", "half of it is missing: \ud800", at="body", fix="send all of it")
    document = json.loads(refused.body("r-1"))
    assert document["status"] == 400
    assert document["title"] == "Bad Request"
    assert (document["at"], document["fix"], document["request_id"]) == ("body", "send all of it", "r-1")
    assert dict(retry_after(503, "busy", "busy", secs=7).headers) == {"retry-after": "7"}
    assert dict(method_not_allowed("PUT", "GET").headers) == {"allow": "GET"}
