"""A line of the access log."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.observe.access_log import AccessLog, line_of
from osp_gateway.observe.exchange import Answer, Caller, Timings
from osp_gateway.s3.head import RequestHead
from support.observed import HEAD, exchange, verdict

S3_FIELDS = """
bucket_owner bucket time remote_ip requester request_id operation key request_uri http_status error_code bytes_sent
object_size total_time turn_around_time referrer user_agent version_id host_id signature_version cipher_suite
authentication_type host_header tls_version access_point_arn acl_required
""".split()  # noqa: SIM905 - as the manual lists them
OCTETS = st.text(alphabet=st.characters(max_codepoint=255))


def document(**changes):
    return json.loads(line_of(exchange(**changes)))


def head(query="", **headers):
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return RequestHead("GET", "/demo/key", query, pairs)


def test_the_fields_are_s3s_in_its_order_and_then_ours():
    assert list(document())[: len(S3_FIELDS)] == S3_FIELDS


def test_an_allowed_request():
    found = document()
    assert found["time"] == "2023-11-14T22:13:20.250Z"
    assert (found["bucket"], found["key"], found["requester"]) == ("demo", "key", "reader")
    assert (found["operation"], found["operation_name"]) == ("REST.GET.OBJECT", "GetObject")
    assert found["request_uri"] == "GET /demo/key HTTP/1.1"
    assert (found["http_status"], found["error_code"]) == (200, None)
    assert (found["bytes_sent"], found["object_size"]) == (14, 14)
    assert (found["total_time"], found["turn_around_time"]) == (12, 4)
    assert (found["admit_ms"], found["upstream_first_byte_ms"], found["total_ms"]) == (0.15, 3.0, 12.0)
    assert (found["verdict"], found["reason"], found["reason_class"]) == ("allowed", "allowed by may", None)
    assert (found["cache"], found["upstream"], found["complete"]) == ("hit", "store:443 (demo)", True)
    assert (found["request_id"], found["decision_id"]) == ("STORE", "0123456789ABCDEF")
    assert (found["host_header"], found["user_agent"], found["remote_ip"]) == ("localhost:6190", "boto", "192.0.2.7")


def test_who_only_claimed_to_be_somebody_is_no_requester():
    refused = verdict(operation="-", allowed=False, who="reader")
    found = document(verdict=refused, refused=True, answer=Answer(403, error_code="SignatureDoesNotMatch"))
    assert (found["requester"], found["identity"]) == (None, "reader")
    assert (found["verdict"], found["reason_class"], found["cache"]) == ("refused", "identity", None)


@pytest.mark.parametrize("who", ["anonymous", "reader (unverified)", "-"])
def test_nobody_is_no_requester(who):
    assert document(verdict=verdict(who=who))["requester"] is None


def test_a_request_that_could_not_be_read():
    found = document(verdict=None, head=None, refused=True, answer=Answer(400, "ID", error_code="InvalidRequest"))
    assert found["operation"] == "REST.UNKNOWN.SERVICE"
    assert (found["request_id"], found["verdict"], found["error_code"]) == ("ID", "refused", "InvalidRequest")
    assert found["request_uri"] is None


def test_a_request_without_an_answer():
    found = document(answer=None, complete=False, timings=Timings(1.0), sent=0)
    assert (found["http_status"], found["complete"], found["turn_around_time"]) == (None, False, None)
    assert found["request_id"] == "0123456789ABCDEF"


def test_tls_and_versions():
    found = document(
        caller=Caller("192.0.2.7", "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        answer=Answer(200, "STORE", "HOST", "V1", 5),
        verdict=verdict(tls_subject="CN=reader"),
    )
    assert (found["tls_version"], found["cipher_suite"]) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert (found["host_id"], found["version_id"], found["tls_subject"]) == ("HOST", "V1", "CN=reader")


@pytest.mark.parametrize(
    ("given_head", "expected"),
    [
        (head(), (None, None)),
        (head(Authorization="AWS4-HMAC-SHA256 Credential=x"), ("SigV4", "AuthHeader")),
        (head(Authorization="AWS4-ECDSA-P256-SHA256 Credential=x"), ("SigV4A", "AuthHeader")),
        (head(Authorization="AWS key:signature"), ("SigV2", "AuthHeader")),
        (head(Authorization="Bearer x"), (None, "AuthHeader")),
        (head("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1"), ("SigV4", "QueryString")),
        (head("X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Signature=1"), ("SigV4A", "QueryString")),
        (head("AWSAccessKeyId=x&Signature=y&Expires=1"), ("SigV2", "QueryString")),
    ],
)
def test_how_a_request_was_signed(given_head, expected):
    found = document(head=given_head)
    assert (found["signature_version"], found["authentication_type"]) == expected


def test_sizes_of_objects():
    upload = verdict(operation="PutObject")
    assert document(verdict=upload, received=77, sent=0)["object_size"] == 77
    assert document(verdict=upload, received=70, complete=False)["object_size"] is None
    assert document(answer=Answer(206, size=5000), sent=10)["object_size"] == 5000
    assert document(answer=Answer(404, size=200))["object_size"] is None
    assert document(verdict=verdict(operation="ListObjectsV2"), answer=Answer(200, size=200))["object_size"] is None


SECRETS = {
    "authorization": head(Authorization="AWS4-HMAC-SHA256 Credential=k, Signature=FAKESECRET"),
    "security token": head(x_amz_security_token="FAKESECRET"),
    "cookie": head(Cookie="session=FAKESECRET"),
    "presigned": head("X-Amz-Signature=FAKESECRET&X-Amz-Security-Token=FAKESECRET&X-Amz-Credential=FAKESECRET"),
    "sigv2": head("AWSAccessKeyId=FAKESECRET&Signature=FAKESECRET"),
    "customer key": head(x_amz_server_side_encryption_customer_key="FAKESECRET"),
    "referrer": head(Referer="https://h/b/k?X-Amz-Signature=FAKESECRET"),
    "encoded referrer": head(Referer="http%3A%2F%2Fh%2Fk%3FX-Amz-Signature%3DFAKESECRET"),
    "user agent": head(User_Agent="agent (/b/k?X-Amz-Signature%3DFAKESECRET)"),
    "encoded query": head("X-Amz-Algorithm%3DAWS4-HMAC-SHA256%26X-Amz-Signature%3DFAKESECRET"),
    "form": head("WebIdentityToken=FAKESECRET&Action=AssumeRoleWithWebIdentity"),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_of_a_request_is_in_its_line(kind):
    assert b"FAKESECRET" not in line_of(exchange(head=SECRETS[kind]))


def test_parameters_that_the_operator_names_are_masked_too():
    url = "/b/k?a=b&X-Ticket=FAKESECRET"
    request = exchange(head=head("x_ticket=FAKESECRET", Referer=f"https://h{url}", User_Agent=f"agent ({url})"))
    assert b"FAKESECRET" in line_of(request)
    assert b"FAKESECRET" not in line_of(request, frozenset({"x-ticket"}))
    lines = []
    AccessLog(lines.append, lambda: frozenset({"x-ticket"})).finished(request)
    assert lines == [line_of(request, frozenset({"x-ticket"}))]


@given(OCTETS, OCTETS, OCTETS, OCTETS, st.text(), st.text())
def test_whatever_comes_it_is_one_line_of_ascii(method, path, query, value, key, who):
    sent = RequestHead(method, path, query, (("User-Agent", value), ("Referer", value), ("Host", value)))
    line = line_of(exchange(head=sent, verdict=verdict(key=key, who=who, bucket=key, reason=who, upstream=value)))
    assert line.isascii()
    assert line.endswith(b"\n")
    assert all(0x20 <= octet < 0x7F for octet in line[:-1])
    assert list(json.loads(line))[: len(S3_FIELDS)] == S3_FIELDS


def test_a_line_has_a_bound():
    huge = "\x00" * 100_000
    sent = RequestHead("G" * 100_000, huge, huge, (("User-Agent", huge), ("Referer", huge), ("Host", huge)))
    line = line_of(exchange(head=sent, verdict=verdict(key=huge, who=huge, bucket=huge, reason=huge, upstream=huge)))
    assert len(line) < 64 * 1024


def test_the_line_goes_where_it_is_to_go():
    lines = []
    AccessLog(lines.append).finished(exchange(head=HEAD))
    assert lines == [line_of(exchange(head=HEAD))]
