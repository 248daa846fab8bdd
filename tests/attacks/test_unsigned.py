"""Requests without a signature, in every disguise: none of them leaves the gateway."""

import pytest

from support.raw import ask, talk

PLAIN = {
    "GET": "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "HEAD": "HEAD {path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "OPTIONS": "OPTIONS {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://page.test\r\n"
    "Access-Control-Request-Method: PUT\r\n\r\n",
    "DELETE": "DELETE {path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "PUT": "PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc",
    "lower-case method": "get {path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "invented method": "FROBNICATE {path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "list buckets": "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "list objects": "GET /demo?list-type=2 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "Expect": "PUT {path} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "uploadId": "PUT {path}?partNumber=1&uploadId=u HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc",
    "uploads": "POST {path}?uploads HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n",
    "X-Forwarded-For": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 127.0.0.1\r\n"
    "X-Forwarded-Proto: https\r\nX-Forwarded-Host: {host}\r\nForwarded: for=127.0.0.1\r\n\r\n",
    "method override": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-HTTP-Method-Override: PUT\r\n\r\n",
    "upgrade to websocket": "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "upgrade to h2c": "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade, HTTP2-Settings\r\n"
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "signature of nobody in a header of its own": "GET {path} HTTP/1.1\r\nHost: {host}\r\n"
    "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\nX-Amz-Date: 20300101T000000Z\r\n\r\n",
    "proxy authorization": "GET {path} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic Zm9vOmJhcg==\r\n\r\n",
    "absolute-form target": "GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "virtual-host style": "GET /{prefix}key HTTP/1.1\r\nHost: demo.osp.localhost\r\n\r\n",
}

OTHER_SCHEMES = {
    "Basic": "Basic Zm9vOmJhcg==",
    "Bearer": "Bearer fake-token",
    "SigV2": "AWS client-fake-key:c2lnbmF0dXJl",
    "SigV4A": "AWS4-ECDSA-P256-SHA256 Credential=client-fake-key/20300101/s3/aws4_request, "
    "SignedHeaders=host, Signature=00",
    "lower-case algorithm": "aws4-hmac-sha256 Credential=client-fake-key/20300101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=" + "0" * 64,
    "algorithm alone": "AWS4-HMAC-SHA256",
    "algorithm and nothing": "AWS4-HMAC-SHA256 ",
    "empty": "",
}

MALFORMED = {
    "no Host": "GET {path} HTTP/1.1\r\n\r\n",
    "no Host in HTTP/1.0": "GET {path} HTTP/1.0\r\n\r\n",
    "empty Host": "GET {path} HTTP/1.1\r\nHost:\r\n\r\n",
    "double slash before the bucket": "GET //demo/{prefix}key HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "asterisk": "OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "relative target": "GET demo/{prefix}key HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "space in the target": "GET /demo/{prefix} key HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "CONNECT to the store": "CONNECT 127.0.0.1:{recorder} HTTP/1.1\r\nHost: 127.0.0.1:{recorder}\r\n\r\n",
    "absolute-form target at the store": "GET http://127.0.0.1:{recorder}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "absolute-form target with a user": "GET http://u@{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "absolute-form target of another scheme": "GET ftp://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "HTTP/2 preface in the clear": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "not HTTP": "hello there\r\n\r\n",
    "SigV2 in the query": "GET {path}?AWSAccessKeyId=client-fake-key&Expires=9999999999&Signature=c2ln HTTP/1.1\r\n"
    "Host: {host}\r\n\r\n",
    "part of a presigned URL": "GET {path}?X-Amz-Credential=client-fake-key HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "presigned URL in lower case": "GET {path}?x-amz-algorithm=AWS4-HMAC-SHA256&x-amz-signature=00 HTTP/1.1\r\n"
    "Host: {host}\r\n\r\n",
}


def fill(template, target):
    return template.format(
        path=target.path, prefix=target.prefix, host=f"127.0.0.1:{target.port}", recorder=target.recorder.port
    ).encode()


@pytest.mark.parametrize("disguise", PLAIN)
def test_an_unsigned_request_is_denied(target, disguise):
    answer = ask(target.port, fill(PLAIN[disguise], target))
    assert answer.status == 403
    assert answer.code == ("" if disguise == "HEAD" else "AccessDenied")
    assert answer.headers["x-amz-request-id"]
    target.assert_nothing_left()


@pytest.mark.parametrize("scheme", OTHER_SCHEMES)
def test_another_authorization_scheme_is_refused(target, scheme):
    request = f"GET {target.path} HTTP/1.1\r\nHost: h\r\nAuthorization: {OTHER_SCHEMES[scheme]}\r\n\r\n"
    answer = ask(target.port, request.encode())
    assert answer.status in (400, 403)
    assert answer.code in ("InvalidRequest", "AuthorizationHeaderMalformed", "AccessDenied")
    target.assert_nothing_left()


@pytest.mark.parametrize("form", MALFORMED)
def test_a_malformed_request_is_refused(target, form):
    assert ask(target.port, fill(MALFORMED[form], target)).status == (405 if form.startswith("CONNECT") else 400)
    target.assert_nothing_left()


def test_a_refused_head_request_has_headers_only(target):
    with talk(target.port) as connection:
        connection.send(f"HEAD {target.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        answer = connection.read_answer("HEAD")
        assert answer.status == 403
        connection.send(f"GET {target.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert connection.read_answer().status == 403  # no stray body in between


def test_an_unsigned_bucket_list_names_no_bucket(target):
    answer = ask(target.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"demo" not in answer.body


FORMS = {
    "without a policy": {"key": "x"},
    "with a policy and no signature": {"key": "x", "policy": "e30="},
    "with an older signature": {"key": "x", "policy": "e30=", "AWSAccessKeyId": "client-fake-key", "signature": "x"},
    "without a key": {},
}


@pytest.mark.parametrize("fields", FORMS.values(), ids=FORMS)
def test_a_form_that_nobody_signed_is_refused_and_not_passed_on(target, fields):
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    parts.append('--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\ncontent\r\n--b--\r\n')
    body = "".join(parts).encode()
    head = f"POST /demo HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nContent-Length: {len(body)}\r\n"
    answer = ask(target.port, head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + body)
    assert answer.status in (400, 403)
    target.assert_nothing_left()
