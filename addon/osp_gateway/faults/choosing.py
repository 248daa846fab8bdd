"""Which faults a request has.

Each rule counts the requests that it matches and has a random number generator of its own, seeded with the rules' seed
and its place among them: the same requests in the same order have the same faults, each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Final

from osp_gateway.faults import rules as r
from osp_gateway.faults.plan import BEFORE_THE_HEAD, Ending, Facts, Happened, Plan, Reached, Slices, Way, When
from osp_gateway.s3.errors import S3Error
from osp_gateway.token_bucket import TokenBucket

KB: Final = 1000
MAX_BUCKETS: Final = 10_000
"""Token buckets, of one rule that has one for each bucket or identity."""


@dataclass(slots=True)
class _State:
    """What a rule remembers."""

    random: Random
    matched: int = 0
    happened: int = 0
    tokens: dict[str, TokenBucket] = field(default_factory=dict)


class Faults:
    """The rules, and what they have counted."""

    def __init__(self, rules: r.FaultRules = r.NO_FAULTS) -> None:
        self.rules = rules
        self._states = [_State(Random(f"{rules.seed}/{number}")) for number in range(len(rules.faults))]  # noqa: S311
        self._requests = 0

    def __bool__(self) -> bool:
        return bool(self.rules.faults)

    @property
    def skews_clocks(self) -> bool:
        """Whether there is anything to be asked of `skew`."""
        return any(isinstance(rule, r.ClockSkewFault) for rule in self.rules.faults)

    def skew(self, facts: Facts) -> tuple[float, tuple[Happened, ...]]:
        """By how many seconds the store's clock is wrong for a request that has yet to be verified, and by which rules.

        Args:
            facts: `identity` is the access key that the request says it is signed with.
        """
        seconds, happened = 0.0, []
        for number, rule in enumerate(self.rules.faults):
            if not isinstance(rule, r.ClockSkewFault) or not matches(rule, facts):
                continue
            if self._is_hit(number, rule) and self._is_left(number, rule):
                seconds += rule.offset
                happened.append(_happened(number, rule, f"the clock is off by {rule.offset:+g} s"))
        return seconds, tuple(happened)

    def plan(self, facts: Facts, now: float) -> Plan | None:
        """What is done to a request; None where nothing is.

        Args:
            facts: about a request that is verified and authorized.
            now: seconds by any clock, for token buckets.
        """
        self._requests += 1
        plan = Plan((), seed=f"{self.rules.seed}/request {self._requests}")
        for number, rule in enumerate(self.rules.faults):
            apply = _APPLY.get(type(rule))
            if apply is None or not matches(rule, facts) or not self._fits(number, rule, facts, now):
                continue
            if not self._is_hit(number, rule):
                continue
            if plan.answer is not None or not self._is_left(number, rule):
                continue
            plan, text = apply(plan, rule, facts, self._states[number].random)
            happened = _happened(number, rule, text)
            plan = replace(plan, happened=(*plan.happened, happened))
            if plan.answer is not None:
                plan.answer.reason = str(happened)
        plan = self._without_later_endings(plan)
        return plan if plan.happened else None

    def give_back(self, number: int) -> None:
        """The fault has not happened after all: it may once more, where its rule says how often."""
        self._states[number].happened -= 1

    def _without_later_endings(self, plan: Plan) -> Plan:
        """Of several endings the first one counts: the others cannot happen any more."""
        later: list[Happened] = []
        for stream in ("downstream", "upstream"):
            ends = [one for one in plan.happened if _ends(one, stream)]
            first = min(ends, key=_after, default=None)
            later += [one for one in ends if one is not first]
        for one in later:
            self.give_back(one.number)
        return replace(plan, happened=tuple(one for one in plan.happened if one not in later))

    def _fits(self, number: int, rule: r.Rule, facts: Facts, now: float) -> bool:
        """What a rule's type asks of a request, beyond what all rules do."""
        if rule.only and facts.operation != rule.only:
            return False
        if isinstance(rule, r.RedirectFault):
            return facts.region != rule.region and bool(facts.bucket)
        return not isinstance(rule, r.ThrottleFault) or self._is_too_much(number, rule, facts, now)

    def _is_hit(self, number: int, rule: r.Rule) -> bool:
        """Whether a request that matches has its turn; all are counted, whatever other rules do to them."""
        state = self._states[number]
        state.matched += 1
        if rule.nth and state.matched not in rule.nth:
            return False
        return rule.probability >= 1 or state.random.random() < rule.probability

    def _is_left(self, number: int, rule: r.Rule) -> bool:
        """Whether the fault may happen once more, which it does then."""
        state = self._states[number]
        if rule.times is not None and state.happened >= rule.times:
            return False
        state.happened += 1
        return True

    def _is_too_much(self, number: int, rule: r.ThrottleFault, facts: Facts, now: float) -> bool:
        whose = {"gateway": "", "bucket": facts.bucket, "identity": facts.identity}[rule.per]
        buckets = self._states[number].tokens
        if whose not in buckets and len(buckets) >= MAX_BUCKETS:
            del buckets[next(iter(buckets))]
        return not buckets.setdefault(whose, TokenBucket(rule.rate, rule.burst, now)).take(now)


