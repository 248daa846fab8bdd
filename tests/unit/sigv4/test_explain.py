"""The explainer where a corpus does not reach: hostile requests, bounds, other algorithms, and what people see."""

from __future__ import annotations

import dataclasses
import hashlib
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import canonical, keys, sigv4a
from osp_gateway.sigv4.explain import Cause, Explanation, Knowledge, explain
from osp_gateway.sigv4.explain.search import MAX_CHECKS, MAX_FIELDS, MAX_HEAD_OCTETS, MAX_PARAMETERS
from osp_gateway.sigv4.keys import KeyPair
from support.heads import CLIENT, NOW, presigned_head, signed_head, unsigned_head

KNOWN = Knowledge(CLIENT.secret_key, NOW, listen_ports=(6190,))
WRONG = Knowledge("quite-another-fake-secret", NOW)


def with_headers(head: RequestHead, **changes: str) -> RequestHead:
    new = {name.replace("_", "-"): value for name, value in changes.items()}
    return dataclasses.replace(head, headers=tuple((name, new.get(name.lower(), v)) for name, v in head.headers))


def names(found: Explanation) -> tuple[str, ...]:
    return tuple(cause.name for cause in found.causes)


# Whatever comes, it is an explanation


text = st.text(st.characters(max_codepoint=255), max_size=60)


@given(text, text, text, st.lists(st.tuples(text, text), max_size=6), text)
@settings(max_examples=200)
def test_no_request_whatever_makes_it_raise(
    method: str, path: str, query: str, headers: list[tuple[str, str]], authorization: str
) -> None:
    head = RequestHead(method, path, query, (*headers, ("authorization", f"AWS4-HMAC-SHA256 {authorization}")))
    found = explain(head, dataclasses.replace(KNOWN, max_checks=200))
    assert "\n" not in found.line
    assert found.text().isprintable() or found.text().replace("\n", "").isprintable()


@given(st.data())
@settings(max_examples=100)
def test_no_changed_request_makes_it_raise(data: st.DataObject) -> None:
    head = data.draw(st.sampled_from([signed_head(target="/demo/a%20b?x=1&y"), presigned_head()]))
    path = data.draw(st.sampled_from([head.path, head.path + "%", "/%zz", "//", "", "*"]))
    query = head.query + data.draw(st.sampled_from(["", "&%", "&=&=", "&a=%f", "&X-Amz-Date=" + "9" * 20, "&\xff"]))
    headers = data.draw(st.permutations(list(head.headers)))[: data.draw(st.integers(0, 10))]
    found = explain(RequestHead(head.method, path, query, tuple(headers)), dataclasses.replace(KNOWN, max_checks=300))
    assert isinstance(found.line, str)


def test_what_is_shown_has_no_commands_for_terminals() -> None:
    head = with_headers(signed_head(), host="\x1b[2J\x07evil\u009b31m")
    for found in (explain(head, KNOWN), explain(head, WRONG)):
        for shown in (found.line, found.hint, found.text(), *(cause.sentence for cause in found.causes)):
            assert "\x1b" not in shown
            assert "\x9b" not in shown
            assert "\x07" not in shown


@pytest.mark.parametrize(
    "head",
    [
        signed_head(headers=tuple((f"x-filler-{n}", "v") for n in range(MAX_FIELDS))),
        signed_head(headers=(("x-long", "v" * MAX_HEAD_OCTETS),)),
        signed_head(target="/demo?" + "&".join(f"p{n}=v" for n in range(MAX_PARAMETERS + 1))),
        signed_head(target="/demo/" + "k" * 20_000),
    ],
    ids=["fields", "octets", "parameters", "target"],
)
def test_a_huge_head_is_not_looked_at(head: RequestHead) -> None:
    checks: list[int] = []
    found = explain(head, dataclasses.replace(WRONG, check=lambda *_: bool(checks.append(1))))
    assert (found.causes, checks) == ((), [])
    assert "too large" in found.line


