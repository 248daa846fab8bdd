"""Fixtures: one rclone server and one gateway in mitmdump for each worker."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from support.processes import GatewayProcess, Store, config_for, gateway, rclone_server
from support.s3 import client

pytest_plugins = ["pytester"]

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")

for name in list(os.environ):
    if name.startswith(("AWS_", "TLS_CERT", "TLS_KEY", "IBM_IAM")) or name.lower() in ("http_proxy", "https_proxy"):
        del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

VALIDATOR = """
def validator(token, bucket, request):
    if request.key.startswith("denied/"):
        return False
    if request.key.startswith("raises/"):
        raise RuntimeError("the operator's code is broken")
    if request.key.startswith("hangs/"):
        time.sleep(3600)
    if request.key.startswith("truthy/"):
        return "yes"
    return True
"""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """rclone's S3 server with the buckets `demo` and `backend-name`."""
    with rclone_server(tmp_path_factory.mktemp("rclone")) as running:
        running.make_bucket("demo")
        running.make_bucket("backend-name")
        yield running


@pytest.fixture(scope="session")
def osp(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway before `store`: buckets `demo` and `renamed` (there: `backend-name`)."""
    config = config_for(store, validator=VALIDATOR, extra_buckets="'renamed': {**STORE, 'bucket': 'backend-name'}")
    with gateway(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


@pytest.fixture(scope="session")
def s3(osp: GatewayProcess) -> Any:
    """boto3 through the gateway."""
    return client(osp.url)


@pytest.fixture(scope="session")
def direct(store: Store) -> Any:
    """boto3 straight to the store."""
    return client(store.url, store.access_key, store.secret_key)


@pytest.fixture
def prefix() -> str:
    """A key prefix of the test's own."""
    return f"{uuid.uuid4().hex}/"


@pytest.fixture(scope="session")
def flow_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for flow files."""
    return tmp_path_factory.mktemp("flows")
