"""Calling the operator's own functions: sync or async, bounded in time and number, never on the event loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

CALL_TIMEOUT_SECONDS: Final = 5.0
MAX_CONCURRENT_CALLS: Final = 64
FAILURES_IN_A_ROW: Final = 10
REST_SECONDS: Final = 5.0


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
                return await _contained(function(*args))
        await self._places.acquire()
        result = await self._in_thread(function, *args)
        if inspect.isawaitable(result):
            async with self._places:
                return await _contained(result)
        return result

    async def _in_thread(self, function: Callable[..., Any], *args: object) -> Any:
        """Run in a thread, which gives its place back when it ends, however long that takes."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def finish(result: Any, error: BaseException | None) -> None:
            self._places.release()
            if done.done():  # the caller gave up waiting
                return
            if error is not None:
                done.set_exception(_as_plain_error(error))
            else:
                done.set_result(result)

        def run() -> None:
            result, error = None, None
            try:
                result = function(*args)
            except BaseException as raised:  # noqa: BLE001 - handed to the caller, SystemExit too
                error = raised
            try:
                loop.call_soon_threadsafe(finish, result, error)
            except RuntimeError:
                return  # the loop has closed: the process is ending and nobody waits

        try:
            threading.Thread(target=run, name=f"osp:{name_of(function)}", daemon=True).start()
        except RuntimeError:  # the system has no thread left
            self._places.release()
            raise
        return await done


class CircuitBreaker:
    """Gives something that fails a rest: after so many failures in a row, nobody asks it for a while.

    Then one caller may try; whether that works decides for the others. Meant for failures that no single client can
    bring about at will: time limits and broken connections. An error about one request is none of them.
    """

    def __init__(
        self,
        failures: int = FAILURES_IN_A_ROW,
        rest: float = REST_SECONDS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Rest for `rest` seconds after that many `failures`; `timer` gives seconds."""
        self._most = failures
        self._rest = rest
        self._timer = timer
        self._failures = 0
        self._asleep_until = 0.0

    def closed(self) -> bool:
        """Whether it may be asked. After a rest, this is so for one caller until it is known how that went."""
        if self._failures < self._most:
            return True
        now = self._timer()
        if now < self._asleep_until:
            return False
        self._asleep_until = now + self._rest
        return True

    def worked(self) -> None:
        """It answered."""
        self._failures = 0

    def failed(self) -> None:
        """It did not."""
        self._failures += 1
        self._asleep_until = self._timer() + self._rest


async def _contained(awaitable: Any) -> Any:
    """Await the operator's code: what it raises to end a task or the process is an error like others."""
    task = asyncio.current_task()
    try:
        return await awaitable
    except asyncio.CancelledError as error:
        if task is not None and task.cancelling():
            raise  # it is we who are cancelled, by the time limit or by the end of the request
        raise _as_plain_error(error) from error
    except GeneratorExit as error:
        if not _runs(task):
            raise  # nobody will ever await us again
        raise _as_plain_error(error) from error
    except BaseException as error:
        raise _as_plain_error(error) from error


def _runs(task: asyncio.Task[Any] | None) -> bool:
    try:
        return task is not None and asyncio.current_task() is task
    except RuntimeError:  # there is no event loop any more
        return False


def _as_plain_error(error: BaseException) -> Exception:
    """An error that is not taken for our own time limit or for the end of the process."""
    if isinstance(error, Exception) and not isinstance(error, TimeoutError | StopIteration):
        return error
    return RuntimeError(f"it raised {type(error).__name__}")


def failure(error: BaseException) -> str:
    """What went wrong in the operator's code and where, without the text: it may hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


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


def required_keywords(function: Callable[..., Any]) -> list[str]:
    """The keyword-only arguments that a function cannot do without.

    Raises:
        ValueError: it has no signature that can be read.
    """
    kinds = inspect.Parameter
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is kinds.KEYWORD_ONLY and p.default is kinds.empty]
