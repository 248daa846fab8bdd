"""What may differ between a recording and its replay: data in a TOML file, on top of what always differs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from pydantic import ValidationError, field_validator

from osp_gateway import tomlfile
from osp_gateway.fields import Model, place_of
from osp_gateway.replay.xml import SECRETS

HEADERS: Final = (
    "accept-ranges",
    "access-control-*",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "location",
    "x-amz-bucket-region",
    "x-amz-checksum-*",
    "x-amz-copy-source-version-id",
    "x-amz-delete-marker",
    "x-amz-expiration",
    "x-amz-meta-*",
    "x-amz-missing-meta",
    "x-amz-mp-parts-count",
    "x-amz-object-lock-*",
    "x-amz-object-size",
    "x-amz-restore",
    "x-amz-server-side-encryption*",
    "x-amz-storage-class",
    "x-amz-tagging-count",
    "x-amz-version-id",
    "x-amz-website-redirect-location",
)
"""The headers of an answer that mean something; all others are not looked at."""
ALWAYS_OTHER: Final = frozenset(
    {"HostId", "RequestId", "Resource", "LastModified", "CreationDate", "Initiated", "Expiration"}
)
"""Elements whose text is of the moment, or of the place where a request was answered."""
DIAGNOSTIC: Final = frozenset({"HostId", "RequestId", "Resource"})
"""What an error may say or not, for those who run the store."""
UNORDERED: Final = frozenset({"Deleted", "Error", "Tag", "Upload", "Grant", "Rule", "CORSRule", "Bucket"})
"""Elements whose order says nothing."""


class ToleranceError(Exception):
    """A tolerance file that cannot be used; `problems` holds one line per mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Rule(Model):
    """What is not looked at. `headers` and `elements` are names or globs, `values` the texts of elements that may be
    anything, `unordered` elements whose order may be another; `operations` are globs of the operations it is about.
    `statuses` and `documents` are lists of statuses, or names of documents, that are as good as each other; where the
    status of an error is tolerated so, nothing else of the answer is looked at. Where `when` has statuses, it is about
    recorded answers with one of these.
    """

    operations: tuple[str, ...] = ("*",)
    when: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
    statuses: tuple[tuple[int, ...], ...] = ()
    documents: tuple[tuple[str, ...], ...] = ()
    messages: bool = False
    skip: bool = False

    @field_validator("headers")
    @classmethod
    def _in_lower_case(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower() for name in names)

    def concerns(self, operation: str) -> bool:
        """Whether it is about an operation."""
        return _matches(operation, self.operations)


class Tolerance(Model):
    """Rules, in any order.

    `ignore` is a list of tables, each with any of `operations`, `when` (recorded statuses), `headers`, `elements` (not
    looked at, nor missed), `values` (must be there, with any text), `unordered`, `statuses` and `documents` (lists of
    what is as good as each other), `messages` (true: an error's message may be another) and `skip` (true: the request
    is not sent again).
    """

    ignore: tuple[Rule, ...] = ()

    def about(self, status: int) -> Tolerance:
        """The rules for answers that were recorded with a status."""
        if not any(rule.when for rule in self.ignore):
            return self
        return Tolerance(ignore=tuple(rule for rule in self.ignore if not rule.when or status in rule.when))

    def skips(self, operation: str) -> bool:
        """Whether requests of an operation are left out."""
        return any(rule.skip and rule.concerns(operation) for rule in self.ignore)

    def means(self, operation: str, header: str) -> bool:
        """Whether a header is looked at."""
        return _matches(header, HEADERS) and not self._lists(operation, "headers", header)

    def ignores(self, operation: str, element: str) -> bool:
        """Whether an element is not looked at."""
        message = element == "Message" and any(r.messages and r.concerns(operation) for r in self.ignore)
        return element in SECRETS or message or self._lists(operation, "elements", element)

    def any_text(self, operation: str, element: str) -> bool:
        """Whether an element's text may be anything, or nothing."""
        return self._lists(operation, "values", element)

    def another_text(self, operation: str, element: str) -> bool:
        """Whether an element's text is another each time."""
        return element in ALWAYS_OTHER or self.any_text(operation, element)

    def same_status(self, operation: str, one: int, other: int) -> bool:
        """Whether a status is as good as another."""
        return one == other or self._groups(operation, "statuses", one, other)

    def same_document(self, operation: str, one: str, other: str) -> bool:
        """Whether a document's name is as good as another."""
        return one == other or self._groups(operation, "documents", one, other)

    def unordered(self, operation: str, element: str) -> bool:
        """Whether the order of these elements says nothing."""
        return element in UNORDERED or self._lists(operation, "unordered", element)

    def _groups(self, operation: str, kind: str, one: object, other: object) -> bool:
        groups = (group for rule in self.ignore if rule.concerns(operation) for group in getattr(rule, kind))
        return any(one in group and other in group for group in groups)

    def _lists(self, operation: str, kind: str, name: str) -> bool:
        return any(_matches(name, getattr(rule, kind)) for rule in self.ignore if rule.concerns(operation))


def load(path: Path) -> Tolerance:
    """Read a file.

    Raises:
        ToleranceError: it cannot be read, or says something that is not known.
    """
    try:
        return Tolerance.model_validate(tomlfile.read(path))
    except tomlfile.TomlError as error:
        raise ToleranceError([str(error)]) from None
    except ValidationError as error:
        raise ToleranceError([f"{place_of(one['loc'])}: {one['msg']}" for one in error.errors()]) from None


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in globs)
