"""CPU time of `Gateway.admit` with warm caches, beside one botocore signature in the same process.

Prints medians over several rounds and their ratio. Run it with nothing else busy on the machine:

    .venv/bin/python scripts/bench/admit.py
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

import click
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from osp_gateway import ProxyServerConfig
from osp_gateway.gateway import Gateway
from osp_gateway.outcomes import Arrival, Forward
from osp_gateway.s3.head import RequestHead

URL = "http://127.0.0.1:6190/demo/reports/2026/january.csv"
CREDENTIALS = Credentials("client-fake-key", "client-fake-secret")


def signed_request() -> AWSRequest:
    """What boto3 signs for a GetObject."""
    request = AWSRequest(
        "GET",
        URL,
        headers={
            "User-Agent": "Boto3/1.40 md/Botocore#1.40 ua/2.1 os/linux lang/python#3.12 cfg/retry-mode#legacy",
            "x-amz-checksum-mode": "ENABLED",
        },
    )
    S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(request)
    return request


def head() -> RequestHead:
    """The same request as the gateway receives it."""
    headers = [
        (name, value if isinstance(value, str) else value.decode()) for name, value in signed_request().headers.items()
    ]
    return RequestHead("GET", "/demo/reports/2026/january.csv", "", (("Host", "127.0.0.1:6190"), *headers))


def make_gateway() -> Gateway:
    """A gateway with a three-argument validator and a fetcher, as an operator would have them."""
    config = ProxyServerConfig(
        cos_map={"demo": {"host": "s3.eu-west-3.amazonaws.com"}},
        bucket_creds_fetcher=lambda token, bucket: ("backend-fake-key", "backend-fake-secret"),
        validator=lambda token, bucket, request: True,
        hmac_keystore=[{"access_key": "client-fake-key", "secret_key": "client-fake-secret"}],
    )

    async def no_iam(url: str, form: object) -> object:
        raise OSError("not in this benchmark")

    return Gateway(config.settings, no_iam)  # type: ignore[arg-type]


def cpu_micros(function: Callable[[], object], times: int) -> float:
    """CPU microseconds of one call."""
    started = time.process_time_ns()
    for _ in range(times):
        function()
    return (time.process_time_ns() - started) / times / 1000


async def rounds(count: int, times: int) -> tuple[list[float], list[float]]:
    """Both figures, taken in turn."""
    gateway, template = make_gateway(), head()

    def admit() -> object:
        arrival = Arrival(
            RequestHead(template.method, template.path, template.query, template.headers), "127.0.0.1", tls=False
        )
        step = gateway.admit(arrival)
        try:
            step.send(None)
        except StopIteration as done:
            return done.value.headers  # signs for the backend, as the transport does when it sends the head
        raise AssertionError("admit had to wait: its caches are not warm")

    warm = await gateway.admit(Arrival(template, "127.0.0.1", tls=False))
    if not isinstance(warm, Forward):
        raise click.ClickException(f"the request was refused: {warm}")
    ours, theirs = [], []
    for _ in range(count):
        ours.append(cpu_micros(admit, times))
        theirs.append(cpu_micros(signed_request, times))
    return ours, theirs


@click.command(context_settings={"show_default": True})
@click.option("--rounds", "count", default=7, help="Rounds of each.")
@click.option("--times", default=2000, help="Calls in a round.")
def main(count: int, times: int) -> None:
    """Compare Gateway.admit (verify, authorize, rewrite, re-sign) with one botocore add_auth."""
    ours, theirs = asyncio.run(rounds(count, times))
    mine, reference = statistics.median(ours), statistics.median(theirs)
    click.echo(f"Gateway.admit       {mine:7.1f} us CPU (median of {count} rounds of {times})")
    click.echo(f"botocore add_auth   {reference:7.1f} us CPU")
    click.echo(f"ratio               {mine / reference:7.2f}   (aim: at most 0.50)")


if __name__ == "__main__":
    main()
