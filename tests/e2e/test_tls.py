"""TLS on both sides: HTTP/1.1 and HTTP/2 from clients, certificates of backends judged bucket by bucket."""

import pytest
from botocore.exceptions import ClientError
from h2.errors import ErrorCodes

from support.certificates import certificate
from support.http2 import http2
from support.processes import BIN, CLIENT_KEY, CLIENT_SECRET, Running, config_for, gateway, rclone_server
from support.raw import ask, talk
from support.s3 import client
from support.signing import signed
from support.upstream import recording_upstream

RECORDED = """
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{'demo': dict(host='127.0.0.1', port={port}, is_tls_enabled=False,
                           access_key='recorder-fake-key', secret_key='recorder-fake-secret')}},
    hmac_keystore=[dict(access_key={key!r}, secret_key={secret!r})],
    validator=lambda token, bucket, request: not request.key.startswith('denied/'),
    {extra}
)
"""


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("front"), "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def recorder():
    with recording_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module", params=["arguments", "environment"])
def front(request, cert, recorder, tmp_path_factory):
    """A gateway with a certificate of the operator's, given in either way."""
    by_arguments = request.param == "arguments"
    extra = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r}" if by_arguments else ""
    env = {} if by_arguments else {"TLS_CERT_PATH": str(cert.chain), "TLS_KEY_PATH": str(cert.key)}
    config = RECORDED.format(port=recorder.port, key=CLIENT_KEY, secret=CLIENT_SECRET, extra=extra)
    with gateway(tmp_path_factory.mktemp("tls"), config, env=env) as running:
        yield running


@pytest.fixture
def seen(recorder):
    recorder.forget()
    return recorder.requests


def test_clients_see_the_operators_certificate_over_http1(front, cert, seen):
    port = front.ports[0]
    assert ask(port, signed(port, "GET", "/demo/key").octets, cert.client_context()).status == 200


def test_clients_see_the_operators_certificate_over_http2(front, cert, seen):
    port = front.ports[0]
    with http2(port, cert.client_context(["h2", "http/1.1"])) as connection:
        assert connection.ask(signed(port, "GET", "/demo/key")).status == 200


def test_boto3_works_over_tls(front, cert, prefix):
    s3 = client(f"https://localhost:{front.ports[0]}", verify=str(cert.authority))
    assert s3.get_object(Bucket="demo", Key=prefix + "key")["Body"].read() == b"from the store"


def test_plain_http_and_tls_share_a_port_that_is_not_for_tls_only(front):
    port = front.ports[0]
    assert ask(port, signed(port, "GET", "/demo/key").octets).status == 200


@pytest.fixture
def h2(front, cert):
    with http2(front.ports[0], cert.client_context(["h2", "http/1.1"])) as connection:
        yield connection


def test_an_upload_over_http2_arrives_whole(h2, front, seen):
    body = bytes(range(256)) * 4096
    assert h2.ask(signed(front.ports[0], "PUT", "/demo/key", body)).status == 200
    assert bytes(seen[0].body) == body


def test_many_streams_of_one_connection_are_served(h2, front, seen):
    targets = [f"/demo/key{number}" for number in range(20)]
    requests = [signed(front.ports[0], "GET", target) for target in targets]
    assert [h2.ask(request).status for request in requests] == [200] * 20
    assert [request.target for request in seen] == targets


def test_an_upload_refused_over_http2_is_answered_before_its_body(h2, front, seen):
    request = signed(front.ports[0], "PUT", "/demo/denied/key", payload_hash="UNSIGNED-PAYLOAD", length=2**30)
    number = h2.start(
        [(":method", "PUT"), (":scheme", "https"), (":authority", request.header("host")), (":path", request.target)]
        + [(name.lower(), value) for name, value in request.headers if name.lower() != "host"],
        end=False,
    )
    assert h2.answer(number).status == 403
    assert h2.reset_code(number) == ErrorCodes.NO_ERROR  # stop sending, the answer is complete
    assert not seen
    assert h2.ask(signed(front.ports[0], "GET", "/demo/key")).status == 200


