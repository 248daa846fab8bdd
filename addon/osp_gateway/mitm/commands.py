"""Commands for people at mitmweb's, mitmproxy's or a script's command line. `osp serve` has none of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mitmproxy import command, exceptions, flow, http, types

from osp_gateway.access.grants import Wanted
from osp_gateway.mitm.addon import OspAddon
from osp_gateway.mitm.columns import listed
from osp_gateway.mitm.describe import described
from osp_gateway.mitm.showing import EXPLANATION, FAULTS, details_of
from osp_gateway.mitm.snippets import Snippet, as_boto3, as_curl
from osp_gateway.outcomes import DENIED
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import locate
from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.dates import MAX_EXPIRES_SECONDS
from osp_gateway.sigv4.keys import SigningKeys
from osp_gateway.sigv4.sign import presign_query

log = logging.getLogger(__name__)


class CommandsAddon:
    """The commands; all begin with `osp.`."""

    def __init__(self, gateway: OspAddon) -> None:
        self._addon = gateway
        self._tasks: set[asyncio.Task[None]] = set()

    @command.command("osp.explain")
    def explain(self, flow: flow.Flow) -> str:
        """Why a request was let pass or refused, and where its signature is wrong."""
        details = _details(flow)
        decided = "allowed" if details.get("allowed") is True else "REFUSED"
        told = f"{details.get('who', '-')} {details.get('operation', '-')}: {decided}: {details.get('reason', '-')}"
        return f"{told}\n\n{flow.metadata.get(EXPLANATION) or ''}".rstrip()

    @command.command("osp.allow.once")
    def allow_once(self, flow: flow.Flow) -> str:
        """
        Let the next request like this one pass, once and within ten minutes, although the authorizer denies it: from
        the same identity, with the same operation, bucket and key. A wrong signature is refused all the same.
        """
        details = _details(flow)
        wanted = Wanted(*(str(details.get(name, "")) for name in ("who", "operation", "bucket", "key")))
        if details.get("allowed") is True:
            raise exceptions.CommandError("osp.allow.once: this request was not refused.")
        if flow.metadata.get(FAULTS):
            raise exceptions.CommandError("osp.allow.once: this request was broken on purpose; see osp.faults.show.")
        if details.get("authorizer") != DENIED or self._addon.grants is None:
            raise exceptions.CommandError(
                f"osp.allow.once: this request was not denied by an authorizer, but: {details.get('reason', '-')}"
            )
        try:
            self._addon.grants.add(wanted)
        except ValueError as error:
            raise exceptions.CommandError(f"osp.allow.once: {error}.") from None
        return f"The next denied request {wanted} passes, once."

    @command.command("osp.curl")
    def curl(self, flow: flow.Flow) -> str:
        """
        The request as a curl command that signs itself: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where there is
        one, AWS_SESSION_TOKEN are taken from the environment.
        """
        return as_curl(_snippet(flow))

    @command.command("osp.boto3")
    def boto3(self, flow: flow.Flow) -> str:
        """The request as a Python program for boto3, with credentials from wherever boto3 finds them."""
        return as_boto3(_snippet(flow))

    @command.command("osp.python")
    def python(self, flow: flow.Flow) -> str:
        """The same as osp.boto3, under a name that mitmweb's command bar takes: there, names have no digits."""
        return as_boto3(_snippet(flow))

    @command.command("osp.keys")
    def keys(self) -> Sequence[str]:
        """The access keys of clients that the configuration lists."""
        settings = self._addon.settings
        return sorted(settings.keystore) if settings is not None else []

    @command.command("osp.presign")
    @command.argument("key", type=types.Choice("osp.keys"))
    def presign(self, flow: flow.Flow, key: str, seconds: int = 3600) -> str:
        """A presigned URL for getting this request's object, signed with a client's key, good for some seconds."""
        gateway = self._addon.gateway
        pair = gateway.listed_key(key) if gateway is not None else None
        if pair is None:
            raise exceptions.CommandError(f"osp.presign: the configuration lists no access key {key!r}.")
        if not 1 <= seconds <= MAX_EXPIRES_SECONDS:
            raise exceptions.CommandError(f"osp.presign: expected 1 to {MAX_EXPIRES_SECONDS} seconds, found {seconds}.")
        snippet = _snippet(flow)
        query = presign_query(
            method="GET",
            host=snippet.host,
            path=self._canonical_path(snippet),
            query=(),
            expires=seconds,
            pair=pair,
            region=snippet.region,
            now=time.time(),
            keys=SigningKeys(),
        )
        return f"{snippet.scheme}://{snippet.host}{self._canonical_path(snippet)}?{query}"

    def _canonical_path(self, snippet: Snippet) -> str:
        settings = self._addon.settings
        try:
            resource = locate(snippet.path, snippet.host, settings.domains if settings is not None else ())
        except S3Error as error:
            raise exceptions.CommandError(f"osp.presign: {error.message}") from None
        if not resource.key:
            raise exceptions.CommandError("osp.presign: this request is not about an object.")
        return encoding.canonical_path(snippet.path)

    @command.command("osp.cache.show")
    def cache_show(self) -> str:
        """How many decisions, secrets, credentials and tokens are remembered."""
        gateway = self._addon.gateway
        kept: Mapping[str, int] = gateway.kept if gateway is not None else {}
        return "\n".join(listed((name, str(number)) for name, number in kept.items())) or "There is no gateway."

    @command.command("osp.cache.clear")
    def cache_clear(self) -> None:
        """Forget all that is remembered: everything is asked for anew. Requests under way end as they began."""
        self._addon.find_out_anew()
        log.info("osp.cache.clear: everything is found out anew")

    @command.command("osp.reload")
    def reload(self) -> None:
        """Read the configuration and the certificates anew, as SIGHUP does. What comes of it is in the log."""
        task = asyncio.get_running_loop().create_task(self._addon.reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @command.command("osp.config")
    def config(self) -> str:
        """The configuration in use, with defaults filled in and without secrets."""
        settings = self._addon.settings
        return "\n".join(described(settings)) if settings is not None else "There is no configuration: osp_config."


def _details(one: flow.Flow) -> Mapping[str, Any]:
    details = details_of(one)
    if not details:
        raise exceptions.CommandError("This flow did not go through the gateway.")
    return details


def _snippet(one: flow.Flow) -> Snippet:
    if not isinstance(one, http.HTTPFlow):
        raise exceptions.CommandError("This is no HTTP flow.")
    return Snippet.of(one)