def test_recomputations_are_bounded_in_number_and_in_octets() -> None:
    for head in (
        signed_head(target="/demo/" + "a+/./b%2520%20/" * 60 + "?" + "&".join(f"p{n}=a%20b+c" for n in range(200))),
        signed_head(headers=tuple((f"x-amz-meta-{n}", "A, b  c" * 50) for n in range(50))),
        signed_head(),
    ):
        seen: list[int] = []

        def check(request: str, _date: str, _scope: str, seen: list[int] = seen) -> bool:
            seen.append(len(request))
            return False

        assert explain(head, dataclasses.replace(WRONG, check=check)).causes == ()
        assert 0 < len(seen) <= MAX_CHECKS
        assert sum(seen) <= 16 * 1024 * 1024


def test_an_operator_may_want_less_work() -> None:
    seen: list[str] = []
    explain(signed_head(), dataclasses.replace(WRONG, max_checks=7, check=lambda r, *_: bool(seen.append(r))))
    assert 0 < len(seen) <= 7


# Requests that are not signed at all


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (unsigned_head(), "no signature"),
        (unsigned_head(headers=(("authorization", "AWS key:signature"),)), "Signature V2"),
        (unsigned_head(target="/demo/key?AWSAccessKeyId=k&Signature=s&Expires=1"), "Signature V2"),
        (unsigned_head(headers=(("authorization", "Bearer not-a-real-token"),)), '"Bearer"'),
    ],
)
def test_a_request_without_a_signature_of_version_4_is_told_so(head: RequestHead, told: str) -> None:
    found = explain(head, KNOWN)
    assert not found.explained
    assert told in found.line
    assert "not-a-real-token" not in found.text()


# What is said


def test_the_line_names_the_cause_and_what_was_found_and_signed() -> None:
    found = explain(with_headers(signed_head(), host="gateway.example.test"), KNOWN)
    assert found.line.startswith("host-port-dropped: Host lost its port on the way: found Host ")
    assert '"gateway.example.test"' in found.line
    assert '"gateway.example.test:6190"' in found.line


def test_two_canonical_requests_stand_side_by_side_and_what_differs_is_marked() -> None:
    found = explain(with_headers(signed_head(), host="gateway.example.test"), KNOWN)
    [marked] = [line for line in found.text().splitlines() if line.startswith("! ") and "|" in line]
    assert marked.split() == ["!", "host", "gateway.example.test", "|", "gateway.example.test:6190"]
    assert "\x1b[" not in found.text()
    assert "\x1b[31m" in found.text(colour=True)


def test_what_cannot_be_known_is_marked_where_nothing_matches() -> None:
    found = explain(signed_head(), WRONG)
    marks = {row.label: row.mark for row in found.rows}
    assert marks["host"] == "?"
    assert marks["signed headers"] == " "
    assert found.expected_canonical_request is None
    assert "cannot be known" in found.text()


def test_a_payload_hash_that_the_body_has_is_known() -> None:
    body = hashlib.sha256(b"").hexdigest()
    found = explain(signed_head(), dataclasses.replace(WRONG, body_sha256=body))
    assert {row.label: row.mark for row in found.rows}["payload hash"] == " "


def test_the_expected_canonical_request_is_the_one_that_was_signed() -> None:
    head = signed_head()
    found = explain(with_headers(head, host="gateway.example.test"), KNOWN)
    assert found.expected_canonical_request == explain(head, KNOWN).canonical_request
    assert found.canonical_request != found.expected_canonical_request
    assert hashlib.sha256(found.canonical_request.encode()).hexdigest() in found.string_to_sign


def test_a_signature_that_fits_needs_no_explanation() -> None:
    found = explain(signed_head(), KNOWN)
    assert (found.matches, found.explained, found.line) == (True, True, "the signature fits")


def test_lines_are_bounded() -> None:
    found = explain(with_headers(signed_head(), host="h" * 5000), KNOWN)
    assert len(found.line) <= 700


