"""STS as its own SDKs speak to it, and a gateway's configuration for that."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from support.processes import CLIENT_KEY, CLIENT_SECRET

ROLES = "arn:aws:iam::000000000000:role/"
READER = ROLES + "reader"
SECRET = "fake-secret-that-seals-session-tokens"


def sts_client(url: str, key: str = CLIENT_KEY, secret: str = CLIENT_SECRET, token: str | None = None) -> Any:
    """boto3's STS client."""
    session = boto3.session.Session(key, secret, token, region_name="us-east-1")
    return session.client("sts", endpoint_url=url, config=Config(retries={"max_attempts": 1}))


def s3_client(url: str, credentials: dict[str, Any]) -> Any:
    """boto3's S3 client with what STS gave."""
    session = boto3.session.Session(
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        credentials["SessionToken"],
        region_name="us-east-1",
    )
    return session.client("s3", endpoint_url=url, config=Config(retries={"max_attempts": 1}))
