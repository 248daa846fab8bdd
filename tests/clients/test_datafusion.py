"""datafusion: SQL on Parquet files, over the Rust object_store."""

from __future__ import annotations

from support.client_steps import LARGE_SIZE, NotApplicable, Steps, equal

NO_RANGES = "rclone answers a range with 200 and all of the object, which Rust's object_store takes for an error"

client = Steps("datafusion", package="datafusion", expected_nowhere={"rclone": NO_RANGES})


def context(target):
    """The authority comes from the environment."""
    from datafusion import SessionContext
    from datafusion.object_store import AmazonS3

    store = AmazonS3(
        bucket_name=target.bucket,
        region=target.region,
        access_key_id=target.key,
        secret_access_key=target.secret,
        endpoint=target.url,
        allow_http=not target.tls,
    )
    made = SessionContext()
    made.register_object_store("s3://", store, host=target.bucket)
    return made


@client.step
def put(target):
    here, place = context(target), f"s3://{target.bucket}/{target.prefix}put.parquet"
    here.sql("SELECT 7 AS id").write_parquet(place)
    equal(here.read_parquet(place).to_pydict(), {"id": [7]})


@client.step
def get(target):
    here = context(target)
    here.register_parquet("seed", f"s3://{target.bucket}/seeds/table/0.parquet")
    equal(here.sql("SELECT name FROM seed WHERE id = 7").to_pydict(), {"name": ["7"]})


@client.step
def list_(target):
    here = context(target)
    here.register_parquet("seeds", f"s3://{target.bucket}/seeds/table/")
    equal(here.sql("SELECT sum(id) AS s FROM seeds").to_pydict(), {"s": [sum(range(2000))]})


@client.step
def multipart(target):
    here, place, count = context(target), f"s3://{target.bucket}/{target.prefix}large.parquet", LARGE_SIZE // 8
    here.sql(f"SELECT random() AS value FROM generate_series(1, {count})").write_parquet(place)
    equal(here.read_parquet(place).count(), count)


@client.step
def copy_to(target):
    here, folder = context(target), f"s3://{target.bucket}/{target.prefix}parts/"
    rows = "(SELECT value AS id, value % 2 AS part FROM generate_series(0, 3))"
    here.sql(f"COPY {rows} TO '{folder}' STORED AS PARQUET PARTITIONED BY (part)").collect()
    equal(here.read_parquet(folder).count(), 4)


@client.step
def presigned(target):
    raise NotApplicable("datafusion makes no URLs")


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
