"""POST policies: who signed a form, and whether the form is what was signed.

A form's signature goes over its policy document alone; the document says, condition by condition, which fields may
stand in the form. So every field must be covered by a condition, and every condition must hold. See "Authenticating
requests: browser-based uploads using POST (AWS Signature Version 4)" and "POST policy" in the Amazon S3 API
reference; codes and messages are AWS's.
"""

from __future__ import annotations

import base64
import calendar
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from osp_gateway.s3.address import MAX_KEY_OCTETS
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.form import DEFAULT_LIMITS, KEY, Fields, missing_field
from osp_gateway.s3.head import is_broken, is_reserved
from osp_gateway.sigv4.canonical import ALGORITHM, TERMINATOR
from osp_gateway.sigv4.claim_parts import SERVICE
from osp_gateway.sigv4.dates import MAX_EXPIRES_SECONDS, MAX_SKEW_SECONDS, parse_amz_date
from osp_gateway.sigv4.keys import SigningKeys, signature, told

FILENAME: Final = "${filename}"
BUCKET: Final = "bucket"
POLICY: Final = "policy"
SIGNATURE: Final = "x-amz-signature"
AUTHENTICATION: Final = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", POLICY, SIGNATURE)
"""What a form needs to be authenticated."""
SECURITY_TOKEN: Final = "x-amz-security-token"  # noqa: S105 - a field's name
SIGV2: Final = ("awsaccesskeyid", "signature")

_NOT_EXPANDED: Final = frozenset({*AUTHENTICATION, SECURITY_TOKEN})
_NOT_COVERED: Final = frozenset({POLICY, SIGNATURE})
_IGNORED_PREFIX: Final = "x-ignore-"
_EXACT: Final = frozenset({BUCKET, "x-amz-algorithm", "x-amz-credential", "x-amz-date", SECURITY_TOKEN})
"""Fields for which S3 takes no `starts-with`."""

