"""STS's answers as XML, and what of them may be shown to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from osp_gateway.access.sts.errors import NAMESPACE
from osp_gateway.s3.errors import xml_text
from osp_gateway.sigv4.dates import iso_time

Elements = Mapping[str, "str | Elements"]
_HIDDEN: Final = frozenset({"SecretAccessKey", "SessionToken"})


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """An access key that ends; `expires_at` is in seconds since the epoch."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at: float

    @property
    def elements(self) -> Elements:
        """As STS writes it."""
        return {
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "SessionToken": self.session_token,
            "Expiration": iso_time(self.expires_at),
        }


def answer(action: str, result: Elements, request_id: str, *, hide: bool = False) -> bytes:
    """The document of an action's result, UTF-8 encoded; with `hide`, of the same length, without its secrets."""
    return (
        f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{_written(result, hide)}</{action}Result>'
        f"<ResponseMetadata><RequestId>{xml_text(request_id)}</RequestId></ResponseMetadata></{action}Response>"
    ).encode()


def _written(elements: Elements, hide: bool) -> str:
    return "".join(f"<{name}>{_content(name, value, hide)}</{name}>" for name, value in elements.items())


def _content(name: str, value: str | Elements, hide: bool) -> str:
    if not isinstance(value, str):
        return _written(value, hide)
    text = xml_text(value)
    return "*" * len(text) if hide and name in _HIDDEN else text
