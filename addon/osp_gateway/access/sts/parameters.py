"""The parameters of an STS call: a form in the body or, where nothing in it is a secret, a query.

Nothing is guessed: what two readers could take apart differently (a name given twice, `Action` and `action`, broken
percent-encoding) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from osp_gateway.access.sts.errors import StsError, invalid
from osp_gateway.s3 import encoding

VERSION: Final = "2011-06-15"
MAX_PARAMETERS: Final = 256
MAX_TAGS: Final = 50

_FORM: Final = re.compile(r"application/x-www-form-urlencoded(?:[ \t]*;[ \t]*charset=\"?utf-8\"?)?[ \t]*\Z", re.I).match
_NAME: Final = re.compile(r"[A-Za-z0-9.]{1,128}\Z").match
_NUMBER: Final = re.compile(r"[0-9]{1,9}\Z").match
_ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]{0,16}:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}\Z").match
_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}\Z").match
_EXTERNAL_ID: Final = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}\Z").match
_TAG_CHARS: Final = re.compile(r"[\w .:/=+\-@]")

_SESSION: Final = frozenset({"RoleArn", "RoleSessionName", "DurationSeconds", "Policy"})
ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "AssumeRole": _SESSION | {"ExternalId"},
    "AssumeRoleWithWebIdentity": _SESSION | {"WebIdentityToken"},
    "GetSessionToken": frozenset({"DurationSeconds"}),
    "GetCallerIdentity": frozenset(),
}
"""The actions that there are, and the parameters that each takes."""
_LISTS: Final[Mapping[str, str]] = {"Tags": "AssumeRole", "TransitiveTagKeys": "AssumeRole"}
_SECRETS: Final = frozenset({"WebIdentityToken"})


def is_form(content_type: str | None) -> bool:
    """Whether a body of this type is one that STS reads."""
    return content_type is not None and _FORM(content_type) is not None


class Parameters:
    """A call's parameters by name, each once, checked one by one as they are asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    @classmethod
    def of_form(cls, body: bytes) -> Parameters:
        """Read a form, in which `+` is a space.

        Raises:
            StsError: ValidationError (400).
        """
        return cls(_read(body.decode("latin-1").replace("+", "%20")))

    @classmethod
    def of_query(cls, query: str) -> Parameters:
        """Read a query, in which `+` is a plus, as it is for its signature. It must hold no secret: URLs get about.

        Raises:
            StsError: ValidationError (400).
        """
        values = _read(query)
        for name in _SECRETS & values.keys():
            raise invalid(f"{name} is a secret and must not stand in a URL: send the parameters in the body.")
        return cls(values)

    @property
    def action(self) -> str:
        """The action: one that there is, of the version that there is, with parameters that it takes.

        Raises:
            StsError: MissingAction, InvalidAction or ValidationError (400).
        """
        action = self._values.get("Action")
        if not action:
            raise StsError("MissingAction", "Missing Action")
        version = self._values.get("Version", "")
        if action not in ACTIONS or version != VERSION:
            raise StsError(
                "InvalidAction", f"Could not find operation {action[:64]} for version {version[:16] or 'NO_VERSION'}"
            )
        for name in self._values.keys() - ACTIONS[action] - {"Action", "Version"}:
            if _LISTS.get(name.partition(".")[0]) != action:
                raise invalid(f"{action} takes no parameter {name} here.")
        return action

    def required(self, name: str) -> str:
        """A parameter that has to be there and not to be empty."""
        value = self._values.get(name)
        if not value:
            raise invalid(f"Value null at '{name}' failed to satisfy constraint: Member must not be null")
        return value

    def optional(self, name: str) -> str | None:
        """A parameter that may be there, but then not empty."""
        return self.required(name) if name in self._values else None

    @property
    def role_arn(self) -> str:
        """The role that is asked for."""
        arn = self.required("RoleArn")
        if not _ROLE_ARN(arn):
            raise invalid("RoleArn is invalid: expected arn:aws:iam::ACCOUNT:role/NAME")
        return arn

    @property
    def session_name(self) -> str:
        """What the session is to be called."""
        name = self.required("RoleSessionName")
        if not _SESSION_NAME(name):
            raise invalid("RoleSessionName must be 2 to 64 of the characters A-Z, a-z, 0-9, and _+=,.@-")
        return name

    @property
    def external_id(self) -> str | None:
        """What a third party says about whom it asks for."""
        given = self.optional("ExternalId")
        if given is not None and not _EXTERNAL_ID(given):
            raise invalid("ExternalId must be 2 to 1224 of the characters A-Z, a-z, 0-9, and _+=,.@:/-")
        return given

    def duration(self, least: int, most: int, default: int) -> int:
        """For how many seconds the session is to last.

        Raises:
            StsError: ValidationError (400) where that is no number, or outside of the bounds.
        """
        text = self.optional("DurationSeconds")
        if text is None:
            return min(default, most)
        if not _NUMBER(text):
            raise invalid("DurationSeconds must be a number")
        seconds = int(text)
        if seconds < least:
            raise invalid(f"DurationSeconds must have a value greater than or equal to {least}")
        if seconds > most:
            raise invalid(f"The requested DurationSeconds exceeds the {most} seconds that are possible here.")
        return seconds

    @property
    def tags(self) -> Mapping[str, str]:
        """The session tags; keys that differ in case only are the same to AWS, and are refused."""
        tags: dict[str, str] = {}
        for entry in self._members("Tags", {"Key", "Value"}):
            key, value = entry.get("Key", ""), entry.get("Value", "")
            if not 1 <= len(key) <= 128 or len(value) > 256 or _TAG_CHARS.sub("", key + value):
                raise invalid("A tag needs a Key of 1 to 128 characters and a Value of up to 256, without controls.")
            if key.lower().startswith("aws:") or key.lower() in {known.lower() for known in tags}:
                raise invalid("Tag keys must differ, also in lower case, and must not begin with aws:")
            tags[key] = value
        return tags

    @property
    def transitive_tag_keys(self) -> frozenset[str]:
        """The tags that go on to sessions that this one opens."""
        return frozenset(entry[""] for entry in self._members("TransitiveTagKeys", {""}))

    def _members(self, name: str, fields: set[str]) -> Iterator[dict[str, str]]:
        """The entries of a list, in their order: `Tags.member.1.Key=...`, numbered without gaps."""
        entries: dict[int, dict[str, str]] = {}
        for written, value in self._values.items():
            if written == name and not value:
                continue  # how an empty list is written
            if written.partition(".")[0] != name:
                continue
            label, member, number, field = (*written.split(".", 3), "", "", "")[:4]
            if label != name or member != "member" or field not in fields or not _NUMBER(number) or number[0] == "0":
                raise invalid(f"{written} is no member of {name}.")
            entries.setdefault(int(number), {})[field] = value
        if entries and (len(entries) > MAX_TAGS or max(entries) != len(entries)):
            raise invalid(f"{name} must have up to {MAX_TAGS} members, numbered from 1.")
        return (entries[number] for number in sorted(entries))


def _read(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    seen: set[str] = set()
    pieces = [piece for piece in text.split("&") if piece]
    if len(pieces) > MAX_PARAMETERS:
        raise invalid(f"Expected no more than {MAX_PARAMETERS} parameters.")
    for piece in pieces:
        name, _, value = piece.partition("=")
        name = _decoded(name)
        if not _NAME(name):
            raise invalid("The name of a parameter is not valid.")
        if name.lower() in seen:
            raise invalid(f"The parameter {name} was given more than once.")
        seen.add(name.lower())
        values[name] = _decoded(value)
    return values


def _decoded(text: str) -> str:
    try:
        return encoding.decode(text).decode()
    except ValueError:
        raise invalid("The parameters are not percent-encoded UTF-8.") from None
