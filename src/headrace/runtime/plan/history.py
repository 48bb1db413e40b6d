"""History under the new files: bronze replayed through the ordinary stages and merges, and held against what is there.

The rebuild does the work: up to the window under what was recorded, from there on under the files as they are now. What
it makes lies in a lake of its own, so nothing is written to the project's. What differs is asked of both by SQL.
"""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace import words
from headrace.contracts.types import literal
from headrace.errors import ConfigError
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect
from headrace.runtime.plan.other_values import is_other
from headrace.runtime.plan.sampling import Sample
from headrace.runtime.plan.shown import Shown
from headrace.runtime.rebuild.silver import FOLDER, rebuilt
from headrace.stages.canonical import column_sql

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.lake.reader import LakeReader
    from headrace.runtime.plan.sampling import Sampling
    from headrace.runtime.rebuild.silver import Rebuilt

ENVELOPE = frozenset({*words.ENVELOPE, words.EVENT_DATE})


@contextmanager
def replayed(
    project: Project, lake: LakeReader, windows: Mapping[str, range], sampling: Sampling | None = None
) -> Iterator[Rebuilt]:
    """Replay sources, each from the start of its window on under these files; the lake that this makes goes afterwards.

    With `sampling`, only what is sampled of them.

    Raises `ConfigError` where silver of before the window cannot take the new columns.
    """
    from headrace.errors import ContractError

    again = {name: each.start for name, each in windows.items()}
    with ExitStack() as held:
        try:
            made = held.enter_context(rebuilt(project, lake, list(windows), again, sampling))
        except ContractError as problem:
            raise ConfigError(
                f"history before the window has another type: {problem.message}",
                at=problem.at,
                fix="decide all of it again: --history all",
            ) from problem
        yield made


class Sides(NamedTuple):
    """A silver table as it is and as the replay made it: the SQL of its rows, and its columns with their types."""

    left: str
    right: str
    was: Mapping[str, str]
    now: Mapping[str, str]