def matches(rule: r.Rule, facts: Facts) -> bool:
    """Whether a request is one of those that a rule is about."""
    globs = (
        (rule.operations, facts.operation),
        (rule.buckets, facts.bucket),
        (rule.keys, facts.key),
        (rule.identities, facts.identity),
    )
    return all(any(fnmatchcase(value, pattern) for pattern in patterns) for patterns, value in globs)


def _happened(number: int, rule: r.Rule, text: str) -> Happened:
    return Happened(rule.name or f"faults[{number}]", str(getattr(rule, "type", "")), text, number, _when(rule))


def _when(rule: r.Rule) -> When:
    if isinstance(rule, r.LatencyFault):
        return Reached(rule.stream, BEFORE_THE_HEAD)
    if isinstance(rule, r.SlowCloseFault):
        return Reached("downstream", BEFORE_THE_HEAD)
    if isinstance(rule, r.BandwidthFault | r.SlicerFault):
        return Reached(rule.stream, 0)
    if isinstance(rule, r.CorruptFault):
        return Reached(rule.stream, rule.at)
    if isinstance(rule, r.LimitDataFault | r.StallFault):
        return Reached(rule.stream, rule.bytes, ends=True)
    if isinstance(rule, r.TimeoutFault):
        return Reached(rule.stream, BEFORE_THE_HEAD, ends=True)
    if isinstance(rule, r.ResetPeerFault):
        return Reached(rule.stream, BEFORE_THE_HEAD if rule.bytes is None else rule.bytes, ends=True)
    if isinstance(rule, r.WrongEtagFault):
        return "etag"
    return "part" if isinstance(rule, r.LostPartFault | r.DuplicatePartFault) else "at once"


def _ends(one: Happened, stream: str) -> bool:
    return isinstance(one.when, Reached) and one.when.ends and one.when.stream == stream


def _after(one: Happened) -> int:
    return one.when.after if isinstance(one.when, Reached) else BEFORE_THE_HEAD


def _answered(plan: Plan, error: S3Error) -> tuple[Plan, str]:
    return replace(plan, answer=error), f"{error.status} {error.code}"


