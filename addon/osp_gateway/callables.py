"""Calling the operator's own functions: sync or async, bounded in time and number, never on the event loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any, Final

CALL_TIMEOUT_SECONDS: Final = 5.0
MAX_CONCURRENT_CALLS: Final = 64


class CallTimeout(Exception):
    """The function took longer than it may, or none of the places to run it became free in time."""


class CallableRunner:
    """Runs the operator's functions.

    A synchronous one runs in a daemon thread of its own: one that hangs is left behind, keeps one of the
    bounded places, and holds up neither the event loop nor the end of the process.
    """

    def __init__(self, timeout: float = CALL_TIMEOUT_SECONDS, max_concurrent: int = MAX_CONCURRENT_CALLS) -> None:
        """Bound each call to `timeout` seconds and all of them to `max_concurrent` at a time."""
        self._timeout = timeout
        self._places = asyncio.Semaphore(max_concurrent)

    async def call(self, function: Callable[..., Any], *args: object) -> Any:
        """The function's result.

        Raises:
            CallTimeout: it took too long.
            Exception: whatever the function raised.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._call(function, *args)
        except TimeoutError as error:
            raise CallTimeout(f"{name_of(function)} took longer than {self._timeout:g} s") from error

    async def _call(self, function: Callable[..., Any], *args: object) -> Any:
        if inspect.iscoroutinefunction(function):
            async with self._places:
                return await _own_timeouts_are_errors(function(*args))
        await self._places.acquire()
        result = await self._in_thread(function, *args)
        if inspect.isawaitable(result):
            return await _own_timeouts_are_errors(result)
        return result

    async def _in_thread(self, function: Callable[..., Any], *args: object) -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def finish(result: Any, error: BaseException | None) -> None:
            self._places.release()
            if done.done():  # the caller gave up waiting
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)

        def run() -> None:
            result, error = None, None
            try:
                result = function(*args)
            except BaseException as raised:  # noqa: BLE001 - handed to the caller, SystemExit too
                error = raised if isinstance(raised, Exception) else RuntimeError(repr(raised))
            try:
                loop.call_soon_threadsafe(finish, result, error)
            except RuntimeError:
                return  # the loop has closed: the process is ending and nobody waits

        threading.Thread(target=run, name=f"osp:{name_of(function)}", daemon=True).start()
        return await done


async def _own_timeouts_are_errors(awaitable: Any) -> Any:
    """A TimeoutError that the operator's code raises is an error like others, not our own bound."""
    try:
        return await awaitable
    except TimeoutError as error:
        raise RuntimeError("it raised TimeoutError") from error


def name_of(function: Callable[..., Any]) -> str:
    """The function's name for logs."""
    return getattr(function, "__qualname__", None) or type(function).__name__


def positional_parameters(function: Callable[..., Any]) -> tuple[int, float]:
    """The least and the greatest number of positional arguments that a function takes.

    Raises:
        ValueError: it has no signature that can be read.
    """
    kinds = inspect.Parameter
    positional = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ]
    variadic = any(p.kind is kinds.VAR_POSITIONAL for p in inspect.signature(function).parameters.values())
    least = sum(p.default is kinds.empty for p in positional)
    return least, float("inf") if variadic else len(positional)
