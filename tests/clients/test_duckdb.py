"""DuckDB's httpfs.

DuckDB fetches this extension from a site of its own, which not every network reaches: here it comes in a wheel, which
decides DuckDB's version. DuckDB checks the extension's signature as ever.
"""

from __future__ import annotations

from support.client_steps import LARGE_SIZE, NotApplicable, Steps, equal

client = Steps("DuckDB httpfs", package="duckdb", venv=("duckdb-ext-httpfs",))


def connection(target):
    from importlib.metadata import files

    import duckdb

    made = duckdb.connect()
    [extension] = [f for f in files("duckdb-ext-httpfs") or () if f.name == "httpfs.duckdb_extension"]
    made.execute(f"LOAD '{extension.locate()}'")
    if target.tls:
        made.execute(f"SET ca_cert_file = '{target.ca}'")
    made.execute(
        f"CREATE SECRET store (TYPE s3, KEY_ID '{target.key}', SECRET '{target.secret}', REGION '{target.region}',"
        f" ENDPOINT '{target.netloc}', URL_STYLE 'path', USE_SSL {target.tls})"
    )
    return made


def rows(target, query):
    return connection(target).execute(query).fetchall()


@client.step
def put(target):
    place = f"s3://{target.bucket}/{target.prefix}put.parquet"
    rows(target, f"COPY (SELECT range AS id FROM range(3)) TO '{place}' (FORMAT parquet)")
    equal(rows(target, f"SELECT id FROM '{place}'"), [(0,), (1,), (2,)])


@client.step
def get(target):
    equal(rows(target, f"SELECT name FROM 's3://{target.bucket}/seeds/table/0.parquet' WHERE id = 7"), [("7",)])


@client.step
def list_(target):
    equal(rows(target, f"SELECT sum(id) FROM 's3://{target.bucket}/seeds/table/*.parquet'"), [(sum(range(2000)),)])


@client.step
def multipart(target):
    place = f"s3://{target.bucket}/{target.prefix}large.parquet"
    count = LARGE_SIZE // 8
    rows(target, f"COPY (SELECT random() AS value FROM range({count})) TO '{place}' (FORMAT parquet)")
    equal(rows(target, f"SELECT count(value) FROM '{place}'"), [(count,)])


@client.step
def presigned(target):
    raise NotApplicable("DuckDB makes no URLs")


@client.step
def partitions(target):
    folder = f"s3://{target.bucket}/{target.prefix}parts"
    rows(target, f"COPY (SELECT range AS id, range % 2 AS part FROM range(4)) TO '{folder}' (PARTITION_BY (part))")
    equal(rows(target, f"SELECT count(*) FROM read_csv('{folder}/*/*.csv', hive_partitioning = true)"), [(4,)])


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
