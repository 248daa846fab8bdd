"""What goes by while a request is served: digests of both bodies, and their octets while they are few."""

from __future__ import annotations

import hashlib
from typing import Final

from osp_gateway.backends.responses import OBJECT_OPERATIONS
from osp_gateway.replay.exchange import Form, Payload
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import FormReader, boundary_of
from osp_gateway.s3.head import RequestHead
from osp_gateway.s3.operations import POST_OBJECT, is_form
from osp_gateway.sigv4.aws_chunked import MODES, Parser
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256

KEPT_OCTETS: Final = 1024 * 1024
"""Objects of up to this size are recorded whole, where nothing else is configured."""
MAX_DOCUMENT_OCTETS: Final = 16 * 1024 * 1024
"""Documents of up to this size are, whatever is configured: a listing is compared by its structure, and what a client
writes in XML has to say what it said.
"""
_UPLOADS: Final = frozenset({"PutObject", "UploadPart", POST_OBJECT})


class Body:
    """One body."""

    form: Form | None = None
    """What a POST form says, without what authenticates it; None of other bodies, and where it could not be read."""

    def __init__(self, limit: int, algorithm: str = "sha256") -> None:
        """Keep up to `limit` octets; `algorithm` is that of the digest."""
        self.limit = limit
        self._digest = hashlib.new(algorithm, usedforsecurity=False)
        self._pieces: list[bytes] | None = []
        self._length = 0

    def add(self, data: bytes | memoryview) -> None:
        """One more piece."""
        self._digest.update(data)
        self._length += len(data)
        if self._pieces is not None:
            self._pieces.append(bytes(data))
            if self._length > self.limit:
                self._pieces = None

    @property
    def digest(self) -> str:
        """Of what came, in hex."""
        return self._digest.hexdigest()

    def payload(self) -> Payload:
        """What came."""
        content = None if self._pieces is None else b"".join(self._pieces)
        return Payload(self._length, self.digest, content)


class FramedBody(Body):
    """An aws-chunked body, of which the data are of interest: see `sigv4.aws_chunked`."""

    def __init__(self, limit: int, mode: str, algorithm: str = "sha256") -> None:
        """`mode` is a key of `aws_chunked.MODES`."""
        super().__init__(limit, algorithm)
        self._parser: Parser | None = Parser(MODES[mode])

    def add(self, data: bytes | memoryview) -> None:
        """One more piece. What is wrong with the framing is for the gateway to say: here it is the end."""
        if self._parser is None:
            return
        try:
            events = self._parser.feed(bytes(data))
        except S3Error:
            self._parser = None
            return
        for event in events:
            if isinstance(event, memoryview):
                super().add(event)


class FormBody(Body):
    """A POST form, of which the file is of interest; its fields are kept apart: see `s3.form`."""

    def __init__(self, limit: int, content_type: str, algorithm: str = "sha256") -> None:
        """`content_type` tells the boundary."""
        super().__init__(limit, algorithm)
        try:
            self._reader: FormReader | None = FormReader(boundary_of(content_type))
        except S3Error:
            self._reader = None

    def add(self, data: bytes | memoryview) -> None:
        """See `FramedBody`."""
        if self._reader is None:
            return
        try:
            file = self._reader.feed(bytes(data)) + self._reader.feed(b"")  # what came along with the fields
        except S3Error:
            self._reader = self.form = None
            return
        if self.form is None and self._reader.fields is not None:
            self.form = Form.of(self._reader.fields)
        if file:
            super().add(file)


def body_of(head: RequestHead, limit: int, algorithm: str = "sha256") -> Body:
    """For the body that a request announces."""
    mode = head.get(CONTENT_SHA256) or ""
    if head.method == "POST" and is_form(head.fields):
        return FormBody(limit, head.get("content-type") or "", algorithm)
    return FramedBody(limit, mode, algorithm) if mode in MODES else Body(limit, algorithm)


class Tape:
    """A request as it came, its body and its answer's."""

    def __init__(self, head: RequestHead, limit: int = KEPT_OCTETS, document_limit: int = MAX_DOCUMENT_OCTETS) -> None:
        """Objects of up to `limit` octets are kept, documents of up to `document_limit`."""
        self.head = head
        self.request = body_of(head, limit)
        self.answer = Body(limit)
        self.answer_headers: tuple[tuple[bytes, bytes], ...] | None = None
        """As the client gets them: on the flow, secrets are masked."""
        self._document_limit = document_limit

    def send(self, data: bytes, operation: str) -> None:
        """One more piece of the request's body, which is for an operation."""
        if operation not in _UPLOADS:
            self.request.limit = max(self.request.limit, self._document_limit)
        self.request.add(data)

    def receive(self, data: bytes, operation: str, status: int) -> None:
        """One more piece of the answer's body."""
        if operation not in OBJECT_OPERATIONS or status >= 300:
            self.answer.limit = max(self.answer.limit, self._document_limit)
        self.answer.add(data)
