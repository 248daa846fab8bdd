"""Requests signed by somebody else, at another time, or for something else."""

import pytest

from support.signing import now, presigned, signed

HOUR = 3600


@pytest.mark.parametrize("sign", [signed, presigned])
def test_a_wrong_secret_is_refused(target, sign):
    answer = target.ask(sign(target.port, "GET", target.path, secret="wrong-fake-secret"))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    target.assert_nothing_left()


@pytest.mark.parametrize("sign", [signed, presigned])
def test_an_unknown_key_is_refused(target, sign):
    answer = target.ask(sign(target.port, "GET", target.path, key="unknown-fake-key"))
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    target.assert_nothing_left()


@pytest.mark.parametrize("key", ["recorder-fake-key", "backend-fake-key"])
def test_a_backends_own_key_is_no_client_key(target, key):
    secret = key.replace("key", "secret")
    answer = target.ask(signed(target.port, "GET", target.path, key=key, secret=secret))
    assert answer.code == "InvalidAccessKeyId"
    target.assert_nothing_left()


def test_a_signature_by_one_key_does_not_pass_for_another(target):
    request = signed(target.port, "GET", target.path, key="second-fake-key", secret="second-fake-secret")
    request = request.with_changed("authorization", lambda value: value.replace("second-fake-key", "client-fake-key"))
    assert target.ask(request).code == "SignatureDoesNotMatch"
    target.assert_nothing_left()


@pytest.mark.parametrize("seconds", [-HOUR, HOUR, -16 * 60, 16 * 60, -365 * 24 * HOUR])
def test_a_skewed_date_is_refused(target, seconds):
    answer = target.ask(signed(target.port, "GET", target.path, at=now(seconds)))
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
    target.assert_nothing_left()


@pytest.mark.parametrize("seconds", [-10 * 60, 10 * 60])
def test_a_date_a_few_minutes_off_is_accepted(target, seconds):
    assert target.ask(signed(target.port, "GET", target.path, at=now(seconds))).status == 200


def test_a_url_that_has_expired_is_refused(target):
    answer = target.ask(presigned(target.port, "GET", target.path, expires=600, at=now(-601)))
    assert (answer.status, answer.code, answer.message) == (403, "AccessDenied", "Request has expired")
    target.assert_nothing_left()


def test_a_url_from_the_future_is_refused(target):
    answer = target.ask(presigned(target.port, "GET", target.path, at=now(HOUR)))
    assert (answer.status, answer.code) == (403, "AccessDenied")
    target.assert_nothing_left()


@pytest.mark.parametrize("expires", [0, -1, 604801, 10**30])
def test_a_url_with_a_life_out_of_bounds_is_refused(target, expires):
    answer = target.ask(presigned(target.port, "GET", target.path, expires=expires))
    assert (answer.status, answer.code) == (400, "AuthorizationQueryParametersError")
    target.assert_nothing_left()


@pytest.mark.parametrize("sign", [signed, presigned])
@pytest.mark.parametrize("service", ["sts", "s3express", "S3", "s3-object-lambda"])
def test_a_signature_for_another_service_is_refused(target, sign, service):
    answer = target.ask(sign(target.port, "GET", target.path, service=service))
    assert answer.status == 400
    target.assert_nothing_left()


def change_date(request):
    return request.with_changed("x-amz-date", lambda _: now(-30).strftime("%Y%m%dT%H%M%SZ"))


def change_signature(request):
    return request.with_changed("authorization", lambda v: v[:-1] + ("0" if v[-1] != "0" else "1"))


def upper_case_signature(request):
    return request.with_changed("authorization", lambda v: v[:-64] + "A" * 64)