_KNOWN: Final = frozenset(
    {
        KEY,
        "acl",
        "cache-control",
        "expires",
        "redirect",
        "success_action_redirect",
        "success_action_status",
        "tagging",
    }
)
_KNOWN_PREFIXES: Final = ("content-", "if-", "x-amz-")
_REFUSED: Final = frozenset(
    {
        "content-length",
        "x-amz-content-sha256",
        "x-amz-decoded-content-length",
        "x-amz-trailer",
    }
)
_REFUSED_PREFIX: Final = "x-amz-copy-source"
_RIVALS: Final = (("acl", "x-amz-acl"), ("tagging", "x-amz-tagging"))
_MULTILINE: Final = frozenset({KEY, "tagging"})

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z").match
_PRINTABLE: Final = re.compile(r"[!-~]+\Z").match
_EXPIRATION: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z\Z", re.ASCII).match
_DIGITS: Final = re.compile(r"[0-9]{1,19}\Z").match
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FormClaim:
    """Who a form says it is from. `policy` is the string to sign, as it was sent."""

    access_key: str
    amz_date: str
    region: str
    signature: str = field(repr=False)
    policy: str = field(repr=False)
    session_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Upload:
    """A form that keeps to its policy, variables expanded.

    `pairs` are the fields that mean something to a store, without the key and the authentication; `minimum` and
    `maximum` bound the file's octets where a condition does.
    """

    key: str
    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    minimum: int = 0
    maximum: int | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The fields as the headers that a PutObject would have, for authorizers: lower-case names."""
        fields = {name.lower(): value for name, value in self.pairs}
        if "acl" in fields:
            fields["x-amz-acl"] = fields.pop("acl")
        return MappingProxyType(fields)

    def check_size(self, octets: int) -> None:
        """Raise where a file of this size is not allowed.

        Raises:
            S3Error: EntityTooSmall or EntityTooLarge (400).
        """
        if octets < self.minimum:
            raise S3Error(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                details={"ProposedSize": str(octets), "MinSizeAllowed": str(self.minimum)},
            )
        if self.maximum is not None and octets > self.maximum:
            raise S3Error(
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
                details={"ProposedSize": str(octets), "MaxSizeAllowed": str(self.maximum)},
            )


def read_claim(fields: Fields, now: float) -> FormClaim:
    """The claim of a form.

    Args:
        fields: the form's fields as received.
        now: seconds since the epoch.

    Raises:
        S3Error: AccessDenied (403) for a form that is not signed, InvalidRequest or InvalidArgument (400) for one
            that is signed otherwise than by Signature Version 4, or only half.
    """
    values = fields.values
    _refuse_sigv2(values)
    for name in AUTHENTICATION:
        if name not in values:
            raise missing_field(_shown(name))
    if values["x-amz-algorithm"] != ALGORITHM:
        raise _argument("X-Amz-Algorithm", values["x-amz-algorithm"], f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    amz_date = values["x-amz-date"]
    timestamp = parse_amz_date(amz_date)
    if timestamp is None:
        raise _argument("X-Amz-Date", amz_date, "X-Amz-Date must be formated via ISO8601 Long format")
    access_key, region = _credential(values["x-amz-credential"], amz_date[:8])
    if timestamp - now > MAX_SKEW_SECONDS:
        raise S3Error.access_denied(message="Request is not yet valid")
    if now > timestamp + MAX_EXPIRES_SECONDS:  # a signing key is good for seven days
        raise _violation("Policy expired.")
    if not values[POLICY].isascii():
        raise _bad_policy("invalid Base64 encoding.")
    return FormClaim(access_key, amz_date, region, values[SIGNATURE], values[POLICY], values.get(SECURITY_TOKEN))


def verify(claim: FormClaim, secret_key: str, keys: SigningKeys) -> None:
    """Raise unless the policy's signature is the one that `secret_key` gives.

    Raises:
        S3Error: SignatureDoesNotMatch (403).
    """
    expected = signature(keys.get(secret_key, claim.amz_date[:8], claim.region), claim.policy)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise S3Error(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            details={"AWSAccessKeyId": told(claim.access_key)},
        )


def check(claim: FormClaim, fields: Fields, bucket: str, now: float) -> Upload:
    """Hold a form against its policy; to be asked once the policy's signature is known to be right.

    Args:
        claim: what `read_claim` found.
        fields: the form's fields as received.
        bucket: the bucket that the form was sent to.
        now: seconds since the epoch.

    Raises:
        S3Error: InvalidPolicyDocument (400), AccessDenied (403) with what the policy does not allow,
            InvalidArgument or KeyTooLongError (400).
    """
    policy = Policy.parse(claim.policy)
    if now >= policy.expiration:
        raise _violation("Policy expired.")
    expanded = expand(fields)
    values = expanded.values
    if KEY not in values:
        raise missing_field(KEY, "UserKeyMustBeSpecified")
    if values.get(BUCKET, bucket) != bucket:
        raise _argument(BUCKET, values[BUCKET], "The form names another bucket than its URL.")
    minimum, maximum = policy.hold({**values, BUCKET: bucket})
    _refuse_uncovered(expanded, policy)
    return Upload(_checked_key(values[KEY]), _meaningful(expanded), minimum, maximum)


MAX_TYPES: Final = 100
"""In a Content-Type that is a list: a policy of a thousand conditions is held against each, while others wait."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: `operator` is `eq` or `starts-with`, and `text` is what the field `name` (lower case) is to be.

    Or it is `content-length-range`, and `bounds` are its octets. `shown` is how the document writes it; `broken`
    that it can never hold, because its operands are not what S3 takes.
    """

    operator: str
    shown: str
    name: str = ""
    text: str = ""
    bounds: tuple[int, int] = (0, 0)
    broken: bool = False

    def holds(self, values: Mapping[str, str]) -> bool:
        """Whether a form with these values meets it."""
        value = values.get(self.name)
        if self.broken or value is None:
            return False
        if self.operator == "eq":
            return value == self.text
        if self.name == "content-type":
            types = value.split(",", MAX_TYPES)
            return len(types) <= MAX_TYPES and all(one.strip(" ").startswith(self.text) for one in types)
        return value.startswith(self.text)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document. `expiration` is in seconds since the epoch."""

    expiration: float
    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read a policy document.

        Args:
            text: the document in base64, as it was signed.

        Raises:
            S3Error: InvalidPolicyDocument (400).
        """
        document = _document(text)
        for name in document:
            if name not in ("expiration", "conditions"):
                raise _bad_policy(f"Unexpected: '{name.lower()}'")
        if "expiration" not in document:
            raise _bad_policy("Policy missing expiration.")
        if "conditions" not in document:
            raise _bad_policy("Policy missing conditions.")
        conditions = document["conditions"]
        if not isinstance(conditions, list):
            raise _bad_policy("Invalid 'conditions' value: must be a List.")
        return cls(_expiration(document["expiration"]), tuple(_condition(one) for one in conditions))

    @property
    def covered(self) -> frozenset[str]:
        """The lower-case names of the fields that a condition is about."""
        return frozenset(condition.name for condition in self.conditions if condition.name)

    def hold(self, values: Mapping[str, str]) -> tuple[int, int | None]:
        """Raise unless every condition holds; the bounds of the file's size.

        Args:
            values: the form's values by lower-case name, and the bucket's name as `bucket`.

        Raises:
            S3Error: AccessDenied (403).
        """
        minimum: int = 0
        maximum: int | None = None
        for condition in self.conditions:
            if condition.operator == "content-length-range" and not condition.broken:
                least, most = condition.bounds
                minimum, maximum = max(minimum, least), most if maximum is None else min(maximum, most)
            elif not condition.holds(values):
                raise _violation(f"Policy Condition failed: {condition.shown}")
        return minimum, maximum


def expand(fields: Fields) -> Fields:
    """The fields with `${filename}` replaced by the file's name, without any path before it.

    Raises:
        S3Error: InvalidArgument (400) where the variable is there even then: a store would expand it once more,
            and write to another key than the one that was checked.
    """
    name = re.split(r"[/\\]", fields.filename or "")[-1]
    pairs = []
    for field_name, value in fields.pairs:
        lower = field_name.lower()
        if lower not in _NOT_EXPANDED and not lower.startswith(_IGNORED_PREFIX):
            times = value.count(FILENAME)
            if times and len(value) + times * len(name) > DEFAULT_LIMITS.field:  # a few octets must not become many
                raise _key_too_long() if lower == KEY else _argument(field_name, "", f"{FILENAME} makes it too long.")
            value = value.replace(FILENAME, name)
            if FILENAME in value.lower():
                raise _argument(field_name, value, f"{FILENAME} cannot be part of a value.")
        pairs.append((field_name, value))
    return Fields(tuple(pairs), fields.filename)


def _refuse_sigv2(values: Mapping[str, str]) -> None:
    old = [name for name in SIGV2 if name in values]
    new = [name for name in AUTHENTICATION if name in values and name != POLICY]
    if old and new:
        raise S3Error(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the fields of Signature Version 4 or of Signature Version 2 "
            "should be specified",
        )
    if old:
        raise S3Error.invalid_request(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        )
    if not new and POLICY not in values:
        raise S3Error.access_denied(reason="the form is not signed")


def _credential(text: str, day: str) -> tuple[str, str]:
    """Access key and region of `key/date/region/s3/aws4_request`."""
    pieces = text.rsplit("/", 4)
    if len(pieces) != 5 or not _PRINTABLE(text):
        raise _argument(
            "X-Amz-Credential",
            text,
            'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    access_key, date, region, service, terminator = pieces
    problem = ""
    if not access_key:
        problem = "a non-empty Access Key (AKID) must be provided in the credential."
    elif date != day:
        problem = f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{day}".'
    elif not region:
        problem = "the region is empty."
    elif service != SERVICE:
        problem = f'incorrect service "{service}". This endpoint belongs to "s3".'
    elif terminator != TERMINATOR:
        problem = f'incorrect terminal "{terminator}". This endpoint uses "aws4_request".'
    if problem:
        raise _argument("X-Amz-Credential", text, problem)
    return access_key, region


def _document(text: str) -> dict[str, Any]:
    try:
        octets = base64.b64decode(text, validate=True)
    except ValueError:
        raise _bad_policy("invalid Base64 encoding.") from None
    if not octets:
        raise _bad_policy("Expecting '{' but found End-of-Input")
    try:
        document = json.loads(
            _ESCAPE.sub(_plain_escape, octets.decode("utf-8")),
            object_pairs_hook=_object,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
        # Half of a surrogate pair (`\ud800`) is no text: it could not even be said what is wrong with it.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _bad_policy("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _bad_policy("Invalid JSON.")
    return document


def _plain_escape(match: re.Match[str]) -> str:
    r"""S3 knows two escapes more than JSON: `\$` and `\v`. See "Character escaping" in "POST policy"."""
    return {"$": "$", "v": "\\u000b"}.get(match[1], match[0])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):  # two readers would each take another one
        raise ValueError("a name is given twice")
    return members


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} has no place in a policy")


def _expiration(value: object) -> float:
    match = _EXPIRATION(value) if isinstance(value, str) else None
    if match is not None:
        try:
            moment = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
            return calendar.timegm(moment.utctimetuple()) + float(match[2] or 0)
        except ValueError:
            pass  # said below, as for anything else that is no time
    raise _bad_policy(f"Invalid 'expiration' value: '{value}'")


def _condition(written: object) -> Condition:
    if isinstance(written, dict):
        if len(written) != 1:
            raise _bad_policy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((name, value),) = written.items()
        if not isinstance(value, str):
            raise _bad_policy("Invalid Simple-Condition: value must be a string.")
        return Condition("eq", _shown_condition(["eq", f"${name}", value]), name.lower(), value)
    if not isinstance(written, list):
        raise _bad_policy("Invalid condition: must be a List or Object.")
    if not written or not isinstance(written[0], str):
        raise _bad_policy("Invalid Condition: missing operation identifier.")
    operator, shown = written[0].lower(), _shown_condition(written)
    if operator not in ("eq", "starts-with", "content-length-range"):
        raise _bad_policy(f"Invalid Condition: unknown operation '{written[0]}'.")
    if len(written) != 3:
        raise _bad_policy(f"Invalid {operator}: wrong number of arguments.")
    if operator == "content-length-range":
        least, most = _octets(written[1]), _octets(written[2])
        if least is None or most is None:
            return Condition(operator, shown, broken=True)
        return Condition(operator, shown, bounds=(least, most))
    if not (isinstance(written[1], str) and isinstance(written[2], str)):
        raise _bad_policy("Invalid JSON.")
    name = written[1].removeprefix("$").lower()
    broken = not written[1].startswith("$") or (operator == "starts-with" and name in _EXACT)
    return Condition(operator, shown, name, written[2], broken=broken)


def _octets(value: object) -> int | None:
    """A bound of `content-length-range`: S3 takes numbers and digits in quotes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    return int(value) if isinstance(value, str) and _DIGITS(value) else None


