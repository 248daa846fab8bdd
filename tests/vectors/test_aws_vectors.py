"""AWS's own signing vectors (aws-signing-test-suite, Apache-2.0, beside this file with its LICENSE and NOTICE).

They were made for a service named "service". Other services than S3 normalise paths (`//`, `.`, `..`) where
`context.json` says `normalize`; S3 never does, and so neither does `osp_gateway.s3.encoding`: here, and only here, a
helper normalises the path before it is handed over. Such services also encode paths twice; no vector has a path in
which that shows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from osp_gateway.s3 import encoding
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import canonical, claims, sigv4a
from osp_gateway.sigv4.dates import parse_amz_date
from osp_gateway.sigv4.keys import SigningKeys, signature

SUITE = Path(__file__).with_name("aws-signing-test-suite")
ALGORITHMS = {"v4": canonical.ALGORITHM, "v4a": sigv4a.ALGORITHM}
# Two of the folders of v4a hold no signed requests.
CASES = sorted(str(path.parent.relative_to(SUITE)) for path in SUITE.glob("*/*/header-signed-request.txt"))
FORMS = ["header", "query"]


@dataclass(frozen=True)
class Case:
    """One vector in one form, signed by our functions; its name is its folder, below `v4` or `v4a`."""

    name: str
    form: str

    def file(self, name: str) -> str:
        return (SUITE / self.name / name).read_bytes().decode("latin-1")

    def expected(self, name: str) -> str:
        return self.file(f"{self.form}-{name}.txt")

    @property
    def context(self) -> dict[str, Any]:
        return json.loads(self.file("context.json"))

    @property
    def amz_date(self) -> str:
        return datetime.fromisoformat(self.context["timestamp"]).strftime("%Y%m%dT%H%M%SZ")

    @property
    def asymmetric(self) -> bool:
        return self.name.startswith("v4a/")

    @property
    def algorithm(self) -> str:
        return ALGORITHMS[self.name.partition("/")[0]]

    @property
    def scope(self) -> str:
        region = "" if self.asymmetric else f"{self.context['region']}/"
        return f"{self.amz_date[:8]}/{region}{self.context['service']}/aws4_request"

    @property
    def credential(self) -> str:
        return f"{self.context['credentials']['access_key_id']}/{self.scope}"

    @property
    def signed_token(self) -> str | None:
        return None if self.context.get("omit_session_token") else self.context["credentials"].get("token")

    @property
    def payload_hash(self) -> str:
        return hashlib.sha256(_parse(self.file("request.txt")).body).hexdigest()

    @property
    def added_headers(self) -> dict[str, str]:
        """What signing adds to the headers in the header form."""
        added = {"x-amz-date": self.amz_date}
        if self.asymmetric:
            added["x-amz-region-set"] = self.context["region"]
        if self.context["sign_body"]:
            added["x-amz-content-sha256"] = self.payload_hash
        if self.signed_token:
            added["x-amz-security-token"] = self.signed_token
        return added

    @property
    def fields(self) -> dict[str, list[str]]:
        fields = _parse(self.file("request.txt")).head.fields
        if self.form == "header":
            fields.update({name: [value] for name, value in self.added_headers.items()})
        return fields

    @property
    def query(self) -> tuple[encoding.Pair, ...]:
        pairs = encoding.parse_query(_parse(self.file("request.txt")).head.query)
        return pairs if self.form == "header" else (*pairs, *self.added_query)

    @property
    def added_query(self) -> tuple[encoding.Pair, ...]:
        """What signing adds to the query in the query form."""
        added = {
            "X-Amz-Algorithm": self.algorithm,
            "X-Amz-Credential": self.credential,
            "X-Amz-Date": self.amz_date,
            "X-Amz-Expires": str(self.context["expiration_in_seconds"]),
            "X-Amz-SignedHeaders": ";".join(sorted(self.fields)),
        }
        if self.asymmetric:
            added["X-Amz-Region-Set"] = self.context["region"]
        if self.signed_token:
            added["X-Amz-Security-Token"] = self.signed_token
        return tuple((name, encoding.encode(value.encode())) for name, value in added.items())

    def canonical_request(self) -> str:
        head = _parse(self.file("request.txt")).head
        path = _normalize(head.path) if self.context["normalize"] else head.path
        return canonical.canonical_request(
            head.method,
            encoding.canonical_path(path),
            canonical.canonical_query(self.query),
            self.fields,
            sorted(self.fields),
            self.payload_hash,
        )

    @property
    def signed_request_signature(self) -> str:
        """The signature in the signed request: for SigV4A another one than the vector's own, and right all the same."""
        found = re.search(r"Signature=([0-9a-f]+)", self.expected("signed-request"))
        assert found is not None
        assert self.is_signature(found[1])
        return found[1]

    def string_to_sign(self) -> str:
        return canonical.string_to_sign(self.amz_date, self.scope, self.canonical_request(), self.algorithm)

    def is_signature(self, value: str) -> bool:
        credentials = self.context["credentials"]
        secret = credentials["secret_access_key"]
        if self.asymmetric:
            public_key = SigningKeys().key_pair(credentials["access_key_id"], secret).public_key()
            return sigv4a.is_signature(public_key, self.string_to_sign(), value)
        key = SigningKeys().get(secret, self.amz_date[:8], self.context["region"], self.context["service"])
        return value == signature(key, self.string_to_sign())


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=FORMS)
def case(name: str, request: pytest.FixtureRequest) -> Case:
    return Case(name, request.param)


