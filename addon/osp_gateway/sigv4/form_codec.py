"""A POST form on its way through the gateway: read, verified, and written anew for the backend.

The client's policy is signed with a key that the backend does not know. So the backend gets a form of its own: the
fields that mean something, a policy for exactly these and this key, signed with the backend's key, and the file's
octets as they are. Its boundary is new and cannot be foreseen: nothing in a file can end it.

A form says who it is from in its first octets, not in its head. It takes two steps:

    form = PostForm.of_head(head)
    while form.feed(data) is None: ...                       the fields are complete
    claim = form.claim(now)                                  whose secret is needed
    upload = form.verify(secret, bucket, now, keys)          what is to be authorized: key, headers
    headers, codec = form.forward(pair, region, bucket, now, keys)

The codec goes on where `feed` stopped. The upstream length is known then, although the file's is not: what follows
the file is ignored by S3, and becomes padding of the same length.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from datetime import UTC, datetime
from typing import Final

from osp_gateway.s3 import form
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import DEFAULT_LIMITS, KEY, Fields, FormReader, Limits
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4 import canonical, policy
from osp_gateway.sigv4.claim_parts import SERVICE
from osp_gateway.sigv4.keys import KeyPair, SigningKeys, signature
from osp_gateway.sigv4.payload import HOLD_OCTETS, Holdback
from osp_gateway.sigv4.policy import BUCKET, FormClaim, Upload
from osp_gateway.sigv4.sign import amz_date

POLICY_SECONDS: Final = 6 * 3600
"""The life of an upstream policy: a store may look at it only when the file is complete."""
UPSTREAM_FILENAME: Final = "file"

_LENGTH: Final = re.compile(r"[0-9]{1,18}\Z").match
_NOT_WITH_FORMS: Final = frozenset({"content-encoding", "content-md5", "range"})


class PostForm:
    """One form, from the client's first octet until it is on its way."""

    def __init__(self, content_type: str, content_length: str | None, limits: Limits = DEFAULT_LIMITS) -> None:
        """Begin with the values of the two headers.

        Raises:
            S3Error: MalformedPOSTRequest (400), MissingContentLength (411).
        """
        if content_length is None:
            raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
        if not _LENGTH(content_length):
            raise S3Error.invalid_request("The Content-Length header is not a number.")
        self._boundary = form.boundary_of(content_type)
        self._declared = int(content_length)
        self._reader = FormReader(self._boundary, limits)
        self._limits = limits
        self._received = 0
        self._claim: FormClaim | None = None
        self._upload: Upload | None = None

    @classmethod
    def of_head(cls, head: RequestHead, limits: Limits = DEFAULT_LIMITS) -> PostForm:
        """Begin with a request's head.

        Raises:
            S3Error: as the constructor; InvalidArgument, InvalidRequest (400) or AccessDenied (403) where the head
                says anything that a form would have to say.
        """
        if head.query:
            raise S3Error("InvalidArgument", "A POST form takes no query parameters.")
        if "authorization" in head.fields:
            raise S3Error(
                "InvalidArgument",
                "Only one auth mechanism allowed; a POST form carries its authentication in its fields",
            )
        if "transfer-encoding" in head.fields:
            raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
        unsigned = sorted(name for name in head.fields if name.startswith("x-amz-"))
        if unsigned:
            raise S3Error(
                "AccessDenied",
                "There were headers present in the request which were not signed",
                details={"HeadersNotSigned": ", ".join(unsigned)},
            )
        for name in head.fields:
            if name in _NOT_WITH_FORMS or name.startswith("if-"):
                raise S3Error.invalid_request(f"The header {name} cannot be used with a POST form.")
        return cls(head.get("content-type") or "", head.get("content-length"), limits)

    @property
    def fields(self) -> Fields | None:
        """The fields as received, as soon as they are complete."""
        return self._reader.fields

    def feed(self, data: bytes) -> Fields | None:
        """Take octets of the body, until the fields before the file are complete: then they are returned.

        What came along with them is kept for the codec; all that comes later must go there.

        Raises:
            S3Error: the form is wrong.
        """
        if self._reader.fields is not None:
            raise S3Error.internal("a POST form was fed on before it was decided upon")
        self._received += len(data)
        if self._received > self._declared:
            raise _incomplete()
        self._reader.feed(data)
        return self._reader.fields

    def finish(self) -> None:
        """The body has ended before the fields were complete.

        Raises:
            S3Error: always, unless the fields are complete.
        """
        if self._reader.fields is None:
            self._reader.finish()

    def claim(self, now: float) -> FormClaim:
        """Who the form says it is from; see `policy.read_claim`."""
        self._claim = policy.read_claim(self._known_fields(), now)
        return self._claim

    def verify(self, secret_key: str | None, bucket: str, now: float, keys: SigningKeys) -> Upload:
        """Check signature, policy, and what can be known of the size; the upload, to be authorized.

        Args:
            secret_key: the secret of the claim's access key; None leaves the signature unchecked.
            bucket: the bucket that the form was sent to.
            now: seconds since the epoch.
            keys: derived signing keys.

        Raises:
            S3Error: see `policy.verify` and `policy.check`.
        """
        claim = self._claim or self.claim(now)
        if secret_key is not None:
            policy.verify(claim, secret_key, keys)
        upload = policy.check(claim, self._known_fields(), bucket, now)
        # The file's size is known if it is the last field, as it should be; else it is smaller, by no more than S3
        # would read after it.
        rest = self._declared - self._reader.octets_before_file - len(form.closing(self._boundary))
        if rest < 0:
            raise _incomplete()
        if rest < upload.minimum or (upload.maximum is not None and rest - self._limits.after > upload.maximum):
            upload.check_size(self._proposed)
        self._upload = upload
        return upload

    def forward(
        self,
        pair: KeyPair,
        region: str,
        bucket: str,
        now: float,
        keys: SigningKeys,
        *,
        upload: Upload | None = None,
        boundary: str | None = None,
        hold: int = HOLD_OCTETS,
    ) -> tuple[tuple[Header, ...], FormCodec]:
        """The form for the backend: its Content-Type and Content-Length, and the codec for its body.

        Args:
            pair: the backend's key pair.
            region: the backend's region.
            bucket: the bucket's name there.
            now: seconds since the epoch.
            keys: derived signing keys.
            upload: the upload as the backend is to see it, where its names are others there.
            boundary: for tests; else it is random.
            hold: a file of up to this many octets is checked whole before anything is released.

        Raises:
            S3Error: InternalError where the form has not been verified.
        """
        if self._upload is None:
            raise S3Error.internal("a POST form was to be forwarded before it was verified")
        boundary = boundary or secrets.token_hex(16)
        pairs = upstream_fields(upload or self._upload, pair, region, bucket, now, keys)
        start = form.opening(boundary, pairs, UPSTREAM_FILENAME)
        rest = self._declared - self._reader.octets_before_file
        length = len(start) + rest - len(form.closing(self._boundary)) + len(form.closing(boundary))
        codec = FormCodec(
            reader=self._reader,
            upload=self._upload,
            proposed=self._proposed,
            start=start,
            boundary=boundary,
            remaining=self._declared - self._received,
            length=length,
            hold=hold + len(start),
        )
        self._upload = None  # it goes out once
        return (("content-type", form.content_type_of(boundary)), ("content-length", str(length))), codec

    @property
    def _proposed(self) -> int:
        """The file's size, if it is the last field and a line break follows the last boundary, as it mostly is."""
        return max(0, self._declared - self._reader.octets_before_file - len(form.closing(self._boundary, 2)))

    def _known_fields(self) -> Fields:
        if self._reader.fields is None:
            raise S3Error.internal("a POST form was to be judged before its fields were complete")
        return self._reader.fields


