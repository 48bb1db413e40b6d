"""CloudTrail delivery files: deep records of 260 kinds, of which a contract knows a few columns."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["eventID", "eventName", "eventTime", "userIdentity", "readOnly"],
    "properties": {
        "eventID": {"type": "string", "format": "uuid"},
        "eventName": {"type": "string"},
        "eventSource": {"type": "string"},
        "eventTime": {"type": "string", "format": "date-time"},
        "errorCode": {"type": "string"},
        "readOnly": {"type": "boolean"},
        "userIdentity": {"type": "object"},
        "requestParameters": {"type": ["object", "null"]},
        "resources": {"type": "array", "items": {"type": "object"}},
        "tlsDetails": {"type": "object", "properties": {"tlsVersion": {"type": "string"}}},
    },
}
JSON_TEXT = ("userIdentity", "requestParameters", "resources")


def test_records_of_twenty_files_keep_what_the_contract_does_not_know(
    shared: Path, platform: Callable[..., Any], keyed: Callable[..., Any], tmp_path: Path
):
    raw: list[dict[str, Any]] = []
    files = []
    with tarfile.open(shared / "data/events/cloudtrail/cloudtrail_20230710T1145-1210.tar.gz") as archive:
        for member in archive.getmembers():
            if (opened := archive.extractfile(member)) is not None:
                records = json.load(opened)["Records"]
                files.append(tmp_path / f"{len(files)}.json")
                files[-1].write_text(json.dumps(records, indent=1))
                raw += records
    assert len(files) == 20
    assert len({record["eventID"] for record in raw}) == len(raw)
    schema = {"file": "schemas/trail.json", "validation": "lenient"}
    trail = platform("trail", SCHEMA, schema=schema, event_time="eventTime", processing=keyed("eventID"))

    assert trail.publish(*files, *files[::-1]) == 2 * len(raw)
    assert trail.drain() == {"accepted": 2 * len(raw), "silver": len(raw), "duplicate": len(raw)}

    kinds = trail.rows("SELECT eventName AS kind, count(*) AS n FROM {silver} GROUP BY 1")
    assert {row["kind"]: row["n"] for row in kinds} == Counter(record["eventName"] for record in raw)
    (failed,) = trail.rows("SELECT count(errorCode) AS n FROM {silver}")
    assert failed["n"] == sum("errorCode" in record for record in raw)
    sent = {record["eventID"]: record for record in raw}
    for row in trail.rows(
        "SELECT eventID AS id, userIdentity AS who, requestParameters AS asked, _extra FROM {silver}"
    ):
        record = sent.pop(row["id"])
        assert json.loads(row["who"]) == record["userIdentity"]
        assert (json.loads(row["asked"]) if row["asked"] else None) == record["requestParameters"]
        assert json.loads(row["_extra"]) == {
            name: value for name, value in record.items() if name not in SCHEMA["properties"]
        }
    assert not sent
