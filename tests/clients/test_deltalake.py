"""deltalake: Delta tables, over the Rust object_store; commits are conditional requests."""

from __future__ import annotations

import random

from support.client_steps import LARGE_SIZE, NotApplicable, Steps, equal

client = Steps("deltalake", package="deltalake")


def options(target):
    """Credentials, endpoint and authority come from the environment; plain HTTP has to be allowed."""
    return {} if target.tls else {"AWS_ALLOW_HTTP": "true"}


def place(target, name):
    return f"s3://{target.bucket}/{target.prefix}{name}"


def write(target, name, columns, **how):
    import pyarrow
    from deltalake import write_deltalake

    write_deltalake(place(target, name), pyarrow.table(columns), storage_options=options(target), **how)


def opened(target, name, **how):
    from deltalake import DeltaTable

    return DeltaTable(place(target, name), storage_options=options(target), **how)


def column(table, name="id"):
    """Sorted; read with the package's own reader."""
    from deltalake import QueryBuilder

    found = QueryBuilder().register("t", table).execute(f"SELECT {name} FROM t").read_all()
    return sorted(value for [value] in zip(*(c.to_pylist() for c in found.columns), strict=True))


@client.step
def put(target):
    write(target, "put", {"id": [1, 2, 3]})
    equal(column(opened(target, "put")), [1, 2, 3])


@client.step
def get(target):
    write(target, "get", {"id": [1]})
    equal(opened(target, "get").schema().fields[0].name, "id")


@client.step
def list_(target):
    write(target, "list", {"id": [1], "part": ["a"]}, partition_by=["part"])
    equal(len(opened(target, "list").file_uris()), 1)
    from deltalake import DeltaTable

    equal(DeltaTable.is_deltatable(place(target, "nothing"), storage_options=options(target)), False)


@client.step
def multipart(target):
    numbers = random.Random(2)
    values = [numbers.random() for _ in range(LARGE_SIZE // 8)]
    write(target, "large", {"value": values})
    equal(opened(target, "large").count(), len(values))


@client.step
def presigned(target):
    raise NotApplicable("deltalake makes no URLs")


@client.step
def append(target):
    write(target, "append", {"id": [1]})
    write(target, "append", {"id": [2]}, mode="append")
    equal(column(opened(target, "append")), [1, 2])


@client.step
def merge(target):
    import pyarrow

    write(target, "merge", {"id": [1, 2], "value": ["a", "b"]})
    source = pyarrow.table({"id": [2, 3], "value": ["B", "C"]})
    (
        opened(target, "merge")
        .merge(source, predicate="t.id = s.id", source_alias="s", target_alias="t")
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute()
    )
    equal(column(opened(target, "merge"), "value"), ["B", "C", "a"])


@client.step
def time_travel(target):
    write(target, "time", {"id": [1]})
    write(target, "time", {"id": [2]}, mode="overwrite")
    equal([column(opened(target, "time", version=number)) for number in (0, 1)], [[1], [2]])


@client.step
def compact_and_vacuum(target):
    for number in range(3):
        write(target, "vacuum", {"id": [number]}, mode="append")
    table = opened(target, "vacuum")
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    equal(column(opened(target, "vacuum")), [0, 1, 2])


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
