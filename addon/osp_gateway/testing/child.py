"""The gateway that a test suite uses, in a process of its own: `python -m osp_gateway.testing.child`.

It is told what to do by lines of JSON on standard input, and answers each with one on standard output that has the same
number. It ends with its input. What it has to tell people goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from mitmproxy import ctx, exceptions, http
from mitmproxy.master import Master

from osp_gateway import configfile
from osp_gateway.config import ConfigError, ProxyServerConfig, Settings
from osp_gateway.faults.rules import FaultsError, read
from osp_gateway.mitm.addon import OspAddon
from osp_gateway.mitm.addons import gateway_addons
from osp_gateway.mitm.faults import FaultsAddon
from osp_gateway.mitm.flowfile import FlowFileError
from osp_gateway.mitm.offline import AT_ONCE, FORWARD, OfflineAddon, load_library
from osp_gateway.mitm.recorder import RecorderAddon
from osp_gateway.mitm.serve import NO_TARGET, engine, log_to_stderr
from osp_gateway.mitm.showing import FAULTS
from osp_gateway.replay.library import Library

MAX_SEEN: Final = 10_000
RECORDED_KIB: Final = 64 * 1024
"""Bodies of up to this size are recorded whole: what is not cannot be answered with."""
MODE: Final = f"reverse:{NO_TARGET}@127.0.0.1:0"
Answer = Mapping[str, Any]


class Witness:
    """Comes first: says when the port is open, and notes what went by."""

    def __init__(self, gateway: OspAddon, ready: Callable[[], None]) -> None:
        self._desk = gateway.desk
        self._ready = ready
        self.seen: deque[dict[str, Any]] = deque(maxlen=MAX_SEEN)

    def running(self) -> None:
        """The port is open."""
        self._ready()

    def response(self, flow: http.HTTPFlow) -> None:
        """Noted before the client has the answer."""
        self._note(flow, None if flow.response is None else flow.response.status_code)

    def error(self, flow: http.HTTPFlow) -> None:
        """What was broken off."""
        self._note(flow, None)

    def _note(self, flow: http.HTTPFlow, status: int | None) -> None:
        outcome = self._desk.outcomes.get(flow)
        if outcome is None:
            return
        verdict = outcome.verdict
        self.seen.append(
            {
                "operation": verdict.operation,
                "bucket": verdict.bucket,
                "key": verdict.key,
                "identity": verdict.who,
                "status": status,
                "allowed": verdict.allowed,
                "reason": verdict.reason,
                "replayed": flow.is_replay == "response",
                "faults": [str(fault["rule"]) for fault in flow.metadata.get(FAULTS, [])],
            }
        )


class Child:
    """The process."""

    def __init__(self, settings: Settings, out: TextIO) -> None:
        addons = gateway_addons(settings, faults=True)
        self._out = out
        self._gateway = _the(addons, OspAddon)
        self._recorder = _the(addons, RecorderAddon)
        self._offline = _the(addons, OfflineAddon)
        self._faults = _the(addons, FaultsAddon)
        self._recorder.skips_replayed = True
        self._gateway.desk.withhold = RECORDED_KIB * 1024
        self._witness = Witness(self._gateway, self._ready)
        self._addons = [self._witness, *addons]
        self._reading: asyncio.Task[None] | None = None
        self._commands: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
            "begin": self._begin,
            "configure": self._configure,
            "faults": self._break,
            "record": self._record,
            "replay": self._replay,
            "tell": self._tell,
        }

    async def run(self) -> None:
        """Until there are no more commands."""
        await engine(self._addons, [MODE], {"osp_record_body": RECORDED_KIB}).run()

    def say(self, answer: Answer) -> None:
        """A line for the tests."""
        self._out.write(json.dumps(answer) + "\n")
        self._out.flush()

    def _ready(self) -> None:
        (address, *_) = ctx.master.addons.get("proxyserver").listen_addrs()
        self.say({"number": 0, "port": address[1], **_client_key(self._gateway.settings)})
        self._reading = asyncio.get_running_loop().create_task(self._obey(ctx.master))

    async def _obey(self, master: Master) -> None:
        reader = asyncio.StreamReader(limit=2**24)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            order = json.loads(line)
            self.say({"number": order["number"], **self._answer(order)})
        master.shutdown()

    def _answer(self, order: Mapping[str, Any]) -> Answer:
        try:
            return self._commands[order["do"]](order)
        except ConfigError as error:
            return {"problems": list(error.problems)}
        except FaultsError as error:
            return {"problems": error.problems}
        except (FlowFileError, exceptions.OptionsError) as error:
            return {"problems": [str(error)]}

    # Commands

    def _begin(self, _order: Mapping[str, Any]) -> Answer:
        """A new test."""
        self._witness.seen.clear()
        self._offline.unmatched.clear()
        self._faults.seen.clear()
        return {}

    def _configure(self, order: Mapping[str, Any]) -> Answer:
        self._gateway.use(_settings(order))
        return _client_key(self._gateway.settings)

    def _break(self, order: Mapping[str, Any]) -> Answer:
        self._faults.use(read(order["rules"]))
        return {}

    def _record(self, order: Mapping[str, Any]) -> Answer:
        """Into a file, or no more; how much was recorded until now."""
        written = self._recorder.written
        ctx.options.update(osp_record=order["file"] or "")
        return {"written": written}

    def _replay(self, order: Mapping[str, Any]) -> Answer:
        """Answer from a file (none: know no answers at all), and let pass or refuse what is not in it; or no more."""
        if order.get("end"):
            self._offline.use(None)
            return {}
        file = order["file"]
        library = load_library([Path(file)], reuse=False) if file else Library(())
        self._offline.use(library, FORWARD if order["forward"] else AT_ONCE)
        return {}

    def _tell(self, _order: Mapping[str, Any]) -> Answer:
        """What has been seen in this test."""
        unmatched = [f"{one.operation} {one.bucket}/{one.key}".rstrip("/") for one in self._offline.unmatched]
        faults = [
            {**one.told, "operation": facts.operation, "bucket": facts.bucket, "key": facts.key}
            for facts, one in self._faults.seen
        ]
        return {"requests": list(self._witness.seen), "unmatched": unmatched, "faults": faults}


def _the[T](addons: list[Any], kind: type[T]) -> T:
    return next(addon for addon in addons if isinstance(addon, kind))


def _settings(order: Mapping[str, Any]) -> Settings:
    """Those of a file, or those that were sent.

    Raises:
        ConfigError: they cannot be used.
    """
    if order.get("file"):
        return configfile.load(Path(order["file"])).settings
    written = dict(order["written"])
    if written.pop("allow_all", False):
        written["validator"] = _allow
    return ProxyServerConfig(**written).settings


def _allow(_token: str, _bucket: str) -> bool:
    return True


def _client_key(settings: Settings | None) -> Answer:
    """The first client key that the configuration lists; nothing where it lists none."""
    for access_key, pair in settings.keystore.items() if settings is not None else ():
        return {"access_key": access_key, "secret_key": pair.secret_key}
    return {}


def main() -> None:
    """The first line is about the configuration; from then on see `Child`."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what an operator's file prints is no answer
        log_to_stderr()
        try:
            child = Child(_settings(json.loads(sys.stdin.readline())), out)
        except ConfigError as error:
            out.write(json.dumps({"number": 0, "problems": list(error.problems)}) + "\n")
            sys.exit(1)
        asyncio.run(child.run())


if __name__ == "__main__":
    main()
