"""Which tokens are believed. Each attack is a token that some verifier, somewhere, has believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from osp_gateway.access.jwt.compact import MAX_TOKEN_OCTETS, TokenError, TokenExpired, looks_like_token
from osp_gateway.access.jwt.model import IssuerModel
from osp_gateway.access.jwt.verifying import TokenVerifier
from osp_gateway.asking import nobody_to_ask
from osp_gateway.keychain import make_issuer
from support.heads import NOW, Clock
from support.tokens import (
    AUDIENCE,
    ISSUER,
    SECRET,
    claims,
    der_of,
    ec_key,
    ed_key,
    forge,
    jwk_of,
    mint,
    pem_of,
    rsa_key,
    segment,
    signer,
    trusting,
)


def verifier(*issuers: dict[str, Any], clock: Clock | None = None, **changes: Any) -> TokenVerifier:
    clock = clock or Clock()
    models = [IssuerModel.model_validate(issuer) for issuer in issuers or (trusting(**changes),)]
    return TokenVerifier([make_issuer(model, nobody_to_ask, clock) for model in models], clock)


async def refused(token: str, **changes: Any) -> str:
    with pytest.raises(TokenError) as caught:
        await verifier(**changes).identity(token)
    return str(caught.value)


HEADER = {"alg": "RS256", "typ": "JWT"}
EVERYTHING = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]


async def test_a_token_stands_for_its_subject() -> None:
    identity = await verifier().identity(mint(claims(NOW, groups=["a", "b"], nested={"roles": ["x"]})))
    assert (identity.name, identity.access_key) == ("alice", f"{ISSUER}#alice")
    assert identity.claims["groups"] == ("a", "b")
    assert identity.claims["nested"]["roles"] == ("x",)
    assert identity.expires_at == NOW + 600


async def test_claims_cannot_be_changed() -> None:
    identity = await verifier().identity(mint(claims(NOW, nested={"roles": ["x"]})))
    for changed in (identity.claims, identity.claims["nested"]):
        with pytest.raises(TypeError):
            changed["sub"] = "bob"  # type: ignore[index]


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", rsa_key()),
        ("RS512", rsa_key()),
        ("PS256", rsa_key()),
        ("ES256", ec_key()),
        ("ES384", ec_key("secp384r1")),
        ("ES512", ec_key("secp521r1")),
        ("EdDSA", ed_key()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_every_algorithm_that_is_listed_works(algorithm: str, key: Any) -> None:
    for listed in (pem_of(key), jwk_of(key)):
        found = await verifier(algorithms=[algorithm], public_keys=[listed]).identity(mint(claims(NOW), key, algorithm))
        assert found.name == "alice"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_secret_works_with_the_algorithms_for_secrets(algorithm: str) -> None:
    secret = SECRET * 2
    found = await verifier(algorithms=[algorithm], public_keys=None, secret=secret).identity(
        mint(claims(NOW), secret, algorithm)
    )
    assert found.name == "alice"


# Algorithms


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", " none", "none\x00", None, 0, [], ["RS256"], {}, True]
)
@pytest.mark.parametrize("signature", [b"", b"\x00", b"x" * 256])
async def test_an_unsigned_token_is_not_believed(alg: object, signature: bytes) -> None:
    await refused(forge({"alg": alg, "typ": "JWT"}, claims(NOW), lambda _: signature))
    await refused(forge({"alg": alg, "typ": "JWT"}, claims(NOW), lambda _: signature), algorithms=EVERYTHING)


async def test_a_token_whose_signature_is_taken_away_is_not_believed() -> None:
    head, said, _ = mint(claims(NOW)).split(".")
    for stripped in (f"{head}.{said}.", f"{head}.{said}", f"{head}.{said}..", f"{head}..{said}", f".{said}.", ".."):
        await refused(stripped)


@pytest.mark.parametrize("listed", ["pem", "jwk"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("kid", [None, "k"])
async def test_a_public_key_is_no_secret(listed: str, algorithm: str, kid: str | None) -> None:
    """The classic confusion: HMAC with what everybody can read."""
    key = rsa_key()
    jwk = jwk_of(key, kid)
    texts = [
        pem_of(key).encode(),
        pem_of(key).strip().encode(),
        pem_of(key).replace("\n", "\r\n").encode(),
        der_of(key),
        base64.b64encode(der_of(key)),
        json.dumps(jwk).encode(),
        json.dumps(jwk, separators=(",", ":")).encode(),
        jwk["n"].encode(),
        base64.urlsafe_b64decode(jwk["n"] + "=="),
        b"",
    ]
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    header = {"alg": algorithm, "typ": "JWT"} | ({} if kid is None else {"kid": kid})
    for text in texts:
        token = forge(header, claims(NOW), lambda signed, text=text: hmac.digest(text, signed, digest))
        await refused(token, public_keys=[pem_of(key) if listed == "pem" else jwk])


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "none"])
def test_algorithms_for_secrets_cannot_be_listed_with_public_keys(algorithm: str) -> None:
    with pytest.raises(ValueError, match=r"jwt|secret|Input should be"):
        IssuerModel.model_validate(trusting(algorithms=["RS256", algorithm]))


@pytest.mark.parametrize("secret", [pem_of(rsa_key()), pem_of(ec_key()), "short", "s" * 31], ids=lambda s: s[:12])
def test_what_is_no_secret_cannot_be_one(secret: str) -> None:
    with pytest.raises(ValueError, match="secret: expected"):
        IssuerModel.model_validate(trusting(algorithms=["HS256"], public_keys=None, secret=secret))


async def test_the_algorithm_must_be_listed_even_where_the_key_fits() -> None:
    assert "algorithm" in await refused(mint(claims(NOW), rsa_key(), "RS512"))
    assert "algorithm" in await refused(mint(claims(NOW), rsa_key(), "PS256"))


async def test_a_jwk_that_names_its_algorithm_is_good_for_no_other() -> None:
    key = jwk_of(rsa_key(), alg="RS256")
    await refused(mint(claims(NOW), rsa_key(), "PS256"), algorithms=["RS256", "PS256"], public_keys=[key])


@pytest.mark.parametrize("curve", ["secp384r1", "secp521r1", "secp256k1"])
async def test_a_signature_on_another_curve_is_wrong(curve: str) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    def sign(octets: bytes) -> bytes:
        r, s = utils.decode_dss_signature(ec_key(curve).sign(octets, ec.ECDSA(hashes.SHA256())))
        return b"".join((n % 2**256).to_bytes(32, "big") for n in (r, s))

    token = forge({"alg": "ES256", "typ": "JWT"}, claims(NOW), sign)
    await refused(token, algorithms=["ES256"], public_keys=[pem_of(ec_key())])


@pytest.mark.parametrize("r_and_s", [(0, 0), (1, 0), (0, 1), (2**256 - 1, 2**256 - 1)])
async def test_a_signature_of_nothing_is_wrong(r_and_s: tuple[int, int]) -> None:
    """ "Psychic signatures"."""
    token = forge({"alg": "ES256"}, claims(NOW), lambda _: b"".join(n.to_bytes(32, "big") for n in r_and_s))
    await refused(token, algorithms=["ES256"], public_keys=[pem_of(ec_key())])


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
async def test_a_key_is_not_used_with_an_algorithm_of_another_kind(algorithm: str) -> None:
    """All are listed, and the key of each is there: the signature of one is not taken for that of another."""
    makers = {"ES256": ec_key(), "EdDSA": ed_key(), "PS256": rsa_key()}
    keys = [pem_of(rsa_key(1)), pem_of(ec_key()), pem_of(ed_key())]
    for other, key in makers.items():
        token = forge({"alg": algorithm}, claims(NOW), signer(key, other))
        if other == algorithm and algorithm != "PS256":
            assert (await verifier(algorithms=EVERYTHING, public_keys=keys).identity(token)).name == "alice"
        else:
            await refused(token, algorithms=EVERYTHING, public_keys=keys)


# Keys


async def test_a_token_of_another_key_is_not_believed() -> None:
    assert "signature" in await refused(mint(claims(NOW), rsa_key(1)))


KIDS = [
    "../../dev/null",
    "/dev/null",
    "file:///dev/null",
    "x' UNION SELECT 'secret",
    "k\x00",
    "K",
    "k ",
    "",
    "k" * 257,
    "k" * 4000,
    7,
    True,
    None.__class__.__name__,
    ["k"],
    {"k": "k"},
    "$(id)",
    "http://127.0.0.1/",
    "*",
]


@pytest.mark.parametrize("kid", KIDS, ids=lambda kid: str(kid)[:20])
async def test_a_kid_is_looked_up_among_the_known_ones_and_used_for_nothing_else(kid: object) -> None:
    for sign in (signer(rsa_key()), lambda signed: hmac.digest(b"", signed, hashlib.sha256)):
        for alg in ("RS256", "HS256"):
            token = forge({"alg": alg, "kid": kid}, claims(NOW), sign)
            await refused(token, public_keys=[jwk_of(rsa_key(), "k")])


async def test_the_right_kid_finds_the_key_among_others() -> None:
    keys = [jwk_of(rsa_key(1), "one"), jwk_of(rsa_key(), "two")]
    token = mint(claims(NOW), headers={"kid": "two"})
    assert (await verifier(public_keys=keys).identity(token)).name == "alice"
    await refused(mint(claims(NOW), headers={"kid": "one"}), public_keys=keys)


async def test_keys_without_a_name_are_meant_by_any_kid() -> None:
    assert (await verifier().identity(mint(claims(NOW), headers={"kid": "whatever"}))).name == "alice"


@pytest.mark.parametrize("bits", [512, 1024])
def test_a_short_rsa_key_is_refused(bits: int) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives.asymmetric import rsa

    if bits < 1024:
        numbers = rsa.RSAPublicNumbers(65537, (1 << 511) + 111)
        jwk = {"kty": "RSA", "e": "AQAB", "n": segment(numbers.n.to_bytes(64, "big"))}
    else:
        jwk = jwk_of(rsa_key(0, 1024))
    with pytest.raises(ValueError, match=r"public_keys\[0\]"):
        IssuerModel.model_validate(trusting(public_keys=[jwk]))


@pytest.mark.parametrize(
    "change",
    [
        {"d": "AQAB"},
        {"kty": "oct", "k": segment(b"s" * 32)},
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"kty": "rsa"},
        {"kty": 7},
        {"kty": None},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"alg": ["RS256"]},
        {"kid": 7},
        {"kid": "k" * 257},
        {"n": "!!"},
        {"n": 7},
        {"e": None},
    ],
    ids=str,
)
def test_a_jwk_that_is_not_for_this_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"public_keys\[0\]: "):
        IssuerModel.model_validate(trusting(public_keys=[{**jwk_of(rsa_key()), **change}]))


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
@pytest.mark.parametrize("alg", ["RS256", "HS256"])
async def test_a_token_that_brings_its_own_key_is_not_believed(name: str, alg: str) -> None:
    brought = {"jwk": jwk_of(rsa_key(1)), "x5c": [base64.b64encode(der_of(rsa_key(1))).decode()]}
    value = brought.get(name, "http://127.0.0.1:1/jwks")
    for own in (rsa_key(), rsa_key(1)):
        await refused(forge({**HEADER, "alg": alg, name: value}, claims(NOW), signer(own)))


# Header


@pytest.mark.parametrize(
    "more",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": None},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A128GCM"},
        {"typ": "JOSE"},
        {"typ": "dpop+jwt"},
        {"typ": "logout+jwt"},
        {"typ": 7},
        {"typ": None},
        {"typ": ["JWT"]},
    ],
    ids=str,
)
async def test_a_header_that_demands_something_else_is_refused(more: dict[str, Any]) -> None:
    await refused(forge({**HEADER, **more}, claims(NOW), signer(rsa_key())))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_access_tokens_are_believed_under_each_of_their_types(kind: str) -> None:
    assert (await verifier().identity(forge({"alg": "RS256", "typ": kind}, claims(NOW), signer(rsa_key())))).name


# Claims


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": -1},
        {"exp": 1e300},
        {"exp": [NOW + 60]},
        {"exp": {}},
        {"exp": 2**64},
        {"nbf": NOW + 31},
        {"nbf": str(NOW)},
        {"nbf": False},
        {"nbf": []},
        {"iat": NOW + 31},
        {"iat": "now"},
        {"iat": True},
        {"aud": None},
        {"aud": ""},
        {"aud": []},
        {"aud": "someone-elses"},
        {"aud": ["another", "and another"]},
        {"aud": [[AUDIENCE]]},
        {"aud": [AUDIENCE, 7]},
        {"aud": {AUDIENCE: AUDIENCE}},
        {"aud": f"{AUDIENCE} another"},
        {"aud": AUDIENCE.upper()},
        {"aud": f" {AUDIENCE}"},
        {"aud": True},
        {"aud": 7},
        {"iss": None},
        {"iss": ""},
        {"iss": "https://other.example.test"},
        {"iss": ISSUER + "/"},
        {"iss": ISSUER.upper()},
        {"iss": [ISSUER]},
        {"iss": {"": ISSUER}},
        {"iss": 7},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": True},
        {"sub": ["alice"]},
        {"sub": {"name": "alice"}},
        {"sub": "a\nb"},
        {"sub": "a\x00"},
        {"sub": "\ud800"},
        {"sub": "a" * 257},
    ],
    ids=str,
)
async def test_a_claim_that_is_wrong_refuses_the_token(change: dict[str, Any]) -> None:
    said = claims(NOW, **change)
    message = await refused(forge(HEADER, said, signer(rsa_key())))
    for value in change.values():
        if isinstance(value, str) and len(value) > 3:
            assert value not in message


@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
async def test_the_audience_may_be_one_of_several(aud: object) -> None:
    assert (await verifier().identity(mint(claims(NOW, aud=aud)))).name == "alice"


async def test_a_token_ends_when_it_ends() -> None:
    clock = Clock()
    one = verifier(clock=clock, leeway=0)
    token = mint(claims(NOW, exp=int(NOW) + 60))
    await one.identity(token)
    clock.now = NOW + 59.999
    await one.identity(token)
    clock.now = NOW + 60
    for either in (one, verifier(clock=clock, leeway=0)):
        with pytest.raises(TokenExpired):
            await either.identity(token)


async def test_clocks_may_differ_by_the_leeway() -> None:
    clock = Clock()
    one = verifier(clock=clock, leeway=30)
    await one.identity(mint(claims(NOW, exp=int(NOW) - 29)))
    await one.identity(mint(claims(NOW, nbf=int(NOW) + 30, iat=int(NOW) + 30)))
    with pytest.raises(TokenExpired):
        await one.identity(mint(claims(NOW, exp=int(NOW) - 30)))


async def test_an_issuer_has_its_own_keys_audience_and_algorithms() -> None:
    other = "https://other.example.test"
    two = (
        trusting(),
        trusting(issuer=other, audience="other", algorithms=["ES256"], public_keys=[pem_of(ec_key())]),
    )
    for said, key, algorithm in [
        (claims(NOW, iss=other, aud="other"), rsa_key(), "RS256"),
        (claims(NOW, iss=other), ec_key(), "ES256"),
        (claims(NOW), ec_key(), "ES256"),
        (claims(NOW, aud="other"), rsa_key(), "RS256"),
    ]:
        with pytest.raises(TokenError):
            await verifier(*two).identity(mint(said, key, algorithm))
    found = await verifier(*two).identity(mint(claims(NOW, iss=other, aud="other"), ec_key(), "ES256"))
    assert found.access_key == f"{other}#alice"


async def test_the_name_can_be_another_claim() -> None:
    one = verifier(name_claim="person.mail")
    assert (await one.identity(mint(claims(NOW, person={"mail": "a@example.test"})))).name == "a@example.test"
    await refused(mint(claims(NOW, **{"person.mail": "a@example.test"})), name_claim="person.mail")


# Spelling


def respelled() -> list[str]:
    token = mint(claims(NOW, pad="x"))
    head, said, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = signature[:-1] + last[last.index(signature[-1]) | 1] if len(signature) % 4 else signature + "A"
    return [
        token + "=",
        token + "==",
        f"{head}=.{said}.{signature}",
        f" {token}",
        f"{token} ",
        f"{token}\n",
        f"{head}\n.{said}.{signature}",
        f"{head}. {said}.{signature}",
        f"{token}.",
        f".{token}",
        f"{token}.{signature}",
        token[:-1],
        token[:-10],
        token[1:],
        token + "A",
        token.replace(".", "．"),
        token + "\x00",
        f"{head}.{said}.{signature.replace('-', '+').replace('_', '/')}+",
        f"{head}.{said}.{stray}",
        token.replace(head, head + "é"),
        "a" * MAX_TOKEN_OCTETS,
        token + "." * 100,
        "",
    ]


@pytest.mark.parametrize("number", range(len(respelled())))
async def test_there_is_one_way_to_write_a_token(number: int) -> None:
    token = respelled()[number]
    await refused(token)


@pytest.mark.parametrize(
    "said",
    [
        b'{"sub":"alice","sub":"bob"}',
        b'{"nested":{"a":1,"a":2}}',
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"exp":1e999}',
        b'{"exp":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 9 + b"]" * 9 + b"}",
        b'{"a":' + b"[" * 2900 + b"]" * 2900 + b"}",
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"[]",
        b"null",
        b'"text"',
        b"7",
        b"",
        b"{",
        b"{}{}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"{'sub':'alice'}",
    ],
    ids=lambda said: said[:20].decode("latin-1"),
)
async def test_claims_with_more_than_one_meaning_are_refused(said: bytes) -> None:
    if said.startswith(b'{"sub"'):
        said = json.dumps(claims(NOW)).encode()[:-1] + b"," + said[1:]
    await refused(forge(HEADER, said, signer(rsa_key())))
    await refused(forge(said, claims(NOW), signer(rsa_key())))


async def test_a_token_is_no_longer_than_it_may_be() -> None:
    assert "longer than" in await refused(mint(claims(NOW, pad="x" * MAX_TOKEN_OCTETS)))
    assert (await verifier().identity(mint(claims(NOW, pad="x" * 5000)))).name == "alice"


async def test_any_single_changed_character_makes_a_token_a_wrong_one() -> None:
    token = mint(claims(NOW))
    one = verifier()
    for place in range(0, len(token), 3):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(TokenError):
            await one.identity(changed)


# Remembering


async def test_a_verified_token_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from osp_gateway.access.jwt import verifying

    counted: list[str] = []
    read = verifying.read
    monkeypatch.setattr(verifying, "read", lambda token: counted.append(token) or read(token))  # type: ignore[func-returns-value]
    one, token = verifier(), mint(claims(NOW))
    found = [await one.identity(token) for _ in range(5)]
    assert len(counted) == 1
    assert all(identity is found[0] for identity in found)


async def test_a_refused_token_is_not_remembered_as_good() -> None:
    one = verifier()
    token = mint(claims(NOW), rsa_key(1))
    for _ in range(3):
        with pytest.raises(TokenError):
            await one.identity(token)


async def test_nothing_of_a_token_is_told() -> None:
    token = mint(claims(NOW, sub="marker-fake-name", aud="marker-fake-audience"), rsa_key(1))
    message = await refused(token)
    assert "marker" not in message
    assert not any(part in message for part in token.split("."))
    assert "marker" not in repr(await verifier().identity(mint(claims(NOW, group="marker"))))


@pytest.mark.parametrize(
    "text", ["eyJh.eyJz.", "eyJh.eyJz.c2ln", "eyJh...", "ewog.e30.c2ln", "eyJhbGciOiJub25lIn0.e30."]
)
def test_what_is_meant_as_a_token_is_taken_for_one(text: str) -> None:
    assert looks_like_token(text)


@pytest.mark.parametrize(
    "text", ["", "AKIAFAKE", "client-fake-key", "a.b.c", "key.with.dots", "eye", "FwoGZXIvYXdzEJr"]
)
def test_other_keys_are_not(text: str) -> None:
    assert not looks_like_token(text)