def test_the_suite_is_complete() -> None:
    assert Counter(name.partition("/")[0] for name in CASES) == {"v4": 38, "v4a": 38}


def test_the_canonical_request_is_awss(case: Case) -> None:
    assert case.canonical_request() == case.expected("canonical-request")


def test_the_string_to_sign_is_awss(case: Case) -> None:
    assert case.string_to_sign() == case.expected("string-to-sign")


def test_awss_signature_is_right(case: Case) -> None:
    assert case.is_signature(case.expected("signature"))


def test_awss_signature_of_another_string_is_not(case: Case) -> None:
    other = "query" if case.form == "header" else "header"
    assert not case.is_signature(Case(case.name, other).expected("signature"))


def test_the_signed_request_has_our_authorization_header(name: str) -> None:
    case = Case(name, "header")
    head = _parse(case.expected("signed-request")).head

    assert head.get("authorization") == (
        f"{case.algorithm} Credential={case.credential}, SignedHeaders={';'.join(sorted(case.fields))}, "
        f"Signature={case.signed_request_signature}"
    )
    assert {name: head.get(name) for name in case.added_headers} == case.added_headers


def test_the_presigned_request_has_our_query(name: str) -> None:
    case = Case(name, "query")
    pairs = encoding.parse_query(_parse(case.expected("signed-request")).head.query)
    unsigned_token = None if case.signed_token else case.context["credentials"].get("token")
    expected = [*case.query, ("X-Amz-Signature", case.signed_request_signature)]
    if unsigned_token:
        expected.append(("X-Amz-Security-Token", encoding.encode(unsigned_token.encode())))

    assert sorted(pairs) == sorted(expected)


def test_the_signed_request_itself_is_refused_as_another_services(case: Case) -> None:
    head = _parse(case.expected("signed-request")).head
    signed_at = parse_amz_date(case.amz_date)
    assert signed_at is not None

    with pytest.raises(S3Error, match='incorrect service "service"'):
        claims.read(head, encoding.parse_query(head.query), signed_at)


@dataclass(frozen=True)
class Parsed:
    head: RequestHead
    body: bytes


@lru_cache
def _lines(text: str) -> tuple[tuple[str, ...], str]:
    head, _, body = text.partition("\n\n")
    # A folded line belongs to the one before it: RFC 9112, section 5.2.
    return tuple(head.strip("\n").replace("\n ", " ").split("\n")), body


def _parse(text: str) -> Parsed:
    """A request as the suite writes it: unencoded, so spaces in the target are possible."""
    (first, *lines), body = _lines(text)
    method, _, rest = first.partition(" ")
    path, _, query = rest.rpartition(" ")[0].partition("?")
    headers = tuple((name, value) for name, _, value in (line.partition(":") for line in lines))
    return Parsed(RequestHead(method, path, query, headers), body.encode("latin-1"))


def _normalize(path: str) -> str:
    """RFC 3986's "remove dot segments", and runs of slashes become one."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    ends_in_slash = path.endswith("/") and bool(kept)
    return "/" + "/".join(kept) + ("/" if ends_in_slash else "")