def test_clients_are_told_nothing_of_secrets() -> None:
    found = explain(signed_head(pair=KeyPair(CLIENT.access_key, CLIENT.secret_key + "\n")), KNOWN)
    assert names(found) == ("secret-trailing-newline",)
    assert "secret" in found.line
    assert "newline" not in found.hint
    assert "line feed" not in found.hint


def test_a_session_token_is_not_shown() -> None:
    token = "fake+session/token=="
    pair = KeyPair(CLIENT.access_key, CLIENT.secret_key, token)
    for head in (signed_head(pair=pair), presigned_head(pair=pair)):
        assert explain(head, KNOWN).matches
        for found in (explain(head, KNOWN), explain(with_headers(head, host="else"), KNOWN), explain(head, WRONG)):
            for shown in (found.text(), found.line, str(found.as_dict()), repr(found)):
                assert token not in shown
                assert "fake%2Bsession" not in shown


@pytest.mark.parametrize("make", [signed_head, presigned_head])
def test_a_token_in_the_place_of_an_access_key_is_not_shown(make: Callable[..., RequestHead]) -> None:
    token = "eyJhbGciOiJub25lIn0.eyJmYWtlIjoidG9rZW4ifQ.ZmFrZS1zaWduYXR1cmU"
    found = explain(make(pair=KeyPair(token, CLIENT.secret_key)), WRONG)
    for shown in (found.text(), found.line, found.canonical_request, found.string_to_sign, repr(found)):
        assert not any(part in shown for part in token.split("."))


def test_a_long_session_token_takes_no_more_memory_than_a_few_times_its_length() -> None:
    """Whoever sends an old date gets this far without a key."""
    pair = KeyPair(CLIENT.access_key, CLIENT.secret_key, "A" * 15_000)
    tracemalloc.start()
    try:
        found = explain(signed_head(pair=pair, now=NOW - 3600), KNOWN)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pair.session_token is not None
    assert pair.session_token[:80] not in found.text()
    assert most < 4_000_000


def test_a_secret_that_the_request_itself_holds_is_not_shown() -> None:
    secret = "a-fake-secret/in+the-url"
    head = signed_head(target="/demo/a-fake-secret/in%2Bthe-url?secret=a-fake-secret%2Fin%2Bthe-url")
    for known in (secret, "something-else-fake"):
        found = explain(head, Knowledge(known, NOW, other_keys={"other": secret}))
        for shown in (found.text(), found.line, str(found.as_dict()), repr(found.rows)):
            assert secret not in shown
            assert "a-fake-secret%2Fin%2Bthe-url" not in shown


# Facts


def test_a_fact_that_explains_nothing_alone_is_not_called_proven() -> None:
    head = signed_head()
    skewed = dataclasses.replace(WRONG, server_time=NOW + 1000)
    assert [(cause.name, cause.proven) for cause in explain(head, skewed).causes] == [("clock-skew", False)]
    assert [
        (c.name, c.proven) for c in explain(head, dataclasses.replace(skewed, secret=CLIENT.secret_key)).causes
    ] == [("clock-skew", True)]


@pytest.mark.parametrize(
    ("seconds", "cause"),
    [
        (3600, "time-zone-slip"),
        (-5.5 * 3600 + 3, "time-zone-slip"),
        (-8 * 3600, "time-zone-slip"),
        (1000, "clock-skew"),
        (3 * 3600 + 700, "clock-skew"),
        (20 * 3600, "clock-skew"),
    ],
)
def test_whole_hours_are_a_time_zone_and_others_are_a_clock(seconds: float, cause: str) -> None:
    assert names(explain(signed_head(), dataclasses.replace(KNOWN, server_time=NOW + seconds))) == (cause,)


@pytest.mark.parametrize(("seconds", "cause"), [(700, "expired"), (-1000, "not-yet-valid")])
def test_a_presigned_url_that_is_not_valid_now_is_told_so(seconds: float, cause: str) -> None:
    assert names(explain(presigned_head(), dataclasses.replace(KNOWN, server_time=NOW + seconds))) == (cause,)