class FormCodec:
    """The rest of a client's form into the rest of the backend's; see `BodyCodec`.

    The file's last octet and the boundary behind it stay back until `finish` has found the form complete and the
    file's size allowed.
    """

    def __init__(
        self,
        *,
        reader: FormReader,
        upload: Upload,
        proposed: int,
        start: bytes,
        boundary: str,
        remaining: int,
        length: int,
        hold: int,
    ) -> None:
        """Go on where `reader` is.

        Args:
            reader: takes the client's form apart; it is at the file.
            upload: what was verified.
            proposed: the file's probable size, for errors.
            start: the form up to the file.
            boundary: that of the backend's form.
            remaining: octets that the client has still to send.
            length: octets of the backend's form, all in all.
            hold: so many octets are kept before the first are released.
        """
        self._reader = reader
        self._upload = upload
        self._proposed = proposed
        self._boundary = boundary
        self._remaining = remaining
        self._length = length
        self._body = Holdback(max(hold, len(start), 1), keep=1)
        self._body.push((start,))
        self._released = 0

    def feed(self, data: bytes) -> bytes:
        """See `BodyCodec`."""
        self._remaining -= len(data)
        if self._remaining < 0:
            raise _incomplete()
        file = self._reader.feed(data)
        self._check_maximum()
        ready = self._body.push((file,)) if file else b""
        self._released += len(ready)
        return ready

    def finish(self) -> bytes:
        """See `BodyCodec`."""
        ready = self.feed(b"")  # what came along with the fields, if nothing has come since
        if self._remaining:
            raise _incomplete()
        self._reader.finish()
        self._upload.check_size(self._reader.file_octets)
        rest = self._body.rest()
        end = form.closing(self._boundary)
        padding = self._length - self._released - len(rest) - len(end)
        return ready + rest + form.closing(self._boundary, padding)

    def _check_maximum(self) -> None:
        maximum = self._upload.maximum
        if maximum is not None and self._reader.file_octets > maximum:
            self._upload.check_size(max(self._reader.file_octets, self._proposed))