class Comparison:
    """Asks both lakes what differs: `lake`, pinned to a snapshot, and `made`, what the replay made.

    Where a source was sampled, the same messages are looked at in both.
    """

    def __init__(self, project: Project, snapshot: int, made: Path) -> None:
        self._connection = connect()
        spill = project.state / FOLDER / "spill"
        self._connection.execute(f"SET temp_directory = {literal(str(spill))}")
        lake = project.state / "lake"
        self._connection.execute(attach_statement("lake", lake / CATALOG, lake / DATA, snapshot=snapshot))
        self._connection.execute(attach_statement("made", made / CATALOG, made / DATA, read_only=True))
        self._sample: Sample | None = None

    def close(self) -> None:
        """Let both lakes go."""
        self._connection.close()

    def source(
        self,
        source: str,
        window: range,
        datasets: Sequence[str],
        keys: Mapping[str, Sequence[str]],
        examples: int,
        sampling: Sampling | None = None,
    ) -> dict[str, Any]:
        """Return what differs of a source: see `headrace plan --json`."""
        self._sample = None
        if sampling is not None and source in sampling.taken:
            self._sample = Sample(self._connection, sampling, source)
        now_fail, now_pass, still, still_of = self._quarantine(source, window, examples)
        return {
            "source": source,
            "first": window.start,
            "end": window.stop,
            "messages": len(window),
            "sample": self._sample.told(still_of) if self._sample is not None and self._sample.is_share else None,
            "unsampled": sampling.whole.get(source, "") if sampling is not None and sampling.share is not None else "",
            "now_fail": now_fail,
            "now_pass": now_pass,
            "still_fail": still,
            "versions": self._versions(source, window.start, datasets),
            "datasets": [self._dataset(name, window.start, keys.get(name, ()), examples) for name in datasets],
        }

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        result = self._connection.execute(sql)
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _quarantine(
        self, source: str, window: range, examples: int
    ) -> tuple[dict[str, Any], dict[str, Any], int, dict[str, int]]:
        since = f"source = {literal(source)} AND seq >= {window.start} AND seq < {window.stop}"
        for side, table in (("lake", "was_failed"), ("made", "now_failed")):  # asked often, and read once
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT dataset, contract_version, stage, code, reason, path, "
                f"value, id, seq FROM {side}.ops.quarantine WHERE {since}{self._sampled('seq')}"
            )
        both = "now_failed n SEMI JOIN was_failed w ON n.seq = w.seq"
        (still,) = self._rows(f"SELECT count(*) AS n FROM {both}")
        return (
            self._failures("now_failed n ANTI JOIN was_failed w ON n.seq = w.seq", examples),
            self._failures("was_failed n ANTI JOIN now_failed w ON n.seq = w.seq", examples),
            still["n"],
            self._whole(f"SELECT n.seq FROM {both}"),
        )

    def _sampled(self, seq: str) -> str:
        """Return the SQL that leaves the messages that were taken, to follow other conditions."""
        return f" AND {self._sample.condition(seq)}" if self._sample is not None else ""

    def _whole(self, seqs: str) -> dict[str, int]:
        """Return how many there are of the whole, where these messages of a sample were found; else nothing."""
        return {} if self._sample is None else self._sample.whole(seqs)

    def _failures(self, of: str, examples: int) -> dict[str, Any]:
        reasons = self._rows(
            "SELECT dataset, contract_version AS version, stage, code, path, count(*) AS messages "
            f"FROM {of} GROUP BY ALL ORDER BY messages DESC, stage, code, path, dataset, version LIMIT 50"
        )
        (total,) = self._rows(f"SELECT count(*) AS n FROM {of}")
        shown = self._rows(
            f"SELECT id, seq, dataset, stage, code, reason, path, value FROM {of} ORDER BY seq LIMIT {examples}"
        )
        whole = self._whole(f"SELECT n.seq FROM {of}")
        return {"messages": total["n"], "whole": whole or None, "reasons": reasons, "examples": shown}

    def _versions(self, source: str, first: int, datasets: Sequence[str]) -> list[dict[str, Any]]:
        """Return how many messages each version has, with each fate, as it was and as the replay made it."""
        is_share = self._sample is not None and self._sample.is_share
        was = self._fates_of_sample(source, first, datasets) if is_share else self._fates("lake", source, first)
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for side, rows in (("was", was), ("now", self._fates("made", source, first))):
            for row in rows:
                key = (row.pop("dataset"), row.pop("version"))
                found.setdefault(key, {"dataset": key[0], "version": key[1], "was": None, "now": None})[side] = row
        return [found[key] for key in sorted(found)]

    def _fates(self, lake: str, source: str, first: int) -> list[dict[str, Any]]:
        fates = ", ".join(f'coalesce(sum("{name}"), 0)::BIGINT AS "{name}"' for name in words.COUNTS)
        return self._rows(
            f"SELECT dataset, contract_version AS version, {fates} FROM {lake}.ops.ledger "
            f"WHERE batch_id IN ({_batches(lake, source, first)}) GROUP BY ALL ORDER BY ALL"
        )

    def _fates_of_sample(self, source: str, first: int, datasets: Sequence[str]) -> list[dict[str, Any]]:
        """Return the fates that messages of the sample had; null is a fate that the lake has no row for.

        The ledger counts batches, not messages. What lost in the window and came before it is out of silver since.
        """
        seq, version = column_sql(words.SEQ), column_sql(words.SCHEMA_VERSION)
        silver = [
            f"SELECT {literal(name)} AS dataset, {version} AS version, 'silver' AS fate, 1 AS n "
            f"FROM lake.silver.{column_sql(name)} WHERE {seq} >= {first}{self._sampled(seq)}"
            for name in datasets
            if self._columns("lake", name)
        ]
        names = ", ".join(map(literal, datasets)) or "''"
        lost = (
            f"FROM lake.ops.superseded WHERE dataset IN ({names}) AND batch_id IN ({_batches('lake', source, first)})"
            f"{self._sampled('seq')}"
        )
        failed = f"FROM lake.ops.quarantine WHERE source = {literal(source)} AND seq >= {first}{self._sampled('seq')}"
        parts = [
            *silver,
            f"SELECT dataset, contract_version AS version, 'superseded' AS fate, 1 AS n {lost}",
            f"SELECT dataset, contract_version, 'silver', -1 {lost} AND seq < {first}",
            f"SELECT dataset, contract_version, 'quarantined', 1 {failed}",
        ]
        told = {"silver", "superseded", "quarantined"}
        fates = ", ".join(
            f"coalesce(sum(n) FILTER (fate = '{name}'), 0)::BIGINT AS {name}" if name in told else f"NULL AS {name}"
            for name in words.COUNTS
        )
        return self._rows(f"SELECT dataset, version, {fates} FROM ({' UNION ALL '.join(parts)}) GROUP BY ALL")

    def _dataset(self, name: str, first: int, key: Sequence[str], examples: int) -> dict[str, Any]:
        """Return what differs of a silver table; rows of before the window differ only by being there or not."""
        was, now = (self._columns(side, name) for side in ("lake", "made"))
        seq, date = (column_sql(each) for each in (words.SEQ, words.EVENT_DATE))
        nothing = f"(SELECT NULL::BIGINT AS {seq}, NULL::DATE AS {date} WHERE false)"
        left, right = (
            f"{lake}.silver.{column_sql(name)}" if it else nothing for lake, it in (("lake", was), ("made", now))
        )
        if was and self._sample is not None:
            left = f"(SELECT * FROM {left} WHERE true{self._sampled(seq)})"
        only = {
            "left": f"{left} l ANTI JOIN {right} r ON l.{seq} = r.{seq}",
            "entered": f"{right} l ANTI JOIN {left} r ON l.{seq} = r.{seq}",
        }
        counts: dict[str, Any] = {}
        whole: dict[str, dict[str, int]] = {}
        changed: set[dt.date] = set()
        for what, of in only.items():
            rows = self._rows(f"SELECT l.{date} AS day, count(*) AS n FROM {of} GROUP BY ALL")
            counts[what] = sum(row["n"] for row in rows)
            changed |= {row["day"] for row in rows}
            if self._sample is not None and self._sample.is_share:
                whole[what] = self._whole(f"SELECT l.{seq} AS seq FROM {of}")
        tests = self._tests(was, now)
        told = {"columns": [], "changed": 0, "moved": 0, "rekeyed": 0, "unchanged": 0, "examples": [], "versions": []}
        rewritten = set(changed)
        if was and now:
            sides = Sides(left, right, was, now)
            told, days, all_days, differ = self._values(sides, first, tests, key, examples)
            if self._sample is not None and self._sample.is_share:
                whole["changed"] = self._whole(differ)
            changed |= days
            rewritten |= all_days
        return {
            "dataset": name,
            **counts,
            **told,
            "whole": whole or None,
            "partitions": [str(day) for day in sorted(changed)],
            "rewritten": [str(day) for day in sorted(rewritten)],
        }

    def _values(
        self, sides: Sides, first: int, tests: Mapping[str, str], key: Sequence[str], examples: int
    ) -> tuple[dict[str, Any], set[dt.date], set[dt.date], str]:
        """Return what differs of rows that are on both sides, their days, and the SQL of which messages differ."""
        left, right = sides.left, sides.right
        seq, date = (column_sql(each) for each in (words.SEQ, words.EVENT_DATE))
        joined = f"{left} l JOIN {right} r ON l.{seq} = r.{seq} WHERE l.{seq} >= {first}"
        version = column_sql(words.SCHEMA_VERSION)
        differs = " OR ".join(f"({test})" for test in tests.values()) or "false"
        moved = f"l.{date} <> r.{date}"
        keyed = [tests[name] for name in key if name in tests]
        rekeyed = " OR ".join(f"({test})" for test in keyed) or "false"
        sums = "".join(f", count(*) FILTER ({test}) AS c{place}" for place, test in enumerate(tests.values()))
        (row,) = self._rows(
            f"SELECT count(*) AS n, count(*) FILTER (({differs}) OR {moved}) AS changed, "
            f"count(*) FILTER ({moved}) AS moved, count(*) FILTER ({rekeyed}) AS rekeyed{sums} FROM {joined}"
        )
        days = self._rows(
            f"SELECT day, bool_or(changed) AS changed FROM (SELECT unnest([l.{date}, r.{date}]) AS day, "
            f"({differs}) OR {moved} AS changed FROM {joined}) GROUP BY ALL"
        )
        columns = [{"column": name, "rows": row[f"c{place}"]} for place, name in enumerate(tests) if row[f"c{place}"]]
        shown = []
        for each in columns[:examples]:
            column = column_sql(str(each["column"]))
            shown += self._rows(
                f"SELECT l.{column_sql(words.EVENT_ID)} AS id, {literal(str(each['column']))} AS column, "
                f"{_text('l', column, sides.was)} AS was, {_text('r', column, sides.now)} AS now FROM {joined} "
                f"AND ({tests[str(each['column'])]}) ORDER BY l.{seq} LIMIT {examples}"
            )
        told = {
            "columns": columns,
            "changed": row["changed"],
            "moved": row["moved"],
            "rekeyed": row["rekeyed"],
            "unchanged": row["n"] - row["changed"],
            "examples": shown,
            "versions": self._rows(
                f"SELECT l.{version} AS was, r.{version} AS now, count(*) AS rows FROM {joined} "
                f"AND l.{version} <> r.{version} GROUP BY ALL ORDER BY ALL"
            ),
        }
        differ = f"SELECT l.{seq} AS seq FROM {joined} AND (({differs}) OR {moved})"
        return told, {each["day"] for each in days if each["changed"]}, {each["day"] for each in days}, differ

    def _tests(self, was: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
        """Return, by column of either side, the SQL that says whether a row has another value of it."""
        tests = {}
        for name in dict.fromkeys([*was, *now]):
            if name in ENVELOPE:
                continue
            column = column_sql(name)
            if name not in now:
                tests[name] = f"l.{column} IS NOT NULL"
            elif name not in was:
                tests[name] = f"r.{column} IS NOT NULL"
            else:
                tests[name] = is_other(f"l.{column}", f"r.{column}", was[name], now[name])
        return tests

    def _columns(self, lake: str, name: str) -> dict[str, str]:
        rows = self._rows(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'silver' "
            f"AND database_name = {literal(lake)} AND table_name = {literal(name)} ORDER BY column_index"
        )
        return {row["column_name"]: row["data_type"] for row in rows}


def _batches(lake: str, source: str, first: int) -> str:
    """Return the SQL of the batches of a source from a message on."""
    return f"SELECT batch_id FROM {lake}.ops.batches WHERE source = {literal(source)} AND first_seq >= {first}"


def _text(side: str, column: str, there: Mapping[str, str]) -> str:
    return f"CAST({side}.{column} AS VARCHAR)" if column.strip('"').replace('""', '"') in there else "NULL"


def compared(
    project: Project,
    snapshot: int,
    made: Rebuilt,
    windows: Mapping[str, range],
    sides: Mapping[str, Sequence[Source]],
    examples: int,
    sampling: Sampling | None = None,
) -> list[dict[str, Any]]:
    """Return what differs of every source that was replayed; `sides` are that source as it was, and as it is now.

    With `sampling`: by what was taken of it.
    """
    found = []
    with closing(Comparison(project, snapshot, made.folder)) as comparison:
        for name, window in windows.items():
            both = [dataset for each in sides[name] for dataset in each.datasets]
            keys = {dataset.name: [each.partition(".")[0] for each in dataset.key] for dataset in both}
            told = comparison.source(name, window, list(keys), keys, examples, sampling)
            shown = Shown(both)
            for dataset in told["datasets"]:
                for each in dataset["examples"]:
                    for side in ("was", "now"):
                        each[side] = shown.value(dataset["dataset"], each["column"], each[side])
            for failures in (told["now_fail"], told["now_pass"]):
                failures["reasons"] = shown.reasons(failures["reasons"])
                failures["examples"] = [shown.failed(each) for each in failures["examples"]]
            found.append(told)
    return found
