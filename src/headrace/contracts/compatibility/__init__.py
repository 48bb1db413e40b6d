"""Compatibility of two versions of a contract: what changed, who breaks, and a document that shows it.

Pure: no file is read, nothing is configured here. `compare` is for JSON Schema and our `fields` form; `compare_avro`
and `compare_protobuf` are for theirs, in files of their own that nobody else needs to load. All answer with the same
`Change`. `judge` holds a chain of versions to a mode.
"""

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
    "judge",
]
