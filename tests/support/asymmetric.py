"""Requests signed with SigV4A by awscrt, the AWS SDKs' own signer."""

from __future__ import annotations

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

from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4.keys import KeyPair
from support.heads import CLIENT, HOST, NOW


def asymmetric_head(
    method: str = "GET",
    target: str = "/demo/key",
    headers: tuple[Header, ...] = (),
    *,
    pair: KeyPair = CLIENT,
    payload_hash: str = "UNSIGNED-PAYLOAD",
    regions: str = "*",
    now: float = NOW,
    expires: int | None = None,
) -> RequestHead:
    """A head that awscrt signed: in its Authorization header, or in its query where it `expires` (seconds)."""
    presigned = expires is not None
    config = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS
        if presigned
        else AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=AwsCredentialsProvider.new_static(pair.access_key, pair.secret_key, pair.session_token),
        region=regions,
        service="s3",
        date=datetime.fromtimestamp(now, UTC),
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value=payload_hash,
        signed_body_header_type=AwsSignedBodyHeaderType.NONE
        if presigned
        else AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        expiration_in_seconds=expires,
    )
    request = HttpRequest(method, target, HttpHeaders([("host", HOST), *headers]))
    signed = aws_sign_request(request, config).result(timeout=60)
    path, _, query = signed.path.partition("?")
    return RequestHead(method, path, query, tuple(signed.headers))
