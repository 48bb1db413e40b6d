"""The job on Spark Structured Streaming: a file source, a checkpoint, and a merge into Parquet for each micro-batch.

Parquet has no MERGE: as Spark's guide to foreachBatch says, a batch may be written with the operations of tables, so
the days that a batch touches are read, merged with it, and put in the place of what was there.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COLUMNS = (
    "order_id STRING, customer_id BIGINT, ordered_at TIMESTAMP, updated_at TIMESTAMP, status STRING, amount DOUBLE, "
    "currency STRING, email STRING, quantity BIGINT, gift BOOLEAN, channel STRING, note STRING, "
    "address STRUCT<street: STRING, city: STRING, zip: STRING>"
)


def main() -> None:
    """Take what is new in the folder, and stop."""
    source, output, _, workers = sys.argv[1:]
    table, staged = Path(output) / "orders", Path(output) / "staged"
    spark = (
        SparkSession.builder.master(f"local[{workers}]")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", workers)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )

    def merge(batch: DataFrame, batch_id: int) -> None:
        batch.persist()
        rejected = batch.filter(~f.col("valid")).select("value")
        rejected.write.mode("overwrite").text(f"{output}/rejected/{batch_id}")
        orders = batch.filter("valid").select("order.*").withColumn("event_date", f.to_date("ordered_at"))
        if table.exists():
            touched = [row[0] for row in orders.select("event_date").distinct().collect()]
            there = spark.read.parquet(str(table)).filter(f.col("event_date").isin(touched))
            orders = orders.unionByName(there)
        latest = orders.groupBy("order_id").agg(f.max_by(f.struct("*"), "updated_at").alias("order")).select("order.*")
        latest.write.mode("overwrite").partitionBy("event_date").parquet(str(staged))
        for day in staged.glob("event_date=*"):
            shutil.rmtree(table / day.name, ignore_errors=True)
            table.mkdir(exist_ok=True)
            day.rename(table / day.name)
        batch.unpersist()

    lines = spark.readStream.text(source)
    parsed = f.from_json(
        "value",
        f"{COLUMNS}, _corrupt_record STRING",
        {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt_record"},
    )
    order = f.col("order")
    valid = (
        order["_corrupt_record"].isNull()
        & (f.length(order["order_id"]) >= 1)
        & (order["customer_id"] >= 0)
        & order["ordered_at"].isNotNull()
        & order["updated_at"].isNotNull()
        & order["status"].isin("placed", "paid", "shipped", "returned")
        & (order["amount"] > 0)
        & (order["currency"].isNull() | (f.length(order["currency"]) == 3))
        & (order["quantity"].isNull() | (order["quantity"] >= 1))
    )
    judged = lines.select("value", parsed.alias("order")).withColumn("valid", f.coalesce(valid, f.lit(False)))
    without = judged.withColumn("order", order.dropFields("_corrupt_record"))
    query = (
        without.writeStream.foreachBatch(merge)
        .option("checkpointLocation", f"{output}/checkpoint")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    spark.stop()


if __name__ == "__main__":
    main()
