"""The example with roles in the README is a configuration that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osp_gateway import configfile
from osp_gateway.callables import CallableRunner
from osp_gateway.gateway import Gateway
from osp_gateway.outcomes import Forward, Refusal
from support.heads import signed_head
from support.processes import REPO
from support.sts import READER, SECRET, StsBench

REST = """
[cos_map."reports-*"]
host = "store.example.test"
access_key = "fake-key"
secret_key = "fake-secret"

[[hmac_keystore]]
access_key = "client-fake-key"
secret_key = "client-fake-secret"
"""


def example() -> str:
    blocks = re.findall(r"^```toml\n(.*?)^```$", (REPO / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if "[sts]" in block]
    return block


async def test_the_example_does_what_is_said_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STS_SECRET", SECRET)
    file = tmp_path / "server.toml"
    file.write_text(example() + REST)
    gateway = StsBench()
    gateway.gateway = Gateway(configfile.load(file).settings, gateway.iam, gateway.clock, CallableRunner())
    assert (await gateway.assume()).code == "AccessDenied"
    pair = (await gateway.assume(READER, ExternalId="of-the-customer", DurationSeconds="7200")).key
    assert isinstance(await gateway.admit(signed_head("GET", "/reports-1/key", pair=pair)), Forward)
    assert isinstance(await gateway.admit(signed_head("PUT", "/reports-1/key", pair=pair)), Refusal)
    assert isinstance(await gateway.admit(signed_head("GET", "/other/key", pair=pair)), Refusal)
