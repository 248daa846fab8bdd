"""A client that signs with SigV4A: heads and presigned URLs by awscrt, chunks by what AWS's documentation says.

awscrt signs no chunks from Python. The key pair is derived as "AWS Signature Version 4A" says, apart from the code
under test; that it is the right one shows where awscrt's own signature of the head is accepted together with it.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders, HttpRequest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from support.aws_chunked import EMPTY
from support.payloads import Payload, Upload
from support.processes import CLIENT_KEY, CLIENT_SECRET
from support.signing import Headers, Raw

ECDSA = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
ECDSA_TRAILER = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"
SIGNATURE_OCTETS = 144
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def signed_asymmetric(
    port: int,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Headers = (),
    *,
    key: str = CLIENT_KEY,
    secret: str = CLIENT_SECRET,
    regions: str = "*",
    payload_hash: str | None = None,
    expires: int | None = None,
) -> Raw:
    """A request that awscrt signed: in its head, or in its query where it `expires` (seconds)."""
    in_query = expires is not None
    kind = AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS if in_query else AwsSignatureType.HTTP_REQUEST_HEADERS
    announced = AwsSignedBodyHeaderType.NONE if in_query else AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256
    config = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=kind,
        credentials_provider=AwsCredentialsProvider.new_static(key, secret),
        region=regions,
        service="s3",
        date=datetime.now(UTC),
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value="UNSIGNED-PAYLOAD" if in_query else payload_hash or hashlib.sha256(body).hexdigest(),
        signed_body_header_type=announced,
        expiration_in_seconds=expires,
    )
    request = HttpRequest(method, target, HttpHeaders([("Host", f"127.0.0.1:{port}"), *headers]))
    signed = aws_sign_request(request, config).result(timeout=60)
    raw = Raw(method, signed.path, tuple(signed.headers), body)
    return raw.plus("Content-Length", str(len(body))) if method in ("PUT", "POST") else raw


def private_key(key: str, secret: str) -> ec.EllipticCurvePrivateKey:
    """The key pair of an access key: a counter is raised until the derived number is in range."""
    for counter in range(1, 255):
        context = key.encode() + bytes([counter])
        text = b"\0\0\0\1AWS4-ECDSA-P256-SHA256\0" + context + b"\0\0\1\0"
        number = int.from_bytes(hmac.new(b"AWS4A" + secret.encode(), text, hashlib.sha256).digest(), "big")
        if number <= ORDER - 2:
            return ec.derive_private_key(number + 1, ec.SECP256R1())
    raise AssertionError("no number in range")


class AsymmetricChain:
    """Chunk signatures from a head's on; signs them, or says what was to be signed."""

    def __init__(self, head: Raw, key: str = CLIENT_KEY, secret: str = CLIENT_SECRET) -> None:
        authorization = head.header("authorization")
        scope = authorization.partition(f"Credential={key}/")[2].partition(",")[0]
        self.previous = authorization.partition("Signature=")[2]
        self.pair = private_key(key, secret)
        self._start = f"{head.header('x-amz-date')}\n{scope}"

    def chunk_text(self, data: bytes) -> str:
        """The next chunk's string to sign."""
        digest = hashlib.sha256(data).hexdigest()
        return f"AWS4-ECDSA-P256-SHA256-PAYLOAD\n{self._start}\n{self.previous}\n{EMPTY}\n{digest}"

    def trailer_text(self, canonical: bytes) -> str:
        """The trailers' string to sign."""
        digest = hashlib.sha256(canonical).hexdigest()
        return f"AWS4-ECDSA-P256-SHA256-TRAILER\n{self._start}\n{self.previous}\n{digest}"

    def chunk(self, data: bytes) -> str:
        """See `payloads.ChunkSigner`."""
        return self._sign(self.chunk_text(data))

    def trailers(self, canonical: bytes) -> str:
        """See `payloads.ChunkSigner`."""
        return self._sign(self.trailer_text(canonical))

    def check(self, text: str, signature: str) -> None:
        """Go on from another's signature, which must be right."""
        assert len(signature) == SIGNATURE_OCTETS
        self.previous = signature.rstrip("*")
        self.pair.public_key().verify(bytes.fromhex(self.previous), text.encode(), ec.ECDSA(hashes.SHA256()))

    def _sign(self, text: str) -> str:
        self.previous = self.pair.sign(text.encode(), ec.ECDSA(hashes.SHA256())).hex()
        return self.previous.ljust(SIGNATURE_OCTETS, "*")


def sign_upload(upload: Upload, port: int, target: str, secret: str = CLIENT_SECRET) -> Payload:
    """An upload in one of SigV4A's two chunked modes."""
    headers = (*upload.announcement(), *upload.headers)
    head = signed_asymmetric(port, "PUT", target, headers=headers, payload_hash=upload.mode)
    head = head.without("content-length")
    return upload.chained(head, AsymmetricChain(head, CLIENT_KEY, secret))
