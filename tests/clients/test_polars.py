"""polars: data frames from and to Parquet."""

from __future__ import annotations

import random

from support.client_steps import LARGE_SIZE, NotApplicable, Steps, Target, equal

NO_RANGES = "rclone answers a range with 200 and all of the object, which Rust's object_store takes for an error"

client = Steps("polars", package="polars", fresh=True, expected_nowhere={"rclone": NO_RANGES})


def url(target: Target, key: str) -> str:
    return f"s3://{target.bucket}/{key}"


def options(target: Target) -> dict[str, str]:
    """Credentials, endpoint and authority come from the environment; plain HTTP has to be allowed."""
    return {} if target.tls else {"aws_allow_http": "true"}


@client.step
def put(target):
    import polars as pl

    frame = pl.DataFrame({"id": [1, 2, 3]})
    frame.write_parquet(url(target, f"{target.prefix}put.parquet"), storage_options=options(target))
    back = pl.read_parquet(url(target, f"{target.prefix}put.parquet"), storage_options=options(target))
    equal(back["id"].to_list(), [1, 2, 3])


@client.step
def get(target):
    import polars as pl

    found = pl.scan_parquet(url(target, "seeds/table/0.parquet"), storage_options=options(target))
    equal(found.filter(pl.col("id") == 7).collect().rows(), [(7, "7")])


@client.step
def list_(target):
    import polars as pl

    found = pl.scan_parquet(url(target, "seeds/table/*.parquet"), storage_options=options(target))
    equal(found.select(pl.col("id").sum()).collect().item(), sum(range(2000)))


@client.step
def multipart(target):
    """A Parquet file of more than 24 MiB, sunk from a lazy frame."""
    import polars as pl

    numbers = random.Random(1)
    values = [numbers.random() for _ in range(LARGE_SIZE // 8)]
    place = url(target, f"{target.prefix}large.parquet")
    pl.LazyFrame({"value": values}).sink_parquet(place, storage_options=options(target))
    found = pl.scan_parquet(place, storage_options=options(target)).select(pl.col("value").sum()).collect().item()
    equal(round(found, 3), round(sum(values), 3))


@client.step
def sink_partitions(target):
    import polars as pl

    frame = pl.LazyFrame({"part": ["a", "a", "b"], "id": [1, 2, 3]})
    place = url(target, f"{target.prefix}parts/")
    frame.sink_parquet(pl.PartitionBy(place, key="part"), storage_options=options(target))
    found = pl.scan_parquet(place, storage_options=options(target), hive_partitioning=True)
    equal(found.filter(pl.col("part") == "b").collect()["id"].to_list(), [3])


@client.step
def csv(target):
    import polars as pl

    place = url(target, f"{target.prefix}table.csv")
    pl.LazyFrame({"id": [1, 2]}).sink_csv(place, storage_options=options(target))
    equal(pl.scan_csv(place, storage_options=options(target)).collect()["id"].to_list(), [1, 2])


@client.step
def presigned(target):
    raise NotApplicable("polars makes no URLs")


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
