"""Spark on Hadoop's S3A, which is on the AWS SDK for Java, version 2: tables as folders of files, and renames.

S3A writes an empty object `folder/` for a folder. rclone makes a file `folder` of it, after which nothing can be
written below: it answers 500, which S3A asks for some fifty times, with a wait of three seconds for `100 Continue`
each. What looks like a hang is that.
"""

from __future__ import annotations

import hashlib
import random

from support.client_steps import LARGE_SEED, LARGE_SIZE, MIB, NotApplicable, Steps, Target, equal, large
from support.client_tools import installed, trust

SPARK, HADOOP = "4.0.5", "3.4.1"
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>osp</groupId><artifactId>client</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.hadoop</groupId><artifactId>hadoop-aws</artifactId><version>{HADOOP}</version>
    </dependency>
  </dependencies>
</project>
"""
PARTS_SIZE = 80 * MIB
"""More than fs.s3a.multipart.size, which is 64 MiB."""


def jars() -> str:
    """Java's class path with hadoop-aws and what it needs; Spark itself comes with Hadoop's client."""
    folder = installed(
        "hadoop-aws",
        [
            *("mvn", "--quiet", "--batch-mode", "-Dmaven.repo.local=repository"),
            *("dependency:build-classpath", "-Dmdep.outputFile=classpath"),
        ],
        files={"pom.xml": POM},
    )
    return (folder / "classpath").read_text(encoding="utf-8").strip()


def version() -> str:
    jars()
    return f"{SPARK}, Hadoop {HADOOP}"


def session(target: Target):
    """The one of this process; it starts a Java machine, with Spark in it, at the first call."""
    import os

    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # or the machine's name would be resolved
    s3a = {
        "endpoint": target.url,
        "endpoint.region": target.region,
        "access.key": target.key,
        "secret.key": target.secret,
        "path.style.access": "true",
        # No defaults: a step that fails does so at once, and not after minutes (5 and 7 retries, one below another).
        "attempts.maximum": "0",
        "retry.limit": "0",
    }
    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Not spark.jars: each session would copy them, half a gigabyte.
        "spark.driver.extraClassPath": jars(),
        "spark.driver.extraJavaOptions": " ".join(trust(target.ca)) if target.ca else "",
        "spark.sql.shuffle.partitions": "2",
        **{f"spark.hadoop.fs.s3a.{name}": value for name, value in s3a.items()},
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in options.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def end() -> None:
    """The Java machine ends, before its folders are removed."""
    from pyspark import SparkContext

    if SparkContext._gateway is not None:
        SparkContext._gateway.proc.stdin.close()
        SparkContext._gateway.proc.wait(30)


client = Steps(
    "Spark, Hadoop S3A",
    version=version,
    venv=(f"pyspark=={SPARK}",),
    big=True,
    timeout=600,
    step_timeout=120,
    end=end,
)


def url(target: Target, key: str) -> str:
    return f"s3a://{target.bucket}/{key}"


def own(target: Target, name: str) -> str:
    return url(target, f"{target.prefix}{name}")


def hadoop(target: Target, place: str):
    """Hadoop's file system, and a path in it: what Spark itself works with."""
    spark = session(target)
    path = spark._jvm.org.apache.hadoop.fs.Path(place)
    return path.getFileSystem(spark._jsc.hadoopConfiguration()), path


def total(frame) -> int:
    """The sum of the column `id`."""
    return frame.selectExpr("sum(id)").collect()[0][0]


@client.step
def put(target):
    spark, place = session(target), own(target, "put")
    spark.range(1000).write.parquet(place)
    equal(total(spark.read.parquet(place)), sum(range(1000)))


@client.step
def get(target):
    frame = session(target).read.parquet(url(target, "seeds/table/0.parquet"))
    equal(frame.filter("id = 7").collect()[0]["name"], "7")
    equal(total(frame), sum(range(1000)))


@client.step
def list_(target):
    equal(total(session(target).read.parquet(url(target, "seeds/table/"))), sum(range(2000)))


@client.step
def multipart(target):
    """A stream of more than 64 MiB, which is sent in parts as it comes."""
    files, path = hadoop(target, own(target, "large.bin"))
    numbers = random.Random(80)
    blocks = [numbers.randbytes(MIB) for _ in range(4)]
    stream = files.create(path)
    for number in range(PARTS_SIZE // MIB):
        stream.write(blocks[number % len(blocks)])
    stream.close()
    found = session(target).read.format("binaryFile").load(own(target, "large.bin"))
    row = found.selectExpr("length", "sha2(content, 256) AS hash").collect()[0]
    whole = hashlib.sha256(b"".join(blocks) * (PARTS_SIZE // MIB // len(blocks))).hexdigest()
    equal((row["length"], row["hash"]), (PARTS_SIZE, whole))


@client.step
def download_large(target):
    found = session(target).read.format("binaryFile").load(url(target, LARGE_SEED))
    row = found.selectExpr("length", "sha2(content, 256) AS hash").collect()[0]
    equal((row["length"], row["hash"]), (LARGE_SIZE, hashlib.sha256(large()).hexdigest()))


@client.step
def write_large(target):
    """One Parquet file of more than 64 MiB: numbers by chance do not shrink."""
    spark, place, count = session(target), own(target, "large"), PARTS_SIZE // 8
    spark.range(count, numPartitions=1).selectExpr("id", "rand(1) AS value").drop("id").write.parquet(place)
    files, path = hadoop(target, place)
    assert max(status.getLen() for status in files.listStatus(path)) > PARTS_SIZE * 9 // 10
    equal(spark.read.parquet(place).selectExpr("count(value)").collect()[0][0], count)


@client.step
def partitions(target):
    spark, place = session(target), own(target, "parts")
    spark.range(30).selectExpr("id", "id % 3 AS part").write.partitionBy("part").parquet(place)
    equal(total(spark.read.parquet(place).filter("part = 1")), sum(range(1, 30, 3)))


@client.step
def append(target):
    spark, place = session(target), own(target, "append")
    for start in (0, 10):
        spark.range(start, start + 10).write.mode("append").parquet(place)
    equal(total(spark.read.parquet(place)), sum(range(20)))


@client.step
def overwrite(target):
    spark, place = session(target), own(target, "overwrite")
    for count in (20, 10):
        spark.range(count).write.mode("overwrite").parquet(place)
    equal(total(spark.read.parquet(place)), sum(range(10)))


@client.step
def csv(target):
    spark, place = session(target), own(target, "csv")
    spark.range(10).write.option("header", True).csv(place)
    equal(total(spark.read.option("header", True).csv(place)), sum(range(10)))


@client.step
def json(target):
    spark, place = session(target), own(target, "json")
    spark.range(10).selectExpr("id", "named_struct('ü', id) AS nested").write.json(place)
    equal(spark.read.json(place).selectExpr("sum(nested.`ü`)").collect()[0][0], sum(range(10)))


@client.step
def rename(target):
    """Copies and deletions, as a job's commit does them."""
    spark, place = session(target), own(target, "from b+c")
    spark.range(10).write.parquet(place)
    files, source = hadoop(target, place)
    assert files.rename(source, hadoop(target, own(target, "to ü"))[1])
    assert not files.exists(source)
    equal(total(spark.read.parquet(own(target, "to ü"))), sum(range(10)))


@client.step
def delete(target):
    """A folder with what is in it: in batches."""
    session(target).range(100).repartition(4).write.parquet(own(target, "gone"))
    files, path = hadoop(target, own(target, "gone"))
    assert files.delete(path, True)
    assert not files.exists(path)


@client.step
def presigned(target):
    raise NotApplicable("Spark makes no URLs")


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
