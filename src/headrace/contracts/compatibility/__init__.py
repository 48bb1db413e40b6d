"""Compatibility of two versions of a contract: what changed, who breaks, and a document that shows it.

Pure: no file is read, nothing is configured here. `compare` is for JSON Schema and our `fields` form, `compare_avro`
and `compare_protobuf` for theirs; all answer with the same `Change`. `judge` holds a chain of versions to a mode.
"""

from headrace.contracts.compatibility.avro import compare_avro
from headrace.contracts.compatibility.change import (
    LENIENT,
    OPEN,
    STRICT,
    Change,
    ContentModel,
    Verdict,
)
from headrace.contracts.compatibility.json_schema import compare
from headrace.contracts.compatibility.judgement import Judgement, Pair, judge
from headrace.contracts.compatibility.protobuf import compare_protobuf

__all__ = [
    "LENIENT",
    "OPEN",
    "STRICT",
    "Change",
    "ContentModel",
    "Judgement",
    "Pair",
    "Verdict",
    "compare",
    "compare_avro",
    "compare_protobuf",
    "judge",
]
