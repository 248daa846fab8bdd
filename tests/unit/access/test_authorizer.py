from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from osp_gateway.access.authorizer import AccessRequest, AllOf, Decision, KeyBuckets, ValidatorAuthorizer
from osp_gateway.callables import CallableRunner

REQUEST = AccessRequest(
    token="client-fake-key",
    bucket="demo",
    method="GET",
    path="/demo/key",
    query={},
    headers={},
    operation="GetObject",
    key="key",
    source="192.0.2.7",
)


class Validator:
    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.asked: list[tuple[object, ...]] = []

    def two(self, token: str, bucket: str) -> Any:
        return self._say(token, bucket)

    def three(self, token: str, bucket: str, request: AccessRequest) -> Any:
        return self._say(token, bucket, request)

    def _say(self, *arguments: object) -> Any:
        self.asked.append(arguments)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def authorizer(validator: Validator, takes_request: bool = True, timeout: float = 30) -> ValidatorAuthorizer:
    function = validator.three if takes_request else validator.two
    return ValidatorAuthorizer(function, takes_request, CallableRunner(timeout))


async def test_a_validator_of_two_arguments_gets_token_and_bucket() -> None:
    validator = Validator()
    await authorizer(validator, takes_request=False).decide(REQUEST, 60)
    assert validator.asked == [("client-fake-key", "demo")]


async def test_a_validator_of_three_arguments_gets_the_request_too() -> None:
    validator = Validator()
    await authorizer(validator).decide(REQUEST, 60)
    assert validator.asked == [("client-fake-key", "demo", REQUEST)]


async def test_an_async_validator_is_awaited() -> None:
    async def validator(token: str, bucket: str) -> bool:
        return (token, bucket) == ("client-fake-key", "demo")

    decision = await ValidatorAuthorizer(validator, False, CallableRunner(30)).decide(REQUEST, 60)
    assert decision.allowed


async def test_true_allows() -> None:
    assert (await authorizer(Validator(True)).decide(REQUEST, 60)).allowed


class Truthy:
    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


NOT_TRUE = [False, None, 1, 1.0, "yes", "True", b"\x01", [True], (True,), {"allow": True}, Truthy(), object(), "", 0]


@pytest.mark.parametrize("answer", NOT_TRUE, ids=lambda answer: type(answer).__name__)
@pytest.mark.parametrize("takes_request", [True, False])
async def test_everything_else_refuses(answer: object, takes_request: bool) -> None:
    assert not (await authorizer(Validator(answer), takes_request).decide(REQUEST, 60)).allowed


@pytest.mark.parametrize("answer", [a for a in NOT_TRUE if a is not False], ids=lambda answer: type(answer).__name__)
async def test_an_answer_that_is_no_bool_is_not_remembered(answer: object) -> None:
    validator = Validator(answer)
    subject = authorizer(validator)
    await subject.decide(REQUEST, 60)
    validator.answer = True
    assert (await subject.decide(REQUEST, 60)).allowed


