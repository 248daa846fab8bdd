"""Masks: what they hide, what they leave, and that equal values stay recognisably equal."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.redaction import IS_MARK, Redactor
from osp_gateway.s3.head import RequestHead

REDACTOR = Redactor(["X-Internal-Ticket"], key=b"a fake key of the tests")
SIGNATURE = "0123456789abcdef" * 4
TOKEN = "a-fake/session+token=="
SCOPE = "20261125/us-east-1/s3/aws4_request"
V4 = f"AWS4-HMAC-SHA256 Credential=KEY/{SCOPE}, SignedHeaders=host, Signature={SIGNATURE}"


def head(*headers: tuple[str, str], method: str = "GET", query: str = "") -> RequestHead:
    return RequestHead(method, "/demo/key", query, headers)


@pytest.mark.parametrize(
    ("name", "value", "secret", "left"),
    [
        ("Authorization", V4, SIGNATURE, "Credential=KEY/20261125/us-east-1/s3/aws4_request, SignedHeaders=host"),
        ("authorization", V4.replace(", ", ","), SIGNATURE, "SignedHeaders=host,Signature=redacted-"),
        ("authorization", f"{V4}, Extra={TOKEN}", TOKEN, "Extra=redacted-"),
        ("authorization", "AWS KEY:c2VjcmV0LXNlY3JldC1zZWM=", "c2VjcmV0", "AWS KEY:redacted-"),
        ("authorization", f"bearer {TOKEN}", TOKEN, "bearer redacted-"),
        ("authorization", TOKEN, TOKEN, "redacted-"),
        ("authorization", f"Something {TOKEN}", TOKEN, "redacted-"),
        ("Proxy-Authorization", "Basic dXNlcjpwYXNz", "dXNl", "Basic redacted-"),
        ("Cookie", "a=first-fake; b=second-fake; lonely-fake", "fake", "a=redacted-"),
        ("Set-Cookie", "a=first-fake; Path=/; HttpOnly", "first", "; Path=/; HttpOnly"),
        ("x-amz-security-token", TOKEN, TOKEN, "redacted-"),
        ("x-internal-ticket", "a ticket", "ticket", "redacted-"),
        (
            "Referer",
            f"https://h/p?a=b&X-Amz-Signature={SIGNATURE}&c=d",
            SIGNATURE,
            "https://h/p?a=b&X-Amz-Signature=red",
        ),
        ("X-Other", "a\rAuthorization: secret", "secret", "redacted-"),
    ],
)
def test_what_is_secret_in_a_header_is_masked_and_the_rest_stays(name: str, value: str, secret: str, left: str) -> None:
    masked = REDACTOR.header(name, value)
    assert secret not in masked
    assert left in masked


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (V4.replace(", ", " "), "aws4_request SignedHeaders=host Signature=redacted-"),
        (V4.replace(", ", ";"), "aws4_request;SignedHeaders=host;Signature=redacted-"),
        (V4.replace(", ", "\t"), "aws4_request\tSignedHeaders=host\tSignature=redacted-"),
        (V4.replace(", Signature", " Signature"), "aws4_request, SignedHeaders=host Signature=redacted-"),
        (V4.replace(", Signature", ";Signature"), "SignedHeaders=host;Signature=redacted-"),
        (V4.replace("host, ", "host;x-amz-date "), "SignedHeaders=host;x-amz-date Signature=redacted-"),
        (V4.replace(", SignedHeaders", "SignedHeaders"), "Signature=redacted-"),
        (V4.replace(", Signature=", ";"), "SignedHeaders=host;redacted-"),
        (V4.replace(", Signature=", ":Signature:"), "SignedHeaders=redacted-"),
        (V4.replace(", Signature=", " "), "SignedHeaders=host redacted-"),
        (V4.replace("Signature=", "Signature = "), "SignedHeaders=host, redacted-"),
        (V4.replace("Signature=", "signature:"), "SignedHeaders=host, redacted-"),
        (V4.replace("=KEY/", f"={SIGNATURE}={SIGNATURE}/"), "Credential=redacted-"),
        (V4.replace("/aws4_request", f"/{SIGNATURE}"), "Credential=redacted-"),
        (V4.replace("host", "host;" * 300), "AWS4-HMAC-SHA256 redacted-"),
    ],
)
def test_a_signature_is_masked_however_the_parts_of_the_header_are_separated(written: str, left: str) -> None:
    masked = REDACTOR.header("authorization", written)
    assert SIGNATURE not in masked
    assert left in masked
    assert SIGNATURE not in REDACTOR.scrubber(head(("authorization", written)))(f"{written} is wrong")


@given(
    st.text(alphabet=" \t,;", max_size=3), st.text(alphabet=" \t,;", max_size=3), st.text(alphabet=" \t", max_size=2)
)
def test_no_separators_leave_it(first: str, second: str, blank: str) -> None:
    written = f"AWS4-HMAC-SHA256 Credential=KEY/{SCOPE}{first}SignedHeaders=host{second}Signature{blank}={blank}"
    masked = REDACTOR.header("authorization", written + SIGNATURE)
    assert SIGNATURE not in masked
    assert REDACTOR.header("authorization", masked) == masked


@pytest.mark.parametrize(
    "name", ["X-Amz-Signature", "x-amz-security-token", "Signature", "X%2DAmz%2DSignature", "amp;X-Amz-Signature"]
)
def test_a_secret_in_a_query_is_masked_however_its_name_is_written(name: str) -> None:
    masked = REDACTOR.target(f"/demo/k?list-type=2&{name}={SIGNATURE}&prefix=a%2Fb".encode()).decode()
    assert SIGNATURE not in masked
    assert masked.startswith("/demo/k?list-type=2&")
    assert masked.endswith("&prefix=a%2Fb")


SPELLINGS = {
    "a question mark that was encoded": "/demo/k%3FX-Amz-Signature={}&a=b",
    "all separators encoded": "/demo/k%3Fa%3Db%26X-Amz-Signature%3D{}%26c%3Dd",
    "all separators encoded twice": "/demo/k%253Fa%253Db%2526X-Amz-Signature%253D{}",
    "and once more": "/demo/k%25253FX-Amz-Signature%25253D{}",
    "a query that was encoded as a whole": "/demo/k?X-Amz-Algorithm%3DAWS4-HMAC-SHA256%26X-Amz-Signature%3D{}",
    "one parameter that was": "/demo/k?a=b&X-Amz-Signature%3D{}&c=d",
    "version 2 in a path": "/demo/k%3FAWSAccessKeyId=KEY%26Signature={}",
    "version 2 in a path, encoded": "/demo/k%3FAWSAccessKeyId%3DKEY%26Signature%3D{}",
    "version 2 as HTML": "/demo/k%3Fa=b&amp;Signature={}",
    "semicolons": "/demo/k?a=b;Signature={}",
    "a name that was encoded": "/demo/k?X%2DAmz%2DSignature={}",
    "such a name in another value": "/demo/k?a=b%26X%2DAmz%2DSignature={}",
    "such a name, encoded twice, in another value": "/demo/k?u=http%3A%2F%2Fh%3FX%252DAmz%252DSignature%3D{}",
    "digits of an escape encoded": "/demo/k%3FX-Amz-Signature%25%33%44{}",
    "behind an access key": "/demo/k?X-Amz-Credential=KEY%2F20261125%2Fus-east-1%2Fs3%2Faws4_request%26Signature={}",
    "an array": "/demo/k?X-Amz-Signature[]={}",
    "an array, encoded": "/demo/k?X-Amz-Signature%5B0%5D={}",
    "a blank": "/demo/k?X-Amz-Signature+={}",
    "an encoded blank": "/demo/k?X-Amz-Signature%20={}",
    "a NUL": "/demo/k?X-Amz-Signature%00={}",
    "underscores": "/demo/k?X_Amz_Security_Token={}",
    "a fragment": "/demo/k#Signature={}",
    "a configured name": "/demo/k?x-internal-ticket={}",
    "a configured name in a path": "/demo/k%3Fx-internal-ticket%3D{}",
    "a URL": "http://h/demo/k?a=b&X-Amz-Signature={}",
    "a URL that was encoded as a whole": "http%3A%2F%2Fh%2Fk%3Fa%3Db%26X-Amz-Signature%3D{}%26c%3Dd",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_in_a_url_is_masked_however_it_is_spelt(spelling: str) -> None:
    url = SPELLINGS[spelling].format(SIGNATURE)
    masked = REDACTOR.target(url.encode()).decode()
    assert SIGNATURE not in masked
    assert REDACTOR.target(masked.encode()).decode() == masked
    for name in ("referer", "location", "x-amz-copy-source", "user-agent"):
        assert SIGNATURE not in REDACTOR.header(name, url)
        ((_, value),) = REDACTOR.fields(((name.encode(), url.encode()),))
        assert SIGNATURE.encode() not in value
    assert SIGNATURE not in REDACTOR.scrubber(head())(f"asked for {url} in vain")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_and_most_of_these_have_the_mark_of_the_secret_and_lose_nothing_else(spelling: str) -> None:
    masked = REDACTOR.target(SPELLINGS[spelling].format(SIGNATURE).encode()).decode()
    expected = SPELLINGS[spelling].format(REDACTOR.mark(SIGNATURE))
    assert masked == expected or spelling == "digits of an escape encoded"


def encoded(draw: st.DrawFn, text: str) -> str:
    """`text` with any of its characters percent-encoded, and its percent signs."""
    escaped = draw(st.lists(st.sampled_from(["", "%{:02x}", "%{:02X}"]), min_size=len(text), max_size=len(text)))
    return "".join(form.format(ord(char)) if form else char for char, form in zip(text, escaped, strict=True))


@st.composite
def spelt_parameters(draw: st.DrawFn) -> str:
    """A secret parameter, `{}` its value, in a query or a URL, with any characters encoded none, one or two times."""
    name = draw(
        st.sampled_from(["X-Amz-Signature", "Signature", "x-amz-security-token", "access_token", "X-Internal-Ticket"])
    )
    name = "".join(char.upper() if draw(st.booleans()) else char for char in name)
    before = draw(st.sampled_from(["", "a=b&", "a=b;", "a&amp;", "http://h/k?", "u=http://h/k?a=b&", "?"]))
    written = f"{before}{name}="
    for _ in range(draw(st.integers(0, 2))):
        written = encoded(draw, written.replace("%", "%25") if draw(st.booleans()) else written)
    return written


@given(spelt_parameters(), st.sampled_from(["", "&c=d", "%26c%3Dd"]))
def test_no_spelling_of_a_secret_parameter_leaves_its_value(written: str, behind: str) -> None:
    query = f"{written}{SIGNATURE}{behind}"
    assert SIGNATURE.encode() not in REDACTOR.query(query.encode())
    for target in (f"/demo/k?{query}", f"/demo/k%3F{query}", f"/demo/k%253F{query}", f"http://h/k?{query}"):
        masked = REDACTOR.target(target.encode())
        assert SIGNATURE.encode() not in masked
        assert REDACTOR.target(masked) == masked
        assert SIGNATURE not in REDACTOR.header("referer", target)
        assert SIGNATURE not in REDACTOR.scrubber(head())(f"at {target}")


@pytest.mark.parametrize(
    "name",
    [
        "X_Amz_Security_Token",
        "x-amz_security-token",
        "X_INTERNAL_TICKET",
        "x-amz-mfa",
        "X_Amz_Mfa",
        "X_Amz_Server_Side_Encryption_Customer_Key",
    ],
)
def test_a_secret_header_is_masked_with_underscores_too(name: str) -> None:
    assert REDACTOR.header(name, TOKEN) == REDACTOR.mark(TOKEN)
    assert REDACTOR.fields(((name.encode(), TOKEN.encode()),)) == ((name.encode(), REDACTOR.mark(TOKEN).encode()),)
    assert TOKEN.encode() not in REDACTOR.raw_head(f"GET / HTTP/1.1\r\n{name}: {TOKEN}\r\n".encode())
    assert TOKEN not in REDACTOR.scrubber(head((name, TOKEN)))(f"{name.lower()}:{TOKEN}\n{TOKEN}")
    assert TOKEN not in REDACTOR.scrubber(head())(f"{name.lower()}:{TOKEN}\n")


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Bearer {TOKEN}",
        f"Authorization Bearer {TOKEN}",
        f"Authorization Bearer {TOKEN} HTTP/1.1",
        f"Cookie: a={TOKEN}",
        f"X_Amz_Security_Token:{TOKEN}",
        f"AWS4-HMAC-SHA256 Credential=KEY/{SCOPE}, Signature={TOKEN}",
        f"Signature={TOKEN}",
        TOKEN,
        f"GET /demo/k?a=b&token=a {TOKEN} HTTP/1.1",
        f"GET /demo/k?a=b&token=a {TOKEN}",
    ],
)
def test_the_first_line_of_a_head_that_could_not_be_read_tells_no_secret(line: str) -> None:
    assert TOKEN.encode() not in REDACTOR.raw_head(f"{line}\r\nHost: h\r\n\r\n".encode())


@pytest.mark.parametrize("line", ["GET /demo/k HTTP/1.1", "get /demo/k?a=b", "CONNECT h:443 HTTP/1.1", "OPTIONS *"])
def test_and_that_of_a_request_stays(line: str) -> None:
    assert REDACTOR.raw_head(f"{line}\r\nHost: h\r\n".encode()) == f"{line}\r\nHost: h\r\n".encode()


@pytest.mark.parametrize(
    "target",
    [
        b"/demo/a=b",
        b"/demo/token=1/signature=2/k",
        b"/demo?prefix=signature&marker=x",
        b"/demo?list-type=2&continuation-token=a%3D&prefix=a%3Db%2F",
        b"/demo/k?versionId=x&uploads",
        b"/demo/100%25/%F0%9F%98%80=%2",
        b"*",
    ],
)
def test_what_is_no_secret_stays(target: bytes) -> None:
    assert REDACTOR.target(target) == target


def test_fields_without_secrets_stay_the_same_object() -> None:
    fields = ((b"Host", b"h"), (b"x-amz-meta-a", b"b=c"))
    assert REDACTOR.fields(fields) is fields


def test_equal_values_have_equal_marks_wherever_they_stand() -> None:
    in_query = REDACTOR.query(b"X-Amz-Security-Token=a-fake%2Fsession%2Btoken%3D%3D").decode().partition("=")[2]
    assert in_query == REDACTOR.header("x-amz-security-token", TOKEN) == REDACTOR.mark(TOKEN)
    assert IS_MARK(in_query)
    assert REDACTOR.mark(TOKEN) != REDACTOR.mark(TOKEN + "x")


HEADERS_OF_EACH_KIND = {
    "signature": ("Authorization", V4.replace(SIGNATURE, "{}")),
    "signature of version 2": ("Authorization", "AWS KEY:{}"),
    "bearer": ("Authorization", "Bearer {}"),
    "token in the place of a key": ("Authorization", V4.replace("=KEY/", "={}/")),
    "password": ("Proxy-Authorization", "Basic {}"),
    "cookie": ("Cookie", "a=b; session={}"),
    "cookie that is set": ("Set-Cookie", "session={}; Path=/"),
    "session token": ("X-Amz-Security-Token", "{}"),
    "key of SSE-C": ("x-amz-server-side-encryption-customer-key", "{}"),
    "digest of a key of SSE-C": ("x-amz-server-side-encryption-customer-key-md5", "{}"),
    "API key": ("X-Api-Key", "{}"),
    "configured header": ("X-Internal-Ticket", "{}"),
    "URL": ("Referer", "https://h/p?a=b&X-Amz-Signature={}&c=d"),
    "token in text": ("x-amz-meta-a", "token: {}"),
}
ONE, OTHER = (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJmYWtlIn0.{name}" for name in ("b25l", "b3RoZXI"))


@pytest.mark.parametrize("kind", HEADERS_OF_EACH_KIND)
def test_of_each_kind_of_secret_equal_ones_have_equal_marks_and_others_have_others(kind: str) -> None:
    name, form = HEADERS_OF_EACH_KIND[kind]
    one, again, other = (REDACTOR.header(name, form.format(secret)) for secret in (ONE, ONE, OTHER))
    assert one == again != other
    assert one == form.replace(SIGNATURE, REDACTOR.mark(SIGNATURE)).replace("a=b;", f"a={REDACTOR.mark('b')};").format(
        REDACTOR.mark(ONE)
    )


@pytest.mark.parametrize(
    "name",
    ["X-Amz-Signature", "Signature", "X-Amz-Security-Token", "WebIdentityToken", "SAMLAssertion", "access_token"],
)
def test_so_have_those_of_queries_and_forms(name: str) -> None:
    mark = REDACTOR.mark(ONE).encode()
    assert REDACTOR.query(f"a=b&{name}={ONE}".encode()) == f"a=b&{name}=".encode() + mark
    assert REDACTOR.query(f"{name}={OTHER}".encode()) == f"{name}={REDACTOR.mark(OTHER)}".encode()
    part = f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{ONE}\r\n--edge--\r\n'.encode()
    form = head(("content-type", "multipart/form-data; boundary=edge"), method="POST")
    assert REDACTOR.request_body(form, part) == part.replace(ONE.encode(), mark)


@pytest.mark.parametrize("name", ["SecretAccessKey", "SessionToken", "Token-0", "StringToSign", "SignatureProvided"])
def test_so_have_those_of_answers(name: str) -> None:
    answer = f"<R><{name}>{ONE}</{name}></R>".encode()
    assert REDACTOR.answer_body(answer, from_store=True) == answer.replace(ONE.encode(), REDACTOR.mark(ONE).encode())


def test_so_has_the_signature_of_a_chunk() -> None:
    one = f"4;chunk-signature={SIGNATURE}\r\ndata\r\n0;chunk-signature={SIGNATURE[::-1]}\r\n\r\n".encode()
    masked = REDACTOR.request_body(head(("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")), one)
    marks = [REDACTOR.mark(signature) for signature in (SIGNATURE, SIGNATURE[::-1])]
    assert masked == f"4;chunk-signature={marks[0]}\r\ndata\r\n0;chunk-signature={marks[1]}\r\n\r\n".encode()


@pytest.mark.parametrize("form", ["?X-Amz-Credential={}", "%3FX-Amz-Credential={}", "%3FX-Amz-Credential%3D{}%26a"])
def test_a_token_in_the_place_of_a_key_is_masked_in_a_url_and_a_key_is_not(form: str) -> None:
    scope, opaque = "/20261125/us-east-1/s3/aws4_request", "x" * 300
    masked = REDACTOR.target(f"/demo/k{form.format(opaque + scope)}".encode()).decode()
    assert opaque not in masked
    assert REDACTOR.mark(opaque) in masked
    plain = f"/demo/k{form.format('AKIAFAKE' + scope)}".encode()
    assert REDACTOR.target(plain) == plain


def test_marks_of_another_key_tell_nothing() -> None:
    assert len({Redactor().mark("1") for _ in range(20)}) == 20


@given(st.binary(max_size=200))
def test_a_mark_of_a_mark_is_itself(value: bytes) -> None:
    assert REDACTOR.mark(REDACTOR.mark(value)) == REDACTOR.mark(value)


@pytest.mark.parametrize("name", ["Host", "content-length", " Connection "])
def test_headers_that_frame_messages_cannot_be_masked(name: str) -> None:
    with pytest.raises(ValueError, match=name.strip().lower()):
        Redactor([name])


# Bodies


def test_a_token_in_the_conditions_of_a_policy_is_masked_however_json_writes_it() -> None:
    conditions = [
        {"x-amz-security-token": TOKEN},
        ["eq", "$x-amz-security-token", TOKEN],
        ["starts-with", "$key", "a/"],
    ]
    written = json.dumps({"expiration": "2999-01-01T00:00:00Z", "conditions": conditions}).replace("/", "\\/")
    policy = base64.b64encode(written.encode()).decode()
    body = f'--edge\r\nContent-Disposition: form-data; name="policy"\r\n\r\n{policy}\r\n--edge--\r\n'.encode()
    masked = REDACTOR.request_body(head(("content-type", "multipart/form-data; boundary=edge"), method="POST"), body)
    (kept,) = masked.split(b"\r\n\r\n")[1].split(b"\r\n")[:1]
    assert json.loads(base64.b64decode(kept))["conditions"] == [
        {"x-amz-security-token": REDACTOR.mark(TOKEN)},
        ["eq", "$x-amz-security-token", REDACTOR.mark(TOKEN)],
        ["starts-with", "$key", "a/"],
    ]


@pytest.mark.parametrize("policy", ["not base64!", base64.b64encode(b"{").decode(), base64.b64encode(b"[]").decode()])
def test_a_policy_that_cannot_be_read_is_masked_as_a_whole(policy: str) -> None:
    body = f"--edge\r\nContent-Disposition: form-data; name=policy\r\n\r\n{policy}\r\n--edge--\r\n".encode()
    masked = REDACTOR.request_body(head(("content-type", "multipart/form-data; boundary=edge"), method="POST"), body)
    assert policy.encode() not in masked


def form_of(part: bytes) -> bytes:
    key = b'--edge\r\nContent-Disposition: form-data; name="key"\r\n\r\nreports/1\r\n'
    return key + b"--edge" + part + b"--edge--\r\n"


SIGNATURE_PART = f'\r\nContent-Disposition: form-data; name="x-amz-signature"\r\n\r\n{SIGNATURE}\r\n'


@pytest.mark.parametrize(
    "part",
    [
        SIGNATURE_PART,
        SIGNATURE_PART.replace("\r\n", "\n"),
        SIGNATURE_PART.replace("\r\n", "\r"),
        SIGNATURE_PART.replace('"\r\n\r\n', '"\n\n'),
        SIGNATURE_PART.replace('"\r\n\r\n', '"\r\n'),
        SIGNATURE_PART.replace('"\r\n\r\n', '"\r\n \r\n'),
        SIGNATURE_PART.replace('"\r\n\r\n', '"').replace('"', '"\r\n', 1),
        SIGNATURE_PART.replace(f"\r\n\r\n{SIGNATURE}", f"\r\n{SIGNATURE}\r\n\r\n"),
        *(
            SIGNATURE_PART.replace('name="x-amz-signature"', disposition)
            for disposition in (
                "name=x-amz-signature",
                "name='x-amz-signature'",
                r'name="x-amz-sign\ature"',
                r'name="x-amz-signature\""',
                r'name="x-amz-signature\\"',
                'name="x-amz-signature[]"',
                'name="x-amz-signature\t"',
                'name = "x-amz-signature"',
                'name="x%2Damz%2Dsignature"',
                'name="X_AMZ_SIGNATURE"',
                "name*=UTF-8''x-amz-signature",
                'name="a"; name="x-amz-signature"',
                'name=a; name="x-amz-signature"',
                'name="a"; name*0="x-amz-signature"',
                'filename="; name=a"; name="x-amz-signature"',
                'x="y;name=k"; name="x-amz-signature"',
            )
        ),
        SIGNATURE_PART.replace("\r\nC", "\r\nContent-Type: text/plain; name=a\r\nC", 1),
        SIGNATURE_PART.replace("\r\nC", '\r\nContent-Disposition: form-data; name="a"\r\nC', 1),
        SIGNATURE_PART.replace('signature"\r\n', 'signature"\r\nContent-Type: text/plain; name=a\r\n', 1),
        SIGNATURE_PART.replace("\r\nC", "\r\nA header\r\nC", 1),
        SIGNATURE_PART.replace("x-amz-signature", "success_action_redirect").replace("\n0", "\n/?X-Amz-Signature=0"),
        f"--\r\nan epilogue {SIGNATURE}\r\n\r\n{SIGNATURE}",
    ],
)
def test_a_signature_in_a_form_is_masked_however_odd_its_part_is(part: str) -> None:
    masked = REDACTOR.request_body(
        head(("content-type", "multipart/form-data; boundary=edge"), method="POST"), form_of(part.encode())
    )
    assert SIGNATURE.encode() not in masked
    assert masked.startswith(b'--edge\r\nContent-Disposition: form-data; name="key"\r\n\r\nreports/1\r\n--edge')
    assert masked.endswith(b"--edge--\r\n")


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain; charset=utf-8", "", "multipart/form-data"])
def test_so_it_is_where_the_content_type_is_none_of_a_form(kind: str) -> None:
    body = form_of(SIGNATURE_PART.encode())
    for headers in ([("content-type", kind)], [("content-type", kind), ("content-type", "multipart/x; boundary=edge")]):
        masked = REDACTOR.request_body(head(*headers, method="POST"), body)
        assert masked == body.replace(SIGNATURE.encode(), REDACTOR.mark(SIGNATURE).encode())


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_part_with_other_line_ends_keeps_its_shape(end: str) -> None:
    part = SIGNATURE_PART.replace("\r\n", end).encode()
    masked = REDACTOR.request_body(
        head(("content-type", "multipart/form-data; boundary=edge"), method="POST"), form_of(part)
    )
    assert masked == form_of(part.replace(SIGNATURE.encode(), REDACTOR.mark(SIGNATURE).encode()))


def test_fields_that_are_no_secrets_and_the_file_stay() -> None:
    body = form_of(
        b'\r\nContent-Disposition: form-data; name="x-amz-meta-a"\r\n\r\nb=c\r\n'
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a; name=b"\r\n'
        b"Content-Type: text/plain\r\n\r\na text\r\n\r\nof\nlines\r\n"
    )
    form = head(("content-type", "multipart/form-data; boundary=edge"), method="POST")
    assert REDACTOR.request_body(form, body) == body


def test_signatures_between_chunks_are_masked_and_data_that_look_like_them_stay() -> None:
    data = f"chunk-signature={SIGNATURE}".encode()
    line = f"{len(data):x};chunk-signature={'f' * 64}\r\n".encode()
    body = (
        line + data + b"\r\n0;chunk-signature=" + b"e" * 64 + b"\r\nx-amz-trailer-signature:" + b"d" * 64 + b"\r\n\r\n"
    )
    masked = REDACTOR.request_body(
        head(("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), method="PUT"), body
    )
    assert data in masked
    assert not any(octet * 64 in masked for octet in (b"f", b"e", b"d"))


@pytest.mark.parametrize(
    "written",
    [
        "3;chunk-signature={}\r\nabc\r\n0;chunk-signature={}\r\n\r\n",
        '3;chunk-signature="{}"\r\nabc\r\n0;chunk-signature="{}"\r\n\r\n',
        "3; chunk-signature = {}\r\nabc\r\n",
        "3;Chunk_Signature={}\r\nabc\r\n",
        "3;chunk%2Dsignature={}\r\nabc\r\n",
        "3;chunk-signature={}\nabc\n",
        "0\r\nx-amz-trailer-signature:{}\r\n\r\n",
        "0\r\nx-amz-trailer-signature: {}\r\n\r\n",
        "0\r\nX-Amz-Trailer-Signature :\t{}\r\n\r\n",
    ],
)
@pytest.mark.parametrize("kind", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "streaming-aws4-hmac-sha256-payload"])
def test_a_signature_of_chunks_is_masked_however_it_is_written(written: str, kind: str) -> None:
    masked = REDACTOR.request_body(
        head(("x-amz-content-sha256", kind), method="PUT"), written.replace("{}", SIGNATURE).encode()
    )
    assert masked == written.replace("{}", REDACTOR.mark(SIGNATURE)).encode()


def test_the_beginning_of_an_answer_is_masked_too() -> None:
    body = b"<R><Credentials><SecretAccessKey>a-fake-secret-that-was-cut"
    assert b"a-fake" not in REDACTOR.answer_body(body, from_store=True)
    assert b"a-fake" not in REDACTOR.answer_body(body, from_store=False)


@given(st.binary(max_size=300), st.sampled_from(["multipart/form-data; boundary=a", "multipart/x", "text/plain", ""]))
def test_no_body_makes_it_raise(body: bytes, kind: str) -> None:
    for method in ("POST", "PUT"):
        REDACTOR.request_body(head(("content-type", kind), ("content-encoding", "aws-chunked"), method=method), body)
    REDACTOR.answer_body(b"<" + body, from_store=True)
    REDACTOR.raw_head(body)


# Text


@given(st.text(alphabet="abc/+=&<> ", min_size=6, max_size=40).filter(lambda text: text.strip() == text))
def test_text_about_a_request_does_not_tell_its_secrets(secret: str) -> None:
    scrub = REDACTOR.scrubber(head(("x-amz-security-token", secret), ("cookie", "a=" + secret.replace(";", ""))))
    assert secret not in scrub(f'the token "{secret}" is wrong\nx-amz-security-token:{secret}\n')


@pytest.mark.parametrize(
    ("name", "value", "query"),
    [
        ("cookie", ";".join(f"a={number:06x}" for number in range(7000)), ""),
        ("cookie", ";".join(f"a=%{number:06x}" for number in range(5000)), ""),
        ("authorization", "AWS4-HMAC-SHA256 " + ",".join(f"a={number:06x}" for number in range(5000)), ""),
        ("host", "h", "&".join(f"token={number:06x}" for number in range(2000))),
    ],
    ids=["cookies", "encoded cookies", "parts", "parameters"],
)
def test_of_very_many_secrets_none_is_told_and_it_does_not_take_long(name: str, value: str, query: str) -> None:
    begin = time.process_time()
    scrub = REDACTOR.scrubber(head((name, value), query=query))
    secret = "%0004d2" if "%" in value else "0004d2"
    for text in (f"/demo/key\n{query}\n{name}:{value}\nhost", f"the value {secret} is wrong"):
        assert secret not in scrub(text)
    assert scrub("who is it?") == "who is it?"
    assert time.process_time() - begin < 0.5


def test_where_few_secrets_are_looked_for_in_a_very_long_text_it_may_be_masked_as_a_whole() -> None:
    cookies = [f"fake%2Fcookie{number}" for number in range(60)]
    scrub = REDACTOR.scrubber(head(("cookie", ";".join(f"a={cookie}" for cookie in cookies))))
    assert scrub(f"{cookies[7]} is wrong") == f"{REDACTOR.mark(cookies[7])} is wrong"
    assert scrub("x" * 90_000) == "x" * 90_000
    assert IS_MARK(scrub("x" * 90_000 + cookies[7]))


# Tokens in the place of access keys

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWZha2U"
BLANK_IN_IT = "ewogICJhbGciOiAiSFMyNTYifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWZha2U"
TOKENS = pytest.mark.parametrize("token", [JWT, BLANK_IN_IT, "x" * 400], ids=["jwt", "with-blanks", "long"])


@TOKENS
def test_a_token_that_is_an_access_key_is_masked_in_the_authorization_header(token: str) -> None:
    masked = REDACTOR.header("authorization", V4.replace("KEY", token))
    assert token not in masked
    assert f"/{SCOPE}, SignedHeaders=host" in masked
    assert IS_MARK(masked.partition("Credential=")[2].partition("/")[0])


@TOKENS
@pytest.mark.parametrize("name", ["X-Amz-Credential", "x%2Damz-credential", "AWSAccessKeyId"])
def test_and_in_a_query(token: str, name: str) -> None:
    scope = f"%2F{SCOPE.replace('/', '%2F')}" if "redential" in name else ""
    for separator in ("&amp;", ";", "%3B", "%26", "&a;"):
        assert token not in REDACTOR.target(f"/demo/k?a=b{separator}{name}={token}{scope}&c=d".encode()).decode()
    masked = REDACTOR.target(f"/demo/k?a=b&{name}={token}{scope}&c=d".encode()).decode()
    assert token not in masked
    assert masked.startswith(f"/demo/k?a=b&{name}=redacted-")
    assert masked.endswith(f"{scope}&c=d")


@TOKENS
def test_and_in_a_form_and_its_policy(token: str) -> None:
    policy = base64.b64encode(
        json.dumps({"conditions": [{"x-amz-credential": f"{token}/{SCOPE}"}, ["eq", "$key", "k"]]}).encode()
    ).decode()
    fields = {"key": "k", "x-amz-credential": f"{token}/{SCOPE}", "policy": policy}
    body = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    form = head(("content-type", "multipart/form-data; boundary=b"), method="POST")
    masked = REDACTOR.request_body(form, f"{body}--b--\r\n".encode()).decode()
    assert token not in masked
    assert f"/{SCOPE}" in masked
    left = masked.partition('name="policy"\r\n\r\n')[2].partition("\r\n")[0]
    assert token not in base64.b64decode(left).decode()


@TOKENS
def test_and_in_text_about_the_request(token: str) -> None:
    scrub = REDACTOR.scrubber(head(("authorization", V4.replace("KEY", token))))
    assert scrub(f"key {token} is not known") == f"key {REDACTOR.mark(token)} is not known"


@pytest.mark.parametrize("place", ["/demo/{}", "/demo/k?prefix={}", "/{}?a=b"])
def test_a_json_web_token_is_masked_wherever_it_stands(place: str) -> None:
    assert JWT not in REDACTOR.target(place.format(JWT).encode()).decode()
    assert JWT not in REDACTOR.header("user-agent", f"agent {JWT}")
    assert JWT not in REDACTOR.scrubber(head())(f"who {JWT}")


@pytest.mark.parametrize("key", ["AKIDEXAMPLE", "client-fake-key", "eyJnotatoken", "reports.2026", "a" * 64])
def test_access_keys_and_names_are_no_tokens(key: str) -> None:
    assert REDACTOR.credential(f"{key}/{SCOPE}") == f"{key}/{SCOPE}"
    target = f"/demo/{key}?X-Amz-Credential={key}%2F20261125%2Fus-east-1%2Fs3%2Faws4_request".encode()
    assert REDACTOR.target(target) == target
