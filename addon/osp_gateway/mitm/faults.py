"""Faults on purpose: the addon that decides which request has which, and the commands for them.

A fault comes after the gateway's own decision: what is refused stays refused. What happens to messages on their way is
done by `FaultyStream`, by the plan on the desk.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from mitmproxy import command, ctx, exceptions, http
from mitmproxy.addonmanager import Loader

from osp_gateway.faults.choosing import Faults
from osp_gateway.faults.plan import Facts, Happened, Plan
from osp_gateway.faults.rules import NO_FAULTS, FaultRules, FaultsError, joined, load
from osp_gateway.faults.words import read_words
from osp_gateway.mitm.columns import visible
from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.showing import FAULTS
from osp_gateway.observe.clean import masked_text
from osp_gateway.outcomes import Forward, Reply, Verdict
from osp_gateway.replay.tape import body_of
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import locate
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.s3.operations import OperationTable
from osp_gateway.sigv4.explain.reading import sightings
from osp_gateway.sigv4.presigned import without_authentication

log = logging.getLogger(__name__)

MAX_SEEN: Final = 10_000
MARK: Final = ":boom:"
_TABLE: Final = OperationTable.from_botocore()


@dataclass(frozen=True, slots=True)
class _Skew:
    """What was found of a request's clock before anything else."""

    seconds: float
    facts: Facts
    happened: tuple[Happened, ...]


@dataclass(frozen=True, slots=True)
class _Awaited:
    """What may yet happen to a request, by the number of its rule, and whose rules those are."""

    faults: Faults
    facts: Facts
    happened: dict[int, Happened]


