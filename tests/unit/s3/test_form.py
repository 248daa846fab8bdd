"""A multipart form is taken apart while it streams, and whatever could be read in two ways is refused."""

from __future__ import annotations

import email.parser
import email.policy
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import encode_multipart_formdata

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import Fields, FormReader, Limits, boundary_of, closing, content_type_of, opening
from support.forms import BOUNDARY, form_body
from support.oracle import generated

B = BOUNDARY.encode()
KEY = b'--%b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n' % B
FILE_HEAD = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' % B
END = b"\r\n--%b--\r\n" % B

names = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,10}", fullmatch=True).filter(
    lambda n: n.lower() not in ("file", "key")
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
near_boundary = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b"--", B, b"\r\n--", B[:-1], b"\r\n--" + B[:5], b"x", b""]), max_size=8
).map(b"".join)
files = (st.binary(max_size=60) | near_boundary).filter(lambda octets: b"\r\n--" + B not in octets + b"\r")
fields = st.lists(st.tuples(names, texts), max_size=5, unique_by=lambda pair: pair[0].lower())


def read(*pieces: bytes, boundary: str = BOUNDARY, limits: Limits | None = None) -> tuple[Fields, bytes]:
    reader = FormReader(boundary, limits or Limits())
    file = b"".join([reader.feed(piece) for piece in (*pieces, b"")])
    reader.finish()
    assert reader.fields is not None
    assert reader.file_octets == len(file)
    return reader.fields, file


def refusal(*pieces: bytes, limits: Limits | None = None) -> S3Error:
    """The error, which must stay one."""
    reader = FormReader(BOUNDARY, limits or Limits())
    with pytest.raises(S3Error) as caught:
        for piece in (*pieces, b""):
            reader.feed(piece)
        reader.finish()
    for again in (lambda: reader.feed(b"more"), reader.finish):
        with pytest.raises(S3Error):
            again()
    return caught.value


def split(body: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(places)]


def part(name: str, value: str = "v") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


@generated
@given(fields, files, st.lists(st.integers(0, 10**6), max_size=6))
def test_what_urllib3_writes_is_read_however_it_is_split(pairs: list[tuple[str, str]], file: bytes, cuts: list[int]):
    pairs = [("key", "k"), *pairs]
    body = form_body(pairs, file)

    found, octets = read(*split(body, cuts))

    assert (list(found.pairs), found.filename, octets) == (pairs, "a.txt", file)


def test_the_fields_can_be_judged_before_what_follows_them() -> None:
    reader = FormReader(BOUNDARY)
    assert reader.feed(KEY + FILE_HEAD + b"x\r\n--" + B + b"wrong") == b""
    assert reader.fields is not None
    with pytest.raises(S3Error):
        reader.feed(b"")


@generated
@given(fields, files)
def test_octet_by_octet_is_no_different(pairs: list[tuple[str, str]], file: bytes) -> None:
    body = form_body([("key", "k"), *pairs], file, after=[("submit", "Upload")])
    assert read(*(body[n : n + 1] for n in range(len(body)))) == read(body)


@generated
@given(fields, st.binary(max_size=60).filter(lambda octets: b"\r" not in octets and b"\n" not in octets))
def test_pythons_email_parser_finds_the_same(pairs: list[tuple[str, str]], file: bytes) -> None:
    pairs = [("key", "k"), *((name, value.replace("\r", "").replace("\n", "")) for name, value in pairs)]
    body = form_body(pairs, file)
    head = f"Content-Type: {content_type_of(BOUNDARY)}\r\n\r\n".encode()
    parts = list(email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body).iter_parts())

    found, octets = read(body)

    theirs = [(one.get_param("name", header="content-disposition"), one.get_payload(decode=True)) for one in parts]
    assert theirs == [*((name, value.encode()) for name, value in found.pairs), ("file", octets)]


@generated
@given(st.binary(max_size=300), st.lists(st.integers(0, 10**6), max_size=4))
def test_whatever_comes_it_is_read_or_refused(octets: bytes, cuts: list[int]) -> None:
    for body in (octets, KEY + FILE_HEAD + octets, b"--" + B + b"\r\n" + octets):
        outcomes = []
        for pieces in ([body], split(body, cuts)):
            try:
                outcomes.append(read(*pieces))
            except S3Error as error:
                outcomes.append((error.code, error.reason))
        assert outcomes[0] == outcomes[1]


