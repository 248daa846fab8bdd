"""AWS4-ECDSA-P256-SHA256 (SigV4A): the key pair that a secret stands for, signatures, and chains of chunks.

See "AWS Signature Version 4A" in the IAM user guide, and "Signature calculations for the authorization header:
transferring a payload in multiple chunks" in the Amazon S3 API reference. A signature is ECDSA over P-256 and SHA-256,
DER, in hex; it differs each time it is made. Its scope has no region: those are in `x-amz-region-set`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from osp_gateway.sigv4.aws_chunked import ECDSA_SIGNATURE_OCTETS
from osp_gateway.sigv4.canonical import EMPTY_SHA256
from osp_gateway.sigv4.chunk_signing import canonical_trailers, chunk_mismatch

ALGORITHM: Final = "AWS4-ECDSA-P256-SHA256"
PAYLOAD_ALGORITHM: Final = "AWS4-ECDSA-P256-SHA256-PAYLOAD"
TRAILER_ALGORITHM: Final = "AWS4-ECDSA-P256-SHA256-TRAILER"

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_PADDING: Final = "*"


def derive_private_key(access_key: str, secret_key: str) -> ec.EllipticCurvePrivateKey:
    """The key pair of an access key: NIST SP 800-108 in counter mode, over a counter until the value is in range.

    Args:
        access_key: the access key's id.
        secret_key: its secret.
    """
    key = ("AWS4A" + secret_key).encode()
    for counter in range(1, 255):
        # Block counter, label, separator, context with the outer counter, length in bits.
        text = (
            b"\x00\x00\x00\x01" + ALGORITHM.encode() + b"\x00" + access_key.encode() + bytes([counter])
        ) + b"\x00\x00\x01\x00"
        candidate = int.from_bytes(hmac.digest(key, text, hashlib.sha256), "big")
        if candidate <= _ORDER - 2:
            return ec.derive_private_key(candidate + 1, ec.SECP256R1())
    raise AssertionError("254 values in a row out of range: each has a chance of 2^-32")


def sign(key: ec.EllipticCurvePrivateKey, text: str) -> str:
    """A signature of a string to sign: DER in hex, 136 to 144 digits as a rule, another one each time."""
    return key.sign(text.encode("latin-1"), _ECDSA).hex()


def is_signature(key: ec.EllipticCurvePublicKey, text: str, signature: str) -> bool:
    """Whether `signature`, DER in lower-case hex, is one of a string to sign."""
    if len(signature) > ECDSA_SIGNATURE_OCTETS or signature != signature.lower():
        return False
    try:
        key.verify(bytes.fromhex(signature), text.encode("latin-1"), _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


class EcdsaChain:
    """STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD and -TRAILER; a `chunk_signing.ChunkChain`.

    In the body, signatures are padded with asterisks to 144 characters, so that lengths are known beforehand; in the
    next string to sign they stand without.
    """

    __slots__ = ("_chunk_start", "_key", "_previous", "_public", "_trailer_start")

    def __init__(self, key: ec.EllipticCurvePrivateKey, amz_date: str, scope: str, seed: str) -> None:
        """Start a chain.

        Args:
            key: the signer's key pair, as `derive_private_key` gives it.
            amz_date: the request's `x-amz-date`, `YYYYMMDDTHHMMSSZ`.
            scope: the credential scope, `date/service/aws4_request`.
            seed: the request's own signature, in hex.
        """
        self._key = key
        self._public = key.public_key()
        self._previous = seed.rstrip(_PADDING)
        self._chunk_start = f"{PAYLOAD_ALGORITHM}\n{amz_date}\n{scope}\n"
        self._trailer_start = f"{TRAILER_ALGORITHM}\n{amz_date}\n{scope}\n"

    def sign(self, digest: str) -> str:
        """See `ChunkChain`."""
        return self._sign(self._chunk_text(digest))

    def sign_trailers(self, trailers: Iterable[tuple[str, str]]) -> str:
        """See `ChunkChain`."""
        return self._sign(self._trailer_text(trailers))

    def verify(self, digest: str, signature: str) -> None:
        """See `ChunkChain`."""
        self._verify(self._chunk_text(digest), signature, "a chunk")

    def verify_trailers(self, trailers: Iterable[tuple[str, str]], signature: str) -> None:
        """See `ChunkChain`."""
        self._verify(self._trailer_text(trailers), signature, "the trailers")

    def _chunk_text(self, digest: str) -> str:
        return f"{self._chunk_start}{self._previous}\n{EMPTY_SHA256}\n{digest}"

    def _trailer_text(self, trailers: Iterable[tuple[str, str]]) -> str:
        digest = hashlib.sha256(canonical_trailers(trailers)).hexdigest()
        return f"{self._trailer_start}{self._previous}\n{digest}"

    def _sign(self, text: str) -> str:
        self._previous = sign(self._key, text)
        return self._previous.ljust(ECDSA_SIGNATURE_OCTETS, _PADDING)

    def _verify(self, text: str, signature: str, what: str) -> None:
        self._previous = signature.rstrip(_PADDING)
        if not is_signature(self._public, text, self._previous):
            raise chunk_mismatch(what)
