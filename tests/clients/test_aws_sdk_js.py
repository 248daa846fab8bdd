"""The AWS SDK for JavaScript, version 3, in Node.js; its steps are in aws_sdk_js.mjs."""

from __future__ import annotations

import json
from pathlib import Path

from support.client_steps import Steps
from support.client_tools import installed, large_file, seeds

PACKAGES = ("@aws-sdk/client-s3", "@aws-sdk/lib-storage", "@aws-sdk/s3-request-presigner")


def packages() -> Path:
    return installed("aws-sdk-js", ["npm", "install", "--no-audit", "--no-fund", "--prefix", ".", *PACKAGES])


def version() -> str:
    return json.loads((packages() / "node_modules" / PACKAGES[0] / "package.json").read_text())["version"]


def program(target):
    return ["node", str(Path(__file__).with_name("aws_sdk_js.mjs")), str(packages()), str(large_file()), seeds()]


client = Steps("AWS SDK for JavaScript", version=version, program=program)


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
    assert verdict.through["steps"]["put"]["outcome"] == "ok"