@generated
@given(files, st.lists(st.integers(0, 10**6), max_size=6))
def test_of_the_file_no_more_than_a_boundary_is_held_back(file: bytes, cuts: list[int]) -> None:
    reader = FormReader(BOUNDARY)
    reader.feed(KEY + FILE_HEAD)
    received = released = 0
    for piece in split(file, cuts):
        received += len(piece)
        released += len(reader.feed(piece))
        assert received - released < len(END)


def test_memory_does_not_grow_with_the_file() -> None:
    reader = FormReader(BOUNDARY)
    reader.feed(KEY + FILE_HEAD)
    piece = b"\r\n--" * 16384
    tracemalloc.start()
    for _ in range(200):
        reader.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * len(piece)


def test_what_follows_the_file_is_ignored() -> None:
    found, file = read(form_body([("key", "k")], after=[("key", "evil"), ("acl", "public-read"), ("key", "again")]))
    assert (found.pairs, file) == ((("key", "k"),), b"content")


@pytest.mark.parametrize("rest", [b"", b"\r\n", b"\r\nan epilogue\r\n--" + B + b"\r\nis no part of the form"])
def test_the_last_boundary_may_be_followed_by_a_line_break_and_anything(rest: bytes) -> None:
    assert read(KEY + FILE_HEAD + b"x\r\n--" + B + b"--" + rest)[1] == b"x"


def test_a_file_may_be_empty() -> None:
    assert read(KEY + FILE_HEAD + END)[1] == b""


def test_the_file_is_known_by_its_name_not_by_a_file_name() -> None:
    body = form_body([("key", "k")])
    field = part("acl", "private").replace(b'"acl"', b'"acl"; filename="x"')
    assert read(field + body)[0].pairs == (("acl", "private"), ("key", "k"))
    assert read(KEY + FILE_HEAD.replace(b'; filename="a.txt"', b"") + b"x" + END)[0].filename is None


@pytest.mark.parametrize(
    ("written", "filename"),
    [
        ('"a b;c=d.txt"', "a b;c=d.txt"),
        ("plain.txt", "plain.txt"),
        (r'"C:\dir\file.txt"', r"C:\dir\file.txt"),
        (r'"say \"hi\".txt"', 'say "hi".txt'),
        (r'"back\\slash"', r"back\slash"),
        ('"%22.txt"', "%22.txt"),
        ('"préf—.txt"', "préf—.txt"),
        ('""', ""),
    ],
)
def test_a_file_name_is_read_as_it_is_quoted(written: str, filename: str) -> None:
    head = FILE_HEAD.replace(b'"a.txt"', written.encode())
    assert read(KEY + head + b"x" + END)[0].filename == filename


