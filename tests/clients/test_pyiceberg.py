"""pyiceberg: Iceberg tables with a catalog in SQLite; it reads and writes with pyarrow where that is installed."""

from __future__ import annotations

import functools
import random

from support.client_steps import LARGE_SIZE, NotApplicable, Steps, equal

client = Steps("pyiceberg", package="pyiceberg")


@functools.cache
def catalog(target):
    """Its S3 file system is pyarrow's, whose authority is told by an environment variable of its own."""
    from pyiceberg.catalog.sql import SqlCatalog

    made = SqlCatalog(
        "default",
        uri="sqlite:///catalog.db",
        warehouse=f"s3://{target.bucket}/{target.prefix}warehouse",
        **{
            "s3.endpoint": target.url,
            "s3.access-key-id": target.key,
            "s3.secret-access-key": target.secret,
            "s3.region": target.region,
        },
    )
    made.create_namespace("ns")
    return made


def table(target, name, columns):
    import pyarrow

    rows = pyarrow.table(columns)
    made = catalog(target).create_table(f"ns.{name}", schema=rows.schema)
    made.append(rows)
    return made


def ids(scan):
    return sorted(scan.to_arrow()["id"].to_pylist())


@client.step
def put(target):
    table(target, "put", {"id": [1, 2, 3]})
    equal(ids(catalog(target).load_table("ns.put").scan()), [1, 2, 3])


@client.step
def get(target):
    made = table(target, "get", {"id": [1, 2, 3]})
    equal(ids(made.scan(row_filter="id > 1")), [2, 3])


@client.step
def list_(target):
    made = table(target, "list", {"id": [1]})
    equal(len(made.inspect.files()), 1)


@client.step
def multipart(target):
    numbers = random.Random(3)
    values = [numbers.random() for _ in range(LARGE_SIZE // 8)]
    equal(table(target, "large", {"id": values}).scan().count(), len(values))


@client.step
def presigned(target):
    raise NotApplicable("pyiceberg makes no URLs")


@client.step
def time_travel(target):
    import pyarrow

    made = table(target, "time", {"id": [1]})
    first = made.current_snapshot().snapshot_id
    made.overwrite(pyarrow.table({"id": [2]}))
    equal((ids(made.scan(snapshot_id=first)), ids(made.scan())), ([1], [2]))


@client.step
def delete_rows(target):
    made = table(target, "rows", {"id": [1, 2, 3]})
    made.delete("id = 2")
    equal(ids(made.scan()), [1, 3])


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