def test_a_dropped_header_whose_value_nobody_knows_is_named_all_the_same() -> None:
    signed = signed_head(headers=(("x-amz-meta-x", "nobody could guess this"),))
    head = dataclasses.replace(signed, headers=tuple(h for h in signed.headers if h[0] != "x-amz-meta-x"))
    found = explain(head, KNOWN)
    assert [(cause.name, cause.proven) for cause in found.causes] == [("header-dropped:x-amz-meta-x", False)]


# Keys, algorithms


def test_an_unknown_access_key_is_the_first_thing_to_look_at() -> None:
    assert "is not known here" in explain(signed_head(), Knowledge("", NOW)).checklist[0]


def test_the_key_whose_secret_was_used_is_found_for_an_unknown_access_key() -> None:
    head = signed_head(pair=KeyPair("unknown-fake-key", CLIENT.secret_key))
    found = explain(head, Knowledge("", NOW, other_keys={CLIENT.access_key: CLIENT.secret_key}))
    assert names(found) == ("secret-of-other-key",)


def signed_with_ecdsa(secret: str, host: str) -> RequestHead:
    """As `signed_head`, with SigV4A; the Host that arrives has no port."""
    date, scope = "20260101T120000Z", "20260101/s3/aws4_request"
    fields = {
        "host": [host],
        "x-amz-content-sha256": ["UNSIGNED-PAYLOAD"],
        "x-amz-date": [date],
        "x-amz-region-set": ["*"],
    }
    request = canonical.canonical_request("GET", "/demo/key", "", fields, sorted(fields), "UNSIGNED-PAYLOAD")
    key = sigv4a.derive_private_key(CLIENT.access_key, secret)
    signature = sigv4a.sign(key, canonical.string_to_sign(date, scope, request, sigv4a.ALGORITHM))
    authorization = (
        f"{sigv4a.ALGORITHM} Credential={CLIENT.access_key}/{scope}, SignedHeaders={';'.join(sorted(fields))}, "
        f"Signature={signature}"
    )
    fields["host"] = ["gateway.example.test"]
    headers = [(name, values[0]) for name, values in fields.items()]
    return RequestHead("GET", "/demo/key", "", (*headers, ("authorization", authorization)))


def test_sigv4a_is_explained_by_the_public_key() -> None:
    assert explain(signed_with_ecdsa(CLIENT.secret_key, "gateway.example.test"), KNOWN).matches
    found = explain(signed_with_ecdsa(CLIENT.secret_key, "gateway.example.test:6190"), KNOWN)
    assert names(found) == ("host-port-dropped",)
    assert names(explain(signed_with_ecdsa(CLIENT.secret_key + "\n", "gateway.example.test"), KNOWN)) == (
        "secret-trailing-newline",
    )
    assert names(explain(signed_with_ecdsa("another-fake-secret", "gateway.example.test"), KNOWN)) == ()


def test_a_check_can_be_given_in_place_of_a_secret() -> None:
    head = signed_head()
    expected = explain(head, KNOWN).canonical_request
    received = with_headers(head, host="gateway.example.test")
    date, scope = "20260101T120000Z", "20260101/us-east-1/s3/aws4_request"
    given = Knowledge("", NOW, listen_ports=(6190,), check=lambda *asked: asked == (expected, date, scope))
    assert names(explain(received, given)) == ("host-port-dropped",)


def test_a_check_that_is_given_is_not_asked_about_secrets() -> None:
    seen: list[tuple[str, str, str]] = []

    def check(*asked: str) -> bool:
        seen.append(asked)  # type: ignore[arg-type]
        return False

    explain(signed_head(), dataclasses.replace(WRONG, check=check, other_keys={"other": "another-fake-secret"}))
    assert len(set(seen[:100])) == 100


def test_the_secret_is_not_part_of_what_is_represented() -> None:
    assert CLIENT.secret_key not in repr(KNOWN)
    assert "Cause(" in repr(Cause("a", "b"))
    assert keys.derive_signing_key(CLIENT.secret_key, "20260101", "us-east-1", "s3").hex() not in repr(KNOWN)
