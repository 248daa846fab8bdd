from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from osp_gateway.callables import CallableRunner, CallTimeout, name_of, positional_parameters

PATIENCE = 30.0
TINY = 0.02


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """What hanging operator code waits for; set at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what a thread does
        await asyncio.sleep(0)


async def _async_function(value: str) -> str:
    await asyncio.sleep(0)
    return value


class AsyncCallable:
    async def __call__(self, value: str) -> str:
        return await _async_function(value)


FORMS = {
    "a function": lambda value: value,
    "an async function": _async_function,
    "a function that returns an awaitable": lambda value: _async_function(str(value)),
    "an object with an async __call__": AsyncCallable(),
    "a partial": functools.partial(lambda _, value: value, "bound"),
    "a partial of an async function": functools.partial(_async_function),
    "a builtin": str,
}


@pytest.mark.parametrize("function", FORMS.values(), ids=FORMS.keys())
async def test_the_result_of_every_form_of_callable_is_given(function: Callable[..., Any]) -> None:
    assert await CallableRunner(PATIENCE).call(function, "result") == "result"


async def test_a_synchronous_function_runs_off_the_event_loop() -> None:
    assert await CallableRunner(PATIENCE).call(threading.get_ident) != threading.get_ident()


async def test_the_event_loop_goes_on_while_a_synchronous_function_blocks() -> None:
    release = threading.Event()
    waiting = asyncio.create_task(CallableRunner(PATIENCE).call(release.wait))
    await asyncio.sleep(0)
    release.set()  # reached only because the loop is free
    assert await waiting is True


async def test_an_async_function_runs_on_the_event_loop() -> None:
    async def where() -> int:
        return threading.get_ident()

    assert await CallableRunner(PATIENCE).call(where) == threading.get_ident()


async def test_a_synchronous_function_that_hangs_is_given_up(stuck: threading.Event) -> None:
    with pytest.raises(CallTimeout, match="wait took longer than"):
        await CallableRunner(TINY).call(stuck.wait)


async def test_an_async_function_that_hangs_is_given_up() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    with pytest.raises(CallTimeout, match="hangs took longer than"):
        await CallableRunner(TINY).call(hangs)


async def test_an_awaitable_that_a_function_returned_is_given_up_when_it_hangs() -> None:
    with pytest.raises(CallTimeout):
        await CallableRunner(TINY).call(lambda: asyncio.Event().wait())


async def test_a_thread_that_hangs_does_not_hold_up_the_end_of_the_process(stuck: threading.Event) -> None:
    threads: list[threading.Thread] = []

    def hangs() -> None:
        threads.append(threading.current_thread())
        stuck.wait()

    with pytest.raises(CallTimeout):
        await CallableRunner(TINY).call(hangs)
    await _until(lambda: bool(threads))
    assert threads[0].daemon


async def test_what_a_function_raises_is_raised() -> None:
    def raises() -> None:
        raise LookupError("from the operator")

    with pytest.raises(LookupError, match="from the operator"):
        await CallableRunner(PATIENCE).call(raises)


async def test_what_an_async_function_raises_is_raised() -> None:
    async def raises() -> None:
        raise LookupError("from the operator")

    with pytest.raises(LookupError, match="from the operator"):
        await CallableRunner(PATIENCE).call(raises)


def _raiser(error: BaseException) -> Callable[[], Any]:
    def raises() -> None:
        raise error

    return raises


def _async_raiser(error: BaseException) -> Callable[[], Any]:
    async def raises() -> None:
        raise error

    return raises


def _late_raiser(error: BaseException) -> Callable[[], Any]:
    def raises_when_awaited() -> Any:
        return _async_raiser(error)()

    return raises_when_awaited


class OfItsOwn(BaseException):
    """What some library takes for its own end."""


@pytest.mark.parametrize("make", [_raiser, _async_raiser, _late_raiser], ids=["sync", "async", "awaitable"])
@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        asyncio.CancelledError(),
        StopIteration("x"),
        GeneratorExit("x"),
        KeyboardInterrupt(),
        OfItsOwn("x"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_the_operators_code_raises_becomes_an_ordinary_error(
    make: Callable[[BaseException], Callable[[], Any]], error: BaseException
) -> None:
    with pytest.raises(BaseException) as caught:
        await CallableRunner(PATIENCE).call(make(error))
    assert isinstance(caught.value, Exception)
    assert not isinstance(caught.value, CallTimeout)


@pytest.mark.parametrize("make", [_raiser, _async_raiser, _late_raiser], ids=["sync", "async", "awaitable"])
async def test_a_timeout_error_of_the_operators_own_is_an_error_and_no_timeout_of_ours(
    make: Callable[[BaseException], Callable[[], Any]],
) -> None:
    with pytest.raises(Exception) as caught:
        await CallableRunner(PATIENCE).call(make(TimeoutError("the operator's database")))
    assert not isinstance(caught.value, CallTimeout)


def test_a_call_that_nobody_awaits_any_more_ends_quietly():
    async def hangs() -> None:
        await asyncio.Event().wait()

    async def begin() -> Any:
        call = CallableRunner(PATIENCE).call(hangs)
        step = call.send(None)
        assert step is not None
        return call

    call = asyncio.run(begin())
    call.close()  # GeneratorExit, and nobody runs it


async def test_the_end_of_the_caller_is_not_taken_for_an_error_of_the_operators() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    waiting = asyncio.create_task(CallableRunner(PATIENCE).call(hangs))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


class Gauge:
    """How many run at the same time, at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running = self.most = self.finished = 0

    def enter(self) -> None:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)

    def leave(self) -> None:
        with self.lock:
            self.running -= 1
            self.finished += 1

    def sync(self) -> None:
        self.enter()
        threading.Event().wait(0.002)
        self.leave()

    async def asynchronous(self) -> None:
        self.enter()
        await asyncio.sleep(0.002)
        self.leave()

    def returns_awaitable(self) -> Any:
        return self.asynchronous()