def upstream_fields(
    upload: Upload, pair: KeyPair, region: str, bucket: str, now: float, keys: SigningKeys
) -> list[tuple[str, str]]:
    """The fields of the backend's form, in their order: all but the file.

    Args:
        upload: what was verified.
        pair: the backend's key pair.
        region: the backend's region.
        bucket: the bucket's name there.
        now: seconds since the epoch.
        keys: derived signing keys.
    """
    date = amz_date(now)
    scope = f"{date[:8]}/{region}/{SERVICE}/{canonical.TERMINATOR}"
    fields = [
        (KEY, upload.key),
        *upload.pairs,
        ("x-amz-algorithm", canonical.ALGORITHM),
        ("x-amz-credential", f"{pair.access_key}/{scope}"),
        ("x-amz-date", date),
    ]
    if pair.session_token:
        fields.append((policy.SECURITY_TOKEN, pair.session_token))
    conditions: list[list[str | int]] = [["eq", f"${BUCKET}", bucket], *(_pinned(*field) for field in fields)]
    if upload.maximum is not None:
        conditions.append(["content-length-range", upload.minimum, upload.maximum])
    expiration = datetime.fromtimestamp(now + POLICY_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    document = json.dumps(
        {"expiration": expiration, "conditions": conditions}, ensure_ascii=False, separators=(",", ":")
    )
    text = base64.b64encode(document.encode()).decode()
    signed = signature(keys.get(pair.secret_key, date[:8], region), text)
    return [*fields, (policy.POLICY, text), (policy.SIGNATURE, signed)]


def _pinned(name: str, value: str) -> list[str | int]:
    """The condition for one field.

    A dollar sign is special in a policy, and S3 finds some values with it unequal to themselves: there the text
    before it must do.
    """
    before, dollar, _ = value.partition("$")
    return ["starts-with", f"${name}", before] if dollar else ["eq", f"${name}", value]


def _incomplete() -> S3Error:
    return S3Error(
        "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"
    )
