"""Inputs that grow: each a target's name and what to feed it, of about `size` octets. Made to find quadratic work.

Run as a script, it feeds them all at a size far beyond what the gateway lets in, and names each when it is done.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping

from fuzz.targets import SCOPE, TARGETS
from osp_gateway.s3.errors import S3Error
from support import aws_chunked, forms

HEAD = (
    b"GET /bucket/key\nhost:gateway.example.test\nx-amz-date:20260101T120000Z\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n"
)
CREDENTIAL = f"Credential=client-fake-key/{SCOPE}".encode()
SIGNATURE = b"Signature=" + b"a" * 64
CHUNKED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER pass {} x-amz-checksum-crc32 0 0 check\n"
BOUNDARY = b"multipart/form-data; boundary=fake-boundary-0123\n"
PART = b'--fake-boundary-0123\r\nContent-Disposition: form-data; name="%b"\r\n\r\n'


def _times(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


def _names(form: bytes, size: int) -> bytes:
    return b"".join(form % number for number in range(size // len(form % 10_000)))


def _authorization(rest: bytes) -> bytes:
    return HEAD + b"authorization:AWS4-HMAC-SHA256 " + rest


def _chunks(size: int) -> bytes:
    chunks = aws_chunked.split(b"a" * (size // 8), 1)
    return CHUNKED.format(len(chunks)).encode() + b"".join([b"1\r\na\r\n"] * len(chunks)) + b"0\r\n\r\n"


def _policy(conditions: object) -> bytes:
    return b"key=a\n\n" + json.dumps(forms.document(conditions)).encode()


GROWING: Mapping[str, tuple[str, Callable[[int], bytes]]] = {
    "commas": ("authorization", lambda n: _authorization(_times(b",", n))),
    "blanks": ("authorization", lambda n: _authorization(CREDENTIAL + b"," + b" " * n + SIGNATURE)),
    "no parts": ("authorization", lambda n: _authorization(b"Credential=" + b"a" * n)),
    "slashes": (
        "authorization",
        lambda n: _authorization(b"Credential=" + b"/" * n + b",SignedHeaders=a," + SIGNATURE),
    ),
    "signed names": (
        "authorization",
        lambda n: _authorization(CREDENTIAL + b",SignedHeaders=" + _names(b"a%06d;", n) + b"host," + SIGNATURE),
    ),
    "headers": (
        "authorization",
        lambda n: (
            _authorization(CREDENTIAL + b",SignedHeaders=host;x-amz-content-sha256;x-amz-date," + SIGNATURE)
            + _names(b"\na%06d:b", n)
        ),
    ),
    "one header many times": ("authorization", lambda n: HEAD + _times(b"a:b  c\n", n)),
    "signed blanks": (
        "authorization",
        lambda n: (
            _authorization(CREDENTIAL + b",SignedHeaders=a;host;x-amz-content-sha256;x-amz-date," + SIGNATURE)
            + b"\na:b"
            + _times(b"  \t", n)
            + b"c"
        ),
    ),
    "date": ("authorization", lambda n: HEAD.replace(b"x-amz-date:2026", b"date:" + b"(" * n) + b"authorization:AWS4"),
    "parameters": ("presigned", lambda n: _names(b"a%06d=b&", n)),
    "hoisted": ("presigned", lambda n: _names(b"x-amz-meta-a%06d=b&", n) + b"X-Amz-Algorithm=AWS4-HMAC-SHA256"),
    "escapes": ("presigned", lambda n: b"a=" + _times(b"%41", n)),
    "ampersands": ("presigned", lambda n: b"&" * n),
    "segments": ("addresses", lambda n: b"GET /bucket" + _times(b"/..", n) + b"\nhost:a"),
    "escaped key": ("addresses", lambda n: b"GET /bucket/" + _times(b"%2F", n) + b"\nhost:a"),
    "host": ("addresses", lambda n: b"GET /bucket\nhost:" + _times(b"a.", n) + b"example.test"),
    "colons": ("addresses", lambda n: b"GET /bucket\nhost:" + b":" * n),
    "trailers": ("addresses", lambda n: b"PUT /b/k\nhost:a\nx-amz-trailer:" + b"," * n),
    "content type": (
        "addresses",
        lambda n: (
            b"POST /b\nhost:a\ncontent-length:9\ncontent-type:multipart/form-data" + _times(b" \t", n) + b";boundary=!"
        ),
    ),
    "type parameters": ("post_form", lambda n: b"multipart/form-data" + _names(b";a%06d=b", n) + b"\n"),
    "quoted boundary": ("post_form", lambda n: b'multipart/form-data; boundary="' + _times(b"\\a", n) + b"\n"),
    "boundary": ("post_form", lambda n: b'multipart/form-data; boundary="' + b"a" * n + b'!"\n'),
    "almost boundaries": (
        "post_form",
        lambda n: BOUNDARY + PART % b"key" + b"k\r\n" + PART % b"file" + _times(b"\r\n--fake-boundary-012", n),
    ),
    "fields": ("post_form", lambda n: BOUNDARY + b"v\r\n".join(PART % b"a%d" % i for i in range(n // 80))),
    "part headers": ("post_form", lambda n: BOUNDARY + b"--fake-boundary-0123\r\n" + _times(b"a:b\r\n", n)),
    "line breaks": ("post_form", lambda n: BOUNDARY + PART % b"key" + b"\r" * n),
    "conditions": ("post_policy", lambda n: _policy([["starts-with", "$key", ""]] * (n // 30))),
    "nested": ("post_policy", lambda n: b"key=a\n\n" + b"[" * n),
    "backslashes": ("post_policy", lambda n: b'key=a\n\n{"a":"' + b"\\" * n),
    "number": ("post_policy", lambda n: b"key=a\n\n" + b"9" * n),
    "filename": ("post_policy", lambda n: b"key=" + _times(b"${filename}", n) + b"\n\n{}"),
    "uncovered": ("post_policy", lambda n: b"key=a\n" + _names(b"x-ignore-%06d=a\n", n) + b"\n" + _policy([])[7:]),
    "chunks": ("chunked", _chunks),
    "chunk header": ("chunked", lambda n: CHUNKED.format(9).encode() + b"1" * n),
    "chunk trailers": ("chunked", lambda n: CHUNKED.format(0).encode() + b"0\r\n" + _names(b"a%06d:b\r\n", n)),
    "one chunk": ("chunked", lambda n: CHUNKED.format(n).encode() + b"%x\r\n" % n + b"a" * n + b"\r\n0\r\n\r\n"),
    "signed chunk": (
        "chunked",
        lambda n: (
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD decode 65536  0 65536 trust\n10000;chunk-signature=%b\r\n%b"
            % (b"a" * 64, b"a" * min(n, 65_536))
        ),
    ),
    "tokens": ("masking", lambda n: b"GET /\nhost:a\n\n" + _times(b"eyJ", n)),
    "tokens in a form": ("masking", lambda n: b"POST /\nhost:a\n\na=" + _times(b"eyJaaaa.", n)),
    "tokens in a key": ("masking", lambda n: b"GET /" + _times(b"eyJaaaaa.a", n) + b"\nhost:a"),
    "encoded signatures": ("masking", lambda n: b"GET /b/k" + _times(b"%3FX-Amz-Signature%3Da", n) + b"\nhost:a"),
    "encoded percent signs": ("masking", lambda n: b"GET /b/k%3Ftoken%3D" + _times(b"%25", n) + b"\nhost:a"),
    "one of them": ("masking", lambda n: b"GET /b/k%3Ftoken%" + _times(b"25", n) + b"3Da\nhost:a"),
    "encoded digits": ("masking", lambda n: b"GET /b/k%3Ftoken" + _times(b"%2%33%35", n) + b"\nhost:a"),
    "access keys in text": ("masking", lambda n: b"GET /b/k" + _times(b"%3FX-Amz-Credential=%3D", n) + b"\nhost:a"),
    "values in text": ("masking", lambda n: b"GET /\nhost:a\n\ntoken=" + _times(b'"a=;=%26', n)),
    "equals signs": ("masking", lambda n: b"GET /\nhost:a\n\ntoken" + _times(b"=", n)),
    "signatures in text": ("masking", lambda n: b"GET /\nhost:a\n\n" + _times(b"x-amz-signature=", n)),
    "cookies": ("masking", lambda n: b"GET /\ncookie:" + _times(b"a=b;", min(n, 65_536))),
    "secrets and a text": (
        "masking",
        lambda n: b"GET /\ncookie:" + _names(b"=%06d;", min(n, 57_344)) + b"\n\n" + _names(b"=%06d;", n),
    ),
    "few secrets and a text": (
        "masking",
        lambda n: b"GET /\ncookie:" + _names(b"=%%61%04d;", min(n, 448)) + b"\n\n" + _names(b"%%61%04d;", n),
    ),
    "parts of an authorization": ("masking", lambda n: b"GET /\nauthorization:AWS4-A " + _names(b"a=%06d,", n)),
    "parts of a credential": ("masking", lambda n: b"GET /?X-Amz-Credential=" + _times(b"/", n) + b"\nhost:a"),
    "secrets of an answer": ("masking", lambda n: b"GET /\nhost:a\n\n" + _times(b"<Token-0><![CDATA[", n)),
    "elements of an answer": ("masking", lambda n: b"GET /\nhost:a\n\n<" + _times(b"<SecretAccessKey ", n)),
    "chunk lines": (
        "masking",
        lambda n: b"PUT /\nx-amz-content-sha256:STREAMING-A\n\n" + _times(b"1;chunk-signature=a\r\nb\r\n", n),
    ),
    "body": ("plain_body", lambda n: b"content-md5:ZmFrZQ==\n\n" + b"a" * n),
    "elements": ("delete_objects", lambda n: b"<Delete>" + _times(b"<Object><Key>a</Key></Object>", n) + b"</Delete>"),
    "depth": ("delete_objects", lambda n: b"<Delete>" + _times(b"<Object>", n)),
    "references": (
        "delete_objects",
        lambda n: b"<Delete><Object><Key>" + _times(b"&#x41;", n) + b"</Key></Object></Delete>",
    ),
    "declaration": ("delete_objects", lambda n: b" " * n + b'<?xml version="1.0"' + b" " * n),
    "tags": ("delete_objects", lambda n: b"<" * n),
}


def feed(name: str, size: int) -> None:
    """One of the inputs to its target. That parsers answer at all is what counts here."""
    target, make = GROWING[name]
    try:
        TARGETS[target](make(size))
    except S3Error as error:
        raise AssertionError("a target lets no S3Error out") from error


def main(size: int) -> Iterator[str]:
    for name in GROWING:
        feed(name, size)
        yield name


if __name__ == "__main__":
    for done in main(int(sys.argv[1])):
        print(done, flush=True)
