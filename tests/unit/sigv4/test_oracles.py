"""awscrt and botocore agree with this gateway at the edges of encoding: their signatures are ours, and ours theirs.

`test_against_botocore` does the same with what ordinary clients send. Signatures by HMAC are equal or wrong. Those of
SigV4A differ each time: there both must be right for one string to sign and one key pair.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from itertools import pairwise
from unittest import mock

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import verify
from osp_gateway.sigv4.chunked_codecs import (
    Announcement,
    ChunkLimits,
    DecodingCodec,
    PassingCodec,
    ResigningCodec,
)
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from osp_gateway.sigv4.payload import BodyCodec
from osp_gateway.sigv4.sign import Signed, presign_query, sign_head
from support import aws_chunked, crt_oracle
from support.crt_oracle import Wire, wires
from support.oracle import HOST, NOW, judge, on_the_wire

many = settings(max_examples=450, deadline=None, suppress_health_check=[HealthCheck.too_slow])
some = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

DATE = "20260101T120000Z"
BACKEND = KeyPair("backend-fake-key", "backend-fake-secret")
STREAM = ChunkLimits(hold=0, min_chunk=0)


def ours(wire: Wire, *, asymmetric: bool = False) -> Signed:
    """The same request, signed by us."""
    return sign_head(
        method=wire.method,
        path=encoding.canonical_path(wire.path),
        query=encoding.parse_query(wire.query),
        headers=wire.octets,
        payload_hash=wire.payload_hash,
        pair=wire.pair,
        now=NOW,
        keys=SigningKeys(),
        region=wire.region,
        asymmetric=asymmetric,
    )


@many
@given(wires())
def test_a_request_that_awscrt_signed_is_accepted(wire: Wire) -> None:
    claim = judge(crt_oracle.signed(wire), wire.pair.secret_key)

    assert (claim.access_key, claim.region, claim.expires) == (wire.pair.access_key, wire.region, None)
    assert (claim.payload_hash, claim.session_token) == (wire.payload_hash, wire.pair.session_token)


@many
@given(wires())
def test_we_sign_heads_as_awscrt_does(wire: Wire) -> None:
    assert dict(ours(wire).headers)["authorization"] == crt_oracle.signed(wire).get("authorization")


@many
@given(wires())
def test_a_url_that_awscrt_presigned_is_accepted(wire: Wire) -> None:
    claim = judge(crt_oracle.presigned(wire), wire.pair.secret_key)

    assert (claim.access_key, claim.region, claim.expires) == (wire.pair.access_key, wire.region, wire.expires)
    assert (claim.payload_hash, claim.session_token) == ("UNSIGNED-PAYLOAD", wire.pair.session_token)


@many
@given(wires(with_headers=False))
def test_we_presign_as_awscrt_does(wire: Wire) -> None:
    query = presign_query(
        method=wire.method,
        host=HOST,
        path=encoding.canonical_path(wire.path),
        query=encoding.parse_query(wire.query),
        expires=wire.expires,
        pair=wire.pair,
        region=wire.region,
        now=NOW,
        keys=SigningKeys(),
    )

    theirs = encoding.parse_query(crt_oracle.presigned(wire).query)
    assert sorted(encoding.parse_query(query)) == sorted(theirs)
    judge(RequestHead(wire.method, wire.path, query, (("host", HOST),)), wire.pair.secret_key)


class _BotocoreAuth(S3SigV4Auth):
    payload_hash = ""

    def payload(self, request: AWSRequest) -> str:
        return self.payload_hash


@many
@given(wires(any_spelling=False))  # botocore signs a query as it is
def test_we_sign_heads_as_botocore_does(wire: Wire) -> None:
    request = AWSRequest(method=wire.method, url=f"http://{HOST}{wire.target}")
    for name, value in wire.headers:
        request.headers.add_header(name, value)
    auth = _BotocoreAuth(
        Credentials(wire.pair.access_key, wire.pair.secret_key, wire.pair.session_token), "s3", wire.region
    )
    auth.payload_hash = wire.payload_hash
    with mock.patch("botocore.auth.get_current_datetime", lambda **_: datetime.fromtimestamp(NOW, UTC)):
        auth.add_auth(request)

    assert request.headers["Authorization"] == dict(ours(wire).headers)["authorization"]
    headers = [("Host", HOST), *((name, on_the_wire(value)) for name, value in request.headers.items())]
    judge(RequestHead(wire.method, wire.path, wire.query, tuple(headers)), wire.pair.secret_key)


@some
@given(wires())
def test_a_request_that_awscrt_signed_asymmetrically_is_accepted_and_so_is_ours(wire: Wire) -> None:
    theirs = crt_oracle.signed(wire, asymmetric=True)
    mine = RequestHead(wire.method, wire.path, wire.query, tuple(ours(wire, asymmetric=True).headers))
    claims = [judge(head, wire.pair.secret_key) for head in (theirs, mine)]

    requests = {
        verify.canonical_request(claim, head, encoding.canonical_path(wire.path))
        for claim, head in zip(claims, (theirs, mine), strict=True)
    }
    assert len(requests) == 1  # so theirs, having found its own signature right, would find ours right
    assert claims[0].scope == claims[1].scope
    assert claims[0].signed_headers == claims[1].signed_headers


@some
@given(wires())
def test_a_url_that_awscrt_presigned_asymmetrically_is_accepted(wire: Wire) -> None:
    claim = judge(crt_oracle.presigned(wire, asymmetric=True), wire.pair.secret_key)

    assert (claim.access_key, claim.region, claim.expires) == (wire.pair.access_key, "", wire.expires)


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    """The body, cut anywhere."""
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in pairwise(places)]


def through(codec: BodyCodec, fed: list[bytes]) -> bytes:
    return b"".join([codec.feed(piece) for piece in fed]) + codec.finish()


cuts = st.lists(st.integers(0, 10_000), max_size=8)
chunk_lists = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def chunk_signer(secret: str, head: RequestHead, region: str) -> aws_chunked.Signer:
    """AWS's rules for chunks, which awscrt does not sign from Python, on a head that it signed."""
    seed = (head.get("authorization") or "").rpartition("Signature=")[2]
    return aws_chunked.Signer(secret, seed, DATE, f"{DATE[:8]}/{region}/s3/aws4_request")