def _error(plan: Plan, rule: r.ErrorFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    headers = [] if rule.retry_after is None else [("retry-after", str(rule.retry_after))]
    return _answered(plan, S3Error(rule.code, rule.message, status=rule.http_status, headers=headers))


def _throttle(plan: Plan, _rule: r.ThrottleFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    return _answered(plan, S3Error("SlowDown", "Please reduce your request rate."))


def _redirect(plan: Plan, rule: r.RedirectFault, facts: Facts, _random: Random) -> tuple[Plan, str]:
    """The endpoint is not told, as it is the one that the client has: it is the region that has to be another."""
    error = S3Error(
        "PermanentRedirect" if rule.status == 301 else "TemporaryRedirect",
        f"The bucket is in {rule.region}. Sign for that region.",
        status=rule.status,
        details={"Bucket": facts.bucket, "Region": rule.region},
        headers=[("x-amz-bucket-region", rule.region)],
    )
    plan, text = _answered(plan, error)
    return plan, f"{text} to {rule.region}"


def _latency(plan: Plan, rule: r.LatencyFault, _facts: Facts, random: Random) -> tuple[Plan, str]:
    ms = rule.latency * (random.paretovariate(rule.tail) if rule.tail is not None else 1.0)
    ms = min(r.MAX_MS, max(0.0, ms + random.uniform(-rule.jitter, rule.jitter)))
    way = _way(plan, rule.stream)
    return _with(plan, rule.stream, replace(way, latency=way.latency + ms / 1000)), f"{ms:.0f} ms of latency"


def _bandwidth(plan: Plan, rule: r.BandwidthFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    way = _way(plan, rule.stream)
    rate = min(rule.rate * KB, way.rate or rule.rate * KB)
    return _with(plan, rule.stream, replace(way, rate=rate)), f"{rule.rate:g} KB/s {rule.stream}"


def _slow_close(plan: Plan, rule: r.SlowCloseFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    closing = plan.down.closing + rule.delay / 1000
    return replace(plan, down=replace(plan.down, closing=closing)), f"closes {rule.delay:.0f} ms late"


def _timeout(plan: Plan, rule: r.TimeoutFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    ending = Ending(BEFORE_THE_HEAD, (rule.timeout or r.MAX_MS) / 1000, "close")
    return _ended(plan, rule.stream, ending), f"nothing passes {rule.stream}"


def _reset(plan: Plan, rule: r.ResetPeerFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    after = BEFORE_THE_HEAD if rule.bytes is None else rule.bytes
    where = "" if rule.bytes is None else f" after {rule.bytes} octets {rule.stream}"
    return _ended(plan, rule.stream, Ending(after, rule.timeout / 1000, "reset")), f"reset{where}"


def _slicer(plan: Plan, rule: r.SlicerFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    slices = Slices(rule.average_size, rule.size_variation, rule.delay / 1_000_000)
    way = replace(_way(plan, rule.stream), slices=slices)
    return _with(plan, rule.stream, way), f"slices of {rule.average_size} octets {rule.stream}"


def _limit_data(plan: Plan, rule: r.LimitDataFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    ending = Ending(rule.bytes, 0.0, "close")
    return _ended(plan, rule.stream, ending), f"cut off after {rule.bytes} octets {rule.stream}"


def _stall(plan: Plan, rule: r.StallFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    ending = Ending(rule.bytes, (rule.timeout or r.MAX_MS) / 1000, "close")
    return _ended(plan, rule.stream, ending), f"stalls after {rule.bytes} octets {rule.stream}"


def _corrupt(plan: Plan, rule: r.CorruptFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    way = _way(plan, rule.stream)
    changed = replace(way, corrupt=tuple(sorted({*way.corrupt, rule.at})))
    return _with(plan, rule.stream, changed), f"octet {rule.at} is corrupted {rule.stream}"


def _wrong_etag(plan: Plan, _rule: r.WrongEtagFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    return replace(plan, wrong_etag=True), "the ETag is another"


def _lost_part(plan: Plan, _rule: r.LostPartFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    return replace(plan, lost=True), "the part is lost, its client told that it is stored"


def _duplicate_part(plan: Plan, _rule: r.DuplicatePartFault, _facts: Facts, _random: Random) -> tuple[Plan, str]:
    return replace(plan, unanswered=True), "the part is stored, its client told that it is not"


def _way(plan: Plan, stream: r.Stream) -> Way:
    return plan.down if stream == "downstream" else plan.up


def _with(plan: Plan, stream: r.Stream, way: Way) -> Plan:
    return replace(plan, down=way) if stream == "downstream" else replace(plan, up=way)


def _ended(plan: Plan, stream: r.Stream, ending: Ending) -> Plan:
    """Of several endings the first one counts."""
    way = _way(plan, stream)
    first = min(way.ending or ending, ending, key=lambda one: one.after)
    return _with(plan, stream, replace(way, ending=first))


_APPLY: Final[Mapping[type[r.Rule], Callable[[Plan, Any, Facts, Random], tuple[Plan, str]]]] = {
    r.ErrorFault: _error,
    r.ThrottleFault: _throttle,
    r.RedirectFault: _redirect,
    r.LatencyFault: _latency,
    r.BandwidthFault: _bandwidth,
    r.SlowCloseFault: _slow_close,
    r.TimeoutFault: _timeout,
    r.ResetPeerFault: _reset,
    r.SlicerFault: _slicer,
    r.LimitDataFault: _limit_data,
    r.StallFault: _stall,
    r.CorruptFault: _corrupt,
    r.WrongEtagFault: _wrong_etag,
    r.LostPartFault: _lost_part,
    r.DuplicatePartFault: _duplicate_part,
}
