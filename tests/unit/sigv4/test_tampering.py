"""Whatever is changed in a signed request, the request is refused."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.presigned import AUTH_PARAMETERS
from support import oracle
from support.oracle import NOW, Ask, asks, judge

Change = Callable[[RequestHead], RequestHead]
several = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def method(head: RequestHead) -> RequestHead:
    return _with(head, method="DELETE" if head.method != "DELETE" else "PUT")


def a_longer_path(head: RequestHead) -> RequestHead:
    return _with(head, path=head.path + "x")


def another_bucket(head: RequestHead) -> RequestHead:
    return _with(head, path="/other" + head.path)


def a_doubled_slash(head: RequestHead) -> RequestHead:
    return _with(head, path="/" + head.path)


def a_dot_segment(head: RequestHead) -> RequestHead:
    return _with(head, path="/." + head.path)


def one_more_parameter(head: RequestHead) -> RequestHead:
    return _with(head, query=f"{head.query}&added" if head.query else "added")


def a_changed_parameter(head: RequestHead) -> RequestHead:
    return _with(head, query=head.query.replace("probe=", "probe=x", 1))


def a_renamed_parameter(head: RequestHead) -> RequestHead:
    return _with(head, query=head.query.replace("probe=", "prob=", 1))


def one_parameter_less(head: RequestHead) -> RequestHead:
    return _with(head, query="&".join(p for p in head.query.split("&") if not p.startswith("probe=")))


def a_repeated_parameter(head: RequestHead) -> RequestHead:
    return _with(head, query=f"{head.query}&probe=1")


def a_changed_header(head: RequestHead) -> RequestHead:
    return _headers(head, lambda name, value: value + "x" if name == "x-amz-meta-probe" else value)


def one_header_less(head: RequestHead) -> RequestHead:
    return _with(head, headers=tuple(pair for pair in head.headers if pair[0].lower() != "x-amz-meta-probe"))


def a_repeated_header(head: RequestHead) -> RequestHead:
    return _with(head, headers=(*head.headers, ("x-amz-meta-probe", "again")))


def a_repeated_header_in_front(head: RequestHead) -> RequestHead:
    return _with(head, headers=(("x-amz-meta-probe", "again"), *head.headers))


def an_added_amz_header(head: RequestHead) -> RequestHead:
    return _with(head, headers=(*head.headers, ("X-Amz-Acl", "public-read")))


def another_host(head: RequestHead) -> RequestHead:
    return _headers(head, lambda name, value: "other." + value if name == "host" else value)


def another_payload_hash(head: RequestHead) -> RequestHead:
    return _headers(head, lambda name, value: "0" * 64 if name == "x-amz-content-sha256" else value)


def an_unsigned_payload(head: RequestHead) -> RequestHead:
    unsigned = "UNSIGNED-PAYLOAD" if head.get("x-amz-content-sha256") != "UNSIGNED-PAYLOAD" else "0" * 64
    return _headers(head, lambda name, value: unsigned if name == "x-amz-content-sha256" else value)


def one_second_later(head: RequestHead) -> RequestHead:
    return _everywhere(head, "20260101T120000Z", "20260101T120001Z")


def the_next_day(head: RequestHead) -> RequestHead:
    return _everywhere(head, "20260101", "20260102")


def the_day_of_the_scope_alone(head: RequestHead) -> RequestHead:
    return _everywhere(_everywhere(head, "/20260101/", "/20260102/"), "%2F20260101%2F", "%2F20260102%2F")


def another_region(head: RequestHead) -> RequestHead:
    return _everywhere(_everywhere(head, "/s3/aws4", "x/s3/aws4"), "%2Fs3%2Faws4", "x%2Fs3%2Faws4")


def another_signature(head: RequestHead) -> RequestHead:
    def flip(match: re.Match[str]) -> str:
        return match[1] + ("0" if match[2] != "0" else "1")

    changed = _headers(head, lambda name, value: re.sub(r"(Signature=)(.)", flip, value))
    return _with(changed, query=re.sub(r"(Signature=)(.)", flip, changed.query))


def a_shorter_signature(head: RequestHead) -> RequestHead:
    changed = _headers(head, lambda name, value: re.sub(r"(Signature=.{63}).", r"\1", value))
    return _with(changed, query=re.sub(r"(Signature=.{63}).", r"\1", changed.query))


def one_signed_header_less(head: RequestHead) -> RequestHead:
    changed = _headers(head, lambda name, value: value.replace(";x-amz-meta-probe", "", 1))
    return _with(changed, query=changed.query.replace("%3Bx-amz-meta-probe", "", 1))


def a_longer_life(head: RequestHead) -> RequestHead:
    return _with(head, query=head.query.replace("X-Amz-Expires=", "X-Amz-Expires=1", 1))


def another_access_key(head: RequestHead) -> RequestHead:
    return _with(head, query=head.query.replace("X-Amz-Credential=", "X-Amz-Credential=x", 1))


def a_payload_hash_in_the_query(head: RequestHead) -> RequestHead:
    return _with(head, query=f"{head.query}&X-Amz-Content-Sha256={'0' * 64}")


def a_session_token_in_the_query(head: RequestHead) -> RequestHead:
    return _with(head, query=f"{head.query}&X-Amz-Security-Token=fake")


ANYWHERE: list[Change] = [
    method,
    a_longer_path,
    another_bucket,
    a_doubled_slash,
    a_dot_segment,
    one_more_parameter,
    a_changed_parameter,
    a_renamed_parameter,
    one_parameter_less,
    a_repeated_parameter,
    a_changed_header,
    one_header_less,
    a_repeated_header,
    a_repeated_header_in_front,
    an_added_amz_header,
    another_host,
    one_second_later,
    the_next_day,
    the_day_of_the_scope_alone,
    another_region,
    another_signature,
    a_shorter_signature,
    one_signed_header_less,
]
IN_HEADERS: list[Change] = [another_payload_hash, an_unsigned_payload]
IN_QUERIES: list[Change] = [
    a_longer_life,
    another_access_key,
    a_payload_hash_in_the_query,
    a_session_token_in_the_query,
]


def _name(change: Change) -> str:
    return change.__name__.replace("_", " ")


def _probed(ask: Ask) -> Ask:
    """With a parameter and a signed header that the changes can work on."""
    headers = tuple(pair for pair in ask.headers if pair[0].lower() != "x-amz-meta-probe")
    query = tuple(pair for pair in ask.query if pair[0] != "probe")
    return replace(ask, headers=(*headers, ("X-Amz-Meta-Probe", "1")), query=(*query, ("probe", "1")), expires=900)


@pytest.mark.parametrize("change", ANYWHERE + IN_HEADERS, ids=_name)
@several
@given(asks(token=False))
def test_a_signed_request_with_a_change_is_refused(change: Change, ask: Ask) -> None:
    head = oracle.signed(_probed(ask))
    changed = change(head)
    assert changed != head

    with pytest.raises(S3Error):
        judge(changed, ask.pair.secret_key)


@pytest.mark.parametrize("change", ANYWHERE + IN_QUERIES, ids=_name)
@several
@given(asks(token=False))
def test_a_presigned_request_with_a_change_is_refused(change: Change, ask: Ask) -> None:
    head = oracle.presigned(_probed(ask))
    changed = change(head)
    assert changed != head

    with pytest.raises(S3Error):
        judge(changed, ask.pair.secret_key)


@several
@given(asks())
def test_another_secret_is_refused(ask: Ask) -> None:
    with pytest.raises(S3Error) as caught:
        judge(oracle.signed(ask), ask.pair.secret_key + "x")

    assert (caught.value.code, caught.value.status) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize(
    "name", sorted(AUTH_PARAMETERS - {"X-Amz-Content-Sha256", "X-Amz-Region-Set", "X-Amz-Security-Token"})
)
@several
@given(asks())
def test_a_presigned_url_without_one_of_its_parameters_is_refused(name: str, ask: Ask) -> None:
    head = oracle.presigned(ask)
    rest = "&".join(piece for piece in head.query.split("&") if not piece.startswith(f"{name}="))

    with pytest.raises(S3Error) as caught:
        judge(_with(head, query=rest), ask.pair.secret_key)

    assert caught.value.code == "AuthorizationQueryParametersError"


@several
@given(asks())
def test_a_signature_of_the_header_form_is_no_good_in_a_query(ask: Ask) -> None:
    head = oracle.signed(replace(ask, headers=()))
    claim = judge(head, ask.pair.secret_key)
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={claim.access_key}/{claim.scope}&X-Amz-Date={claim.amz_date}"
        f"&X-Amz-Expires=600&X-Amz-SignedHeaders={';'.join(claim.signed_headers)}&X-Amz-Signature={claim.signature}"
    )
    moved = tuple(pair for pair in head.headers if pair[0] != "Authorization")

    with pytest.raises(S3Error) as caught:
        judge(RequestHead(head.method, head.path, query, moved), ask.pair.secret_key)

    assert caught.value.code == "SignatureDoesNotMatch"


def test_a_changed_request_within_the_skew_is_a_matter_of_the_signature() -> None:
    # So that `one_second_later` above is refused for its signature, not for its date.
    with pytest.raises(S3Error) as caught:
        judge(one_second_later(oracle.signed(Ask())), Ask().pair.secret_key)

    assert caught.value.code == "SignatureDoesNotMatch"
    assert datetime.datetime.fromtimestamp(NOW, datetime.UTC).strftime("%Y%m%dT%H%M%SZ") == "20260101T120000Z"


def _with(head: RequestHead, **parts: object) -> RequestHead:
    kept = {"method": head.method, "path": head.path, "query": head.query, "headers": head.headers}
    return RequestHead(**{**kept, **parts})  # type: ignore[arg-type]


def _headers(head: RequestHead, change: Callable[[str, str], str]) -> RequestHead:
    return _with(head, headers=tuple((name, change(name.lower(), value)) for name, value in head.headers))


def _everywhere(head: RequestHead, old: str, new: str) -> RequestHead:
    changed = _headers(
        head,
        lambda name, value: value.replace(old, new) if name in ("authorization", "x-amz-date", "date") else value,
    )
    return _with(changed, query=changed.query.replace(old, new))
