"""Session tokens are attacked: whatever is not exactly what was sealed for exactly this key opens nothing."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace
from types import MappingProxyType

import pytest

from osp_gateway.access.sts.answers import TemporaryKey
from osp_gateway.access.sts.errors import StsError
from osp_gateway.access.sts.tokens import MAX_TOKEN_CHARS, Sealer, Session, TokenError, is_temporary, packed_size

SECRET = "fake-secret-of-thirty-two-characters"
OTHER = "other-fake-secret-of-thirty-two-chars"
SESSION = Session(
    principal="arn:aws:iam::000000000000:role/reader",
    session_name="me",
    issued_at=1_767_268_800,
    expires_at=1_767_272_400,
    roles=("arn:aws:iam::000000000000:role/reader",),
    lineage=("client-fake-key",),
    policies=('{"Statement":[{"Effect":"Deny"}]}',),
    claims=MappingProxyType({"iss": "https://issuer.example.test", "groups": ["a", "b"]}),
    tags=MappingProxyType({"team": "blue"}),
    transitive=frozenset({"team"}),
)


def sealed(secret: str = SECRET, session: Session = SESSION) -> TemporaryKey:
    return Sealer([secret]).seal(session)


def opens(access_key: str, token: str, *secrets: str) -> bool:
    try:
        Sealer(secrets or [SECRET]).open(access_key, token)
    except TokenError:
        return False
    return True


def test_a_token_opens_to_the_session_and_the_secret_that_were_given() -> None:
    key = sealed()
    session, secret = Sealer([SECRET]).open(key.access_key, key.session_token)
    assert session == SESSION
    assert secret == key.secret_key
    assert len(secret) == 40
    assert is_temporary(key.access_key)


def test_what_is_at_its_default_comes_back_as_it_was() -> None:
    session = Session("client", "", 1, 2)
    key = sealed(session=session)
    assert Sealer([SECRET]).open(key.access_key, key.session_token)[0] == session


def test_each_key_has_a_name_a_secret_and_a_token_of_its_own() -> None:
    keys = [sealed() for _ in range(50)]
    for name in ("access_key", "secret_key", "session_token"):
        assert len({getattr(key, name) for key in keys}) == 50


def test_the_token_tells_nothing_of_what_is_in_it() -> None:
    key = sealed()
    octets = base64.urlsafe_b64decode(key.session_token + "==")
    for word in (b"reader", b"client-fake-key", b"issuer", b"Statement", key.secret_key.encode()):
        assert word not in octets
        assert word not in key.session_token.encode()


def test_no_secret_stands_in_a_repr() -> None:
    key = sealed()
    assert key.secret_key not in repr(key)
    assert key.session_token not in repr(key)
    assert "Statement" not in repr(SESSION)


def test_no_changed_bit_goes_unnoticed() -> None:
    key = sealed()
    octets = base64.urlsafe_b64decode(key.session_token + "=" * (-len(key.session_token) % 4))
    for place in range(len(octets)):
        changed = bytearray(octets)
        changed[place] ^= 1 << random.randrange(8)
        assert not opens(key.access_key, base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


def test_a_token_is_good_for_its_own_access_key_only() -> None:
    one, other = sealed(), sealed()
    assert not opens(other.access_key, one.session_token)
    assert not opens(one.access_key.lower(), one.session_token)
    assert not opens(one.access_key + "A", one.session_token)
    assert not opens("client-fake-key", one.session_token)


@pytest.mark.parametrize("cut", [0, 1, 2, 7, 20, 40])
def test_a_token_that_is_cut_short_or_goes_on_does_not_open(cut: int) -> None:
    key = sealed()
    assert not opens(key.access_key, key.session_token[:cut])
    assert not opens(key.access_key, key.session_token[: -(cut + 1)])
    assert not opens(key.access_key, key.session_token + key.session_token[: cut + 1])


@pytest.mark.parametrize("spelling", ["{}=", "{}==", " {}", "{} ", "{}\n", "{}.", "\u00e4{}", "{}\udc80"])
def test_a_token_has_one_spelling(spelling: str) -> None:
    key = sealed()
    assert not opens(key.access_key, spelling.format(key.session_token))


def test_a_token_has_no_second_spelling_by_bits_that_mean_nothing() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for length in range(3):  # so that all lengths modulo 4 come up
        key = sealed(session=replace(SESSION, session_name="x" * (2 + length)))
        last = key.session_token[-1]
        for char in alphabet:
            assert opens(key.access_key, key.session_token[:-1] + char) == (char == last)


def test_another_gateways_token_does_not_open() -> None:
    key = sealed(OTHER)
    assert not opens(key.access_key, key.session_token, SECRET)


def test_the_first_secret_seals_and_all_of_them_open() -> None:
    old, new = sealed(SECRET), Sealer([OTHER, SECRET]).seal(SESSION)
    assert opens(old.access_key, old.session_token, OTHER, SECRET)
    assert opens(new.access_key, new.session_token, OTHER)
    assert not opens(new.access_key, new.session_token, SECRET)


def test_the_same_token_under_another_secret_has_no_secret_key() -> None:
    key = sealed()
    with pytest.raises(TokenError):
        Sealer([OTHER]).open(key.access_key, key.session_token)


@pytest.mark.parametrize(
    "access_key",
    [
        "",
        "ASIAOSP",
        "ASIAOSP" + "A" * 15,
        "ASIAOSP" + "A" * 17,
        "ASIAOSP" + "a" * 16,
        "ASIAOSP" + "1" * 16,
        "AKIAOSP" + "A" * 16,
        "ASIAOSP" + "A" * 16 + "\n",
        "client-fake-key",
    ],
)
def test_other_access_keys_are_not_ours(access_key: str) -> None:
    assert not is_temporary(access_key)


def test_what_no_token_can_hold_is_not_sealed() -> None:
    noise = random.Random(1).randbytes(4000).hex()
    with pytest.raises(StsError) as caught:
        sealed(session=replace(SESSION, policies=(json.dumps({"Statement": noise}),)))
    assert caught.value.code == "PackedPolicyTooLarge"
    with pytest.raises(StsError):
        sealed(session=replace(SESSION, policies=("x" * 100_000,)))  # which would compress well


def test_a_token_is_never_longer_than_its_bound() -> None:
    dice = random.Random(2)
    for size in range(0, 3100, 50):
        policy = base64.b64encode(dice.randbytes(size)).decode()
        try:
            key = sealed(session=replace(SESSION, policies=(policy,)))
        except StsError:
            assert size > 2700
            continue
        assert len(key.session_token) <= MAX_TOKEN_CHARS
        assert opens(key.access_key, key.session_token)
    assert not opens(key.access_key, "A" * (MAX_TOKEN_CHARS + 1))


def test_the_packed_size_grows_with_the_policies() -> None:
    sizes = [
        packed_size(replace(SESSION, policies=(random.Random(3).randbytes(size).hex(),))) for size in (0, 500, 1000)
    ]
    assert sizes == sorted(set(sizes))
    assert all(1 <= size <= 100 for size in sizes)
