"""Rules for faults: what an operator or a test writes, validated.

Names, units and meanings of the faults that Toxiproxy has too are Toxiproxy's: `latency`, `bandwidth`, `slow_close`,
`timeout`, `reset_peer`, `slicer`, `limit_data`; `stream` is "downstream" for what goes to the client, "upstream" for
what comes from it. They count octets of bodies, where Toxiproxy, which knows no HTTP, counts those of connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from osp_gateway import tomlfile
from osp_gateway.fields import AtLeastZero, Model, Region, not_a_bool, place_of
from osp_gateway.s3.errors import STATUS

MAX_MS: Final = 600_000
"""No fault lasts longer: ten minutes, in milliseconds."""
MAX_FAULTS: Final = 1000
MAX_COUNT: Final = 10**15
"""Of octets, requests, seconds: more than there will ever be, and little enough to calculate with."""
MAX_SEED: Final = 2**63 - 1
MAX_TOLD: Final = 60

_ERRORS: Final[Mapping[str, int]] = {
    **STATUS,
    "AccountProblem": 403,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "ConditionalRequestConflict": 409,
    "InvalidObjectState": 403,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "TooManyBuckets": 400,
}
"""The status of errors whose rule names none."""


class FaultsError(Exception):
    """Rules that cannot be used; `problems` holds one line per mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _several(value: object) -> object:
    """One is as good as a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


Globs = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several), Field(min_length=1)]
Count = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1, le=MAX_COUNT)]
AnyCount = Annotated[int, BeforeValidator(not_a_bool), Field(ge=0, le=MAX_COUNT)]
Numbers = Annotated[tuple[Count, ...], BeforeValidator(_several)]
Milliseconds = Annotated[float, BeforeValidator(not_a_bool), Field(ge=0, le=MAX_MS, allow_inf_nan=False)]
Rate = Annotated[float, BeforeValidator(not_a_bool), Field(ge=1e-6, le=1e9, allow_inf_nan=False)]
Stream = Literal["downstream", "upstream"]


class Rule(Model):
    """Which requests a fault is for: those that all of it is true of.

    `operations`, `buckets`, `keys` and `identities` are globs, or lists of them. Of the requests that match them the
    `nth` (a number, or several, from 1) have the fault, or each with a `probability`; and so many `times` at most.
    """

    name: str = Field(default="", max_length=128)
    operations: Globs = ("*",)
    buckets: Globs = ("*",)
    keys: Globs = ("*",)
    identities: Globs = ("*",)
    nth: Numbers = ()
    probability: float = Field(default=1.0, ge=0, le=1)
    times: Count | None = None
    only: ClassVar[str] = ""
    """The one operation that can have the fault; empty: all can."""


class ErrorFault(Rule):
    """The store's answer is an error, and the store is not asked. `retry_after` is in seconds."""

    type: Literal["error"]
    code: str = Field(pattern=r"^[A-Za-z0-9.]{1,64}$")
    status: int | None = Field(default=None, ge=400, le=599)
    message: str = "This error was injected by a fault rule."
    retry_after: AnyCount | None = None

    @model_validator(mode="after")
    def _has_a_status(self) -> ErrorFault:
        if self.status is None and self.code not in _ERRORS:
            raise ValueError(f"no status is known for {self.code}, expected one in `status`")
        return self

    @property
    def http_status(self) -> int:
        """Its own, or that which goes with the code."""
        return self.status if self.status is not None else _ERRORS[self.code]


class ThrottleFault(Rule):
    """More than `rate` requests a second, after a `burst` of them, are answered 503 SlowDown: a token bucket."""

    type: Literal["throttle"]
    rate: Rate
    burst: Count = 1
    per: Literal["gateway", "bucket", "identity"] = "gateway"


class RedirectFault(Rule):
    """The bucket is in `region`: requests signed for another one are sent there."""

    type: Literal["redirect"]
    region: Region
    status: Literal[301, 307] = 301


class ClockSkewFault(Rule):
    """The store's clock is `offset` seconds ahead, or behind. Identities are what clients say they are: access keys."""

    type: Literal["clock_skew"]
    offset: float = Field(ge=-604_800, le=604_800, allow_inf_nan=False)


class LatencyFault(Rule):
    """The first octet takes `latency` ms more, give or take up to `jitter`.

    With a `tail`, most take that long and few take very much longer: a Pareto distribution, with `latency` as its
    least value and `tail` as its shape; with 1.2 one in a hundred takes 46 times as long.
    """

    type: Literal["latency"]
    latency: Milliseconds
    jitter: Milliseconds = 0
    tail: Annotated[float, BeforeValidator(not_a_bool), Field(ge=0.1, le=100)] | None = None
    stream: Stream = "downstream"


class BandwidthFault(Rule):
    """Bodies pass at `rate` KB/s."""

    type: Literal["bandwidth"]
    rate: Rate
    stream: Stream = "downstream"


class SlowCloseFault(Rule):
    """The connection closes after the answer, but `delay` ms later. Over HTTP/2 it is the stream that ends late."""

    type: Literal["slow_close"]
    delay: Milliseconds


class TimeoutFault(Rule):
    """Nothing gets through, and after `timeout` ms the connection is closed; 0: ten minutes."""

    type: Literal["timeout"]
    timeout: Milliseconds = 0
    stream: Stream = "downstream"


