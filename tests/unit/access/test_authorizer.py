from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from osp_gateway.access.authorizer import AccessRequest, Constraints, Decision
from osp_gateway.access.identity import Identity, frozen
from osp_gateway.access.key_buckets import KeyBuckets
from osp_gateway.access.validator import ValidatorAuthorizer
from osp_gateway.callables import CallableRunner, CircuitBreaker

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
    ttl=60,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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
    await authorizer(validator, takes_request=False)(REQUEST)
    assert validator.asked == [("client-fake-key", "demo")]


async def test_a_validator_of_three_arguments_gets_the_request_too() -> None:
    validator = Validator()
    await authorizer(validator)(REQUEST)
    assert validator.asked == [("client-fake-key", "demo", REQUEST)]


async def test_an_async_validator_is_awaited() -> None:
    async def validator(token: str, bucket: str) -> bool:
        return (token, bucket) == ("client-fake-key", "demo")

    decision = await ValidatorAuthorizer(validator, False, CallableRunner(30))(REQUEST)
    assert decision.allowed


async def test_true_allows() -> None:
    assert (await authorizer(Validator(True))(REQUEST)).allowed


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
    assert not (await authorizer(Validator(answer), takes_request)(REQUEST)).allowed


@pytest.mark.parametrize("answer", [a for a in NOT_TRUE if a is not False], ids=lambda answer: type(answer).__name__)
async def test_an_answer_that_is_no_bool_is_not_remembered(answer: object) -> None:
    validator = Validator(answer)
    subject = authorizer(validator)
    await subject(REQUEST)
    validator.answer = True
    assert (await subject(REQUEST)).allowed


