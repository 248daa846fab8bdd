"""Replaying a recording: each exchange again, one after the other or as concurrently as it was recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from osp_gateway.replay.compare import Difference, compare
from osp_gateway.replay.contents import WRITES, Contents
from osp_gateway.replay.encode import checksum_of_parts
from osp_gateway.replay.exchange import Answer, Exchange, Object
from osp_gateway.replay.names import Kind, Names, is_completion
from osp_gateway.replay.target import Target, TargetError
from osp_gateway.replay.tolerance import Tolerance
from osp_gateway.s3.operations import POST_OBJECT
from osp_gateway.sigv4.checksums import ALGORITHMS

MAX_THREADS: Final = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an exchange. `skipped` says why it was left out; `number` counts from 1."""

    number: int
    exchange: Exchange
    differences: tuple[Difference, ...] = ()
    skipped: str = ""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


class Replay:
    """One run of a recording against a store, or against two that are compared with each other as well."""

    def __init__(self, target: Target, tolerance: Tolerance, other: Target | None = None) -> None:
        """`other` gets the same requests; its answers are compared with the recording, too."""
        self._sides = [_Side(target, tolerance, "")]
        if other is not None:
            self._sides.append(_Side(other, tolerance, f" [{other.url}]"))
            self._sides[0].mark = f" [{target.url}]"
        self._tolerance = tolerance

    def run(
        self,
        exchanges: Sequence[Exchange],
        *,
        concurrent: bool = False,
        told: Callable[[Outcome], None] = lambda _: None,
    ) -> list[Outcome]:
        """Send everything again.

        Args:
            exchanges: of the recording.
            concurrent: True lets requests overlap that did so when they were recorded; each is sent when all that had
                been answered before it began are answered again.
            told: is told each outcome as it comes, by one thread at a time.
        """
        lock = threading.Lock()
        outcomes: dict[int, Outcome] = {}

        def do(number: int, exchange: Exchange) -> None:
            outcome = self._again(number, exchange)
            with lock:
                outcomes[number] = outcome
                told(outcome)

        ordered = sorted(exchanges, key=lambda exchange: exchange.began) if concurrent else exchanges
        if concurrent:
            _overlapping(ordered, do)
        else:
            for number, exchange in enumerate(ordered, 1):
                do(number, exchange)
        for side in self._sides:
            side.target.close()
        return [outcomes[number] for number in sorted(outcomes)]

    def _again(self, number: int, exchange: Exchange) -> Outcome:
        reason = self._why_not(exchange)
        if reason:
            return Outcome(number, exchange, skipped=reason)
        return Outcome(number, exchange, tuple(found for side in self._sides for found in side.again(exchange)))

    def _why_not(self, exchange: Exchange) -> str:
        if self._tolerance.about(exchange.answer.status).skips(exchange.operation):
            return "left out by the tolerances"
        if exchange.operation == POST_OBJECT and exchange.request.form is None:
            return "a POST form that could not be read"
        return ""


class _Side:
    """A store, with what it calls things."""

    def __init__(self, target: Target, tolerance: Tolerance, mark: str) -> None:
        self.target = target
        self.mark = mark
        self._tolerance = tolerance
        self._names = Names()
        self._contents = Contents()

    def again(self, exchange: Exchange) -> Iterator[Difference]:
        """Send it, and say what differs."""
        self._foresee(exchange)
        try:
            answer = self.target.send(exchange.request, exchange.identity, self._names, exchange.answer.payload.length)
        except TargetError as error:
            yield Difference(f"answer{self.mark}", str(exchange.answer.status), f"none: {error}")
            return
        for found in self._compared(exchange, answer):
            yield Difference(found.where + self.mark, found.expected, found.found)

    def _foresee(self, exchange: Exchange) -> None:
        """A multipart upload may be completed with the checksum of the whole: of what its parts have become."""
        request = exchange.request
        if not is_completion(request):
            return
        parts = self._contents.parts(request)
        if any(part.made_up for part in parts) and all(part.whole for part in parts):
            for name, value in request.headers:
                if name in ALGORITHMS:
                    self._names.learn(Kind.CHECKSUM, request.object, value, checksum_of_parts(name, value, parts))

    def _compared(self, exchange: Exchange, answer: Answer) -> tuple[Difference, ...]:
        if exchange.answer.status == answer.status:
            self._contents.follow(exchange)
            self._learn(exchange, answer)
        expected = self._contents.expected(exchange)
        return compare(exchange, answer, self._names, self._tolerance, expected)

    def _learn(self, exchange: Exchange, answer: Answer) -> None:
        """What a store calls things is news. But tags and checksums are made of contents: those of what this run has
        not written must be the recorded ones, and checksums of what it has written differ where that was made up.
        """
        writes = exchange.operation in WRITES

        def may(kind: Kind, about: Object) -> bool:
            if kind is Kind.CHECKSUM:
                return self._contents.made_up(about)
            return kind is Kind.ID or writes or self._contents.wrote(about)

        self._names.learn_from(exchange, answer, may, again=writes)


def _overlapping(ordered: Sequence[Exchange], do: Callable[[int, Exchange], None]) -> None:
    """Do each as soon as all that had ended before it began are done."""
    ends = sorted(range(len(ordered)), key=lambda index: ordered[index].ended)
    running: dict[Future[None], int] = {}
    finished: set[int] = set()
    needed = 0
    with ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="replay") as pool:
        try:
            for index, exchange in enumerate(ordered):
                while ends[needed] < index and ordered[ends[needed]].ended <= exchange.began:
                    _await(ends[needed], running, finished)
                    needed += 1
                running[pool.submit(do, index + 1, exchange)] = index
            for future in running:
                future.result()
        except BaseException:  # somebody is in a hurry: what has not begun does not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _await(index: int, running: dict[Future[None], int], finished: set[int]) -> None:
    while index not in finished and index in running.values():
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            finished.add(running.pop(future))
            future.result()
