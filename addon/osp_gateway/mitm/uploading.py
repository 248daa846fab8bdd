"""A request's body on its way through the gateway: through its codec to the store, or to whoever decides about it.

Three kinds of requests say what they are about in their bodies: POST forms and calls of the token service, whose bodies
are read until the second decision can fall, and batches, of which the whole body is decided upon.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._events import RequestData, RequestEndOfMessage, RequestTrailers
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.utils import human

from osp_gateway.access.sts.body import SmallBody
from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.observing import ObservedStream
from osp_gateway.mitm.wire import Beginning
from osp_gateway.outcomes import Forward
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.operations import POST_OBJECT
from osp_gateway.sigv4.form_codec import PostForm

Commands = Generator[commands.Command, Any, None]


@dataclass
class PostFormHook(commands.StartHook):
    """The fields of a POST form have been read; the addon's `post_form` decides."""

    flow: http.HTTPFlow


class UploadingStream(ObservedStream):
    """What a request does with its body."""

    def __init__(self, context: Context, stream_id: int, desk: Desk, backlog: Callable[[int], int]) -> None:
        """See the base class."""
        super().__init__(context, stream_id, desk, backlog)
        self.form: PostForm | None = None
        self.action: SmallBody | None = None
        self.kept = Beginning(desk.preview)
        self.body_octets = 0

    def answer(self, response: http.Response) -> Commands:
        """Answer without the backend."""
        raise NotImplementedError

    def state_consume_request_body(self, event: events.Event) -> Commands:
        """Admitted, and nothing has gone upstream yet."""
        yield from self.body_event(event)

    def state_stream_request_body(self, event: events.Event) -> Commands:
        """The head, and perhaps some of the body, has gone upstream."""
        yield from self.body_event(event)

    def body_event(self, event: events.Event) -> Commands:
        """One piece of the client's body, or its end."""
        if self.form is not None:
            yield from self.form_event(self.form, event)
            return
        if self.action is not None:
            yield from self.action_event(self.action, event)
            return
        assert self.forward is not None
        if isinstance(event, RequestData):
            if not self.forward.plan.measured:
                raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
            self.keep(event.data)
            if tape := self.desk.tapes.get(self.flow):
                tape.send(event.data, self.forward.operation)
            if part := self.desk.lost.get(self.flow):
                part.add(event.data)
            if not self.response_begun:
                self.received.add(event.data)
            yield from self.send_up(self.forward.body.feed(event.data))
        elif isinstance(event, RequestTrailers):
            raise S3Error("InvalidRequest", "HTTP trailers are not accepted.")
        elif isinstance(event, RequestEndOfMessage):
            yield from self.body_complete(self.forward.body.finish())

    def form_event(self, form: PostForm, event: events.Event) -> Commands:
        """One piece of a form whose fields are not complete yet."""
        if isinstance(event, RequestData):
            self.keep(event.data)
            if tape := self.desk.tapes.get(self.flow):
                tape.send(event.data, POST_OBJECT)
            if form.feed(event.data) is not None:
                self.form = None
                yield from self.form_known()
        elif isinstance(event, RequestTrailers):
            raise S3Error("InvalidRequest", "HTTP trailers are not accepted.")
        elif isinstance(event, RequestEndOfMessage):
            form.finish()
            raise S3Error.internal("a form ended without a verdict")

    def action_event(self, body: SmallBody, event: events.Event) -> Commands:
        """One piece of a call of the token service, or its end. It may hold a secret: nothing stays with the flow."""
        self.desk.tapes.pop(self.flow, None)  # keys that it hands out are of this run
        if isinstance(event, RequestData):
            complete = not body.feed(event.data)
        elif isinstance(event, RequestTrailers):
            raise S3Error("InvalidRequest", "HTTP trailers are not accepted.")
        else:
            complete = isinstance(event, RequestEndOfMessage)
        if complete:
            self.action = None
            yield from self.form_known()

    def form_known(self) -> Commands:
        """The form says now who it is from and what it is about: the second decision."""
        yield PostFormHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        outcome = self.desk.outcomes.get(self.flow)
        if self.flow.response is not None:
            yield from self.answer(self.flow.response)
        elif not isinstance(outcome, Forward):
            raise S3Error.internal("nobody decided about the form")
        else:
            self.forward = outcome
            yield from self.send_up(outcome.body.feed(b""))

    def body_complete(self, rest: bytes) -> Commands:
        """The body was found right: `rest` may follow."""
        self.finished = True
        self.flow.request.timestamp_end = time.time()
        self.show_body()
        if self.forward is not None:
            self.desk.showing.body(self.flow, self.forward.body)
        if self.forward is not None and self.forward.batch is not None:
            self.desk.bodies[self.flow] = rest
        yield HttpRequestHook(self.flow)
        if self.desk.bodies.pop(self.flow, None) is not None:
            raise S3Error.internal("nobody decided about the body")
        if (yield from self.check_killed(True)):
            return
        if self.flow.response is not None and not self.upstream_open:  # for instance from a recording
            yield from self.answer(self.flow.response)
            return
        yield from self.send_rest(self.judged(rest))
        self.client_state = self.state_done
        if self.server_state == self.state_done:
            yield from self.flow_done()

    def judged(self, rest: bytes) -> bytes:
        """What is left to send, which may be another body by now: that of a batch without its denied keys."""
        outcome = self.desk.outcomes.get(self.flow)
        if self.forward is None or self.forward.batch is None or outcome is self.forward:
            return rest
        if not isinstance(outcome, Forward):
            raise S3Error.internal("a batch lost its verdict")
        self.forward = outcome
        return outcome.body.finish()

    def keep(self, data: bytes) -> None:
        """Keep the body's beginning for people to look at.

        Raises:
            S3Error: EntityTooLarge for a body over mitmproxy's `body_size_limit`, if there is one.
        """
        self.kept.add(data)
        self.body_octets += len(data)
        self.check_size(self.body_octets)

    def show_body(self) -> None:
        """No more will come of the body: let the flow have what was kept of it."""
        if self.flow.request.data.content is None:
            self.kept.show(self.flow, self.flow.request, "request")
            self.desk.showing.request_body(self.flow, self.desk.head(self.flow))
        self.kept.forget()

    def size_limit(self) -> int | None:
        """mitmproxy's option, in octets."""
        limit: int | None = human.parse_size(self.context.options.body_size_limit)
        return limit

    def check_size(self, octets: int) -> None:
        """Raise `S3Error` (EntityTooLarge) where a body of so many octets is over `body_size_limit`."""
        limit = self.size_limit()
        if limit is not None and octets > limit:
            raise S3Error(
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size.",
                reason=f"the body is longer than body_size_limit ({limit} octets)",
            )

    def check_body_size(self, request: bool) -> Generator[commands.Command, Any, bool]:
        """Instead of the base class's check, which would answer with a page of mitmproxy's.

        Whether a request is too long is looked at once it is admitted.
        """
        yield from ()
        length = "" if request or self.flow.response is None else self.flow.response.headers.get("content-length", "")
        limit = self.size_limit()
        if limit is not None and length.isdecimal() and int(length) > limit and self.flow.request.method != "HEAD":
            raise S3Error.unavailable(
                "The backend's response is longer than the gateway takes.",
                reason=f"the response is longer than body_size_limit ({limit} octets)",
            )
        return False