ERRORS: Sequence[BaseException] = [ValueError("x"), SystemExit(0), TimeoutError("x"), AssertionError(), StopIteration()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_validator_that_raises_refuses(error: BaseException) -> None:
    assert not (await authorizer(Validator(error))(REQUEST)).allowed


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_refusal_for_an_error_is_not_remembered(error: BaseException) -> None:
    validator = Validator(error)
    subject = authorizer(validator)
    await subject(REQUEST)
    validator.answer = True
    assert (await subject(REQUEST)).allowed


async def test_the_reason_for_an_error_names_its_type_and_not_its_text() -> None:
    decision = await authorizer(Validator(ValueError("fake-secret")))(REQUEST)
    assert "ValueError" in decision.reason
    assert "fake-secret" not in decision.reason


async def test_a_validator_whose_own_call_timed_out_is_not_said_to_have_taken_too_long() -> None:
    decision = await authorizer(Validator(TimeoutError("its database")))(REQUEST)
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
    decision = await ValidatorAuthorizer(Hanging(), False, CallableRunner(0.02))(REQUEST)
    assert not decision.allowed
    assert "took longer than" in decision.reason


async def test_a_refusal_for_hanging_is_not_remembered() -> None:
    runner = CallableRunner(0.1)
    validator = Hanging()
    subject = ValidatorAuthorizer(validator, False, runner)
    assert not (await subject(REQUEST)).allowed
    validator.hang, runner._timeout = False, 30.0
    assert (await subject(REQUEST)).allowed


async def test_an_answer_is_remembered() -> None:
    validator = Validator()
    subject = authorizer(validator)
    decisions = [await subject(REQUEST) for _ in range(3)]
    assert [d.cached for d in decisions] == [False, True, True]
    assert len(validator.asked) == 1


async def test_a_denial_is_remembered() -> None:
    validator = Validator(False)
    subject = authorizer(validator)
    decisions = [await subject(REQUEST) for _ in range(3)]
    assert [(d.allowed, d.cached) for d in decisions] == [(False, False), (False, True), (False, True)]
    assert len(validator.asked) == 1


async def test_with_a_time_to_live_of_zero_the_validator_is_asked_each_time() -> None:
    validator = Validator()
    subject = authorizer(validator)
    assert [(await subject(replace(REQUEST, ttl=0))).cached for _ in range(3)] == [False] * 3
    assert len(validator.asked) == 3


async def test_with_a_time_to_live_of_zero_nothing_remembered_before_is_used() -> None:
    validator = Validator()
    subject = authorizer(validator)
    await subject(REQUEST)
    validator.answer = False
    assert not (await subject(replace(REQUEST, ttl=0))).allowed


async def test_with_a_time_to_live_of_zero_even_requests_at_the_same_time_are_asked_about_apart() -> None:
    validator = Validator()
    subject = authorizer(validator)
    await asyncio.gather(*(subject(replace(REQUEST, ttl=0)) for _ in range(5)))
    assert len(validator.asked) == 5


async def test_requests_at_the_same_time_are_asked_about_once() -> None:
    validator = Validator()
    subject = authorizer(validator)
    decisions = await asyncio.gather(*(subject(REQUEST) for _ in range(20)))
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
    await subject(REQUEST)
    validator.answer = False
    assert not (await subject(other)).allowed


async def test_no_two_different_requests_share_an_answer() -> None:
    subject = ValidatorAuthorizer(lambda _t, _b, request: request is REQUEST, True, CallableRunner(30))
    requests = [REQUEST, *OTHERS.values()]
    for _ in range(2):
        decisions = [(await subject(request)).allowed for request in requests]
        assert decisions == [True] + [False] * len(OTHERS)


async def test_a_value_cannot_be_moved_from_one_field_to_another_unnoticed() -> None:
    validator = Validator()
    subject = authorizer(validator)
    await subject(replace(REQUEST, query={"a": "b", "c": "d"}))
    await subject(replace(REQUEST, query={"a": "b"}, headers={"c": "d"}))
    await subject(replace(REQUEST, query={"a": "b,c", "": "d"}))
    assert len(validator.asked) == 3


@pytest.mark.parametrize(
    "other", [OTHERS[name] for name in ("method", "query", "headers", "operation", "key", "source")]
)
async def test_a_validator_of_two_arguments_is_asked_once_for_token_and_bucket(other: AccessRequest) -> None:
    validator = Validator()
    subject = authorizer(validator, takes_request=False)
    await subject(REQUEST)
    assert (await subject(other)).cached


@pytest.mark.parametrize("other", [OTHERS["token"], OTHERS["bucket"]], ids=["token", "bucket"])
async def test_a_validator_of_two_arguments_is_asked_again_for_another_token_or_bucket(other: AccessRequest) -> None:
    validator = Validator()
    subject = authorizer(validator, takes_request=False)
    await subject(REQUEST)
    validator.answer = False
    assert not (await subject(other)).allowed


async def test_nobody_gets_the_answer_that_was_meant_for_another() -> None:
    async def validator(token: str, _bucket: str) -> bool:
        await asyncio.sleep(0)
        return token.endswith("0")

    subject = ValidatorAuthorizer(validator, False, CallableRunner(30))
    tokens = [f"key-{number % 10}" for number in range(100)]
    decisions = await asyncio.gather(*(subject(replace(REQUEST, token=t)) for t in tokens))
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
    assert (await subject(replace(REQUEST, bucket=bucket))).allowed is allowed


@pytest.mark.parametrize("token", ["", "other", "CLIENT-FAKE-KEY", "*"])
async def test_a_key_without_buckets_may_use_none(token: str) -> None:
    subject = KeyBuckets({REQUEST.token: ["*"]})
    assert not (await subject(replace(REQUEST, token=token))).allowed


async def test_others_have_the_say_about_a_key_without_buckets() -> None:
    decision = await KeyBuckets({"other": ["*"]}, others=True)(REQUEST)
    assert (decision.allowed, decision.decisive) == (False, False)


async def test_a_validator_may_answer_with_a_decision() -> None:
    given = Decision(True, "because", credentials="spare", constraints=Constraints(max_octets=5))
    assert await authorizer(Validator(given))(REQUEST) == given


@pytest.mark.parametrize(
    "fields",
    [
        {"allowed": 1},
        {"allowed": "yes"},
        {"reason": None},
        {"ttl": "60"},
        {"ttl": -1},
        {"ttl": float("nan")},
        {"credentials": None},
    ],
    ids=str,
)
async def test_a_decision_of_other_types_refuses(fields: dict[str, Any]) -> None:
    given = replace(Decision(True, "because"), **fields)
    assert not (await authorizer(Validator(given))(REQUEST)).allowed


@pytest.mark.parametrize(("ttl", "cached"), [(None, True), (0, False), (30, True), (90, True)])
async def test_a_decision_says_how_long_it_may_be_kept(ttl: float | None, cached: bool) -> None:
    subject = authorizer(Validator(Decision(True, "because", ttl=ttl)))
    assert [(await subject(REQUEST)).cached for _ in range(2)] == [False, cached]


async def test_a_decision_is_kept_no_longer_than_the_bucket_allows() -> None:
    subject = authorizer(Validator(Decision(True, "because", ttl=3600)))
    request = replace(REQUEST, ttl=0)
    assert [(await subject(request)).cached for _ in range(2)] == [False, False]


async def test_a_function_of_one_argument_gets_the_request_alone() -> None:
    asked = []

    async def function(request: AccessRequest) -> Decision:
        asked.append(request)
        return Decision(False, "no")

    subject = ValidatorAuthorizer(function, False, CallableRunner(30), alone=True)
    assert (await subject(REQUEST)).reason == "no"
    assert asked == [REQUEST]


async def test_decisions_about_other_claims_of_the_same_key_are_others() -> None:
    subject = authorizer(Validator(True))
    one, other = (Identity("client-fake-key", claims=frozen({"groups": [group]})) for group in ("a", "b"))
    answers = [await subject(replace(REQUEST, identity=identity)) for identity in (one, other, one)]
    assert [answer.cached for answer in answers] == [False, False, True]


async def test_a_function_that_fails_again_and_again_is_given_a_rest() -> None:
    validator = Validator(ConnectionError("its database"))
    clock = Clock()
    breaker = CircuitBreaker(failures=3, rest=5, timer=clock)
    subject = ValidatorAuthorizer(validator.two, False, CallableRunner(30), breaker)
    for _ in range(6):
        assert not (await subject(REQUEST)).allowed
    assert len(validator.asked) == 3
    clock.now += 5
    validator.answer = True
    assert (await subject(REQUEST)).allowed


async def test_after_a_rest_one_request_alone_finds_out() -> None:
    clock = Clock()
    breaker = CircuitBreaker(failures=1, rest=5, timer=clock)
    breaker.failed()
    assert not breaker.closed()
    clock.now += 5
    assert [breaker.closed() for _ in range(3)] == [True, False, False]
    breaker.worked()
    assert breaker.closed()


async def test_errors_that_one_client_could_bring_about_give_no_rest_to_all() -> None:
    validator = Validator(KeyError("a strange bucket"))
    subject = ValidatorAuthorizer(validator.two, False, CallableRunner(30), CircuitBreaker(failures=1))
    for _ in range(3):
        await subject(REQUEST)
    assert len(validator.asked) == 3
