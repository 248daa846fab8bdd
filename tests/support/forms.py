"""POST forms as clients make them: boto3's policies, urllib3's bodies, and forms with anything wrong in them."""

from __future__ import annotations

import base64
import datetime
import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from urllib3 import encode_multipart_formdata

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import Fields
from osp_gateway.sigv4 import policy
from osp_gateway.sigv4.form_codec import PostForm
from osp_gateway.sigv4.keys import KeyPair, SigningKeys, derive_signing_key, signature
from osp_gateway.sigv4.policy import Upload
from osp_gateway.sigv4.sign import amz_date
from support.oracle import NOW

BOUNDARY = "fake-boundary-0123"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
CLIENT = KeyPair("client-fake-key", "client-fake-secret")
REGION = "eu-test-1"
BUCKET = "demo"
Pairs = list[tuple[str, str]]
VIOLATED = "Invalid according to Policy: "
FAILED = VIOLATED + "Policy Condition failed: "


def form_body(pairs: Pairs, file: bytes = b"content", *, filename: str = "a.txt", after: Pairs | None = None) -> bytes:
    """A whole form, as urllib3 (and with it requests) writes it."""
    parts: list[Any] = [*pairs, ("file", (filename, file)), *(after or [])]
    return encode_multipart_formdata(parts, BOUNDARY)[0]


def signed_fields(
    fields: dict[str, str],
    conditions: list[Any] | None = None,
    *,
    pair: KeyPair = CLIENT,
    bucket: str = BUCKET,
    at: float = NOW,
    life: float = 3600,
    document: Any = None,
) -> Pairs:
    """Fields with a policy signed by hand, the way minio-py does it.

    Without `conditions` every field is pinned to its value; `document` takes the whole policy's place.
    """
    date = amz_date(at)
    values = {
        **fields,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{pair.access_key}/{date[:8]}/{REGION}/s3/aws4_request",
        "x-amz-date": date,
    }
    if pair.session_token:
        values["x-amz-security-token"] = pair.session_token
    own = [["eq", f"${name}", value] for name, value in values.items() if conditions is None or name not in fields]
    if document is None:
        document = {"expiration": iso(at + life), "conditions": [{"bucket": bucket}, *own, *(conditions or [])]}
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    encoded = base64.b64encode(text).decode()
    key = derive_signing_key(pair.secret_key, date[:8], REGION, "s3")
    return [*values.items(), ("policy", encoded), ("x-amz-signature", signature(key, encoded))]


def boto3_fields(
    key: str, fields: dict[str, str] | None = None, conditions: list[Any] | None = None, *, pair: KeyPair = CLIENT
) -> Pairs:
    """What boto3's generate_presigned_post gives, at the time of this machine."""
    client = boto3.client(
        "s3",
        aws_access_key_id=pair.access_key,
        aws_secret_access_key=pair.secret_key,
        aws_session_token=pair.session_token,
        region_name=REGION,
        config=Config(signature_version="s3v4"),
    )
    return list(client.generate_presigned_post(BUCKET, key, Fields=fields, Conditions=conditions)["fields"].items())


def without(pairs: Pairs, *names: str) -> Pairs:
    return [(name, value) for name, value in pairs if name not in names]


def changed(pairs: Pairs, **values: str) -> Pairs:
    """With other values; underscores in names stand for hyphens."""
    new = {name.replace("_", "-"): value for name, value in values.items()}
    return [(name, new.get(name, value)) for name, value in pairs]


def fields_of(pairs: Pairs, filename: str | None = "a.txt") -> Fields:
    return Fields(tuple(pairs), filename)


def iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def document(conditions: Any, expiration: Any = None) -> dict[str, Any]:
    """A policy document, good for a minute unless it is said until when."""
    return {"expiration": iso(NOW + 60) if expiration is None else expiration, "conditions": conditions}


def judge(fields: Fields, *, secret: str = CLIENT.secret_key, bucket: str = BUCKET, now: float = NOW) -> Upload:
    """What the gateway does with a form."""
    claim = policy.read_claim(fields, now)
    policy.verify(claim, secret, SigningKeys())
    return policy.check(claim, fields, bucket, now)


def refusal(pairs: Pairs, filename: str | None = "a.txt", **more: Any) -> S3Error:
    with pytest.raises(S3Error) as caught:
        judge(fields_of(pairs, filename), **more)
    return caught.value


def form_of(body: bytes, size: int | None = None) -> tuple[PostForm, int]:
    """A form fed until its fields are complete, and how much of the body that took."""
    form, place, step = PostForm(CONTENT_TYPE, str(len(body))), 0, size or len(body)
    while form.feed(body[place : place + step]) is None:
        place += step
    return form, place + step