TAMPERED = {
    "method": lambda r: r.but(method="DELETE"),
    "method HEAD": lambda r: r.but(method="HEAD"),
    "lower-case method": lambda r: r.but(method="put"),
    "key": lambda r: r.but(target=r.target.replace("key", "kez")),
    "key longer": lambda r: r.but(target=r.target.replace("?", "x?")),
    "bucket": lambda r: r.but(target=r.target.replace("/demo/", "/other/")),
    "slash added": lambda r: r.but(target=r.target.replace("/demo/", "/demo//")),
    "slash at the end": lambda r: r.but(target=r.target.replace("?", "/?")),
    "query value": lambda r: r.but(target=r.target.replace("partNumber=1", "partNumber=2")),
    "query parameter added": lambda r: r.but(target=r.target + "&versionId=v"),
    "unknown query parameter added": lambda r: r.but(target=r.target + "&foo=bar"),
    "query parameter removed": lambda r: r.but(target=r.target.replace("partNumber=1&", "")),
    "query removed": lambda r: r.but(target=r.target.partition("?")[0]),
    "signed header": lambda r: r.with_changed("content-type", lambda _: "text/html"),
    "signed header removed": lambda r: r.without("content-type"),
    "signed header given twice": lambda r: r.plus("Content-Type", "text/html"),
    "signed user header": lambda r: r.with_changed("x-amz-meta-a", lambda _: "2"),
    "signed header in other case and value": lambda r: r.with_changed("x-amz-meta-a", lambda _: "1 2"),
    "host": lambda r: r.with_changed("host", lambda _: "other.test"),
    "host's port": lambda r: r.with_changed("host", lambda v: v.partition(":")[0]),
    "host names a bucket": lambda r: r.with_changed("host", lambda _: "other.osp.localhost"),
    "date": change_date,
    "payload hash": lambda r: r.with_changed("x-amz-content-sha256", lambda _: "0" * 64),
    "payload not signed": lambda r: r.with_changed("x-amz-content-sha256", lambda _: "UNSIGNED-PAYLOAD"),
    "signature": change_signature,
    "upper-case signature": upper_case_signature,
    "shorter signature": lambda r: r.with_changed("authorization", lambda v: v[:-1]),
    "no signature": lambda r: r.with_changed("authorization", lambda v: v[:-64]),
    "region": lambda r: r.with_changed("authorization", lambda v: v.replace("us-east-1", "eu-west-1")),
    "no region": lambda r: r.with_changed("authorization", lambda v: v.replace("us-east-1", "")),
    "fewer signed headers": lambda r: r.with_changed("authorization", lambda v: v.replace("content-type;", "")),
    "host not signed": lambda r: r.with_changed("authorization", lambda v: v.replace("host;", "")),
    "amz headers not signed": lambda r: r.with_changed("authorization", lambda v: v.replace(";x-amz-meta-a", "")),
    "x-amz-acl added": lambda r: r.plus("x-amz-acl", "public-read"),
    "X-AMZ-ACL added": lambda r: r.plus("X-AMZ-ACL", "public-read"),
    "x_amz_acl added": lambda r: r.plus("x_amz_acl", "public-read"),
    "X_Amz-Copy_Source added": lambda r: r.plus("X_Amz-Copy_Source", "/other/key"),
    "x-amz-copy-source added": lambda r: r.plus("x-amz-copy-source", "/other/key"),
    "x-amz-security-token added": lambda r: r.plus("x-amz-security-token", "fake"),
    "x-amz-bypass-governance-retention added": lambda r: r.plus("x-amz-bypass-governance-retention", "true"),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_a_tampered_request_is_refused(target, change):
    headers = (("Content-Type", "text/plain"), ("x-amz-meta-a", "1"))
    query = "?partNumber=1&uploadId=u"
    original = signed(target.port, "PUT", target.path + query, b"body", headers)
    answer = target.ask(TAMPERED[change](original))
    assert answer.status in (400, 403), answer
    target.assert_nothing_left()


def test_the_same_request_untampered_is_accepted(target):
    headers = (("Content-Type", "text/plain"), ("x-amz-meta-a", "1"))
    request = signed(target.port, "PUT", target.path + "?partNumber=1&uploadId=u", b"body", headers)
    assert target.ask(request).status == 200
    assert target.only_request() == target.path + "?partNumber=1&uploadId=u"


def test_the_store_never_sees_the_clients_signature(target):
    request = signed(target.port, "GET", target.path)
    target.ask(request)
    (seen,) = target.recorder.requests
    assert "Credential=recorder-fake-key/" in seen.header("authorization")
    assert b"client-fake-key" not in seen.head


def test_a_session_token_is_refused_where_no_session_is_known(target):
    answer = target.ask(signed(target.port, "GET", target.path, token="fake-session-token"))
    assert answer.code == "InvalidToken"
    target.assert_nothing_left()


CHUNKED = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (411, "MissingContentLength"),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (411, "MissingContentLength"),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (411, "MissingContentLength"),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD": (411, "MissingContentLength"),
}


@pytest.mark.parametrize("mode", CHUNKED)
def test_a_chunked_body_without_its_decoded_length_is_refused_and_not_passed_on(target, mode):
    answer = target.ask(signed(target.port, "PUT", target.path, b"0\r\n\r\n", payload_hash=mode))
    assert (answer.status, answer.code) == CHUNKED[mode]
    target.assert_nothing_left()


@pytest.mark.parametrize("mode", CHUNKED)
@pytest.mark.parametrize("body", [b"", b"3\r\nabc\r\n0\r\n\r\n", b"3;chunk-signature=" + b"0" * 64 + b"\r\nabc\r\n"])
def test_a_chunked_body_that_is_none_is_refused_and_not_passed_on(target, mode, body):
    headers = (("x-amz-decoded-content-length", "3"), ("x-amz-trailer", "x-amz-checksum-crc32"))
    answer = target.ask(signed(target.port, "PUT", target.path, body, headers=headers, payload_hash=mode))
    assert answer.status in (400, 403, 501)
    target.assert_nothing_left()


@pytest.mark.parametrize("value", ["abc", "unsigned-payload", "A" * 64, "0" * 63, "STREAMING"])
def test_an_unknown_payload_hash_is_refused(target, value):
    request = signed(target.port, "PUT", target.path, b"body", payload_hash=value)
    assert target.ask(request).status == 400
    target.assert_nothing_left()
