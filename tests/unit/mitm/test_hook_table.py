"""Hooks reach the addons that mitmproxy itself would have called, in its order and with its ends."""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.script import Script
from mitmproxy.options import Options
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import TimeoutWatchdog
from mitmproxy.test import tflow

from osp_gateway.mitm.hook_table import HookTable

CALLED: list[str] = []
KINDS = ("sync", "async", "fails", "halts", "without", "module", "awaitable later", "not callable")


class Addon:
    """One of `KINDS`, and those below it."""

    def __init__(self, name: str, kind: str, below: list[Addon]) -> None:
        self.name = name
        self.kind = kind
        if below:
            self.addons = below
        if kind == "module":
            self.request: Any = types.ModuleType("request")
        elif kind == "not callable":
            self.request = 7
        elif kind != "without":
            self.request = self._asynchronous if kind in ("async", "awaitable later") else self._synchronous
        if kind in ("sync", "async"):
            self.update = self._updated

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Addon)  # addons may well be equal

    __hash__ = None  # type: ignore[assignment]

    def _synchronous(self, _flow: object) -> None:
        CALLED.append(self.name)
        if self.kind == "fails":
            raise ValueError("on purpose")
        if self.kind == "halts":
            raise exceptions.AddonHalt

    async def _asynchronous(self, _flow: object) -> None:
        if self.kind == "awaitable later":
            await asyncio.sleep(0)
        CALLED.append(self.name)

    def _updated(self, flows: list[object]) -> None:
        CALLED.append(f"{self.name} update {len(flows)}")


def chains() -> st.SearchStrategy[list[Any]]:
    """Trees of addons, as (kind, those below)."""
    kind = st.sampled_from(KINDS)
    leaf = st.tuples(kind, st.just(()))
    tree = st.recursive(leaf, lambda below: st.tuples(kind, st.lists(below, max_size=3)), max_leaves=6)
    return st.lists(tree, max_size=6)


def built(chain: list[Any], prefix: str = "a") -> list[Addon]:
    return [Addon(f"{prefix}{i}", kind, built(below, f"{prefix}{i}.")) for i, (kind, below) in enumerate(chain)]


class Connection:
    """What a hook needs of a connection."""

    def __init__(self) -> None:
        async def nothing() -> None:
            """The time limit is none of this test's business."""

        self.timeout_watchdog = TimeoutWatchdog(600, nothing)


def manager_with(*addons: Any) -> AddonManager:
    """mitmproxy's own, without the rest of it."""
    commands = types.SimpleNamespace(collect_commands=lambda _addon: None)
    manager = AddonManager(types.SimpleNamespace(options=Options(), commands=commands))
    manager.add(*addons)
    return manager


def handler_of(manager: AddonManager) -> Callable[[hooks.Hook], Any]:
    return HookTable(manager).handler(Connection())  # type: ignore[arg-type]


def called_by(handle: Callable[[hooks.Hook], Any]) -> list[str]:
    """Whom a hook reaches."""
    CALLED.clear()
    asyncio.run(handle(HttpRequestHook(tflow.tflow())))
    return list(CALLED)


@given(chain=chains())
def test_the_same_addons_are_called_as_by_mitmproxy(chain: list[Any]) -> None:
    manager = manager_with(*built(chain))
    logging.disable(logging.ERROR)
    try:
        expected = called_by(manager.handle_lifecycle)
        handle = handler_of(manager)
        assert called_by(handle) == expected
        assert called_by(handle) == expected, "the second time"
    finally:
        logging.disable(logging.NOTSET)


def test_what_fails_is_logged_as_mitmproxy_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    manager = manager_with(Addon("bad", "fails", []), Addon("good", "sync", []))
    assert called_by(handler_of(manager)) == ["bad", "good", "good update 1"]
    assert [record.getMessage() for record in caplog.records] == ["Addon error: on purpose"]


def test_an_addon_that_comes_or_goes_is_seen_at_once() -> None:
    first, second = Addon("first", "sync", []), Addon("second", "sync", [])
    manager = manager_with(first)
    handle = handler_of(manager)
    assert called_by(handle) == ["first", "first update 1"]
    manager.add(second)
    assert called_by(handle) == ["first", "second", "first update 1", "second update 1"]
    manager.remove(first)
    assert called_by(handle) == ["second", "second update 1"], "though the two are equal"
    manager.clear()
    assert called_by(handle) == []


def test_a_script_that_is_loaded_anew_is_seen_at_once() -> None:
    script = Script(__file__, False)  # it is never loaded
    namespace = types.ModuleType("first")
    namespace.addons = [Addon("before", "sync", [])]  # type: ignore[attr-defined]
    script.ns = namespace
    manager = manager_with(script)
    handle = handler_of(manager)
    assert called_by(handle) == ["before", "before update 1"]
    manager.remove(namespace)
    again = types.ModuleType("second")
    again.addons = [Addon("after", "sync", [])]  # type: ignore[attr-defined]
    script.ns = again
    manager.register(again)
    assert called_by(handle) == ["after", "after update 1"]
    again.addons.append(Addon("one more", "sync", []))
    assert called_by(handle) == ["after", "one more", "after update 1", "one more update 1"]


def test_a_flow_that_is_intercepted_is_waited_for() -> None:
    async def run() -> list[str]:
        flow = tflow.tflow()
        flow.intercept()
        handle = handler_of(manager_with())
        task = asyncio.create_task(handle(HttpRequestHook(flow)))
        await asyncio.sleep(0.01)
        waited = [] if task.done() else ["waited"]
        flow.resume()
        await task
        return waited

    assert asyncio.run(run()) == ["waited"]


def test_mitmproxy_still_does_what_is_done_in_its_place() -> None:
    handler = ProxyConnectionHandler.handle_hook.__code__.co_names
    assert [name for name in handler if name in ("disarm", "args", "handle_lifecycle", "wait_for_resume")] == [
        "disarm",
        "args",
        "handle_lifecycle",
        "wait_for_resume",
    ]
    assert "trigger_event" in AddonManager.handle_lifecycle.__code__.co_names
    assert "UpdateHook" in AddonManager.handle_lifecycle.__code__.co_names
    assert {"chain", "safecall", "invoke_addon", "AddonHalt"} <= set(AddonManager.trigger_event.__code__.co_names)