ERRORS: Sequence[BaseException] = [ValueError("x"), SystemExit(0), TimeoutError("x"), AssertionError(), StopIteration()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_validator_that_raises_refuses(error: BaseException) -> None:
    assert not (await authorizer(Validator(error)).decide(REQUEST, 60)).allowed


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_refusal_for_an_error_is_not_remembered(error: BaseException) -> None:
    validator = Validator(error)
    subject = authorizer(validator)
    await subject.decide(REQUEST, 60)
    validator.answer = True
    assert (await subject.decide(REQUEST, 60)).allowed


async def test_the_reason_for_an_error_names_its_type_and_not_its_text() -> None:
    decision = await authorizer(Validator(ValueError("fake-secret"))).decide(REQUEST, 60)
    assert "ValueError" in decision.reason
    assert "fake-secret" not in decision.reason


async def test_a_validator_whose_own_call_timed_out_is_not_said_to_have_taken_too_long() -> None:
    decision = await authorizer(Validator(TimeoutError("its database"))).decide(REQUEST, 60)
    assert "took longer" not in decision.reason


class Hanging:
    def __init__(self) -> None:
        self.hang = True

    async def __call__(self, token: str, bucket: str) -> bool:
        if self.hang:
            await asyncio.Event().wait()
        return True


async def _call(validator: Any, token: str, bucket: str) -> bool:
    return await validator(token, bucket)


async def test_a_validator_that_hangs_refuses() -> None:
    decision = await ValidatorAuthorizer(Hanging(), False, CallableRunner(0.02)).decide(REQUEST, 60)
    assert not decision.allowed
    assert "took longer than" in decision.reason


async def test_a_refusal_for_hanging_is_not_remembered() -> None:
    runner = CallableRunner(0.1)
    validator = Hanging()
    subject = ValidatorAuthorizer(validator, False, runner)
    assert not (await subject.decide(REQUEST, 60)).allowed
    validator.hang, runner._timeout = False, 30.0
    assert (await subject.decide(REQUEST, 60)).allowed


async def test_an_answer_is_remembered() -> None:
    validator = Validator()
    subject = authorizer(validator)
    decisions = [await subject.decide(REQUEST, 60) for _ in range(3)]
    assert [d.cached for d in decisions] == [False, True, True]
    assert len(validator.asked) == 1


async def test_a_denial_is_remembered() -> None:
    validator = Validator(False)
    subject = authorizer(validator)
    decisions = [await subject.decide(REQUEST, 60) for _ in range(3)]
    assert [(d.allowed, d.cached) for d in decisions] == [(False, False), (False, True), (False, True)]
    assert len(validator.asked) == 1


async def test_with_a_time_to_live_of_zero_the_validator_is_asked_each_time() -> None:
    validator = Validator()
    subject = authorizer(validator)
    assert [(await subject.decide(REQUEST, 0)).cached for _ in range(3)] == [False] * 3
    assert len(validator.asked) == 3


async def test_with_a_time_to_live_of_zero_nothing_remembered_before_is_used() -> None:
    validator = Validator()
    subject = authorizer(validator)
    await subject.decide(REQUEST, 60)
    validator.answer = False
    assert not (await subject.decide(REQUEST, 0)).allowed


async def test_with_a_time_to_live_of_zero_even_requests_at_the_same_time_are_asked_about_apart() -> None:
    validator = Validator()
    subject = authorizer(validator)
    await asyncio.gather(*(subject.decide(REQUEST, 0) for _ in range(5)))
    assert len(validator.asked) == 5


async def test_requests_at_the_same_time_are_asked_about_once() -> None:
    validator = Validator()
    subject = authorizer(validator)
    decisions = await asyncio.gather(*(subject.decide(REQUEST, 60) for _ in range(20)))
    assert all(d.allowed for d in decisions)
    assert len(validator.asked) == 1


OTHERS = {
    "token": replace(REQUEST, token="other-fake-key"),
    "bucket": replace(REQUEST, bucket="other"),
    "method": replace(REQUEST, method="HEAD"),
    "path": replace(REQUEST, path="/demo//key"),
    "query": replace(REQUEST, query={"versionId": "1"}),
    "query value": replace(REQUEST, query={"versionId": "2"}),
    "headers": replace(REQUEST, headers={"range": "bytes=0-1"}),
    "header value": replace(REQUEST, headers={"range": "bytes=0-2"}),
    "operation": replace(REQUEST, operation="GetObjectAcl"),
    "key": replace(REQUEST, key="other"),
    "source": replace(REQUEST, source="198.51.100.9"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
async def test_a_change_of_anything_the_validator_can_see_asks_again(other: AccessRequest) -> None:
    validator = Validator()
    subject = authorizer(validator)
    await subject.decide(REQUEST, 60)
    validator.answer = False
    assert not (await subject.decide(other, 60)).allowed


async def test_no_two_different_requests_share_an_answer() -> None:
    subject = ValidatorAuthorizer(lambda _t, _b, request: request is REQUEST, True, CallableRunner(30))
    requests = [REQUEST, *OTHERS.values()]
    for _ in range(2):
        decisions = [(await subject.decide(request, 60)).allowed for request in requests]
        assert decisions == [True] + [False] * len(OTHERS)


async def test_a_value_cannot_be_moved_from_one_field_to_another_unnoticed() -> None:
    validator = Validator()
    subject = authorizer(validator)
    await subject.decide(replace(REQUEST, query={"a": "b", "c": "d"}), 60)
    await subject.decide(replace(REQUEST, query={"a": "b"}, headers={"c": "d"}), 60)
    await subject.decide(replace(REQUEST, query={"a": "b,c", "": "d"}), 60)
    assert len(validator.asked) == 3


@pytest.mark.parametrize(
    "other", [OTHERS[name] for name in ("method", "query", "headers", "operation", "key", "source")]
)
async def test_a_validator_of_two_arguments_is_asked_once_for_token_and_bucket(other: AccessRequest) -> None:
    validator = Validator()
    subject = authorizer(validator, takes_request=False)
    await subject.decide(REQUEST, 60)
    assert (await subject.decide(other, 60)).cached


@pytest.mark.parametrize("other", [OTHERS["token"], OTHERS["bucket"]], ids=["token", "bucket"])
async def test_a_validator_of_two_arguments_is_asked_again_for_another_token_or_bucket(other: AccessRequest) -> None:
    validator = Validator()
    subject = authorizer(validator, takes_request=False)
    await subject.decide(REQUEST, 60)
    validator.answer = False
    assert not (await subject.decide(other, 60)).allowed


async def test_nobody_gets_the_answer_that_was_meant_for_another() -> None:
    async def validator(token: str, _bucket: str) -> bool:
        await asyncio.sleep(0)
        return token.endswith("0")

    subject = ValidatorAuthorizer(validator, False, CallableRunner(30))
    tokens = [f"key-{number % 10}" for number in range(100)]
    decisions = await asyncio.gather(*(subject.decide(replace(REQUEST, token=t), 60) for t in tokens))
    assert [d.allowed for d in decisions] == [t.endswith("0") for t in tokens]


@pytest.mark.parametrize(
    ("patterns", "bucket", "allowed"),
    [
        (["demo"], "demo", True),
        (["demo"], "demo2", False),
        (["demo"], "Demo", False),
        (["logs-*"], "logs-1", True),
        (["logs-*"], "logs", False),
        (["logs-?"], "logs-10", False),
        (["a", "b"], "b", True),
        (["*"], "anything", True),
        ([], "demo", False),
    ],
)
async def test_a_key_may_use_the_buckets_listed_with_it(patterns: list[str], bucket: str, allowed: bool) -> None:
    subject = KeyBuckets({REQUEST.token: patterns})
    assert (await subject.decide(replace(REQUEST, bucket=bucket), 60)).allowed is allowed


@pytest.mark.parametrize("token", ["", "other", "CLIENT-FAKE-KEY", "*"])
async def test_a_key_without_buckets_may_use_none(token: str) -> None:
    subject = KeyBuckets({REQUEST.token: ["*"]})
    assert not (await subject.decide(replace(REQUEST, token=token), 60)).allowed


class Says:
    def __init__(self, allowed: bool, reason: str = "", cached: bool = False) -> None:
        self.decision = Decision(allowed, reason, cached)
        self.asked = 0

    async def decide(self, request: AccessRequest, ttl: float) -> Decision:
        self.asked += 1
        return self.decision


@pytest.mark.parametrize(
    "answers",
    [(True,), (False,), (True, True), (True, False), (False, True), (False, False), (True, True, False), (True,) * 3],
)
async def test_all_must_say_yes(answers: tuple[bool, ...]) -> None:
    decision = await AllOf([Says(answer) for answer in answers]).decide(REQUEST, 60)
    assert decision.allowed is all(answers)


async def test_after_the_first_no_nobody_else_is_asked() -> None:
    last = Says(True)
    decision = await AllOf([Says(True), Says(False, "the second"), last]).decide(REQUEST, 60)
    assert (decision.reason, last.asked) == ("the second", 0)


@pytest.mark.parametrize(("cached", "expected"), [((True, True), True), ((True, False), False), ((False, True), True)])
async def test_a_decision_is_as_remembered_as_its_deciding_part(cached: tuple[bool, bool], expected: bool) -> None:
    decision = await AllOf([Says(True, cached=c) for c in cached]).decide(REQUEST, 60)
    assert decision.cached is expected


def test_an_empty_list_of_authorizers_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        AllOf([])
