from __future__ import annotations

from dataclasses import replace

import pytest

from osp_gateway.access.authorizer import NOISE, visible_headers
from osp_gateway.access.validator import DENIED_TTL, ValidatorAuthorizer
from osp_gateway.callables import CallableRunner
from osp_gateway.s3.head import Header, RequestHead
from support.heads import CLIENT, NOW, Bench, Clock, Validator, signed_head


def seen(*headers: Header) -> dict[str, str]:
    return dict(visible_headers(RequestHead("GET", "/", "", headers)))


def test_names_are_lower_case() -> None:
    assert seen(("Range", "bytes=0-1")) == {"range": "bytes=0-1"}


def test_repeated_headers_are_joined_in_their_order() -> None:
    assert seen(("X", "b"), ("x", "a")) == {"x": "b,a"}


@pytest.mark.parametrize("name", sorted(NOISE))
def test_signatures_and_noise_are_left_out(name: str) -> None:
    assert not seen((name.title(), "value"))


def test_nobody_can_change_what_the_validator_saw() -> None:
    with pytest.raises(TypeError):
        visible_headers(RequestHead("GET", "/", "", (("a", "b"),)))["a"] = "c"  # type: ignore[index]


@pytest.mark.parametrize(
    "headers",
    [
        (("amz-sdk-invocation-id", "another"),),
        (("amz-sdk-request", "attempt=2"),),
        (("accept-encoding", "gzip"),),
        (("x-amzn-trace-id", "Root=1"),),
        (("user-agent", "another"),),
    ],
    ids=lambda headers: headers[0][0],
)
async def test_noise_does_not_ask_again(headers: tuple[tuple[str, str], ...]) -> None:
    bench = Bench()
    await bench.forward(signed_head())
    outcome = await bench.forward(signed_head(unsigned=headers))
    assert outcome.verdict.cached
    assert len(bench.validator.asked) == 1


async def test_a_later_signature_does_not_ask_again() -> None:
    bench = Bench()
    await bench.forward(signed_head())
    assert (await bench.forward(signed_head(now=NOW + 60))).verdict.cached


@pytest.mark.parametrize(
    "head",
    [
        signed_head(headers=(("range", "bytes=0-1"),)),
        signed_head(headers=(("x-amz-server-side-encryption-customer-algorithm", "AES256"),)),
        signed_head(unsigned=(("x-forwarded-for", "203.0.113.1"),)),
        signed_head("GET", "/demo/key?versionId=2"),
        signed_head("HEAD"),
        signed_head("GET", "/demo/key?acl"),
        signed_head("GET", "/demo/other"),
    ],
    ids=["range", "x-amz", "proxy header", "query", "method", "operation", "key"],
)
async def test_a_change_of_the_request_asks_again(head: object) -> None:
    bench = Bench()
    await bench.forward(signed_head())
    await bench.forward(head)  # type: ignore[arg-type]
    assert len(bench.validator.asked) == 2


async def test_a_change_of_the_address_asks_again() -> None:
    bench = Bench()
    await bench.forward(source="192.0.2.1")
    await bench.forward(source="192.0.2.2")
    assert [request.source for request in bench.validator.asked] == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("answer", "ttl", "later", "asked"),
    [
        (True, 60, 59, 1),
        (True, 60, 61, 2),
        (False, 3600, DENIED_TTL - 1, 1),
        (False, 3600, DENIED_TTL + 1, 2),
        (False, 2, 3, 2),
    ],
    ids=["allowed, fresh", "allowed, old", "denied, fresh", "denied, old", "denied, short-lived bucket"],
)
async def test_permissions_live_as_long_as_the_bucket_says_and_denials_no_longer_than_their_limit(
    answer: bool, ttl: float, later: float, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = Clock()
    monkeypatch.setattr("osp_gateway.cache.SingleFlightCache.__init__.__defaults__", (timer, None))
    validator = Validator(answer)
    subject = ValidatorAuthorizer(validator, True, CallableRunner(30))
    request = (await _request()).asked[0]
    for _ in range(2):
        await subject(replace(request, ttl=ttl))
        timer.now += later
    assert len(validator.asked) == asked


async def _request() -> Validator:
    bench = Bench()
    await bench.forward()
    assert bench.validator.asked[0].token == CLIENT.access_key
    return bench.validator
