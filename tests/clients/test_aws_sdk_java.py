"""The AWS SDK for Java, version 2; its steps are in AwsSdkJava.java."""

from __future__ import annotations

from pathlib import Path

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps
from support.client_tools import installed, large_file, trust

VERSION = "2.57.8"
PROGRAM = Path(__file__).with_name("AwsSdkJava.java")
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>osp</groupId><artifactId>client</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>software.amazon.awssdk</groupId><artifactId>s3</artifactId><version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def compiled() -> Path:
    """The folder with the program's classes, and in `lib` what they need."""
    return installed(
        "aws-sdk-java",
        ["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=lib"],
        ["javac", "-encoding", "UTF-8", "-cp", "lib/*", "-d", ".", PROGRAM.name],
        files={"pom.xml": POM, PROGRAM.name: PROGRAM.read_text(encoding="utf-8")},
    )


def version() -> str:
    compiled()
    return VERSION


def program(target):
    options = ["-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8"]
    if target.ca:
        options += trust(target.ca)
    classes = f"{compiled()}:{compiled()}/lib/*"
    words = [target.bucket, target.prefix, str(large_file()), SMALL.decode(), SMALL_SEED, LARGE_SEED, *LIST_SEEDS]
    return ["env", "LC_ALL=C.UTF-8", "java", *options, "-cp", classes, "AwsSdkJava", *words]


client = Steps("AWS SDK for Java", version=version, program=program)


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
    assert verdict.through["steps"]["put"]["outcome"] == "ok"