def test_what_a_client_sends_after_a_refusal_over_http2_is_thrown_away_and_its_connection_lives(h2, front, seen):
    request = signed(front.ports[0], "PUT", "/demo/denied/key", b"z" * 2**20, payload_hash="UNSIGNED-PAYLOAD")
    assert h2.ask(request).status == 403
    assert h2.ask(signed(front.ports[0], "GET", "/demo/key")).status == 200
    assert [request.target for request in seen] == ["/demo/key"]


def test_a_wrong_body_over_http2_is_cut_off(h2, front, recorder, seen):
    request = signed(front.ports[0], "PUT", "/demo/key", b"a" * 300_000)
    assert h2.ask(request.but(body=b"a" * 299_999 + b"b")).code == "XAmzContentSHA256Mismatch"
    cut = recorder.wait_for_request("/demo/key")
    assert cut.ended.wait(60)
    assert not cut.complete


HTTP2_ATTACKS = {
    "unsigned": lambda r: (r.without("authorization"), None, ()),
    "another authority": lambda r: (r, "another.test", ()),
    "a Host beside the authority": lambda r: (r, None, [("host", "another.test")]),
    "a line break in a name": lambda r: (r, None, [("x-a\r\nx-amz-acl", "public-read")]),
    "a colon in a name": lambda r: (r, None, [("x-a: b\r\nx", "public-read")]),
    "a line break in a value": lambda r: (r, None, [("x-a", "b\r\nx-amz-acl: public-read")]),
    "an upper-case name": lambda r: (r, None, [("X-Amz-Acl", "public-read")]),
    "an unsigned amz header": lambda r: (r, None, [("x-amz-acl", "public-read")]),
    "an underscore": lambda r: (r, None, [("x_amz_acl", "public-read")]),
    "a date given twice": lambda r: (r, None, [("x-amz-date", r.header("x-amz-date"))]),
    "transfer-encoding": lambda r: (r, None, [("transfer-encoding", "chunked")]),
    "connection": lambda r: (r, None, [("connection", "x-amz-date")]),
    "a line break in the path": lambda r: (r.but(target="/demo/key HTTP/1.1\r\nx-amz-acl: a"), None, ()),
    "a line break in the query": lambda r: (r.but(target="/demo/key?a HTTP/1.1\r\nx-amz-acl: a"), None, ()),
    "a line break in the method": lambda r: (r.but(method="GET /demo/x HTTP/1.1\r\n"), None, ()),
    "an absolute path": lambda r: (r.but(target="http://127.0.0.1/demo/key"), None, ()),
    "an empty path": lambda r: (r.but(target=""), None, ()),
    "a second path": lambda r: (r, None, [(":path", "/demo/another")]),
}


@pytest.mark.parametrize("attack", HTTP2_ATTACKS)
def test_an_attack_over_http2_does_not_reach_the_store(h2, front, cert, seen, recorder, attack):
    port = front.ports[0]
    request, authority, extra = HTTP2_ATTACKS[attack](signed(port, "GET", "/demo/key"))
    answer = h2.ask(request, authority=authority, extra=extra)
    assert answer is None or answer.status in (400, 403)
    assert ask(port, signed(port, "GET", "/demo/last").octets, cert.client_context()).status == 200
    assert [request.target for request in recorder.requests] == ["/demo/last"]


@pytest.mark.parametrize("length", ["2", "9"])
def test_a_body_over_http2_of_another_length_than_promised_is_not_completed(h2, front, recorder, seen, length):
    request = signed(front.ports[0], "PUT", "/demo/key", b"body", payload_hash="UNSIGNED-PAYLOAD")
    answer = h2.ask(request.with_changed("content-length", lambda _: length))
    assert answer is None or answer.status == 400
    assert all(request.ended.wait(60) and not request.complete for request in recorder.requests)