@pytest.mark.parametrize("form", ["sync", "asynchronous", "returns_awaitable"])
async def test_no_more_run_at_a_time_than_may(form: str) -> None:
    gauge = Gauge()
    runner = CallableRunner(PATIENCE, max_concurrent=3)
    await asyncio.gather(*(runner.call(getattr(gauge, form)) for _ in range(12)))
    assert gauge.most <= 3
    assert gauge.finished == 12


async def test_a_function_that_hangs_keeps_its_place_until_it_ends(stuck: threading.Event) -> None:
    runner = CallableRunner(TINY, max_concurrent=1)
    ran: list[str] = []
    with pytest.raises(CallTimeout):
        await runner.call(stuck.wait)
    with pytest.raises(CallTimeout):
        await runner.call(ran.append, "while it hangs")
    assert ran == []


async def test_a_function_that_hung_gives_its_place_back_when_it_ends() -> None:
    stuck = threading.Event()
    ended: list[bool] = []
    runner = CallableRunner(0.2, max_concurrent=1)

    def hangs() -> None:
        ended.append(stuck.wait())

    with pytest.raises(CallTimeout):
        await runner.call(hangs)
    stuck.set()
    await _until(lambda: bool(ended))
    results = []
    while not results:  # the place comes back a moment after the function's end
        try:
            results.append(await runner.call(lambda: "next"))
        except CallTimeout:
            continue
    assert results == ["next"]


@pytest.mark.parametrize("make", [_raiser, _async_raiser], ids=["sync", "async"])
async def test_a_function_that_raises_gives_its_place_back(make: Callable[[BaseException], Callable[[], Any]]) -> None:
    runner = CallableRunner(PATIENCE, max_concurrent=1)
    for _ in range(3):
        with pytest.raises(LookupError):
            await runner.call(make(LookupError()))
    assert await runner.call(lambda: "next") == "next"


async def test_an_async_function_that_was_given_up_gives_its_place_back() -> None:
    runner = CallableRunner(0.2, max_concurrent=1)

    async def hangs() -> None:
        await asyncio.Event().wait()

    with pytest.raises(CallTimeout):
        await runner.call(hangs)
    runner._timeout = PATIENCE
    assert await runner.call(_async_function, "next") == "next"


async def test_a_thread_that_cannot_be_started_takes_no_place_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more_threads(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    runner = CallableRunner(1.0, max_concurrent=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await runner.call(lambda: None)
    assert await runner.call(lambda: "next") == "next"


async def test_a_caller_who_gave_up_waiting_for_a_place_takes_none(stuck: threading.Event) -> None:
    runner = CallableRunner(PATIENCE, max_concurrent=1)
    first = asyncio.create_task(runner.call(stuck.wait))
    await asyncio.sleep(0)
    second = asyncio.create_task(runner.call(lambda: "second"))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    stuck.set()
    await first
    assert await runner.call(lambda: "third") == "third"


def _two(_a: str, _b: str) -> None: ...
def _three(_a: str, _b: str, _c: object) -> None: ...
def _optional(_a: str, _b: str, _c: object = None) -> None: ...
def _keyword(_a: str, *, _b: str = "") -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (_two, (2, 2)),
        (_three, (3, 3)),
        (_optional, (2, 3)),
        (_keyword, (1, 1)),
        (lambda *a: a, (0, float("inf"))),
        (lambda a, *b: a, (1, float("inf"))),
        (functools.partial(_three, "a"), (2, 2)),
        (Gauge().sync, (0, 0)),
        (AsyncCallable(), (1, 1)),
    ],
)
def test_the_number_of_positional_arguments_is_read_from_the_signature(
    function: Callable[..., Any], expected: tuple[int, float]
) -> None:
    assert positional_parameters(function) == expected


def test_a_partial_is_named_without_the_arguments_bound_to_it() -> None:
    assert "fake-secret" not in name_of(functools.partial(_two, "fake-secret"))


def test_an_object_is_named_by_its_type() -> None:
    assert name_of(AsyncCallable()) == "AsyncCallable"


def test_system_exit_in_a_thread_does_not_end_the_process() -> None:
    async def main() -> str:
        runner = CallableRunner(PATIENCE)
        with pytest.raises(RuntimeError):
            await runner.call(sys.exit, 1)
        return "alive"

    assert asyncio.run(main()) == "alive"