@pytest.mark.parametrize(
    "head",
    [
        b'content-disposition:form-data;name="acl"',
        b'Content-Disposition: Form-Data ; NAME="acl"',
        b"Content-Disposition: form-data; name=acl",
        b'Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name="acl"',
        b'Content-Disposition: form-data; name="acl"\r\nContent-Transfer-Encoding: 8bit',
        b'Content-Disposition: form-data; name="acl"\r\nContent-Length: 7',
    ],
)
def test_headers_as_clients_write_them(head: bytes) -> None:
    body = b"--" + B + b"\r\n" + head + b"\r\n\r\nprivate\r\n" + form_body([("key", "k")])
    assert read(body)[0].values == {"acl": "private", "key": "k"}


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Content-Type: text/plain",
        b"Content-Disposition: form-data",
        b'Content-Disposition: form-data; name=""',
        b'Content-Disposition: attachment; name="acl"',
        b'Content-Disposition: file; name="file"',
        b'Content-Disposition: form-data; name="acl"; name="key"',
        b'Content-Disposition: form-data; name="acl"; Name="key"',
        b"Content-Disposition: form-data; name*=utf-8''key",
        b"Content-Disposition: form-data; name=\"file\"; filename*=utf-8''x",
        b'Content-Disposition: form-data; name="a\\"b"',
        b'Content-Disposition: form-data; name="acl',
        b'Content-Disposition: form-data; name="acl" x',
        b'Content-Disposition: form-data, name="acl"',
        b'Content-Disposition: form-data; name="\xe2\x84\xaaey"',
        b'Content-Disposition: form-data; name="\xff"',
        b'Content-Disposition: form-data; name="acl"\r\nContent-Disposition: form-data; name="key"',
        b'Content-Disposition: form-data;\r\n name="acl"',
        b'Content-Disposition : form-data; name="acl"',
        b'Content-Disposition: form-data; name="acl"\nX: y',
        b'Content-Disposition: form-data; name="acl"\rX: y',
        b'Content-Disposition: form-data; name="acl"\0',
        b'Content-Disposition: form-data; name="acl"\r\nContent-Transfer-Encoding: base64',
        b'Content-Disposition: form-data; name="acl"\r\nno header',
    ],
)
def test_headers_that_two_readers_could_understand_differently_are_refused(head: bytes) -> None:
    body = b"--" + B + b"\r\n" + head + b"\r\n\r\nprivate\r\n" + form_body([("key", "k")])
    assert refusal(body).code == "MalformedPOSTRequest"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--",
        KEY,
        KEY[:-1],
        KEY + FILE_HEAD,
        KEY + FILE_HEAD + b"x",
        KEY + FILE_HEAD + b"x" + END[:-3],
        KEY + FILE_HEAD + b"x" + END[:-1],
        b"\r\n" + KEY + FILE_HEAD + b"x" + END,
        b"preamble\r\n" + KEY + FILE_HEAD + b"x" + END,
        (KEY + FILE_HEAD + b"x" + END).replace(b"\r\n", b"\n"),
        KEY.replace(b"\r\n\r\n", b"\n\n") + FILE_HEAD + b"x" + END,
        KEY.replace(B, B + b" ") + FILE_HEAD + b"x" + END,
        KEY.replace(B, B + b"x") + FILE_HEAD + b"x" + END,
        KEY.replace(B, B.upper()) + FILE_HEAD + b"x" + END,
        KEY + FILE_HEAD + b"x\r\n--" + B + b"x" + END,
        KEY + FILE_HEAD + b"x\r\n--" + B + b"-\r\n",
        KEY + FILE_HEAD + b"x\r\n--" + B + b"--more",
        KEY + FILE_HEAD + b"x\r\n--" + B + b"--\n",
        KEY + FILE_HEAD + b"x\r\n--" + B + b"\r\nno part\r\n\r\n" + END,
        KEY.replace(b"\r\nk\r\n", b"\r\n\xff\r\n") + FILE_HEAD + b"x" + END,
    ],
)
def test_wrong_framing_is_refused(body: bytes) -> None:
    error = refusal(body)
    assert (error.code, error.status) == ("MalformedPOSTRequest", 400)
    assert error.message == "The body of your POST request is not well-formed multipart/form-data."


@pytest.mark.parametrize("twin", ["acl", "ACL", "Acl"])
def test_a_field_given_twice_is_refused(twin: str) -> None:
    error = refusal(form_body([("key", "k"), ("acl", "private"), (twin, "private")]))
    assert (error.code, error.details["ArgumentName"]) == ("InvalidArgument", twin)


def test_a_form_without_a_file_is_refused() -> None:
    error = refusal(encode_multipart_formdata([("key", "k")], BOUNDARY)[0])
    assert (error.code, error.details["ArgumentValue"]) == ("IncorrectNumberOfFilesInPostRequest", "0")
    assert error.message == "POST requires exactly one file upload per request."


@pytest.mark.parametrize("name", ["file", "File"])
def test_a_second_file_is_refused(name: str) -> None:
    body = form_body([("key", "k")], after=[("submit", "x"), (name, "y")])
    assert refusal(body).code == "IncorrectNumberOfFilesInPostRequest"


@pytest.mark.parametrize("body", [form_body([("acl", "private")]), form_body([], after=[("key", "k")])])
def test_a_key_that_is_missing_or_comes_late_is_asked_for(body: bytes) -> None:
    error = refusal(body)
    assert error.code == "UserKeyMustBeSpecified"
    assert error.message == (
        "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."
    )
    assert error.details == {"ArgumentName": "key", "ArgumentValue": ""}


SMALL = Limits(fields=3, field=50, before=500, after=200)


