"""boto3 clients with nothing but endpoint and credentials set."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from support.processes import CLIENT_KEY, CLIENT_SECRET


def client(
    url: str, key: str = CLIENT_KEY, secret: str = CLIENT_SECRET, *, verify: str | bool | None = None, **config: Any
) -> Any:
    """A boto3 S3 client; `config` are further `botocore.config.Config` arguments."""
    config.setdefault("retries", {"max_attempts": 1})
    config.setdefault("read_timeout", 60)
    session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
    return session.client("s3", endpoint_url=url, verify=verify, config=Config(**config))
