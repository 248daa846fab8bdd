"""Requests that a proxy in front of a real gateway changed: what the gateway recorded is explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support.middlebox import Mangle, host, method, path, plus, with_header
from support.raw import ask
from support.recorder import recorded_gateway
from support.signing import signed

WAYS: dict[str, tuple[Mangle, str]] = {
    "port": (host(lambda value: value.rpartition(":")[0]), "host-port-dropped"),
    "method": (method("GET", "DELETE"), "method-changed"),
    "slashes": (path(lambda text: text.replace("//", "/")), "path-normalised"),
    "prefix": (path(lambda text: "/gateway" + text), "path-prefix-added"),
    "tracking": (plus("utm_source=mail"), "query-parameter-added:utm_source"),
    "payer": (with_header("x-amz-request-payer", "requester"), "header-added:x-amz-request-payer"),
}


@pytest.fixture(scope="module")
def explained(tmp_path_factory) -> dict[str, list[str]]:
    """The names of the causes by the way in which the request was changed."""
    folder = tmp_path_factory.mktemp("explain")
    with recorded_gateway(folder) as recorded:
        port = recorded.gateway.ports[0]
        for name, (mangle, _) in WAYS.items():
            received = mangle(signed(port, "GET", f"/demo/of//{name}"))
            assert received is not None
            assert ask(port, received.octets).status in (400, 403)
        assert recorded.recorder.requests == []
        recorded.gateway.running.stop()
        flows, config = recorded.gateway.flow_file, folder / "server.py"
        program = [sys.executable, "-c", "from osp_gateway.cli import main; main()", "explain"]
        done = subprocess.run(
            [*program, flows, "--config", config, "--json"],
            capture_output=True,
            check=False,
            text=True,
            env=os.environ,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        documents = [json.loads(line) for line in done.stdout.splitlines()]
        yield {one["path"].rpartition("/")[2]: [cause["name"] for cause in one["causes"]] for one in documents}


@pytest.mark.parametrize("name", WAYS)
def test_the_cause_is_named(explained, name):
    assert explained[name] == [WAYS[name][1]]