@pytest.fixture(scope="module")
def tls_only(cert, recorder, tmp_path_factory):
    """A gateway whose https_port is the only one."""
    folder = tmp_path_factory.mktemp("tls-only")
    extra = f"https_port=0, listen_host='127.0.0.1', cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r}"
    config = folder / "server.py"
    config.write_text(RECORDED.format(port=recorder.port, key=CLIENT_KEY, secret=CLIENT_SECRET, extra=extra))
    running = Running([str(BIN / "osp"), "serve", str(config)], folder / "log")
    try:
        yield int(running.wait_for(r"listening at [^\s]*?:(\d+)\.?\s")[0][1])
    finally:
        running.stop()


def test_an_https_port_serves_tls(tls_only, cert):
    assert ask(tls_only, signed(tls_only, "GET", "/demo/key").octets, cert.client_context()).status == 200


def test_plain_http_on_an_https_port_is_refused(tls_only, seen):
    assert ask(tls_only, signed(tls_only, "GET", "/demo/key").octets).status == 400
    assert not seen


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores with TLS: the gateway knows the authority of the first one."""
    known = certificate(tmp_path_factory.mktemp("known"), "127.0.0.1", "localhost")
    unknown = certificate(tmp_path_factory.mktemp("unknown"), "127.0.0.1", "localhost")
    with (
        rclone_server(tmp_path_factory.mktemp("rclone-known"), known.rclone_arguments) as first,
        rclone_server(tmp_path_factory.mktemp("rclone-unknown"), unknown.rclone_arguments) as second,
    ):
        for store in (first, second):
            (store.make_bucket("demo") / "key").write_text("from the store")
        yield first, second, known


@pytest.fixture(scope="module")
def before_tls(stores, tmp_path_factory):
    first, second, known = stores
    buckets = (
        "'misnamed': {**STORE, 'host': 'wrong.localhost', 'bucket': 'demo', 'addressing_style': 'path'},"
        "'misnamed-unverified': {**STORE, 'host': 'wrong.localhost', 'bucket': 'demo',"
        "    'addressing_style': 'path', 'verify': False},"
        f"'stranger': {{**STORE, 'port': {second.port}, 'bucket': 'demo'}},"
        f"'stranger-unverified': {{**STORE, 'port': {second.port}, 'bucket': 'demo', 'verify': False}},"
    )
    with gateway(
        tmp_path_factory.mktemp("before-tls"),
        config_for(first, extra_buckets=buckets),
        options={"ssl_verify_upstream_trusted_ca": str(known.authority)},
    ) as running:
        yield running


def test_a_backend_with_a_trusted_certificate_is_used(before_tls):
    assert client(before_tls.url).get_object(Bucket="demo", Key="key")["Body"].read() == b"from the store"


def test_an_upload_over_tls_to_the_backend_arrives(before_tls, prefix):
    body = b"a" * 300_000
    s3 = client(before_tls.url)
    s3.put_object(Bucket="demo", Key=prefix + "key", Body=body)
    assert s3.get_object(Bucket="demo", Key=prefix + "key")["Body"].read() == body


@pytest.mark.parametrize("bucket", ["stranger", "misnamed"])
def test_a_backend_with_a_wrong_certificate_is_not_used(before_tls, bucket):
    with pytest.raises(ClientError) as caught:
        client(before_tls.url).get_object(Bucket=bucket, Key="key")
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert error["Error"]["Code"] == "ServiceUnavailable"
    assert "certificate" in error["Error"]["Message"]


@pytest.mark.parametrize("bucket", ["stranger-unverified", "misnamed-unverified"])
def test_a_bucket_with_verify_false_takes_any_certificate(before_tls, bucket):
    assert client(before_tls.url).get_object(Bucket=bucket, Key="key")["Body"].read() == b"from the store"


@pytest.mark.parametrize("name", ["stranger", "misnamed"])
def test_a_bucket_that_verifies_never_rides_on_a_connection_of_one_that_does_not(before_tls, name):
    port = before_tls.ports[0]
    with talk(port) as connection:  # one client connection: the gateway shares backend connections within it
        statuses = []
        for bucket in (f"{name}-unverified", name, f"{name}-unverified", name):
            connection.send(signed(port, "GET", f"/{bucket}/key").octets)
            statuses.append(connection.read_answer().status)
    assert statuses == [200, 503, 200, 503]