@some
@given(wires(), chunk_lists, cuts, st.sampled_from([aws_chunked.HMAC, aws_chunked.HMAC_TRAILER]))
def test_chunks_chained_to_a_head_of_awscrt_are_accepted_and_chained_to_ours(
    wire: Wire, chunks: list[bytes], cut: list[int], mode: str
) -> None:
    length = sum(map(len, chunks))
    secret = wire.pair.secret_key
    upload = Wire(**{**vars(wire), "method": "PUT", "payload_hash": mode})
    onward = Wire(**{**vars(upload), "pair": BACKEND})
    client, backend = crt_oracle.signed(upload), crt_oracle.signed(onward)
    body = aws_chunked.encode(mode, chunks, signer=chunk_signer(secret, client, wire.region))
    fields = aws_chunked.headers(mode, length)

    keys = SigningKeys()
    claim = judge(client, secret)
    resigned = ours(onward).chain
    assert resigned is not None
    resigning = ResigningCodec(
        Announcement.of_headers(mode, fields), verify.chunk_chain(claim, "hmac", secret, keys), resigned(), STREAM
    )
    decoding = DecodingCodec(
        Announcement.of_headers(mode, fields), verify.chunk_chain(claim, "hmac", secret, keys), STREAM
    )

    assert through(decoding, pieces(body, cut)) == b"".join(chunks)
    wanted = aws_chunked.encode(mode, chunks, signer=chunk_signer(BACKEND.secret_key, backend, wire.region))
    assert through(resigning, pieces(body, cut)) == wanted


@some
@given(st.binary(max_size=200), st.integers(1, 64), cuts)
def test_a_body_that_botocore_encoded_is_decoded_and_passed_on(data: bytes, size: int, cut: list[int]) -> None:
    body = AwsChunkedWrapper(
        io.BytesIO(data), checksum_cls=Crc32Checksum, checksum_name=aws_chunked.CRC32, chunk_size=size
    ).read()
    fields = aws_chunked.headers(aws_chunked.UNSIGNED, len(data))

    def announcement() -> Announcement:
        return Announcement.of_headers(aws_chunked.UNSIGNED, fields)

    assert through(DecodingCodec(announcement(), None, STREAM), pieces(body, cut)) == data
    assert through(PassingCodec(announcement(), STREAM), pieces(body, cut)) == body