class FaultsAddon:
    """Comes after all that answers: what it breaks is what the client would have got."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._faults = Faults()
        self._running = False
        self._skewed: WeakKeyDictionary[http.HTTPFlow, _Skew] = WeakKeyDictionary()
        self.seen: deque[tuple[Facts, Happened]] = deque(maxlen=MAX_SEEN)
        """What has happened, to which request; the oldest is forgotten first."""
        self._awaited: WeakKeyDictionary[http.HTTPFlow, _Awaited] = WeakKeyDictionary()
        desk.clock_offset = self._clock_offset
        desk.fault_happened = self._happened

    def use(self, rules: FaultRules) -> None:
        """From the next request on; counting begins anew."""
        self._faults = Faults(rules)
        if rules.faults:
            log.warning("%d fault rules: requests are broken on purpose, seed %d", len(rules.faults), rules.seed)

    # Options

    def load(self, loader: Loader) -> None:
        """Declare our option."""
        loader.add_option(
            "osp_faults",
            str,
            "",
            "Break requests on purpose, by the rules in this TOML file: errors, latency, cut connections. For tests.",
        )

    def configure(self, updated: set[str]) -> None:
        """Read the rules."""
        if "osp_faults" not in updated:
            return
        file = ctx.options.osp_faults
        try:
            self.use(load(Path(file).expanduser()) if file else NO_FAULTS)
        except FaultsError as error:
            if self._running:
                raise exceptions.OptionsError("osp_faults: " + "; ".join(error.problems)) from None
            for problem in error.problems:
                log.error("osp_faults: %s", problem)  # noqa: TRY400
            raise SystemExit(1) from None  # mitmproxy would listen for a while before it ends

    def running(self) -> None:
        """From here on a wrong file is no reason to end."""
        self._running = True

    # Commands

    @command.command("osp.faults.show")
    def show(self) -> str:
        """The fault rules in use."""
        return _shown(self._faults)

    @command.command("osp.faults.load")
    def load_rules(self, path: str) -> None:
        """Use the fault rules in a TOML file, instead of those in use."""
        try:
            self.use(load(Path(path).expanduser()))
        except FaultsError as error:
            raise exceptions.CommandError("osp.faults.load: " + "; ".join(error.problems)) from None

    @command.command("osp.faults.add")
    def add(self, *rule: str) -> str:
        """
        One more fault: type=latency latency=500 operations=GetObject,PutObject keys=logs/* probability=0.2. Counting
        begins anew.
        """
        try:
            self.use(joined(self._faults.rules, read_words(rule)))
        except FaultsError as error:
            problems = "; ".join(problem.removeprefix("faults[0].") for problem in error.problems)
            raise exceptions.CommandError(f"osp.faults.add: {problems}") from None
        return _shown(self._faults)

    @command.command("osp.faults.clear")
    def clear(self) -> None:
        """No faults from the next request on."""
        self.use(NO_FAULTS)
        log.info("osp.faults.clear: nothing is broken on purpose any more")

    # Requests

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The verdict has fallen."""
        if flow in self._desk.plans:
            return
        skew = self._skewed.pop(flow, None)
        if skew is not None:
            self._desk.plans[flow] = Plan(skew.happened, skew=skew.seconds)
            for one in skew.happened:
                self._tell(flow, skew.facts, one)
        if self._faults:
            self._break(flow)

    def post_form(self, flow: http.HTTPFlow) -> None:
        """The same for a form, of which only now is known what it is about."""
        self.requestheaders(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        """A part that is lost, or whose answer is, is complete. A recording is not asked about either."""
        plan = self._desk.plans.get(flow)
        if plan is None or flow.error is not None or flow.response is not None:
            return
        if (part := self._desk.lost.pop(flow, None)) is not None:
            flow.response = _stored(part.digest)
            self._part(flow)
        elif plan.unanswered and self._desk.library is not None:
            flow.response = self._desk.refuse(flow, _not_told())
            self._part(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The store has answered."""
        plan = self._desk.plans.get(flow)
        if plan is not None and plan.unanswered and flow.response is not None and flow.response.status_code < 300:
            self._desk.adapted.discard(flow)
            self._desk.unfit.setdefault(flow, _not_told())
            self._part(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """What has not happened by now does not happen any more."""
        if (awaited := self._awaited.pop(flow, None)) is not None:
            for number in awaited.happened:
                awaited.faults.give_back(number)

    def error(self, flow: http.HTTPFlow) -> None:
        """The same for what was broken off."""
        self.response(flow)

    def _break(self, flow: http.HTTPFlow) -> None:
        outcome = self._desk.outcomes.get(flow)
        if not isinstance(outcome, Forward | Reply):
            return
        head = self._desk.head(flow)
        facts = _facts(outcome.verdict, head)
        plan = self._faults.plan(facts, time.monotonic())
        if plan is None:
            return
        before = self._desk.plans.get(flow)
        self._desk.plans[flow] = replace(plan, skew=before.skew) if before is not None else plan
        if plan.lost:
            self._desk.lost[flow] = body_of(head, 0, "md5")
        if plan.answer is not None:
            flow.response = self._desk.refuse(flow, plan.answer)
        awaited = _Awaited(self._faults, facts, {})
        for one in plan.happened:
            if one.when == "at once":
                self._tell(flow, facts, one)
            else:
                awaited.happened[one.number] = one
        self._awaited[flow] = awaited

    def _happened(self, flow: http.HTTPFlow, one: Happened) -> None:
        """It is certain now."""
        awaited = self._awaited.get(flow)
        if awaited is not None and awaited.happened.pop(one.number, None) is not None:
            self._tell(flow, awaited.facts, one)

    def _part(self, flow: http.HTTPFlow) -> None:
        """Its client is told of a part what is not so."""
        awaited = self._awaited.get(flow)
        for one in list(awaited.happened.values()) if awaited is not None else ():
            if one.when == "part":
                self._happened(flow, one)

    def _tell(self, flow: http.HTTPFlow, facts: Facts, one: Happened) -> None:
        """Let a person see it; an error's reason says it already."""
        flow.metadata.setdefault(FAULTS, []).append(dict(one.told))
        flow.marked = MARK
        if visible(str(one)) not in flow.comment:
            flow.comment += visible(f", {one}")
            log.info("%s", visible(f"{facts.operation} {facts.bucket}/{masked_text(facts.key)}: {one}"))
        self.seen.append((facts, one))

    def _clock_offset(self, flow: http.HTTPFlow) -> float:
        """Before the request is verified, so that the gateway's own rules about dates apply."""
        facts = _claimed(self._desk.head(flow), self._desk.domains) if self._faults.skews_clocks else None
        if facts is None:
            return 0.0
        seconds, happened = self._faults.skew(facts)
        if happened:
            self._skewed[flow] = _Skew(seconds, facts, happened)
        return seconds


def _facts(verdict: Verdict, head: RequestHead) -> Facts:
    found = sightings(head)
    return Facts(verdict.operation, verdict.bucket, verdict.key, verdict.who, found[0].region if found else "")


def _claimed(head: RequestHead, domains: tuple[str, ...]) -> Facts | None:
    """What a request says of itself; None where that cannot be read, which it will be refused for."""
    found = sightings(head)
    try:
        resource = locate(head.path, head.get("host") or "", domains)
        query = without_authentication(encoding.parse_query(head.query))
        operation = _TABLE.name(head.method, resource, query, head.fields)
    except (S3Error, ValueError):
        return None
    return Facts(operation.name, resource.bucket, resource.key, found[0].access_key if found else "")


def _stored(md5: str) -> http.Response:
    """What a store says of a part that it has stored."""
    headers = {"ETag": f'"{md5}"', "Content-Length": "0", "Date": formatdate(usegmt=True)}
    return http.Response.make(200, b"", headers)


def _not_told() -> S3Error:
    return S3Error.internal("the part is stored, its client told that it is not: a fault")


def _shown(faults: Faults) -> str:
    lines = [_described(rule.model_dump(exclude_defaults=True)) for rule in faults.rules.faults]
    return "\n".join(lines) or "There are no faults."


def _described(rule: Mapping[str, Any]) -> str:
    parts = [f"{name}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for name, v in rule.items()]
    return visible(" ".join(sorted(parts, key=lambda part: not part.startswith("type="))))
