"""A session of deltalake's, whose commits are conditional requests, is recorded and sent again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from osp_gateway.mitm.recording import read_recording
from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_KEY, CLIENT_SECRET
from support.replays import keys, recording, replay, through

pytest.importorskip("deltalake")
pytest.importorskip("pyarrow")

PROGRAM = """
import pyarrow
from deltalake import DeltaTable, write_deltalake

place = "s3://demo/delta-recorded/table"
for number, mode in enumerate(("error", "append", "overwrite")):
    write_deltalake(place, pyarrow.table({"id": [number]}), mode=mode)
assert DeltaTable(place).version() == 2
assert DeltaTable(place, version=1).count() == 2
"""


@pytest.mark.parametrize("more", [(), ("--concurrent",)], ids=["in-order", "concurrent"])
def test_a_table_that_grows_is_green_before_gateway_and_store_twice_in_a_row(store, osp, tmp_path, more):
    with recording(tmp_path, store) as running:
        env = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": CLIENT_KEY,
            "AWS_SECRET_ACCESS_KEY": CLIENT_SECRET,
            "AWS_ENDPOINT_URL": running.url,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        s3 = through(running)
        for entry in s3.list_objects_v2(Bucket="demo", Prefix="delta-recorded/")["Contents"]:
            s3.delete_object(Bucket="demo", Key=entry["Key"])
    exchanges = list(read_recording(tmp_path / "session.osp"))
    assert any(exchange.request.header("if-none-match") for exchange in exchanges)
    for url, env in 2 * [(osp.url, keys()), (store.url, keys(BACKEND_KEY, BACKEND_SECRET))]:
        done = replay(tmp_path / "session.osp", url, *more, env=env)
        assert done.is_green(len(exchanges)), done.said