class ResetPeerFault(Rule):
    """The connection is reset, after `timeout` ms: before the answer's head, or after so many `bytes` of a body."""

    type: Literal["reset_peer"]
    timeout: Milliseconds = 0
    bytes: AnyCount | None = None
    stream: Stream = "downstream"


class SlicerFault(Rule):
    """Bodies come in slices of `average_size` octets, give or take `size_variation`, `delay` microseconds apart."""

    type: Literal["slicer"]
    average_size: Count
    size_variation: AnyCount = 0
    delay: Annotated[AtLeastZero, Field(le=MAX_MS * 1000)] = 0
    stream: Stream = "downstream"

    @model_validator(mode="after")
    def _leaves_something(self) -> SlicerFault:
        if self.size_variation >= self.average_size:
            raise ValueError("size_variation: expected less than average_size")
        return self


class LimitDataFault(Rule):
    """The connection closes when a body is longer than `bytes`; its head tells the whole length."""

    type: Literal["limit_data"]
    bytes: AnyCount
    stream: Stream = "downstream"


class StallFault(Rule):
    """After `bytes` of a body nothing more comes; the connection closes after `timeout` ms (0: ten minutes)."""

    type: Literal["stall"]
    bytes: AnyCount
    timeout: Milliseconds = 0
    stream: Stream = "downstream"


class CorruptFault(Rule):
    """A bit of a body's octet number `at` (from 0) is another."""

    type: Literal["corrupt"]
    at: AnyCount = 0
    stream: Stream = "downstream"


class WrongEtagFault(Rule):
    """The answer's ETag is that of something else."""

    type: Literal["wrong_etag"]


class LostPartFault(Rule):
    """A part of a multipart upload is said to be stored, and the store has never seen it."""

    type: Literal["lost_part"]
    only: ClassVar[str] = "UploadPart"


class DuplicatePartFault(Rule):
    """A part is stored, and its client is told 500 InternalError, so that it sends the part a second time."""

    type: Literal["duplicate_part"]
    only: ClassVar[str] = "UploadPart"


Fault = (
    ErrorFault
    | ThrottleFault
    | RedirectFault
    | ClockSkewFault
    | LatencyFault
    | BandwidthFault
    | SlowCloseFault
    | TimeoutFault
    | ResetPeerFault
    | SlicerFault
    | LimitDataFault
    | StallFault
    | CorruptFault
    | WrongEtagFault
    | LostPartFault
    | DuplicatePartFault
)


class FaultRules(Model):
    """Faults, in their order; what is random among them follows from the `seed`."""

    seed: int = Field(default=0, ge=-MAX_SEED, le=MAX_SEED)
    faults: tuple[Annotated[Fault, Field(discriminator="type")], ...] = Field(default=(), max_length=MAX_FAULTS)


NO_FAULTS: Final = FaultRules()


def read(written: Mapping[str, Any]) -> FaultRules:
    """Rules as data.

    Args:
        written: `{"seed": 0, "faults": [{"type": "error", "code": "SlowDown", "operations": "PutObject"}]}`.

    Raises:
        FaultsError: with a line for each mistake.
    """
    try:
        return FaultRules.model_validate(written)
    except ValidationError as error:
        raise FaultsError([_line(dict(problem)) for problem in error.errors(include_url=False)]) from None


def joined(rules: FaultRules, more: FaultRules) -> FaultRules:
    """Both, with the first ones' seed.

    Raises:
        FaultsError: there would be too many.
    """
    faults = (*rules.faults, *more.faults)
    if len(faults) > MAX_FAULTS:
        raise FaultsError([f"expected {MAX_FAULTS} faults at most, these would be {len(faults)}"])
    return FaultRules(seed=rules.seed, faults=faults)


def load(path: Path) -> FaultRules:
    """Rules in a TOML file: `seed`, and a table `[[faults]]` for each.

    Raises:
        FaultsError: the file cannot be read, or says something that is not known.
    """
    try:
        return read(tomlfile.read(path))
    except tomlfile.TomlError as error:
        raise FaultsError([f"{path}: {error}"]) from None
    except FaultsError as error:
        raise FaultsError([f"{path}: {problem}" for problem in error.problems]) from None


def _line(problem: Mapping[str, Any]) -> str:
    """`faults[0].latency: ...`: pydantic's place has the fault's type between the number and the field."""
    location, message = tuple(problem["loc"]), str(problem["msg"]).removeprefix("Value error, ")
    if location[:1] == ("faults",) and len(location) > 2:
        location = (*location[:2], *location[3:])
    place = place_of(location)
    if problem["type"] == "extra_forbidden":
        message = "unknown field"
    elif problem["type"] == "missing":
        message = "missing, expected a value"
    elif problem["type"].startswith("union_tag"):
        place, message = f"{place}.type", f"expected one of {', '.join(sorted(TYPES))}"
    else:
        message += f", got {_told(problem['input'])}"
    return f"{place}: {message}" if place else message


def _told(value: object) -> str:
    try:
        return repr(str(value)[:MAX_TOLD])
    except ValueError:
        return "a number with too many digits"
    except RecursionError:
        return "something that is nested too deeply"


TYPES: Final = frozenset(
    literal for fault in Fault.__args__ for literal in fault.model_fields["type"].annotation.__args__
)