@pytest.mark.parametrize("size", [1, 7, 10**6])
@pytest.mark.parametrize(
    "body",
    [
        form_body([("key", "k"), *((f"x-ignore-{n}", "") for n in range(3))]),
        form_body([("key", "k"), ("acl", "x" * 51)]),
        form_body([("key", "k"), ("acl", "x" * 10_000)]),
        form_body([("key", "x" * 45), ("acl", "x" * 45), ("x-ignore-" + "n" * 200, "x" * 45)]),
        KEY + b"--" + B + b"\r\nX-Endless: " + b"x" * 10_000,
        part("key", "x" * 10_000),
    ],
    ids=["fields", "one field", "one large field", "in all", "header", "value without end"],
)
def test_fields_beyond_the_limits_are_refused_as_they_come(body: bytes, size: int) -> None:
    error = refusal(*(body[n : n + size] for n in range(0, len(body), size)), limits=SMALL)
    assert (error.code, error.status) == ("MaxPostPreDataLengthExceeded", 400)
    assert error.details == {"MaxPostPreDataLengthBytes": "500"}


@pytest.mark.parametrize(
    "body",
    [
        form_body([("key", "k"), ("a", "v"), ("b", "v")]),
        form_body([("key", "k"), ("acl", "x" * 50)]),
        form_body([("key", "k")], b"x" * 10_000),
    ],
)
def test_fields_at_the_limits_are_taken(body: bytes) -> None:
    assert read(body, limits=SMALL) == read(*(body[n : n + 1] for n in range(len(body))), limits=SMALL)


@pytest.mark.parametrize("rest", [b"\r\n" + b"x" * 300, b"\r\n--" * 80])
def test_what_follows_the_file_is_bounded(rest: bytes) -> None:
    body = KEY + FILE_HEAD + b"x" + END[:-2] + rest
    assert refusal(*(body[n : n + 9] for n in range(0, len(body), 9)), limits=SMALL).code == "MalformedPOSTRequest"
    late = form_body([("key", "k")], after=[("submit", "x" * 300)])
    assert refusal(*(late[n : n + 9] for n in range(0, len(late), 9)), limits=SMALL).code == "MalformedPOSTRequest"


@pytest.mark.parametrize(
    ("written", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ("Multipart/Form-Data;boundary=abc", "abc"),
        ('multipart/form-data; boundary="a b:c"', "a b:c"),
        ("multipart/form-data; charset=utf-8; Boundary=abc", "abc"),
        ("multipart/form-data; boundary=----WebKitFormBoundaryAbC", "----WebKitFormBoundaryAbC"),
        ("multipart/form-data; boundary=" + "x" * 70, "x" * 70),
    ],
)
def test_the_boundary_is_read_from_the_content_type(written: str, boundary: str) -> None:
    assert boundary_of(written) == boundary
    assert boundary_of(content_type_of(boundary)) == boundary


@pytest.mark.parametrize(
    "written",
    [
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        'multipart/form-data; boundary="abc "',
        "multipart/form-data; boundary=a b",
        "multipart/form-data; boundary=abc; boundary=def",
        "multipart/form-data; boundary=abc, multipart/form-data; boundary=def",
        "multipart/form-data; boundary*=utf-8''abc",
        "multipart/form-data boundary=abc",
        "multipart/mixed; boundary=abc",
        "multipart/form-datax; boundary=abc",
        'multipart/form-data; boundary="a\\"b"',
        'multipart/form-data; boundary="a\tb"',
        "multipart/form-data; boundary=é",
        "multipart/form-data; boundary=" + "x" * 71,
    ],
)
def test_a_content_type_without_a_proper_boundary_is_refused(written: str) -> None:
    with pytest.raises(S3Error) as caught:
        boundary_of(written)
    assert caught.value.code == "MalformedPOSTRequest"


@generated
@given(fields, files, st.just(0) | st.integers(2, 40))
def test_what_is_written_is_read_again(pairs: list[tuple[str, str]], file: bytes, padding: int) -> None:
    pairs = [("key", "k"), *pairs]
    end = closing(BOUNDARY, padding)

    found, octets = read(opening(BOUNDARY, pairs, "file") + file + end)

    assert (list(found.pairs), found.filename, octets) == (pairs, "file", file)
    assert len(end) == len(closing(BOUNDARY)) + padding
