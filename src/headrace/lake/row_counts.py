"""How many rows a table has by its catalog: what can be known of it without opening a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.lake.reader import LakeReader

_CATALOG = "__ducklake_metadata_lake.ducklake_"


def row_counts(lake: LakeReader, table: str, snapshot: int) -> dict[str, int]:
    """Return the rows of a `schema.name` by the first value that partitions it, as text.

    They are those of its files less those that were deleted. The count of a file is what the file said when it was
    committed; that it still says so is not looked at.
    """
    schema, name = table.split(".")
    at = f"begin_snapshot <= {snapshot} AND (end_snapshot IS NULL OR end_snapshot > {snapshot})"
    found = lake.rows(
        f"WITH files AS (FROM {_CATALOG}data_file WHERE {at}), gone AS (SELECT data_file_id, sum(delete_count) AS n "
        f"FROM {_CATALOG}delete_file WHERE {at} GROUP BY ALL) "
        "SELECT coalesce(v.partition_value, '') AS value, sum(f.record_count - coalesce(g.n, 0))::BIGINT AS n "
        f"FROM files f JOIN (FROM {_CATALOG}table WHERE {at}) t USING (table_id) "
        f"JOIN (FROM {_CATALOG}schema WHERE {at}) s USING (schema_id) "
        f"LEFT JOIN {_CATALOG}file_partition_value v ON v.data_file_id = f.data_file_id AND v.partition_key_index = 0 "
        "LEFT JOIN gone g ON g.data_file_id = f.data_file_id "
        "WHERE t.table_name = ? AND s.schema_name = ? GROUP BY ALL",
        [name, schema],
    )
    return {row["value"]: row["n"] for row in found if row["n"]}