def _refuse_uncovered(fields: Fields, policy: Policy) -> None:
    covered = policy.covered
    for name, _ in (*fields.pairs, (BUCKET, "")):
        lower = name.lower()
        if lower not in covered and lower not in _NOT_COVERED and not lower.startswith(_IGNORED_PREFIX):
            raise _violation(f"Extra input fields: {name}")


def _meaningful(fields: Fields) -> tuple[tuple[str, str], ...]:
    """The fields that a store may act on, apart from the key. What S3 does not know is left behind, as S3 does."""
    kept = []
    for name, value in fields.pairs:
        lower = name.lower()
        if lower in _NOT_EXPANDED or lower in (KEY, BUCKET) or lower.startswith(_IGNORED_PREFIX):
            continue
        if lower in _REFUSED or lower.startswith(_REFUSED_PREFIX) or ("_" in lower and _reads_as_reserved(lower)):
            raise _argument(name, "", f"The form field {name} is not allowed.")
        if lower not in _KNOWN and not lower.startswith(_KNOWN_PREFIXES):
            continue
        if not _TOKEN(name) or (is_broken(value) and lower not in _MULTILINE):
            raise _argument(name, "", f"The form field {name} cannot stand for one header.")
        kept.append((name, value))
    names = {name.lower() for name, _ in kept}
    for rivals in _RIVALS:
        if names.issuperset(rivals):
            raise _argument(rivals[0], "", f"The form has both fields {rivals[0]} and {rivals[1]}.")
    return tuple(kept)


def _reads_as_reserved(name: str) -> bool:
    """Whether a CGI-style server would read this name, with its underscores, as a header that means something."""
    return not name.startswith("x-amz-meta-") and is_reserved(name.replace("_", "-"))


def _checked_key(key: str) -> str:
    if not key:
        raise _argument(KEY, "", "User key must have a length greater than 0.")
    if len(key.encode()) > MAX_KEY_OCTETS:
        raise _key_too_long()
    return key


def _key_too_long() -> S3Error:
    return S3Error("KeyTooLongError", "Your key is too long")


def _shown(name: str) -> str:
    """A field's name as S3's errors write it."""
    return "-".join(part.capitalize() for part in name.split("-"))


def _shown_condition(written: list[Any]) -> str:
    return json.dumps(written, ensure_ascii=False)


def _argument(name: str, value: str, message: str) -> S3Error:
    return S3Error("InvalidArgument", message, details={"ArgumentName": name, "ArgumentValue": value})


def _violation(what: str) -> S3Error:
    return S3Error.access_denied(message=f"Invalid according to Policy: {what}")


def _bad_policy(what: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {what}")
