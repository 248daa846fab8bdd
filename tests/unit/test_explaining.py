"""Which refusals are explained, how often, and to whom."""

from __future__ import annotations

from osp_gateway import explaining
from osp_gateway.outcomes import Refusal
from osp_gateway.sigv4.keys import KeyPair
from support.heads import CLIENT, NOW, Bench, signed_head

WRONG = KeyPair(CLIENT.access_key, "wrong-fake-secret")


async def explained(bench: Bench) -> int:
    """How many of many wrong signatures in a row are explained."""
    refusals = [await bench.refusal(signed_head(pair=WRONG)) for _ in range(30)]
    assert {refusal.error.code for refusal in refusals} == {"SignatureDoesNotMatch"}
    return sum(bool(refusal.verdict.explanation) for refusal in refusals)


async def test_so_many_refusals_in_a_row_are_explained_and_the_others_refused_all_the_same() -> None:
    assert await explained(Bench()) == explaining.BURST


async def test_with_time_more_are() -> None:
    bench = Bench()
    await explained(bench)
    bench.clock.now += 3
    assert await explained(bench) == 3 * explaining.PER_SECOND


async def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bench = Bench()
    await explained(bench)
    bench.clock.now -= 600
    assert await explained(bench) == 0


async def test_nobody_is_asked_for_a_secret_in_order_to_explain() -> None:
    asked = []
    bench = Bench(hmac_keystore=None, hmac_fetcher=asked.append)
    refusal = await bench.refusal(signed_head(now=NOW - 3600))
    assert refusal.error.code == "RequestTimeTooSkewed"
    assert asked == []


def told(refusal: Refusal) -> str:
    return refusal.body.decode()


async def test_the_client_is_told_nothing_by_default() -> None:
    refusal = await Bench().refusal(signed_head(pair=WRONG))
    assert not any(f"<{name}>" in told(refusal) for name in ("Hint", "CanonicalRequest", "StringToSign"))
    assert refusal.verdict.explanation


async def test_what_is_told_of_a_secret_is_for_the_operator_alone() -> None:
    bench = Bench(explain_errors=True)
    refusal = await bench.refusal(signed_head(pair=KeyPair(CLIENT.access_key, CLIENT.secret_key + " ")))
    assert "secret" in refusal.verdict.reason
    assert "<Hint>" in told(refusal)
    assert "blank" not in told(refusal)
    assert "white" not in told(refusal)


async def test_an_explanation_that_fails_leaves_the_refusal_as_it_is(monkeypatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(explaining, "explain", fails)
    refusal = await Bench(explain_errors=True).refusal(signed_head(pair=WRONG))
    assert refusal.error.code == "SignatureDoesNotMatch"
    assert "<Hint>" not in told(refusal)
