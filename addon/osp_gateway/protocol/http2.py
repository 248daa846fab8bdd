"""Heads of HTTP/2 requests: what is left to check when HPACK has been undone and pseudo-headers are in order.

See RFC 9113, section 8.2.1 and 8.3.1, and section 10.3 on what must not get into HTTP/1.1 from there.
"""

from __future__ import annotations

from collections.abc import Sequence

from osp_gateway.limits import Limits
from osp_gateway.protocol.syntax import (
    CONTROLS,
    bad_request,
    check_authority,
    check_method,
    check_name,
    check_target,
    content_length,
    head_too_large,
)

Field = tuple[bytes, bytes]

FIELD_OVERHEAD = 4
"""What a field has in HTTP/1.1 besides name and value: the same head is then as long in both."""


def check_head(fields: Sequence[Field], limits: Limits) -> None:
    """Raise `S3Error` for a head over a limit, or with octets in it that HTTP/1.1 would not take.

    `fields` are all of the head's, pseudo-headers first.
    """
    if sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in fields) > limits.head_octets:
        raise head_too_large()
    plain = [(name, value) for name, value in fields if not name.startswith(b":")]
    if len(plain) > limits.head_fields:
        raise head_too_large()
    pseudo = {name: value for name, value in fields if name.startswith(b":")}
    check_method(pseudo.get(b":method", b""))
    check_target(pseudo.get(b":path", b""), limits)
    for name, value in plain:
        check_name(name)
        if CONTROLS.search(value):
            raise bad_request("The value of a header field holds a control character.")
    hosts = [value for name, value in plain if name == b"host"]
    for host in (pseudo.get(b":authority", b""), *hosts):
        if host:
            check_authority(host)
    content_length([value for name, value in plain if name == b"content-length"])
