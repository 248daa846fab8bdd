"""Hooks go straight to the addons that have them.

mitmproxy asks each of its some forty addons whether it has the hook in question, and then whether it has `update`: a
quarter of the time that a small request took. Which of them have a hook changes when an addon is added, removed or
loaded anew. That is looked at each time, the rest is found out once.

A hook that an addon object is given later on, by assignment, is not seen before the next such change.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any, Final

from mitmproxy import exceptions
from mitmproxy.addonmanager import AddonManager, safecall, traverse
from mitmproxy.flow import Flow
from mitmproxy.hooks import Hook, UpdateHook
from mitmproxy.proxy.server import ConnectionHandler

Function = Callable[..., object]
_UPDATE: Final = UpdateHook.name


class HookTable:
    """Which addons of a manager have which hooks, in the order of `AddonManager.trigger_event`."""

    def __init__(self, manager: AddonManager) -> None:
        """Find nothing out yet."""
        self._manager = manager
        self._chain: list[object] = []
        self._containers: list[Any] = []
        self._known: list[object] = []
        self._identities: list[list[int]] = []
        self._groups: dict[str, list[list[Function]]] = {}

    def handler(self, connection: ConnectionHandler) -> Callable[[Hook], Awaitable[None]]:
        """What can stand in for a connection's own `handle_hook`."""

        async def handle_hook(hook: Hook) -> None:
            with connection.timeout_watchdog.disarm():
                (data,) = hook.args()
                self.look()
                await self.offer(hook.name, data)
                if isinstance(data, Flow):
                    await self.offer(_UPDATE, [data])
                    await data.wait_for_resume()

        return handle_hook

    async def offer(self, name: str, data: object) -> None:
        """Call each function for a hook, as `AddonManager.trigger_event` does.

        What fails is logged, and the other addons below the same one of the chain are passed over; `AddonHalt` ends it.
        """
        for functions in self.functions(name):
            try:
                with safecall():
                    for function in functions:
                        result = function(data)
                        if result is not None and inspect.isawaitable(result):
                            await result
            except exceptions.AddonHalt:
                return

    def functions(self, name: str) -> list[list[Function]]:
        """The functions for a hook: a list for each addon of the chain that has any, with those below it."""
        groups = self._groups.get(name)
        if groups is None:
            found = [_functions_of(addon, name) for addon in self._chain]
            groups = self._groups[name] = [functions for functions in found if functions]
        return groups

    def look(self) -> None:
        """Find everything out anew where an addon has come, gone or been loaded anew since the last time."""
        found = [self._manager.chain, *[one.addons for one in self._containers]]
        # By identity, as addons may well be equal to one another; those that are known stay alive, so that no other
        # can have their place.
        identities = [[*map(id, addons)] for addons in found]
        if identities == self._identities:
            return
        self._chain = list(self._manager.chain)
        self._containers = [one for one in traverse(self._chain) if hasattr(one, "addons")]
        self._known = list(traverse(self._chain))
        self._identities = [[*map(id, one)] for one in (self._chain, *[one.addons for one in self._containers])]
        self._groups = {}


def _functions_of(addon: object, name: str) -> list[Function]:
    """An addon's function for a hook, and those of all that is below it.

    A module of that name is none: addons import such. Anything else that cannot be called fails when it is.
    """
    found = [getattr(one, name, None) for one in traverse([addon])]
    return [one for one in found if one and not isinstance(one, ModuleType)]
