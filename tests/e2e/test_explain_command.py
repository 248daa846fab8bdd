"""Requests that a proxy in front of a real gateway changed: what the gateway recorded is explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

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

TOLD_BY_THE_REFUSAL = {"payer": "not signed"}
"""Where the gateway knows the cause without computing anything."""


@pytest.fixture(scope="module", params=["osp_redact=false", "osp_redact=true"])
def explained(request, tmp_path_factory) -> dict[str, dict[str, Any]]:
    """What is told by the way in which the request was changed: computed anew, or as found at the time."""
    folder = tmp_path_factory.mktemp("explain")
    option, _, value = request.param.partition("=")
    with recorded_gateway(folder, options={option: value}) as recorded:
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
        documents = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == (0 if all(one["explained"] for one in documents) else 1), done.stderr
        assert [one.get("masked", False) for one in documents] == [value == "true"] * len(WAYS)
        yield {one["path"].rpartition("/")[2]: one for one in documents}


@pytest.mark.parametrize("name", WAYS)
def test_the_cause_is_named(explained, name):
    one = explained[name]
    if one.get("masked") and name in TOLD_BY_THE_REFUSAL:
        assert TOLD_BY_THE_REFUSAL[name] in one["reason"]
    else:
        assert [cause["name"] for cause in one["causes"]] == [WAYS[name][1]]
