"""Recorded requests, signed anew: botocore is the oracle."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from osp_gateway.replay.exchange import Payload
from osp_gateway.replay.names import Kind, Names
from osp_gateway.replay.resign import Outgoing, Resigner, Signer
from osp_gateway.sigv4.keys import KeyPair
from support.aws_chunked import CRC32, HMAC, UNSIGNED
from support.exchanges_made import large, request
from support.processes import CLIENT_KEY, CLIENT_SECRET
from support.raw_s3 import header_signature

NOW = 1_700_000_000.0
HOST = "s3.test:6190"


def outgoing(asked, identity: str = "alice", names: Names | None = None, token: str | None = None) -> Outgoing:
    signer = Signer(KeyPair(CLIENT_KEY, CLIENT_SECRET, token), "eu-west-3")
    return Resigner(HOST, {"": signer}, lambda: NOW).outgoing(asked, identity, names or Names())


def is_signed(method: str, out: Outgoing) -> bool:
    authorization = dict(out.headers)["authorization"]
    expected = header_signature(method, out.target, out.headers, authorization, CLIENT_KEY, CLIENT_SECRET)
    return authorization.endswith(f"Signature={expected}") and "/20231114/eu-west-3/s3/" in authorization


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request("PUT", "a/b%20c", b"body", headers=(("x-amz-meta-colour", "blue"), ("content-type", "text/plain"))),
        request(query=(("list-type", "2"), ("prefix", "a%2Fb")), key=""),
        request("PUT", content=b"body", mode="UNSIGNED-PAYLOAD"),
        request("PUT", content=b"body", mode=HMAC),
        request("PUT", content=b"body", mode=UNSIGNED, headers=(("x-amz-trailer", CRC32),)),
        request("PUT", payload=large(100_000)),
    ],
    ids=["get", "put", "list", "unsigned-payload", "chunks", "trailer", "made-up"],
)
def test_botocore_computes_the_same_signature(asked):
    out = outgoing(asked)
    assert is_signed(asked.method, out)
    fields = dict(out.headers)
    assert fields["host"] == HOST
    length = sum(map(len, out.body()))
    assert fields.get("content-length", "0") == str(length)
    if asked.mode:
        assert fields["x-amz-content-sha256"] == asked.mode
    else:
        assert fields["x-amz-content-sha256"] == hashlib.sha256(b"".join(out.body())).hexdigest()


def test_a_presigned_url_is_presigned_anew_for_as_long():
    out = outgoing(request(expires=77, query=(("versionId", "v"),)))
    query = parse_qs(urlsplit(out.target).query)
    assert (query["X-Amz-Expires"], query["X-Amz-Date"], query["versionId"]) == (["77"], ["20231114T221320Z"], ["v"])
    assert len(query["X-Amz-Signature"][0]) == 64
    assert "authorization" not in dict(out.headers)


def test_a_presigned_request_signs_the_headers_that_s3_wants_signed():
    headers = (("x-amz-meta-colour", "blue"), ("content-type", "text/plain"), ("X-Amz-Acl", "private"))
    asked = request("PUT", expires=60, headers=tuple((name.lower(), value) for name, value in headers))
    out = outgoing(asked)
    (signed,) = parse_qs(urlsplit(out.target).query)["X-Amz-SignedHeaders"]
    assert signed == "host;x-amz-acl;x-amz-meta-colour"
    assert dict(out.headers)["x-amz-meta-colour"] == "blue"


def test_an_anonymous_upload_is_framed_as_it_was():
    asked = request("PUT", content=b"body", mode=UNSIGNED, headers=(("x-amz-trailer", CRC32),), signed=False)
    out = outgoing(asked)
    fields, body = dict(out.headers), b"".join(out.body())
    assert body.startswith(b"4\r\nbody\r\n0\r\n" + CRC32.encode())
    assert fields["content-length"] == str(len(body))
    assert fields["x-amz-content-sha256"] == UNSIGNED
    assert fields["x-amz-decoded-content-length"] == "4"


def test_a_wrong_payload_hash_is_wrong_again():
    out = outgoing(request("PUT", content=b"body", mode="0" * 64))
    assert dict(out.headers)["x-amz-content-sha256"] == "0" * 64
    assert is_signed("PUT", out)


def test_the_checksum_of_a_completed_object_is_not_made_of_the_document():
    headers = ((CRC32, "AAAAAA=="), ("x-amz-checksum-type", "FULL_OBJECT"), ("content-md5", "x"))
    names = Names()
    names.learn(Kind.TAG, ("demo", "key"), "old", "new")
    names.learn(Kind.CHECKSUM, ("demo", "key"), "AAAAAA==", "BBBBBB==")
    body = b"<CompleteMultipartUpload><Part><ETag>old</ETag></Part></CompleteMultipartUpload>"
    asked = request("POST", content=body, query=(("uploadId", "u"),), headers=headers)
    for known, expected in ((names, "BBBBBB=="), (Names(), "AAAAAA==")):
        fields = dict(outgoing(asked, names=known).headers)
        assert (fields[CRC32], fields["x-amz-checksum-type"]) == (expected, "FULL_OBJECT")
    assert dict(outgoing(asked, names=names).headers)["content-md5"] != "x"


def test_what_was_not_signed_is_not():
    assert not {"authorization", "x-amz-date"} & dict(outgoing(request(signed=False)).headers).keys()


def test_each_identity_has_its_own_signer():
    signers = {name: Signer(KeyPair(f"{name}-key", "secret"), "us-east-1") for name in ("alice", "bob")}
    resigner = Resigner(HOST, {**signers, "": Signer(KeyPair("other-key", "secret"), "us-east-1")}, lambda: NOW)
    for identity, key in (("alice", "alice-key"), ("bob", "bob-key"), ("carol", "other-key")):
        out = resigner.outgoing(request(), identity, Names())
        assert f"Credential={key}/" in dict(out.headers)["authorization"]


def test_a_session_token_is_sent_and_signed():
    fields = dict(outgoing(request(), token="fake-token").headers)
    assert fields["x-amz-security-token"] == "fake-token"
    assert "x-amz-security-token" in fields["authorization"]


def test_what_belonged_to_the_old_connection_is_left_out():
    old = (("host", "old"), ("content-length", "9"), ("transfer-encoding", "chunked"), ("expect", "100-continue"))
    fields = dict(outgoing(request(headers=(*old, ("x-amz-decoded-content-length", "9")))).headers)
    assert fields["host"] == HOST
    assert not fields.keys() & {"content-length", "transfer-encoding", "expect", "x-amz-decoded-content-length"}


def test_checksums_are_of_what_is_made_up_and_learned():
    names = Names()
    out = outgoing(
        request("PUT", payload=large(1000), headers=((CRC32, "AAAAAA=="), ("content-md5", "x"))), names=names
    )
    fields = dict(out.headers)
    assert fields[CRC32] != "AAAAAA=="
    assert names.current(Kind.CHECKSUM, ("demo", "key"), "AAAAAA==") == fields[CRC32]


def test_checksums_of_what_was_kept_stay():
    kept = request("PUT", payload=Payload.of(b"kept"), headers=((CRC32, "AAAAAA=="),))
    assert dict(outgoing(kept).headers)[CRC32] == "AAAAAA=="


def test_names_in_a_document_are_those_of_this_run_and_its_checksum_fits():
    names = Names()
    names.learn(Kind.TAG, ("demo", "key"), '"old"', '"new-and-longer"')
    body = b"<CompleteMultipartUpload><Part><ETag>old</ETag></Part></CompleteMultipartUpload>"
    out = outgoing(request("POST", content=body, headers=(("content-md5", "x"),)), names=names)
    assert b"".join(out.body()) == body.replace(b"old", b"new-and-longer")
    assert dict(out.headers)["content-md5"] != "x"
    assert is_signed("POST", out)


def test_an_object_that_looks_like_a_document_stays_what_it_is():
    names = Names()
    names.learn(Kind.TAG, ("demo", "key"), "old", "new")
    assert b"".join(outgoing(request("PUT", content=b"<ETag>old</ETag>"), names=names).body()) == b"<ETag>old</ETag>"


def test_no_secret_is_shown():
    out = outgoing(request(), token="fake-token")
    signer = Signer(KeyPair(CLIENT_KEY, CLIENT_SECRET, "fake-token"), "us-east-1")
    assert CLIENT_SECRET not in repr((out, signer))
    assert "fake-token" not in repr((out, signer))
