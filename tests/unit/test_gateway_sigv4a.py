"""SigV4A, signed by awscrt: identified in header and query, its chunks verified, its traces kept from the backend."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from osp_gateway.outcomes import Forward
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.claim_parts import Claim
from osp_gateway.sigv4.claims import read
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from osp_gateway.sigv4.sigv4a import EcdsaChain
from support import aws_chunked
from support.asymmetric import asymmetric_head
from support.heads import BACKEND, CLIENT, NOW, STORE, Bench, signed_head

PAYLOAD = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
TRAILER = f"{PAYLOAD}-TRAILER"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def presigned(**written: object) -> RequestHead:
    return asymmetric_head(expires=600, **written)  # type: ignore[arg-type]


FORMS: dict[str, Callable[..., RequestHead]] = {"header": asymmetric_head, "query": presigned}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[..., RequestHead]:
    return FORMS[request.param]


@pytest.mark.parametrize("regions", ["*", "us-east-1", "us-east-1,eu-*", "us-west-2, eu-west-1"])
async def test_it_is_identified(form: Callable[..., RequestHead], regions: str) -> None:
    forward = await Bench().forward(form(regions=regions))
    assert forward.verdict.who == CLIENT.access_key


async def test_nothing_of_it_reaches_the_backend_which_gets_a_signature_of_its_own(
    form: Callable[..., RequestHead],
) -> None:
    forward = await Bench().forward(form(target="/demo/key?versionId=3"))
    headers = dict(forward.headers)
    assert headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={BACKEND.access_key}/")
    assert "x-amz-region-set" not in headers
    assert forward.target == "/key?versionId=3"


@pytest.mark.parametrize("other", [KeyPair(CLIENT.access_key, "fake-other"), KeyPair("client-fake-kex", "fake")])
async def test_another_secret_or_key_is_refused(form: Callable[..., RequestHead], other: KeyPair) -> None:
    refusal = await Bench().refusal(form(pair=other))
    assert refusal.error.code in ("SignatureDoesNotMatch", "InvalidAccessKeyId")


def tampered(head: RequestHead) -> dict[str, RequestHead]:
    """What an attacker could change of a head."""
    return {
        "method": replace(head, method="DELETE"),
        "path": replace(head, path="/demo/other"),
        "query": replace(head, query=f"{head.query}&versionId=9".lstrip("&")),
        "header": replace(head, headers=tuple((n, v + "x" if n == "range" else v) for n, v in head.headers)),
    }


@pytest.mark.parametrize("part", ["method", "path", "query", "header"])
async def test_a_change_is_noticed(form: Callable[..., RequestHead], part: str) -> None:
    head = form(headers=(("range", "bytes=0-1"),))
    refusal = await Bench().refusal(tampered(head)[part])
    assert refusal.error.code == "SignatureDoesNotMatch"


async def test_the_set_of_regions_is_signed() -> None:
    head = asymmetric_head()
    headers = tuple((n, "eu-test-1" if n.lower() == "x-amz-region-set" else v) for n, v in head.headers)
    assert (await Bench().refusal(replace(head, headers=headers))).error.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("regions", ["", ",", "eu test", "eu-test-1,", "\u00e9", "a" * 65, ",".join(["a"] * 65)])
async def test_a_set_of_regions_that_is_none_is_malformed(regions: str) -> None:
    head = asymmetric_head()
    headers = tuple((n, regions if n.lower() == "x-amz-region-set" else v) for n, v in head.headers)
    assert (await Bench().refusal(replace(head, headers=headers))).error.code == "AuthorizationHeaderMalformed"


async def test_a_signature_without_a_set_of_regions_is_malformed() -> None:
    head = asymmetric_head()
    headers = []
    for name, value in head.headers:
        if name.lower() == "authorization":
            headers.append((name, value.replace("x-amz-date;x-amz-region-set", "x-amz-date")))
        elif name.lower() != "x-amz-region-set":
            headers.append((name, value))
    refusal = await Bench().refusal(replace(head, headers=tuple(headers)))
    assert refusal.error.code == "AuthorizationHeaderMalformed"


async def test_the_credential_of_the_other_algorithm_is_malformed() -> None:
    head = signed_head()
    swapped = tuple((n, v.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")) for n, v in head.headers)
    refusal = await Bench().refusal(replace(head, headers=swapped))
    assert refusal.error.code == "AuthorizationHeaderMalformed"


async def test_an_expired_url_is_refused() -> None:
    refusal = await Bench().refusal(presigned(now=NOW - 601))
    assert refusal.error.message == "Request has expired"


async def test_a_url_may_be_used_as_often_as_is_configured_whatever_its_algorithm() -> None:
    bench = Bench(max_presign_url_usage_attempts=1)
    head = presigned()
    await bench.forward(head)
    assert (await bench.refusal(head)).error.code == "AccessDenied"


async def test_a_second_signature_made_of_the_first_does_not_make_a_second_url() -> None:
    """ECDSA signatures are malleable: of (r, s) anybody makes (r, n - s), which is as good."""
    bench = Bench(max_presign_url_usage_attempts=1)
    head = presigned()
    start, _, signature = head.query.rpartition("X-Amz-Signature=")
    r, s = decode_dss_signature(bytes.fromhex(signature))
    other = replace(head, query=f"{start}X-Amz-Signature={encode_dss_signature(r, P256_ORDER - s).hex()}")
    assert isinstance(await Bench().admit(other), Forward)
    await bench.forward(head)
    assert (await bench.refusal(other)).error.code == "AccessDenied"


# Bodies


def claim_of(head: RequestHead) -> Claim:
    claim = read(head, (), NOW)
    assert claim is not None
    return claim


def chunked(mode: str, data: bytes, trailers: list[tuple[str, str]]) -> tuple[RequestHead, bytes]:
    """A signed head, and its body in chunks of at most 5 octets."""
    announced = (("x-amz-trailer", trailers[0][0]),) if trailers else ()
    head = asymmetric_head(
        "PUT",
        headers=(
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", str(len(data))),
            ("content-length", "999"),
            *announced,
        ),
        payload_hash=mode,
    )
    claim = claim_of(head)
    key = SigningKeys().key_pair(CLIENT.access_key, CLIENT.secret_key)
    chain = EcdsaChain(key, claim.amz_date, claim.scope, claim.signature)
    body = b""
    for piece in [*(data[start : start + 5] for start in range(0, len(data), 5)), b""]:
        body += b"%x;chunk-signature=%s\r\n" % (len(piece), chain.sign(hashlib.sha256(piece).hexdigest()).encode())
        body += piece + (b"\r\n" if piece or not trailers else b"")
    for name, value in trailers:
        body += f"{name}:{value}\r\n".encode()
    if trailers:
        body += f"x-amz-trailer-signature:{chain.sign_trailers(trailers)}\r\n\r\n".encode()
    return head, body


def through(forward: Forward, body: bytes) -> bytes:
    return forward.body.feed(body) + forward.body.finish()


DATA = b"hello, chunked world"
BODIES = {PAYLOAD: [], TRAILER: [(aws_chunked.CRC32, aws_chunked.crc32(DATA))]}


@pytest.fixture(params=BODIES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


def bench(payload: str) -> Bench:
    return Bench(cos_map={"demo": {**STORE, "payload": payload}})


async def test_chunks_are_verified_and_decoded(mode: str) -> None:
    head, body = chunked(mode, DATA, BODIES[mode])
    forward = await bench("plain").forward(head)
    assert through(forward, body) == DATA
    assert "ECDSA" not in repr(forward.headers)


async def test_chunks_are_verified_and_signed_anew_with_the_backends_key_pair(mode: str) -> None:
    head, body = chunked(mode, DATA, BODIES[mode])
    forward = await bench("same").forward(head)
    sent = through(forward, body)
    assert len(sent) == len(body)
    headers = dict(forward.headers)
    assert headers["x-amz-region-set"] == STORE["region"]
    # The backend's own gateway: another one of ours, which knows the backend's key.
    store = Bench(
        hmac_keystore=[{"access_key": BACKEND.access_key, "secret_key": BACKEND.secret_key}],
        cos_map={"demo": {**STORE, "payload": "plain"}},
        domains=["store.example.test"],
    )
    again = await store.forward(RequestHead("PUT", forward.target, "", forward.headers))
    assert through(again, sent) == DATA


SPOILED: dict[str, tuple[bytes, bytes]] = {
    "data of the first chunk": (b"hello", b"jello"),
    "data of a later chunk": (b"world", b"worlt"),
    "the last chunk's signature": (b"\r\n0;chunk-signature=30", b"\r\n0;chunk-signature=31"),
}


@pytest.mark.parametrize(("found", "put"), SPOILED.values(), ids=SPOILED.keys())
@pytest.mark.parametrize("payload", ["plain", "same"])
async def test_a_wrong_chunk_is_noticed_before_the_body_is_complete(
    payload: str, found: bytes, put: bytes, mode: str
) -> None:
    head, body = chunked(mode, DATA, BODIES[mode])
    forward = await bench(payload).forward(head)
    assert body.count(found) == 1
    with pytest.raises(S3Error) as caught:
        through(forward, body.replace(found, put))
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("signed", [asymmetric_head, signed_head])
async def test_chunks_must_be_signed_as_the_head_is(signed: Callable[..., RequestHead]) -> None:
    other = "HMAC-SHA256" if signed is asymmetric_head else "ECDSA-P256-SHA256"
    head = signed(
        "PUT",
        headers=(("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "0")),
        payload_hash=f"STREAMING-AWS4-{other}-PAYLOAD",
    )
    refusal = await Bench().refusal(head)
    assert refusal.error.code == "InvalidRequest"
