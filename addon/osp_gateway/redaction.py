"""Masks for what is secret in a request or an answer that people look at or keep.

A mark says that something stood there, and equal values have equal marks: `redacted-` and 48 bits of an HMAC. Its key
is made anew for each process and never written anywhere. So a mark in a file cannot be tried out, however few values
its secret could have had, and marks of different processes have nothing to do with each other.

What is masked: signatures, tokens and passwords in headers, in query strings and in the bodies of forms, STS calls and
their answers; cookies; keys of SSE-C; signatures in aws-chunked framing; headers that the operator names. Access keys
stay: they are names, but for tokens that stand in their place. JSON Web Tokens are masked wherever they are. Where
something is not understood, more is masked rather than less. Everything is linear.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_to_bytes
from xml.sax.saxutils import escape, unescape

from osp_gateway import parameters, tokens
from osp_gateway.parameters import Extent
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import part_name
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.explain.reading import Sighting, sightings
from osp_gateway.sigv4.keys import told

MARK: Final = "redacted-"
_DIGITS: Final = 12
IS_MARK: Final = re.compile(MARK + r"[0-9a-f]{12}").fullmatch
"""Whether a text is a mark."""

SECRET_HEADERS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-amz-mfa",
        "x-amz-copy-source-server-side-encryption-customer-key",
        "x-amz-copy-source-server-side-encryption-customer-key-md5",
        "x-amz-s3session-token",
        "x-amz-security-token",
        "x-amz-server-side-encryption-customer-key",
        "x-amz-server-side-encryption-customer-key-md5",
        "x-amz-trailer-signature",
        "x-api-key",
        "x-auth-token",
    }
)
"""Headers of which the value, or a part of it, is as good as a credential."""
UNTOUCHED: Final = frozenset({"connection", "content-length", "host", "transfer-encoding"})
"""Headers that an operator cannot have masked: mitmproxy reads from them where a message ends."""

_SECRET_PARAMETERS: Final = frozenset(
    {
        "access-token",
        "id-token",
        "password",
        "samlassertion",
        "secretaccesskey",
        "token",
        "tokencode",
        "webidentitytoken",
    }
)
_SECRET_ENDINGS: Final = ("signature", "security-token", "session-token", "customer-key", "customer-key-md5")
_ELEMENTS: Final = "SecretAccessKey|SessionToken|WebIdentityToken|SAMLAssertion|Token-[0-9]{1,3}"
_SIGNING: Final = "|SignatureProvided|StringToSign(?:Bytes)?|CanonicalRequest(?:Bytes)?"
_MOST_PARAMETERS: Final = 2048
_MOST_CHUNKS: Final = 4096
_MOST_PARTS: Final = 256
_LONGEST_POLICY: Final = 64 * 1024
"""What has more is masked as a whole: no request of use has."""
_SHORTEST: Final = 6
"""Shorter values are not looked for in other text: they would be found where they are not."""
_MOST_SECRETS: Final = 64
_MOST_SEARCHED: Final = 1 << 23
"""Beyond so many secrets of a request, or characters to be searched for all their forms, texts that may hold one of
them are masked as a whole."""

_BEHIND_A_PATH: Final = ("x-amz-signature", *_SECRET_ENDINGS[1:], "access-token", "id-token")
"""What is no part of a path, as `/token=1/` may be."""
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[^\r\n]*)?").fullmatch
_CHUNK_SIGNATURE: Final = re.compile(
    rb"((?:chunk|x-amz-trailer)(?:-|_|%2d)signature[ \t]*[=:][ \t]*\"?)([^\s;\"]+)", re.IGNORECASE
)
_REQUEST_LINE: Final = re.compile(rb"[A-Za-z]{1,32} (?:[/*]|https?://|.* HTTP/[0-9.]*\Z)", re.DOTALL).match
_VERSION: Final = re.compile(rb".* HTTP/[0-9.]*", re.DOTALL).fullmatch
_LONGEST_CHUNK_LINE: Final = 1024
_SCHEME: Final = re.compile(r"(basic|bearer|digest|negotiate)\s+(.+)", re.IGNORECASE | re.DOTALL).fullmatch
_V4: Final = re.compile(r"(\s*AWS4-[A-Z0-9-]{1,40}\s+)(.*)", re.DOTALL).fullmatch
_SCOPE: Final = r"/[0-9][0-9A-Za-z-]{0,15}(?:/[0-9A-Za-z_.-]{1,63}){2,3}"
_SIGNED_HEADER: Final = r"(?![0-9A-Fa-f]{32})[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""A name: what looks like a signature is none."""
_USUAL_V4: Final = re.compile(
    rf"Credential=([^\s;=,]*)({_SCOPE})(,[ ]?SignedHeaders={_SIGNED_HEADER}(?:;{_SIGNED_HEADER})*,[ ]?Signature=)"
    r"([0-9a-f]+)"
).fullmatch
"""What all clients write but broken ones. It takes a third of the time."""
_V4_SEPARATORS: Final = re.compile(r"([,;\s]+)")
_IS_SCOPED_KEY: Final = re.compile(rf"([^\s;=,]*)({_SCOPE})").fullmatch
_IS_SIGNED_HEADER: Final = re.compile(_SIGNED_HEADER).fullmatch
_V2: Final = re.compile(r"(AWS [^\s:]{1,128}:)(.+)", re.DOTALL).fullmatch
_SUSPICIOUS: Final = re.compile(rb"[\r\n\0=%]|eyJ").search
"""In the value of a header that is not secret by its name. Most answers have none, and take 2 us instead of 14."""
_FOLDED: Final = bytes(range(256)).lower().replace(b"_", b"-")
"""For the names of headers: behind some servers an underscore is as good as a hyphen."""
_LINE_ENDS: Final = re.compile(rb"(\r\n|\r|\n)")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}").fullmatch
_IS_WORD: Final = re.compile(r"[a-z0-9-]*").fullmatch
_WORDS: Final = re.compile(r"[a-z0-9-]+").findall
_AROUND_NAMES: Final = "".join(chr(code) for code in range(256) if not chr(code).isalnum())
_HAS_PARAMETERS: Final = re.compile(rb"[=;]|%(?:3|25)").search
_SEPARATOR: Final = re.compile(rb"[=;\s\"<>]|%(?:25|26|3[BDbd])").search
_WORD_OF_TEXT: Final = re.compile(r"[^\s\"<>]+")
_IN_A_CREDENTIAL: Final = re.compile(r"[^\s;=,&?]*").fullmatch
_CREDENTIALS: Final = frozenset({"awsaccesskeyid", "x-amz-credential"})
"""Parameters and fields that name an access key."""
_BOUNDARY: Final = re.compile(r"boundary=(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE).search
_DELIMITER: Final = re.compile(rb"(--[^\r\n]{1,200})[\r\n]").match
"""What a form begins with, whatever its Content-Type says."""
_DISPOSITION: Final = re.compile(
    rb"content-disposition:[ \t]*form-data(?:[ \t]*;[ \t]*(?:file)?name=(?:\"[^\"]*\"|[^\s;\"]*))*", re.IGNORECASE
).fullmatch
_USUAL_PART: Final = re.compile(
    rb'\r\ncontent-disposition: form-data; name="([0-9a-z_.-]+)"(?:; filename="[^"\\\r\n\0]*")?'
    rb"(?:\r\ncontent-type: ?[0-9a-z/.+-]*)?",
    re.IGNORECASE,
).fullmatch
"""What browsers and SDKs write. It takes a tenth of the time."""
_CONTINUED_NAME: Final = re.compile(rb"[;\s]name\*", re.IGNORECASE).search
"""As RFC 2231 has it, which some readers prefer to a plain one."""
_IS_PLAIN_NAME: Final = re.compile(r"[0-9A-Za-z_.-]+").fullmatch
_FORM_FIELDS_SHOWN: Final = frozenset({"x-amz-algorithm", "x-amz-credential", "x-amz-date"})
_FILE: Final = "file"

Field = tuple[bytes, bytes]


class Redactor:
    """Masks heads, bodies and text with one key."""

    def __init__(self, headers: Iterable[str] = (), key: bytes | None = None) -> None:
        """Mask the usual secrets.

        Args:
            headers: names of further headers, and query parameters, to be masked.
            key: of the marks; by default one that nobody else has.

        Raises:
            ValueError: with the name of a header that cannot be masked, see `UNTOUCHED`.
        """
        extra = frozenset(map(parameters.folded, headers))
        for name in sorted(extra & UNTOUCHED):
            raise ValueError(name)
        self._key = key or os.urandom(32)
        self._headers = SECRET_HEADERS | extra
        self._parameters = _SECRET_PARAMETERS | self._headers
        self._octet_names = frozenset(name.encode() for name in self._headers)
        self._behind_a_path = (*_BEHIND_A_PATH, *extra)
        self._hints = _shortest({*self._parameters, *_SECRET_ENDINGS, *_CREDENTIALS})
        names = "|".join(re.escape(name).replace(r"\-", "[-_]") for name in sorted(self._headers))
        self._header_line = re.compile(rf"^({names}):(.+)$", re.IGNORECASE | re.MULTILINE)

    def mark(self, value: str | bytes) -> str:
        """The mark of a value; that of a mark is itself."""
        octets = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        text = octets.decode("latin-1")
        if not text or IS_MARK(text):
            return text
        return MARK + hmac.digest(self._key, octets, "sha256").hex()[:_DIGITS]

    # Heads

    def fields(self, fields: tuple[Field, ...]) -> tuple[Field, ...]:
        """Header fields with their secrets masked: the very same object where there are none."""
        masked = tuple(
            [
                (name, self._value(lower, value))
                if (lower := name.translate(_FOLDED)) in self._octet_names or _SUSPICIOUS(value)
                else (name, value)
                for name, value in fields
            ]
        )
        return fields if masked == fields else masked

    def doubtful_fields(self, fields: tuple[Field, ...]) -> tuple[Field, ...]:
        """Those of a head that could not be read: a name may be anything, too."""
        return tuple(
            [
                (name, self._value(name.translate(_FOLDED), value))
                if _TOKEN(name)
                else (b"?", self.mark(name + value).encode())
                for name, value in fields
            ]
        )

    def raw_head(self, octets: bytes) -> bytes:
        """The octets of a head that could not be read, or of its beginning."""
        first, *rest = _LINE_ENDS.split(octets)
        done = [self._first_line(first)]
        for end, line in zip(rest[::2], rest[1::2], strict=True):
            done += [end, self._header_of(line)]
        return b"".join(done)

    def _first_line(self, line: bytes) -> bytes:
        method, blank, rest = line.partition(b" ")
        if not _REQUEST_LINE(line) or method.translate(_FOLDED) in self._octet_names:
            return self._header_of(line)
        target, version_blank, version = rest.rpartition(b" ") if _VERSION(rest) else (rest, b"", b"")
        return method + blank + self.target(target) + version_blank + version

    def _header_of(self, line: bytes) -> bytes:
        name, colon, value = line.partition(b":")
        if line and not (colon and _TOKEN(name.rstrip(b" \t"))):
            return self.mark(line).encode()
        return name + colon + self._value(name.strip().translate(_FOLDED), value)

    def target(self, target: bytes) -> bytes:
        """A path with its query, or a URL."""
        path, mark, query = target.partition(b"?")
        # Tokens first: one that begins within an escape, `%3eyJ`, would leave another escape behind.
        return self._in_url(self._tokens(path)) + mark + self.query(query)

    def query(self, query: bytes) -> bytes:
        """A query string, or the body of a form that is written like one."""
        if query.count(b"&") > _MOST_PARAMETERS:
            return self.mark(query).encode()
        return b"&".join([self._parameter(piece) for piece in self._tokens(query).split(b"&")])

    def header(self, name: str, value: str) -> str:
        """One header's value."""
        folded = name.encode("latin-1").translate(_FOLDED)
        return self._value(folded, value.encode("latin-1")).decode("latin-1")

    def _value(self, name: bytes, value: bytes) -> bytes:
        if b"\r" in value or b"\n" in value or b"\0" in value:
            return self.mark(value).encode()  # who knows where one header ends and another begins
        if name not in self._octet_names:
            return self._in_text(self._tokens(value))
        text = value.decode("latin-1")
        if name in (b"authorization", b"proxy-authorization"):
            masked = self._authorization(text)
        elif name == b"cookie":
            masked = self._cookies(text)
        elif name == b"set-cookie":
            first, semicolon, rest = text.partition(";")
            masked = self._cookie(first) + semicolon + rest
        else:
            masked = self.mark(value)
        return self._tokens(masked.encode("latin-1"))

    def _tokens(self, octets: bytes) -> bytes:
        """JSON Web Tokens, wherever they stand."""
        return tokens.replaced_octets(octets, self.mark)

    def _authorization(self, text: str) -> str:
        if (match := _V4(text)) is not None:
            return match[1] + self._v4(match[2])
        for form in (_V2, _SCHEME):
            if (match := form(text)) is not None:
                return f"{match[1]}{'' if form is _V2 else ' '}{self._mark_text(match[2])}"
        return self._mark_text(text)

    def _v4(self, text: str) -> str:
        if (usual := _USUAL_V4(text)) is not None and not _is_token(usual[1]):
            return text[: usual.start(4)] + self._mark_text(usual[4])
        parts = list(_v4_parts(text))
        if len(parts) > _MOST_PARTS:
            return self._mark_text(text)
        return "".join([plain + self._mark_text(secret) for plain, secret in parts])

    def credential(self, value: str) -> str:
        """An access key, with or without its credential scope: masked where it is a token."""
        key, slash, scope = _parts_of_credential(value)
        return f"{self._mark_text(key)}{slash}{scope}" if key and _is_token(key) else value

    def _cookies(self, text: str) -> str:
        pieces = text.split(";")
        return self._mark_text(text) if len(pieces) > _MOST_PARTS else ";".join([self._cookie(one) for one in pieces])

    def _cookie(self, piece: str) -> str:
        name, equals, value = piece.partition("=")
        return f"{name}={self._mark_text(value.strip())}" if equals else self._mark_text(piece.strip())

    def _mark_text(self, text: str) -> str:
        return self.mark(text.encode("latin-1", "replace"))

    def _parameter(self, piece: bytes) -> bytes:
        written, equals, value = piece.partition(b"=")
        if not equals or _HAS_PARAMETERS(written):
            return self._in_url(piece)
        name = written.decode("latin-1")
        plain = _plain(name)
        names_a_key = plain in _CREDENTIALS
        if names_a_key and not _SEPARATOR(value):
            return written + equals + self._replacement(name, value.decode("latin-1")).encode("latin-1")
        if self._names_a_secret(plain):
            return written + equals + self.mark(_decoded(value)).encode()
        return self._in_url(piece) if names_a_key or _HAS_PARAMETERS(value) else piece

    def _is_secret(self, name: str) -> bool:
        return self._names_a_secret(_plain(name))

    def _names_a_secret(self, plain: str) -> bool:
        if plain in self._parameters or plain.endswith(_SECRET_ENDINGS):
            return True
        return not _IS_WORD(plain) and any(
            word in self._parameters or word.endswith(_SECRET_ENDINGS) for word in _WORDS(plain)
        )

    def _wanted(self, name: str) -> Extent | None:
        """The same for what stands before an equals sign in text, and for what names an access key."""
        plain = _plain(name)
        if "/" in plain:
            last = plain.rpartition("/")[2]
            secret = last.endswith(self._behind_a_path)
        else:
            last, secret = plain, self._names_a_secret(plain)
        if last in _CREDENTIALS:
            return Extent.SHORT
        return Extent.LONG if secret else None

    def _in_url(self, octets: bytes) -> bytes:
        """A URL, or a part of one."""
        text = octets.decode("latin-1")
        if not parameters.may_be_in(text):
            return octets
        return self._masked_parameters(text).encode("latin-1")

    def _in_text(self, octets: bytes) -> bytes:
        """URLs and the like within something else."""
        text = octets.decode("latin-1")
        if not parameters.may_be_in(text):
            return octets
        return self._masked_parameters(text, words=True).encode("latin-1")

    def _masked_parameters(self, text: str, *, words: bool = False) -> str:
        if not self._may_tell(text):
            return text
        masked = parameters.replaced(text, self._wanted, self._replacement, words=words)
        if "%" not in masked or not self._tells(masked):
            return masked
        if not words:
            return self._mark_text(masked)
        return _WORD_OF_TEXT.sub(lambda match: self._mark_text(match[0]) if self._tells(match[0]) else match[0], masked)

    def _may_tell(self, text: str) -> bool:
        plain = parameters.decoded(text).lower().replace("_", "-")
        for hint in self._hints:  # noqa: SIM110 - twice as fast as any()
            if hint in plain:
                return True
        return False

    def _tells(self, masked: str) -> bool:
        """Whether there is a secret in it that is written too oddly to be masked alone."""
        plain = parameters.decoded(masked)
        return any(
            not IS_MARK(plain[begin:end]) and self._replacement(name, plain[begin:end]) != plain[begin:end]
            for name, begin, end in parameters.found(plain, self._wanted, words=True)
        )

    def _replacement(self, name: str, written: str) -> str:
        """The value of a parameter; access keys stay as they are written."""
        text = parameters.decoded(written)
        if _plain(name).rpartition("/")[2] not in _CREDENTIALS:
            return self._mark_text(text)
        masked = self._credential(text)
        return written if masked == text else quote(masked, safe="", encoding="latin-1", errors="replace")

    def _credential(self, text: str) -> str:
        """The same where it may be anything."""
        key, slash, scope = _parts_of_credential(text)
        if not _IN_A_CREDENTIAL(scope):
            return self._mark_text(text)
        return self.credential(text) if _IN_A_CREDENTIAL(key) else f"{self._mark_text(key)}{slash}{scope}"

    # Bodies

    def request_body(self, head: RequestHead, body: bytes) -> bytes:
        """What is kept of a request's body: all of it, or its beginning."""
        kind = (head.get("content-type") or "").strip().lower()
        if head.method == "POST" and (kind.startswith("multipart/") or body.startswith(b"--")):
            return self._form(head.get("content-type") or "", body)
        if head.method == "POST" and body.lstrip()[:1] != b"<":
            return self.query(body)
        codings = ",".join(head.fields.get("content-encoding", ())).lower()
        if "aws-chunked" in codings or (head.get("x-amz-content-sha256") or "").upper().startswith("STREAMING-"):
            return self._chunked(body)
        return body

    def answer_body(self, body: bytes, from_store: bool) -> bytes:
        """What is kept of an answer's body: secrets that STS gives are masked.

        Args:
            body: all of it, or its beginning.
            from_store: whether it is a store's, which may tell how the gateway has signed.
        """
        if body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"<":
            return body
        return _ANSWERS[from_store].sub(self._element, body)

    def _element(self, match: re.Match[bytes]) -> bytes:
        return match[1] + self.mark(match[2] or match[3] or b"").encode()

    def _chunked(self, body: bytes) -> bytes:
        """An aws-chunked body: its data stay, the signatures between them are masked."""
        done: list[bytes] = []
        position = 0
        while position < len(body):
            end = body.find(b"\r\n", position, position + _LONGEST_CHUNK_LINE)
            line = body[position:end] if end >= 0 else b""
            match = _CHUNK_LINE(line) if line else None
            if match is None:
                break
            size = int(match[1], 16)
            after = min(end + 2 + size, len(body))
            done += [self._signatures(line), body[end : after + 2]]
            position = after + 2
            if len(done) > 2 * _MOST_CHUNKS:
                return b"".join(done) + self.mark(body[position:]).encode()
            if not size or body[after:position] not in (b"\r\n", b"\r", b""):
                position = after
                done[-1] = body[end:after]
                break
        return b"".join(done) + self._signatures(body[position:])

    def _signatures(self, octets: bytes) -> bytes:
        return _CHUNK_SIGNATURE.sub(lambda match: match[1] + self.mark(match[2]).encode(), octets)

    def _form(self, content_type: str, body: bytes) -> bytes:
        """A form of browsers: of the fields that authenticate it, only the names stay."""
        match = _BOUNDARY(content_type)
        if match is not None:
            delimiter = b"--" + (match[1] or match[2]).encode("latin-1", "replace")
        elif (line := _DELIMITER(body)) is not None:
            delimiter = line[1]
        else:
            return self.mark(body).encode()
        first, *parts = body.split(delimiter)
        return delimiter.join([self.mark(first).encode(), *[self._part(part) for part in parts]])

    def _part(self, part: bytes) -> bytes:
        if not part.strip(b"-\r\n \t"):
            return part
        head, blank, value = part.partition(b"\r\n\r\n")
        name = _field_name(head) if blank else None
        if name is None:
            return self._odd_part(part)
        end = b"\r\n" if value.endswith(b"\r\n") else b""
        return head + blank + self._field(name, value.removesuffix(end) if end else value) + end

    def _field(self, name: str, value: bytes) -> bytes:
        if name == "policy":
            return self._policy(value)
        if name not in _FORM_FIELDS_SHOWN and self._is_secret(name):
            return self.mark(value).encode()
        if _plain(name) in _CREDENTIALS:
            return self._credential(value.decode("latin-1")).encode("latin-1")
        return value if name == _FILE else self._in_url(self._tokens(value))

    def _odd_part(self, part: bytes) -> bytes:
        """One that is cut off within its own headers, or that others may read as they like: only its name stays."""
        inner = part.strip(b"\r\n")
        start = part.index(inner)
        line = _LINE_ENDS.split(inner, 1)[0]
        shown = line if _DISPOSITION(line) else b""
        rest = inner[len(shown) :]
        value = rest.lstrip(b"\r\n")
        blank = rest[: len(rest) - len(value)]
        return part[:start] + shown + blank + self.mark(value).encode() + part[start + len(inner) :]

    def _policy(self, value: bytes) -> bytes:
        """A policy in base64, which may name tokens in its conditions."""
        if len(value) > _LONGEST_POLICY:
            return self.mark(value).encode()
        try:
            document = json.loads(base64.b64decode(value, validate=True))
            masked = self._in_policy(document)
            if masked == document:
                return value
            return base64.b64encode(json.dumps(masked, ensure_ascii=False).encode())
        except (ValueError, RecursionError):
            return self.mark(value).encode()

    def _in_policy(self, document: Any) -> Any:
        if not isinstance(document, Mapping) or not isinstance(document.get("conditions"), list):
            raise ValueError("not a policy")
        return {**document, "conditions": [self._condition(one) for one in document["conditions"]]}

    def _condition(self, written: Any) -> Any:
        if isinstance(written, Mapping):
            return {name: self._condition_value(name, value) for name, value in written.items()}
        if isinstance(written, list) and len(written) == 3 and isinstance(written[1], str):
            return [*written[:2], self._condition_value(written[1], written[2])]
        return written

    def _condition_value(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        plain = name.removeprefix("$")
        if self._is_secret(plain):
            return self.mark(value)
        if _plain(plain) in _CREDENTIALS:
            return self.credential(value)
        return self._tokens(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    # Text about a request

    def scrubber(self, head: RequestHead, signatures: Sequence[Sighting] | None = None) -> Callable[[str], str]:
        """What masks, in text about a request, that request's secrets: comments, explanations, error documents.

        Args:
            head: the request's, as it was received.
            signatures: those in it, where they are known already.
        """
        found = sightings(head) if signatures is None else signatures
        secrets = self._secrets(head, found)
        searched = secrets if len(secrets) <= _MOST_SECRETS else {}
        marks = sorted(self._forms(searched).items(), key=lambda pair: -len(pair[0]))
        many = _Many(secrets) if len(secrets) > _MOST_SECRETS else None

        def scrub(text: str) -> str:
            if many is None and len(marks) * len(text) <= _MOST_SEARCHED:
                for secret, mark in marks:
                    if secret in text:
                        text = text.replace(secret, mark)
                return self._scrubbed(text)
            text = self._scrubbed(text)
            return self.mark(text) if (many or _Many(secrets)).may_be_in(text) else text

        return scrub

    def _scrubbed(self, text: str) -> str:
        """Text without what is seen to be secret by what stands before it."""
        if ":" in text:
            text = self._header_line.sub(self._scrubbed_line, text)
        if parameters.may_be_in(text):
            text = self._masked_parameters(text, words=True)
        return tokens.replaced(text, self.mark)

    def _scrubbed_line(self, match: re.Match[str]) -> str:
        name = match[1].encode().translate(_FOLDED)
        return f"{match[1]}:{self._value(name, _octets(match[2])).decode('latin-1')}"

    def _secrets(self, head: RequestHead, signatures: Sequence[Sighting]) -> dict[str, bytes]:
        """Each secret of a head, as it was written and without its percent-encoding."""
        found: dict[str, bytes] = {}
        for name, value in head.headers:
            folded = name.lower()
            if "_" in folded:
                folded = folded.replace("_", "-")
            if folded in self._headers:
                for secret in _header_secrets(folded, value):
                    found[secret] = _octets(secret)
        for piece in head.query.split("&") if head.query else ():
            name, equals, value = piece.partition("=")
            if equals and self._is_secret(name):
                found[value] = _decoded(_octets(value))
        for sighting in signatures:
            if _is_token(sighting.access_key):
                found[sighting.access_key] = _octets(sighting.access_key)
            if sighting.signature not in found:
                found[sighting.signature] = _octets(sighting.signature)
        return found

    def _forms(self, secrets: Mapping[str, bytes]) -> dict[str, str]:
        """The forms in which secrets may be told, with their marks."""
        found: dict[str, str] = {}
        for value, plain in secrets.items():
            mark, text = self.mark(plain), plain.decode("latin-1")
            alike = value == text and text.isascii() and text.isalnum()  # as a signature's hexadecimal digits
            for form in (text,) if alike else (value, text, quote(plain, safe=""), quote(plain), escape(text)):
                if len(form) >= _SHORTEST and not IS_MARK(form):
                    found.setdefault(form, mark)
        return found


class _Many:
    """More secrets than can be looked for one by one: it is told at once whether a text may hold any of them."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._beginnings = frozenset(
            form[:_SHORTEST]
            for value, plain in secrets.items()
            for form in (value, plain.decode("latin-1"))
            if len(form) >= _SHORTEST
        )

    def may_be_in(self, text: str) -> bool:
        """Whether one of them begins anywhere in it, however it is escaped."""
        forms = {text, unquote(text, "latin-1"), unescape(text)}
        return any(not self._beginnings.isdisjoint(_pieces(form)) for form in forms)


def _pieces(text: str) -> Iterator[str]:
    """All pieces of the length of the shortest secret."""
    return (text[place : place + _SHORTEST] for place in range(len(text) - _SHORTEST + 1))


def _plain(name: str) -> str:
    """A parameter's name, however it was written."""
    plain = (parameters.decoded(name) if "%" in name else name).lower().replace("_", "-")
    return plain if _IS_WORD(plain) else plain.strip(_AROUND_NAMES).removeprefix("amp;")


def _shortest(names: Iterable[str]) -> tuple[str, ...]:
    """Those in which there is none of the others."""
    kept: list[str] = []
    for name in sorted(names, key=len):
        if not any(shorter in name for shorter in kept):
            kept.append(name)
    return tuple(kept)


def _parts_of_credential(value: str) -> tuple[str, str, str]:
    """Access key, slash and scope; tokens may have slashes of their own."""
    pieces = value.rsplit("/", 4)
    return (pieces[0], "/", "/".join(pieces[1:])) if len(pieces) == 5 else (value, "", "")


def _v4_parts(text: str) -> Iterator[tuple[str, str]]:
    """The parts of an Authorization header, however they are separated: what is plain, and a secret that follows it."""
    if (usual := _USUAL_V4(text)) is not None:
        key, scope, between, signature = usual.groups()
        yield from _key_parts(key, scope)
        yield between, signature
        return
    pieces = _V4_SEPARATORS.split(text)
    separator, listing = "", False
    for piece, following in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        name, equals, value = piece.partition("=")
        listing = name == "SignedHeaders" if equals else listing and separator == ";"
        if name == "Credential" and (scoped := _IS_SCOPED_KEY(value)) is not None:
            yield from _key_parts(scoped[1], scoped[2])
        elif listing and _IS_SIGNED_HEADER(value if equals else piece):
            yield piece, ""
        else:
            yield name + equals if equals else "", value if equals else piece
        yield following, ""
        separator = following


def _is_token(key: str) -> bool:
    """Whether a token stands in the place of an access key, or in a part of it."""
    return told(key) != key or ("eyJ" in key and tokens.replaced(key, lambda _: "") != key)


def _key_parts(key: str, scope: str) -> Iterator[tuple[str, str]]:
    if not _is_token(key):
        yield f"Credential={key}{scope}", ""
    else:
        yield "Credential=", key
        yield scope, ""


def _header_secrets(name: str, value: str) -> Iterator[str]:
    """What is secret in a header's value."""
    if name == "cookie":
        pieces = [piece.partition("=") for piece in value.split(";")]
        yield from ((text if equals else first).strip() for first, equals, text in pieces)
    elif name not in ("authorization", "proxy-authorization"):
        yield value
    elif (match := _V4(value)) is not None:
        yield from (secret for _, secret in _v4_parts(match[2]) if secret)
    elif (match := _V2(value) or _SCHEME(value)) is not None:
        yield match[2]
    else:
        yield value


def _field_name(head: bytes) -> str | None:
    """The name that the headers of a form's part give, in lower case; None where readers may find different ones."""
    if (usual := _USUAL_PART(head)) is not None:
        return usual[1].decode().lower()
    try:
        name, _ = part_name(head.removeprefix(b"\r\n"))
    except S3Error:
        return None
    return name.lower() if _IS_PLAIN_NAME(name) and not _CONTINUED_NAME(head) else None


_CONTENT: Final = r"(?:<!\[CDATA\[((?:(?!\]\]>)[\s\S])*)(?:\]\]>)?|([^<]+))"
_ANSWERS: Final = {
    store: re.compile(
        rf"(<(?:[A-Za-z_][\w.-]{{0,60}}:)?(?:{_ELEMENTS}{_SIGNING if store else ''})(?:\s[^<>]*)?>){_CONTENT}".encode()
    )
    for store in (False, True)
}


def _decoded(value: bytes) -> bytes:
    return unquote_to_bytes(value) if b"%" in value else value


def _octets(text: str) -> bytes:
    return text.encode("latin-1", "replace")
