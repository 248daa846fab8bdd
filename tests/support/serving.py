"""A gateway that a test ends, or makes read its configuration anew, while requests are under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.processes import ADDON, BIN, CLIENT_KEY, CLIENT_SECRET, START_SECONDS, Running
from support.raw import Answer, ask
from support.signing import signed
from support.upstream import Peer, Seen, Upstream, response

HERE = "http_port=0, listen_host='127.0.0.1',"
HERE_TLS = "https_port=0, listen_host='127.0.0.1',"
PROGRAMS = ("osp", "mitmdump")


@dataclass
class Gate:
    """A recorder's handler: it answers with `words`; requests for a key with `slow` in it wait until `open` is set."""

    words: bytes = b"from the store"
    open: threading.Event = field(default_factory=threading.Event)

    def __call__(self, upstream: Upstream, peer: Peer, seen: Seen) -> bool:
        if not peer.read_body(seen):
            return False
        if "slow" in seen.target:
            self.open.wait(START_SECONDS)
        peer.send(response(200, self.words))
        return True


def configuration(store: int, extra: str = "", allow: str = "True", before: str = "", more: str = "") -> str:
    """A file: bucket `demo` on a recorder's port, a validator that says `allow`, an admin port."""
    return f"""
from osp_gateway import ProxyServerConfig
{before}
def bucket(port):
    return dict(host='127.0.0.1', port=port, is_tls_enabled=False,
                access_key='recorder-fake-key', secret_key='recorder-fake-secret')
def validator(token, bucket, request):
    return {allow}
config = ProxyServerConfig(
    cos_map={{'demo': bucket({store})}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=validator, admin_port=0, {extra}
)
{more}
"""


@dataclass
class Serving:
    """A running gateway."""

    running: Running
    file: Path
    port: int
    admin_port: int

    def signal(self, name: str = "SIGTERM") -> None:
        self.running.process.send_signal(getattr(signal, name))

    def begin_to_end(self, name: str = "SIGTERM") -> None:
        """Tell it to end, and wait until it no longer listens."""
        self.signal(name)
        self.running.wait_for(r"\d stopped\.")

    def status(self) -> int:
        """What it ends with."""
        return self.running.process.wait(START_SECONDS)

    def reload(self, text: str | None = None, says: str = r"read anew") -> None:
        """Make it read the configuration, which may have changed, and wait until it says so once more."""
        if text is not None:
            self.file.write_text(text, encoding="utf-8")
        before = self.running.output().count("\n")
        self.signal("SIGHUP")
        self.running.wait_for(rf"\A(?:.*\n){{{before}}}(?s:.*?){says}")

    def get(self, key: str = "key") -> Answer:
        """One object, on a connection of its own."""
        return ask(self.port, signed(self.port, "GET", f"/demo/{key}").octets)

    def output(self) -> str:
        return self.running.output()


@contextmanager
def serving(
    folder: Path,
    text: str,
    program: str = "osp",
    *,
    name: str = "server.py",
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    wrap: Callable[[list[str]], list[str]] = list,
) -> Iterator[Serving]:
    """A gateway in `osp serve`, in one of mitmproxy's programs, or (`python`) in a program of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    commands = {
        "osp": [str(BIN / "osp"), "serve", str(file)],
        "python": [str(BIN / "python"), str(file)],
    }
    mitmproxy = [str(BIN / program), "-s", str(ADDON), "--mode", "reverse:http://s3.invalid@127.0.0.1:0"]
    for option in (f"osp_config={file}", f"confdir={folder / 'confdir'}", *options):
        mitmproxy += ["--set", option]
    running = Running(wrap(commands.get(program, mitmproxy)), folder / "log", env)
    try:
        port = int(running.wait_for(r"reverse proxy to [^\n]* listening at [^\s]*?:(\d+)\.?\s")[0][1])
        admin = int(running.wait_for(r"health and readiness at http://\S+?:(\d+)/")[0][1])
        yield Serving(running, file, port, admin)
    finally:
        running.stop()
