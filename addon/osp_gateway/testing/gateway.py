"""What the fixtures give: a gateway, a recording, faults."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from osp_gateway.testing.environment import variables
from osp_gateway.testing.process import GatewayProcess, TestingError
from osp_gateway.testing.recordings import Plan, keep, named_file
from osp_gateway.testing.store import DefaultStore

ACCESS_KEY: Final = "test-fake-key"
SECRET_KEY: Final = "test-fake-secret"  # noqa: S105 - of a gateway on loopback, for as long as a test runs
REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that went by.

    `status` is None where it was broken off; `replayed`: its answer is from a recording; `faults` are the names of the
    rules that broke it.
    """

    operation: str
    bucket: str
    key: str
    identity: str
    status: int | None
    allowed: bool
    reason: str
    replayed: bool
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenFault:
    """A fault that happened: the rule's name, its type, what it did, and to which request."""

    rule: str
    type: str
    text: str
    operation: str
    bucket: str
    key: str


class Session:
    """The gateway's process, for all tests of a worker."""

    def __init__(
        self, folder: Path, configuration: str | Path | Mapping[str, Any] | None, buckets: Sequence[str]
    ) -> None:
        """Start it.

        Args:
            folder: a temporary one.
            configuration: a file, or what `ProxyServerConfig` takes; None: the default store.
            buckets: names of the default store's buckets.

        Raises:
            TestingError: the gateway does not start.
        """
        self._buckets = list(buckets)
        self.folder = folder
        self.store = DefaultStore(folder) if configuration is None else None
        if isinstance(configuration, str | Path):
            first: dict[str, Any] = {"file": str(configuration)}
        else:
            first = {"written": self._written() if configuration is None else dict(configuration)}
        self.process = GatewayProcess(first, folder / "gateway.log")
        self.access_key = str(self.process.known.get("access_key", ""))
        self.secret_key = str(self.process.known.get("secret_key", ""))

    def _written(self) -> dict[str, Any]:
        assert self.store is not None
        return {
            "cos_map": self.store.backends(self._buckets),
            "hmac_keystore": [{"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}],
            "allow_all": True,
        }

    def begin(self) -> None:
        """A new test: with empty buckets, where they are ours."""
        if self.store is not None:
            self.process.ask("configure", written=self._written())
        self.process.ask("begin")

    @property
    def problem(self) -> str:
        """Why there was no store, where one was needed; empty where all is well."""
        return str(self.store.problem or "") if self.store is not None else ""

    def stop(self) -> None:
        """End everything."""
        self.process.stop()
        if self.store is not None:
            self.store.stop()

    @property
    def bucket(self) -> str:
        """The first of the default store's buckets."""
        return self._buckets[0] if self._buckets else ""


@dataclass(frozen=True)
class S3Gateway:
    """A gateway on loopback. Whatever talks S3 is pointed at it by `client_kwargs` or `env`."""

    session: Session = field(repr=False)

    @property
    def url(self) -> str:
        """Of the gateway: the endpoint."""
        return f"http://127.0.0.1:{self.session.process.known['port']}"

    @property
    def access_key(self) -> str:
        """The client's key: the first in the configuration's keystore."""
        return self.session.access_key

    @property
    def secret_key(self) -> str:
        """Its secret."""
        return self.session.secret_key

    @property
    def region(self) -> str:
        """Any would do."""
        return REGION

    @property
    def bucket(self) -> str:
        """An empty bucket, where the store is the default one."""
        return self.session.bucket

    def client_kwargs(self) -> dict[str, Any]:
        """For `boto3.client("s3", **s3_gateway.client_kwargs())`."""
        return {
            "endpoint_url": self.url,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": self.region,
        }

    @property
    def env(self) -> dict[str, str]:
        """Variables of the environment that SDKs and the aws CLI look at, to be laid over those that are there.

        None of those can lead a program elsewhere then, nor give it real keys.
        """
        return variables(
            self.url, self.access_key, self.secret_key, self.region, folder=self.session.folder, around=os.environ
        )

    def requests(self) -> list[Seen]:
        """The requests of this test, in the order in which they were answered."""
        told = self.session.process.ask("tell")["requests"]
        return [Seen(**{**one, "faults": tuple(one["faults"])}) for one in told]


class S3Recording:
    """The recording of a test."""

    def __init__(self, session: Session, plan: Plan, folder: Path, mode: str) -> None:
        """Begin."""
        self._session = session
        self._folder = folder
        self._mode = mode
        self._draft = session.folder / f"recording-{os.getpid()}.osp"
        self._use(plan)

    @property
    def file(self) -> Path:
        """Where it is, or will be."""
        return self.plan.file

    @property
    def mode(self) -> str:
        """vcrpy's name for what is done."""
        return self._mode

    def __call__(self, name: str) -> S3Recording:
        """Use another file of the same folder, from the first request on.

        Raises:
            TestingError: there have been requests, or the name lies outside of the folder.
        """
        if self._session.process.ask("tell")["requests"]:
            raise TestingError(f"s3_recording({name!r}): there have been requests, expected this before the first one")
        try:
            file = named_file(self._folder, name)
        except ValueError as error:
            raise TestingError(f"s3_recording: {error}") from None
        self._use(Plan.of(self._mode, file))
        return self

    def _use(self, plan: Plan) -> None:
        self.plan = plan
        process = self._session.process
        process.ask("record", file=str(self._draft) if plan.records else None)
        if plan.replays:
            file = str(plan.file) if plan.file.is_file() else None
            process.ask("replay", file=file, forward=plan.records)
        else:
            process.ask("replay", end=True)

    def unmatched(self) -> list[str]:
        """Requests that had no recorded answer, and got an error."""
        found: list[str] = self._session.process.ask("tell")["unmatched"]
        return found

    def end(self, *, passed: bool) -> None:
        """The test is over. What it recorded is kept where it has passed: a half recording would only fail later.

        Raises:
            OSError: the file cannot be written.
        """
        process = self._session.process
        written = process.ask("record", file=None)["written"]
        process.ask("replay", end=True)
        if self.plan.records and written and passed:
            keep(self._draft, self.plan.file, add=self.plan.replays)
        with suppress(FileNotFoundError):
            self._draft.unlink()


class S3Faults:
    """Breaks requests on purpose: see "Break it on purpose" in the gateway's README for what there is."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rules: list[dict[str, Any]] = []
        self.seed = 0
        """What is random about faults follows from it; for those that are added from now on."""

    def add(self, type: str, **rule: Any) -> None:
        """One more rule: `s3_faults.add("error", code="SlowDown", operations="PutObject", nth=1)`.

        Counting begins anew.

        Raises:
            TestingError: it is not a rule.
        """
        self._use([*self._rules, {"type": type, **rule}])

    def load(self, file: str | os.PathLike[str]) -> None:
        """The rules of a TOML file, instead of those that are there.

        Raises:
            TestingError: it is not a file of rules.
        """
        from osp_gateway.faults.rules import FaultsError, load  # noqa: PLC0415 - heavy

        try:
            rules = load(Path(file))
        except FaultsError as error:
            raise TestingError("\n".join(error.problems)) from None
        self.seed = rules.seed
        self._use([rule.model_dump() for rule in rules.faults])

    def clear(self) -> None:
        """Nothing is broken any more."""
        self._use([])

    @property
    def seen(self) -> list[SeenFault]:
        """The faults that have happened in this test."""
        return [SeenFault(**one) for one in self._session.process.ask("tell")["faults"]]

    def _use(self, rules: list[dict[str, Any]]) -> None:
        self._session.process.ask("faults", rules={"seed": self.seed, "faults": rules})
        self._rules = rules
