"""Does a claim's signature match? The one place where a client's signature is judged."""

from __future__ import annotations

import hmac

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import canonical
from osp_gateway.sigv4.claims import Claim
from osp_gateway.sigv4.keys import SigningKeys, signature


def verify(claim: Claim, head: RequestHead, canonical_path: str, secret_key: str, keys: SigningKeys) -> None:
    """Raise unless the claim's signature is the one that `secret_key` gives for this head.

    Args:
        claim: what `claims.read` found.
        head: the head as received.
        canonical_path: its canonical URI.
        secret_key: the secret of the claim's access key.
        keys: derived signing keys.

    Raises:
        S3Error: SignatureDoesNotMatch (403).
    """
    expected = expected_signature(claim, head, canonical_path, secret_key, keys)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise S3Error(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            details={"AWSAccessKeyId": claim.access_key},
        )


def expected_signature(claim: Claim, head: RequestHead, canonical_path: str, secret_key: str, keys: SigningKeys) -> str:
    """The hex signature that the request should carry."""
    request = canonical.canonical_request(
        head.method,
        canonical_path,
        canonical.canonical_query(claim.query),
        head.fields,
        claim.signed_headers,
        claim.payload_hash,
    )
    to_sign = canonical.string_to_sign(claim.amz_date, claim.scope, request)
    return signature(keys.get(secret_key, claim.amz_date[:8], claim.region), to_sign)
