"""Does a claim's signature match? The one place where a client's signature is judged."""

from __future__ import annotations

import hashlib
import hmac

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import canonical, sigv4a
from osp_gateway.sigv4.chunk_signing import ChunkChain, HmacChain
from osp_gateway.sigv4.claim_parts import Claim
from osp_gateway.sigv4.keys import SigningKeys, signature, told


def verify(claim: Claim, head: RequestHead, canonical_path: str, secret_key: str, keys: SigningKeys) -> None:
    """Raise unless the claim's signature is one that `secret_key` gives for this head.

    Args:
        claim: what `claims.read` found.
        head: the head as received.
        canonical_path: its canonical URI.
        secret_key: the secret of the claim's access key.
        keys: derived signing keys.

    Raises:
        S3Error: SignatureDoesNotMatch (403).
    """
    if not _matches(claim, canonical_request(claim, head, canonical_path), secret_key, keys):
        raise S3Error(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            details={"AWSAccessKeyId": told(claim.access_key)},
        )


def _matches(claim: Claim, request: str, secret_key: str, keys: SigningKeys) -> bool:
    text = canonical.string_to_sign(claim.amz_date, claim.scope, request, claim.algorithm)
    if claim.algorithm == sigv4a.ALGORITHM:
        # ECDSA signatures differ each time: they are checked, not compared.
        public_key = keys.key_pair(claim.access_key, secret_key).public_key()
        return sigv4a.is_signature(public_key, text, claim.signature)
    expected = signature(keys.get(secret_key, claim.amz_date[:8], claim.region, claim.service), text)
    return hmac.compare_digest(expected.encode(), claim.signature.encode())


def canonical_request(claim: Claim, head: RequestHead, canonical_path: str) -> str:
    """The canonical request that the claim's signature should be of."""
    return canonical.canonical_request(
        head.method,
        canonical_path,
        canonical.canonical_query(claim.query),
        head.fields,
        claim.signed_headers,
        claim.payload_hash,
    )


def signed_content(claim: Claim, head: RequestHead, canonical_path: str) -> str:
    """What a claim's signature is of, in short: one name for all signatures of the same.

    Of HMAC there is one, which will do. ECDSA signatures are different each time, and whoever has one can make another
    of it (r, n - s) without any key.
    """
    if claim.algorithm != sigv4a.ALGORITHM:
        return claim.signature
    request = canonical_request(claim, head, canonical_path)
    text = canonical.string_to_sign(claim.amz_date, claim.scope, request, claim.algorithm)
    return hashlib.sha256(f"{claim.access_key}\n{text}".encode("latin-1")).hexdigest()


def chunk_chain(claim: Claim, kind: str, secret_key: str, keys: SigningKeys) -> ChunkChain:
    """The chain of a body's chunk signatures: it starts with the signature of the head.

    Args:
        claim: verified.
        kind: `hmac` or `ecdsa`, as `aws_chunked.Mode` has it.
        secret_key: the secret of the claim's access key.
        keys: derived signing keys.

    Raises:
        S3Error: InvalidRequest (400) for a presigned URL, and where head and chunks are not signed in the same way.
    """
    if claim.expires is not None or kind != ("ecdsa" if claim.algorithm == sigv4a.ALGORITHM else "hmac"):
        raise S3Error.invalid_request(
            "Signed chunks need a signature of the same algorithm in the Authorization header."
        )
    if kind == "ecdsa":
        pair = keys.key_pair(claim.access_key, secret_key)
        return sigv4a.EcdsaChain(pair, claim.amz_date, claim.scope, claim.signature)
    key = keys.get(secret_key, claim.amz_date[:8], claim.region)
    return HmacChain(key, claim.amz_date, claim.scope, claim.signature)
