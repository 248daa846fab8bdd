"""Content views: what was found out about a flow, for people who look at it."""

from __future__ import annotations

from typing import Final

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata

from osp_gateway.mitm.columns import visible
from osp_gateway.mitm.showing import EXPLANATION
from osp_gateway.mitm.view_chunked import ChunkedView
from osp_gateway.mitm.view_form import PolicyFormView
from osp_gateway.mitm.view_request import S3RequestView
from osp_gateway.mitm.view_xml import S3XmlView, lines_of, read_document


class ExplanationView(Contentview):
    """Why a signature was refused: causes, and the canonical request as received and as signed."""

    @property
    def name(self) -> str:
        """As it stands in mitmproxy's list of views."""
        return "S3 explanation"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """The explanation, and below it the error document."""
        text = _explanation(metadata) or "Nothing was found out about a signature in this flow.\n"
        return "\n".join([text, *lines_of(read_document(data))])

    def render_priority(self, data: bytes, metadata: Metadata) -> float:  # noqa: ARG002 - the flow says it
        """Before all others for the refusals of flows that were explained."""
        is_response = isinstance(metadata.http_message, http.Response)
        return 100 if is_response and _explanation(metadata) is not None else -1


def _explanation(metadata: Metadata) -> str | None:
    found = metadata.flow.metadata.get(EXPLANATION) if metadata.flow is not None else None
    return "\n".join([visible(line) for line in found.split("\n")]) if isinstance(found, str) else None


VIEWS: Final[tuple[type[Contentview], ...]] = (
    ExplanationView,
    S3RequestView,
    ChunkedView,
    S3XmlView,
    PolicyFormView,
)
