"""mitmweb as a child process, and its interface as its own page uses it."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.processes import GatewayProcess, gateway

PASSWORD = "obviously-fake-password"
TOKEN = "a" * 32


@dataclass
class Web:
    """What a person at mitmweb can do."""

    url: str
    gateway: GatewayProcess

    def fetch(self, path: str, document: Any = None) -> bytes:
        """What a path answers; a `document` is posted."""
        headers = {"Authorization": f"Bearer {PASSWORD}", "Content-Type": "application/json"}
        headers |= {"X-XSRFToken": TOKEN, "Cookie": f"_mitmproxy_xsrf={TOKEN}"}
        data = None if document is None else json.dumps(document).encode()
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            urllib.request.Request(self.url + path, data, headers)
        ) as answer:
            return answer.read()

    def flows(self) -> list[dict[str, Any]]:
        return json.loads(self.fetch("/flows"))

    def flow(self, path: str) -> str:
        """The newest flow whose path is this; as an argument of commands."""
        found = [flow["id"] for flow in self.flows() if flow["request"]["path"].partition("?")[0] == path]
        return f"@{found[-1]}"

    def command(self, name: str, *arguments: str) -> Any:
        """What a command returns; its error, where it has one, is raised."""
        answer = json.loads(self.fetch(f"/commands/{name}", {"arguments": list(arguments)}))
        if "error" in answer:
            raise CommandFailed(answer["error"])
        return answer["value"]

    def shown(self, flow_id: str, message: str, view: str = "auto") -> dict[str, Any]:
        """How the page shows the body of `request` or `response`."""
        return json.loads(
            self.fetch(f"/flows/{flow_id.removeprefix('@')}/{message}/content/{view.replace(' ', '%20')}.json")
        )


class CommandFailed(Exception):
    """What the page shows in red."""


@contextmanager
def mitmweb(
    folder: Path, config: str, options: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Web]:
    """mitmweb with a gateway in it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = {"web_port": str(port), "web_password": PASSWORD, "web_open_browser": "false", "web_host": "127.0.0.1"}
    with gateway(folder, config, program="mitmweb", options={**web, **(options or {})}, env=env) as running:
        running.running.wait_for(r"Web server listening at")
        yield Web(f"http://127.0.0.1:{port}", running)
