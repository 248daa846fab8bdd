"""The head of a request, exactly as it was received.

Header names and values, path and query are kept as `str` in which every character stands for one octet
(latin-1): decoding is lossless, and `.encode("latin-1")` gives back the very bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from osp_gateway.s3.errors import S3Error

Header = tuple[str, str]

SINGLE_VALUED: Final = frozenset(
    {
        "authorization",
        "content-encoding",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "expect",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-unmodified-since",
        "range",
        "transfer-encoding",
    }
)
"""Headers of which a second one would let two readers see two different requests.
Every `x-amz-*` header belongs here too, see `RequestHead.refuse_ambiguity`."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Method, raw path, raw query and ordered header pairs of one request.

    `path` is the target up to the first `?`, still percent-encoded; `query` is what follows it, without the
    `?`. `fields` maps each lower-case header name to its values in the order in which they arrived.
    """

    method: str
    path: str
    query: str
    headers: tuple[Header, ...] = field(repr=False)
    fields: dict[str, list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the headers by lower-case name, once."""
        index: dict[str, list[str]] = {}
        for name, value in self.headers:
            lower = name.lower()
            if lower in index:
                index[lower].append(value)
            else:
                index[lower] = [value]
        object.__setattr__(self, "fields", index)

    def get(self, name: str) -> str | None:
        """The first value of the header `name` (lower case), or None."""
        values = self.fields.get(name)
        return values[0] if values else None

    def refuse_ambiguity(self) -> None:
        """Raise `S3Error` (400) where two readers could understand this head differently.

        That is: a security-relevant header given twice, a name with an underscore that a CGI-style server
        would read as an `x-amz-*` header, a folded or otherwise broken value.
        """
        for name, values in self.fields.items():
            if len(values) > 1 and is_reserved(name):
                raise S3Error.invalid_request(f"The header {name} was given {len(values)} times, expected one.")
            if "_" in name and not name.startswith("x-amz-meta-") and is_reserved(name.replace("_", "-")):
                raise S3Error.invalid_request(f"The header name {name} is not allowed: write it with hyphens.")
        if is_broken("".join([value for _, value in self.headers])):
            raise S3Error.invalid_request("The value of a header contains a line break or NUL.")


def is_broken(value: str) -> bool:
    """Whether a header's value would not stay within its line."""
    return "\r" in value or "\n" in value or "\0" in value


def is_reserved(name: str) -> bool:
    """Whether a header of this lower-case name changes what a request means to an S3 server."""
    return name.startswith("x-amz-") or name in SINGLE_VALUED
