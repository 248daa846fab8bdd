"""Writes the seed corpus anew: small requests as clients make them, signed with fake secrets.

PYTHONPATH=addon:tests .venv/bin/python tests/fuzz/make_corpus.py
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib

from fuzz import targets
from fuzz.seeds import CORPUS
from osp_gateway.s3 import encoding
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import sigv4a
from osp_gateway.sigv4.keys import SigningKeys
from osp_gateway.sigv4.sign import presign_query, sign_head
from support import aws_chunked, forms
from support.oracle import NOW

EMPTY = hashlib.sha256(b"").hexdigest()
Seeds = dict[str, bytes]


def write(target: str, seeds: Seeds) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


def lines(first: str, headers: list[tuple[str, str]]) -> bytes:
    return "\n".join([first, *(f"{name}:{value}" for name, value in headers)]).encode("latin-1")


def signed(method: str, target: str, headers: list[tuple[str, str]] | None = None, payload: str = EMPTY) -> bytes:
    path, _, query = target.partition("?")
    result = sign_head(
        method=method,
        path=encoding.canonical_path(path),
        query=encoding.parse_query(query),
        headers=[("host", targets.HOST), *(headers or [])],
        payload_hash=payload,
        pair=targets.PAIR,
        region=targets.REGION,
        now=NOW,
        keys=SigningKeys(),
    )
    return lines(f"{method} {target}", result.headers)


def authorization() -> Seeds:
    plain = signed("GET", "/bucket/key")
    asymmetric = plain.replace(b"AWS4-HMAC-SHA256", sigv4a.ALGORITHM.encode()).replace(b"/us-east-1", b"")
    return {
        "get": plain,
        "list": signed("GET", "/bucket?list-type=2&prefix=a%2Fb&delimiter=%2F"),
        "put": signed("PUT", "/bucket/a%20b+c", [("content-type", "text/plain"), ("x-amz-meta-a", "1  2")]),
        "latin-1": signed("PUT", "/bucket/%C3%A9", [("x-amz-meta-a", "\xe9\xff")]),
        "chunked": signed("PUT", "/bucket/key", payload=aws_chunked.HMAC),
        "any-order": plain.replace(b"AWS4-HMAC-SHA256 Credential", b"AWS4-HMAC-SHA256  Credential"),
        "http-date": plain.replace(b"x-amz-date:20260101T120000Z", b"date:Thu, 01 Jan 2026 12:00:00 GMT"),
        "sigv2": b"GET /bucket/key\nhost:gateway.example.test\nauthorization:AWS fake-key:ZmFrZQ==",
        "sigv4a": asymmetric + b"\nx-amz-region-set:us-east-1,eu-*",
        "bearer": b"GET /bucket/key\nhost:gateway.example.test\nauthorization:Bearer fake",
        "anonymous": b"GET /bucket/key\nhost:gateway.example.test",
        "both": plain.replace(b"GET /bucket/key", b"GET /bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256"),
    }


def presigned() -> Seeds:
    def query(expires: int = 600, *pairs: tuple[str, str]) -> bytes:
        return presign_query(
            method="GET",
            host=targets.HOST,
            path="/bucket/key",
            query=pairs,
            expires=expires,
            pair=targets.PAIR,
            region=targets.REGION,
            now=NOW,
            keys=SigningKeys(),
        ).encode()

    return {
        "get": query(),
        "week": query(604_800, ("response-content-type", "text%2Fplain")),
        "hoisted": query(600, ("x-amz-meta-a", "1%202"), ("x-amz-acl", "private")),
        "versions": query(600, ("versionId", "fake"), ("partNumber", "1")),
        "payload": query(600, ("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"))
        + b"\nx-amz-content-sha256:UNSIGNED-PAYLOAD",
        "token": query(600, ("X-Amz-Security-Token", "fake%2Ftoken")),
        "sigv2": b"AWSAccessKeyId=fake-key&Expires=1767270000&Signature=ZmFrZQ%3D%3D",
        "sigv4a": query().replace(b"AWS4-HMAC-SHA256", sigv4a.ALGORITHM.encode()) + b"&X-Amz-Region-Set=%2A",
    }


def addresses() -> Seeds:
    host = ("host", targets.HOST)
    return {
        "root": lines("GET /", [host]),
        "bucket": lines("GET /bucket?list-type=2&encoding-type=url", [host]),
        "virtual": lines("GET /a/b//c/../d", [("host", "bucket.s3.example.test:443")]),
        "object": lines("GET /bucket/%E2%82%AC/%2F+?versionId=fake", [host]),
        "part": lines("PUT /bucket/key?partNumber=1&uploadId=fake", [host, ("x-amz-copy-source", "/bucket/key")]),
        "uploads": lines("POST /bucket/key?uploads", [host]),
        "delete": lines("POST /bucket?delete", [host, ("content-md5", "ZmFrZQ==")]),
        "preflight": lines("OPTIONS /bucket/key", [host, ("origin", "a"), ("access-control-request-method", "PUT")]),
        "form": lines(
            "POST /bucket", [host, ("content-type", "multipart/form-data; boundary=a"), ("content-length", "9")]
        ),
        "trailer": lines(
            "PUT /bucket/key",
            [
                host,
                ("x-amz-content-sha256", aws_chunked.UNSIGNED),
                ("x-amz-decoded-content-length", "3"),
                ("x-amz-trailer", aws_chunked.CRC32),
                ("content-encoding", "gzip,aws-chunked"),
            ],
        ),
        "checksum": lines(
            "PUT /bucket/key", [host, ("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-type", "a")]
        ),
    }


def delete_objects() -> Seeds:
    space = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    two = b"<Object><Key>a/b</Key></Object><Object><Key>&#x26;&lt;\xc3\xa9</Key><VersionId>v</VersionId></Object>"
    return {
        "plain": b"<Delete>" + two + b"</Delete>",
        "boto3": b'<?xml version="1.0" encoding="UTF-8"?>\n<Delete'
        + space
        + b">"
        + two
        + b"<Quiet>true</Quiet></Delete>",
        "indented": b"<Delete>\n  <Object>\n    <Key>a</Key>\n  </Object>\n</Delete>\n",
        "conditions": b"<Delete><Object><Key>a</Key><ETag>e</ETag><Size>1</Size></Object></Delete>",
        "empty": b"<Delete/>",
        "doctype": b'<!DOCTYPE a [<!ENTITY b "c">]><Delete><Object><Key>&b;</Key></Object></Delete>',
    }


def post_policy() -> Seeds:
    def form(document: object, *pairs: str) -> bytes:
        text = document if isinstance(document, str) else json.dumps(document)
        return "\n".join(["key=a/${filename}", *pairs, "", text]).encode()

    auth = [["starts-with", f"$x-amz-{name}", ""] for name in ("meta-a",)]
    own = [{"bucket": "bucket"}, ["starts-with", "$key", "a/"]]
    exact = [
        ["eq", "$x-amz-algorithm", "AWS4-HMAC-SHA256"],
        ["eq", "$x-amz-credential", f"{targets.PAIR.access_key}/{targets.SCOPE}"],
        ["eq", "$x-amz-date", targets.DATE],
    ]
    plain = forms.document([*own, *exact])
    return {
        "plain": form(plain),
        "fields": form(forms.document([*own, *exact, *auth, {"acl": "private"}]), "x-amz-meta-a=1", "acl=private"),
        "sizes": form(forms.document([*own, *exact, ["content-length-range", 1, "10"]])),
        "types": form(
            forms.document([*own, *exact, ["starts-with", "$Content-Type", "image/"]]), "Content-Type=image/a,image/b"
        ),
        "escapes": form(json.dumps(plain).replace('"a/"', '"a/\\u0024\\$\\v"')),
        "failed": form(forms.document([*own, *exact, ["eq", "$x-amz-meta-a", "\ud800"]]), "x-amz-meta-a=1"),
        "ignored": form(plain, "x-ignore-a=1", "success_action_status=201"),
        "twice": form('{"expiration":"2026-01-01T13:00:00Z","expiration":"2026-01-01T13:00:00Z","conditions":[]}'),
        "expired": form(forms.document([], "2020-02-30T00:00:00Z")),
        "no-key": f"acl=private\n\n{json.dumps(forms.document([*own[:1], *exact, {'acl': 'private'}]))}".encode(),
        "deep": form("[" * 3000),
    }


def post_form() -> Seeds:
    def seed(pairs: forms.Pairs, **more: object) -> bytes:
        return forms.CONTENT_TYPE.encode() + b"\n" + forms.form_body(pairs, **more)  # type: ignore[arg-type]

    def short(fields: dict[str, str]) -> forms.Pairs:
        return forms.signed_fields(fields, bucket=targets.BUCKET)

    hand = (
        b'multipart/form-data; boundary="a b"\n--a b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
        b'--a b\r\nContent-Disposition: form-data; name=file; filename="\\"x\\""\r\n\r\n1\r\n--a \r\n--a b--'
    )
    return {
        "unsigned": seed([("key", "a")]),
        "after": seed([("key", "a")], after=[("submit", "go")]),
        "file-first": seed([]),
        "quoted": hand,
        "padded": hand + b"\r\nepilogue",
        "policy": seed(
            [
                ("key", "a"),
                ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
                ("x-amz-credential", f"{targets.PAIR.access_key}/{targets.SCOPE}"),
                ("x-amz-date", targets.DATE),
                ("policy", _short_policy()),
                ("x-amz-signature", "fake"),
            ],
            file=b"\r\n--fake-boundary-012" * 3,
        ),
        "signed": seed(short({"key": "a"})),
    }


def _short_policy() -> str:
    conditions = [["starts-with", f"${name}", ""] for name in ("key",)]
    return base64.b64encode(json.dumps(forms.document(conditions)).encode()).decode()


def chunked() -> Seeds:
    def body(mode: str, chunks: list[bytes], **more: object) -> bytes:
        signer = aws_chunked.Signer(targets.PAIR.secret_key, targets.SEED, targets.DATE, targets.SCOPE)
        return aws_chunked.encode(mode, chunks, signer=signer, **more)  # type: ignore[arg-type]

    seeds = {}
    chunks = [b"first chunk,", b"\r\n0\r\n\r\n", b"a" * 300]
    length = sum(map(len, chunks))
    for short, mode in (
        ("unsigned", aws_chunked.UNSIGNED),
        ("hmac", aws_chunked.HMAC),
        ("both", aws_chunked.HMAC_TRAILER),
    ):
        trailer = aws_chunked.CRC32 if mode.endswith("TRAILER") else ""
        for kind in ("decode", "pass" if mode == aws_chunked.UNSIGNED else "re-sign"):
            for hold in (0, 65536):
                first = f"{mode} {kind} {length} {trailer} {hold} 1000 check\n".encode()
                seeds[f"{short}-{kind}-{hold}"] = first + body(mode, chunks)
    ecdsa = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
    padded = ("30" * 70).ljust(144, "*")
    seeds["ecdsa"] = (
        f"{ecdsa} decode 2  0 9 trust\n2;chunk-signature={padded}\r\nab\r\n0;chunk-signature={padded}\r\n\r\n".encode()
    )
    checksum = base64.b64encode(zlib.crc32(b"ab").to_bytes(4, "big")).decode()
    seeds["minio"] = (
        f"{aws_chunked.UNSIGNED} decode 2 {aws_chunked.CRC32} 9 9 check\n"
        f"2\r\nab\r\n0\r\n{aws_chunked.CRC32}:{checksum}\n\r\n\r\n"
    ).encode()
    seeds["empty"] = f"{aws_chunked.HMAC} decode 0  9 9 check\n".encode() + body(aws_chunked.HMAC, [])
    return seeds


def masking() -> Seeds:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJmYWtlIn0.ZmFrZQ"
    cookies = [("cookie", "a=b; session=fake"), ("x-amz-security-token", "fake"), ("x-internal-ticket", "fake")]
    query = presigned()["token"].decode()
    form = forms.form_body(forms.signed_fields({"key": "a"}, bucket=targets.BUCKET))
    answer = b"<R><SecretAccessKey>fake</SecretAccessKey><StringToSign><![CDATA[fake]]></StringToSign></R>"
    signer = aws_chunked.Signer(targets.PAIR.secret_key, targets.SEED, targets.DATE, targets.SCOPE)
    chunks = aws_chunked.encode(aws_chunked.HMAC_TRAILER, [b"a chunk", b"another"], signer=signer)
    return {
        "headers": signed("GET", "/bucket/key", cookies),
        "bearer": lines("GET /bucket/key", [("authorization", f"Bearer {token}"), ("referer", f"/a?{query}")]),
        "sigv2": b"GET /bucket/key\nauthorization:AWS fake-key:ZmFrZQ==\n\n" + answer,
        "presigned": f"GET /bucket/key?{query}\nhost:a".encode(),
        "encoded": f"GET /bucket/key%3F{query.replace('&', '%26')}\nhost:a".encode(),
        "token": f"GET /bucket/{token}?X-Amz-Credential={token}\nhost:a\n\n{token}".encode(),
        "form": lines("POST /bucket", [("content-type", forms.CONTENT_TYPE)]) + b"\n\n" + form,
        "sts": b"POST /\ncontent-type:application/x-www-form-urlencoded\n\nAction=a&WebIdentityToken=" + token.encode(),
        "chunked": signed("PUT", "/bucket/key", payload=aws_chunked.HMAC_TRAILER) + b"\n\n" + chunks,
    }


def plain_body() -> Seeds:
    def seed(headers: dict[str, str], body: bytes) -> bytes:
        return "".join(f"{name}:{value}\n" for name, value in headers.items()).encode() + b"\n" + body

    body = b"a body" * 20
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return {
        "signed": seed({"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}, body),
        "unsigned": seed({"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "content-md5": digest}, body),
        "crc32": seed({"x-amz-checksum-crc32": aws_chunked.crc32(body)}, body),
        "composite": seed({"x-amz-checksum-crc32": "AAAAAA==-2"}, body),
        "wrong": seed({"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}, body),
        "xxhash": seed({"x-amz-checksum-xxhash3": "AAAAAAAAAAA="}, body),
    }


def main() -> None:
    makers = (
        *(authorization, presigned, addresses, delete_objects, post_policy, post_form, chunked, plain_body),
        masking,
    )
    for make in makers:
        write(make.__name__, make())
    head = signed("GET", "/bucket/key").decode("latin-1").split("\n")
    assert RequestHead("GET", "/bucket/key", "", tuple(line.split(":", 1) for line in head[1:])).get("host")  # type: ignore[misc]


if __name__ == "__main__":
    main()
