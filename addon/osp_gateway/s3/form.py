"""multipart/form-data as S3's "POST Object" uses it: read while it streams, and written.

The fields come first and are kept, bounded; then the part named `file`, whose octets pass through; what follows is
ignored, bounded too. See "Browser-based uploads using POST" in the Amazon S3 API reference, RFC 7578 and RFC 2046,
section 5.1.

Nothing is guessed: a body that two readers could take apart differently (a bare line feed, a boundary with something
behind it, a field given twice, `filename*`) is refused.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import is_broken

MAX_BOUNDARY_CHARS: Final = 70
"""RFC 2046, section 5.1.1."""
FILE: Final = "file"
KEY: Final = "key"

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER: Final = re.compile(rf'[ \t]*;[ \t]*({_WORD})=(?:({_WORD})|"((?:[^"\\\r\n\0]|\\[^\r\n\0])*)")')
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]\Z").match
_PLAIN_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'+_\-.]+\Z").match
_HEADER_NAME: Final = re.compile(_WORD + r"\Z").match
_FIELD_NAME: Final = re.compile(r"[ !#-\[\]-~]+\Z").match
_UNENCODED: Final = frozenset({"7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read: `before` and `after` the file in octets, framing included; `field` is one value's size."""

    fields: int = 100
    field: int = 20 * 1024
    before: int = 64 * 1024
    after: int = 64 * 1024


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Fields:
    """The form's fields before the file, in their order, as text; `filename` is what the file part says.

    `values` finds them by lower-case name: S3's form fields are case-insensitive.
    """

    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    filename: str | None
    values: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the fields by lower-case name, once."""
        object.__setattr__(self, "values", MappingProxyType({name.lower(): value for name, value in self.pairs}))


class _State(enum.Enum):
    START = "the first boundary"
    BOUNDARY = "what follows a boundary"
    HEADERS = "a part's headers"
    VALUE = "a field's value"
    FILE = "the file"
    CLOSED = "what follows the last boundary"
    EPILOGUE = "nothing that matters"


class FormReader:
    """Takes a form apart. `feed` returns the file's octets; `fields` is there as soon as the file begins.

    There `feed` stops: what came along with the last field waits for the next call, be it one without octets, so that
    the fields are judged before what follows them. No more is held than the fields, and of the file what could be the
    beginning of its closing boundary.
    """

    def __init__(self, boundary: str, limits: Limits = DEFAULT_LIMITS) -> None:
        """`boundary` is that of the Content-Type, see `boundary_of`."""
        self.fields: Fields | None = None
        self.octets_before_file = 0
        self.file_octets = 0
        self._limits = limits
        self._dash_boundary = b"--" + boundary.encode("latin-1")
        self._delimiter = b"\r\n" + self._dash_boundary
        self._state = _State.START
        self._buffer = bytearray()
        self._searched = 0
        self._octets = 0  # of the part before the file, or after it, that have been worked off
        self._pairs: dict[str, tuple[str, str]] = {}
        self._name = ""
        self._failure: S3Error | None = None

    def feed(self, data: bytes) -> bytes:
        """Take octets of the form; return those of the file that are certain.

        Raises:
            S3Error: the form is wrong, now and for good.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._read(data)
        except S3Error as error:
            self._failure = error
            self._buffer.clear()
            raise

    def finish(self) -> None:
        """The body has ended, and nothing waits (see above).

        Raises:
            S3Error: its last boundary has not been seen, or something was wrong before.
        """
        if self._failure is None and self._state is _State.CLOSED and not self._buffer:
            self._state = _State.EPILOGUE
        if self._failure is None and self._state is not _State.EPILOGUE:
            self._failure = malformed(f"it ended within {self._state.value}")
        if self._failure is not None:
            raise self._failure

    def _read(self, data: bytes) -> bytes:
        self._buffer += data
        released: list[bytes] = []
        while self._step(released):
            pass
        self._check_size()
        return b"".join(released) if len(released) != 1 else released[0]

    def _check_size(self) -> None:
        """Bounds on what is not complete yet: the same that it would meet when complete, however it is split."""
        if self._state is _State.FILE:
            return
        octets = self._octets + len(self._buffer)
        self._check_octets(octets)
        if self._state is _State.VALUE and len(self._buffer) > self._limits.field + len(self._delimiter):
            self._check_field(len(self._buffer))

    def _check_octets(self, octets: int) -> None:
        if self.fields is None:
            if octets > self._limits.before:
                raise _too_large(self._limits)
        elif octets > self._limits.after:
            raise malformed(f"more than {self._limits.after} octets follow the file")

    def _check_field(self, octets: int) -> None:
        if self.fields is None and octets > self._limits.field:
            raise _too_large(self._limits)

    def _step(self, released: list[bytes]) -> bool:
        """One step forward; False where it takes more octets."""
        match self._state:
            case _State.START:
                return self._first_boundary()
            case _State.BOUNDARY:
                return self._after_boundary()
            case _State.HEADERS:
                return self._headers()
            case _State.VALUE:
                return self._value()
            case _State.FILE:
                return self._file(released)
            case _State.CLOSED:
                return self._closed()
            case _State.EPILOGUE:
                self._octets += len(self._take(len(self._buffer)))
                return False

    def _first_boundary(self) -> bool:
        start = bytes(self._buffer[: len(self._dash_boundary)])
        if not self._dash_boundary.startswith(start):
            raise malformed("it does not begin with its boundary")
        if len(start) < len(self._dash_boundary):
            return False
        self._consume(len(start))
        self._state = _State.BOUNDARY
        return True

    def _after_boundary(self) -> bool:
        if len(self._buffer) < 2:
            return False
        end = self._consume(2)
        if end == b"\r\n":
            self._state = _State.HEADERS
        elif end == b"--":
            if self.fields is None:
                raise wrong_number_of_files(0)
            self._state = _State.CLOSED
        else:
            raise malformed("a boundary is followed by something else than a line break")
        return True

    def _headers(self) -> bool:
        # A part without headers has no name, so it need not be told from one with headers.
        end = self._find(b"\r\n\r\n")
        if end < 0:
            return False
        text = self._consume(end + 4)[:-4]
        self._name, filename = part_name(text)
        lower = self._name.lower()
        if self.fields is not None:
            if lower == FILE:
                raise wrong_number_of_files(2)
            self._state = _State.VALUE
        elif lower == FILE:
            self._begin_file(filename)
            return False
        else:
            if lower in self._pairs:
                raise _argument(f"The form field {self._name} was given more than once.", self._name)
            if len(self._pairs) >= self._limits.fields:
                raise _too_large(self._limits)
            self._state = _State.VALUE
        return True

    def _begin_file(self, filename: str | None) -> None:
        fields = Fields(tuple(self._pairs.values()), filename)
        if KEY not in fields.values:
            raise missing_field(KEY, "UserKeyMustBeSpecified")
        self.fields, self.octets_before_file = fields, self._octets
        self._octets = 0
        self._state = _State.FILE

    def _value(self) -> bool:
        end = self._find(self._delimiter)
        if end < 0:
            return False
        value = self._consume(end + len(self._delimiter))[:end]
        if self.fields is None:
            self._check_field(len(value))
            self._pairs[self._name.lower()] = (self._name, _text(value, f"the field {self._name}"))
        self._state = _State.BOUNDARY
        return True

    def _file(self, released: list[bytes]) -> bool:
        buffer = self._buffer
        end = buffer.find(self._delimiter)
        found = end >= 0
        if not found:
            end = len(buffer)
            # The boundary has one carriage return, its first octet: only the last one here can begin it.
            start = buffer.rfind(b"\r", max(0, end - len(self._delimiter) + 1))
            if start >= 0 and self._delimiter.startswith(buffer[start:]):
                end = start
        if end:
            released.append(self._take(end))
            self.file_octets += end
        if found:
            self._consume(len(self._delimiter))
            self._state = _State.BOUNDARY
        return found

    def _closed(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._consume(2) != b"\r\n":
            raise malformed("the last boundary is followed by something else than a line break")
        self._state = _State.EPILOGUE
        return True

    def _find(self, needle: bytes) -> int:
        """Where `needle` is in the buffer; what has been searched is not searched again."""
        place = self._buffer.find(needle, max(0, self._searched - len(needle) + 1))
        self._searched = len(self._buffer) if place < 0 else 0
        return place

    def _consume(self, count: int) -> bytes:
        """Octets that count as framing or fields."""
        self._octets += count
        self._check_octets(self._octets)
        return self._take(count)

    def _take(self, count: int) -> bytes:
        if count == len(self._buffer):
            taken = bytes(self._buffer)
            self._buffer.clear()
        else:
            taken = bytes(self._buffer[:count])
            del self._buffer[:count]
        return taken


def boundary_of(content_type: str) -> str:
    """The boundary of a multipart/form-data Content-Type.

    Raises:
        S3Error: MalformedPOSTRequest (400).
    """
    media_type, semicolon, rest = content_type.partition(";")
    parameters = _parameters(semicolon + rest)
    if media_type.strip(" \t").lower() != "multipart/form-data" or parameters is None:
        raise malformed("its Content-Type is not multipart/form-data with its parameters")
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY(boundary) or len(boundary) > MAX_BOUNDARY_CHARS:
        raise malformed("its Content-Type has no proper boundary")
    return boundary


def content_type_of(boundary: str) -> str:
    """The Content-Type of a form with this boundary."""
    shown = boundary if _PLAIN_BOUNDARY(boundary) else f'"{boundary}"'
    return f"multipart/form-data; boundary={shown}"


def opening(boundary: str, pairs: Iterable[tuple[str, str]], filename: str) -> bytes:
    """A form from its first octet to the beginning of the file."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{FILE}"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join(parts).encode()


def closing(boundary: str, padding: int = 0) -> bytes:
    """What follows the file: the last boundary and `padding` octets that every reader ignores (RFC 2046, 5.1.1)."""
    end = f"\r\n--{boundary}--".encode()
    return end if not padding else end + b"\r\n".ljust(padding, b" ")[:padding]


def part_name(octets: bytes) -> tuple[str, str | None]:
    """Name and file name that a part's headers give.

    Raises:
        S3Error: with what is wrong with them, where two readers could find different names.
    """
    disposition: str | None = None
    for line in _text(octets, "a part's headers").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon or not _HEADER_NAME(name) or is_broken(value):
            raise malformed("a part has a line that is no header")
        name, value = name.lower(), value.strip(" \t")
        if name == "content-disposition":
            if disposition is not None:
                raise malformed("a part has more than one Content-Disposition")
            disposition = value
        elif name == "content-transfer-encoding" and value.lower() not in _UNENCODED:
            raise malformed("a part has a Content-Transfer-Encoding")
    kind, semicolon, rest = (disposition or "").partition(";")
    parameters = _parameters(semicolon + rest)
    if kind.strip(" \t").lower() != "form-data" or parameters is None:
        raise malformed("a part has no proper Content-Disposition: form-data")
    name = parameters.get("name", "")
    if not _FIELD_NAME(name):
        raise malformed("a part has no proper name")
    return name, parameters.get("filename")


def _parameters(text: str) -> dict[str, str] | None:
    """`; name=value; name="value"` by lower-case name; None where it is anything else, or has one of them twice."""
    parameters: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _PARAMETER.match(text, place)
        if match is None:
            return parameters if not text[place:].strip(" \t") else None
        name, token, quoted = match.groups()
        name = name.lower()
        if name in parameters or name.endswith("*"):  # `filename*`: RFC 7578, section 4.2, forbids it
            return None
        parameters[name] = token if token is not None else _unquoted(quoted)
        place = match.end()
    return parameters


def _unquoted(text: str) -> str:
    # Browsers leave backslashes alone, others escape them: only these two escapes mean the same to both.
    return re.sub(r'\\(["\\])', r"\1", text) if "\\" in text else text


def _text(octets: bytes, what: str) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed(f"{what} cannot be read as UTF-8") from None


def malformed(reason: str) -> S3Error:
    """400 MalformedPOSTRequest; `reason` stays with the operator."""
    return S3Error(
        "MalformedPOSTRequest",
        "The body of your POST request is not well-formed multipart/form-data.",
        reason=f"POST form: {reason}",
    )


def missing_field(name: str, code: str = "InvalidArgument") -> S3Error:
    """400: a field is missing, or comes after the file."""
    return _argument(
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields.",
        name,
        code=code,
    )


def wrong_number_of_files(count: int) -> S3Error:
    """400 IncorrectNumberOfFilesInPostRequest."""
    return _argument(
        "POST requires exactly one file upload per request.",
        FILE,
        str(count),
        code="IncorrectNumberOfFilesInPostRequest",
    )


def _argument(message: str, name: str, value: str = "", code: str = "InvalidArgument") -> S3Error:
    return S3Error(code, message, details={"ArgumentName": name, "ArgumentValue": value})


def _too_large(limits: Limits) -> S3Error:
    return S3Error(
        "MaxPostPreDataLengthExceeded",
        "Your POST request fields preceeding the upload file was too large.",
        details={"MaxPostPreDataLengthBytes": str(limits.before)},
    )
