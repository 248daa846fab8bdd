"""A strict store (Ceph RGW), a gateway before it, and the measure of both: `SameAsDirect`.

An operation is done twice, straight against the store and through the gateway, and every exchange of the one must be
the same as its counterpart of the other: status, headers and the octets of the body. What may differ is said in one
place, `support.exchanges.PERMITTED`, each with its reason; anything else is a mistake of the gateway.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.exchanges import ALICE, BOB, CAROL, Exchange, Side, compare, rules
from support.processes import REPO, GatewayProcess, gateway
from support.s3 import client

__all__ = [
    "ALICE",
    "BOB",
    "CAROL",
    "Cluster",
    "SameAsDirect",
    "User",
    "ceph_backend",
    "ceph_cluster",
    "new_twins",
    "strict_gateway",
]

CANNOT_BE_HAD = 3
"""The exit code of scripts/backends/ceph that says so."""


# The store and the gateway


@dataclass(frozen=True)
class User:
    """A user of the store, and the key under which the gateway knows them."""

    name: str
    access_key: str
    secret_key: str

    @property
    def client_key(self) -> str:
        return f"client-{self.name}"

    @property
    def client_secret(self) -> str:
        return f"client-{self.name}-fake-secret"


WRONG = User("nobody", "NOBODYFAKEKEY", "nobody-fake-secret")


@dataclass(frozen=True)
class Cluster:
    """A running cluster. `carol` lives in a tenant of her own, `acme`."""

    url: str
    port: int
    dns_name: str
    website_dns_name: str
    users: Mapping[str, User]

    def s3(self, user: str = ALICE) -> Any:
        """boto3 straight to the store, not compared with anything."""
        return client(self.url, self.users[user].access_key, self.users[user].secret_key)


def ceph(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(REPO / "scripts" / "backends" / "ceph")]
    return subprocess.run([*script, *arguments], capture_output=True, text=True, timeout=1200, check=False)


@contextmanager
def ceph_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster of its own in `folder`; skips the test where Ceph cannot be had."""
    began = ceph("up", "--dir", str(folder), "--json")
    if began.returncode == CANNOT_BE_HAD:
        pytest.skip(f"Ceph RGW cannot be had here: {began.stderr.strip().splitlines()[-1]}")
    assert began.returncode == 0, began.stderr
    try:
        said = json.loads(began.stdout)
        users = {u["uid"]: User(u["uid"], u["access_key"], u["secret_key"]) for u in said["users"]}
        yield Cluster(said["endpoint_url"], said["port"], said["dns_name"], said["website_dns_name"], users)
    finally:
        ended = ceph("down", "--dir", str(folder))
    assert ended.returncode == 0, ended.stderr


def strict_config(cluster: Cluster, extra: str = "") -> str:
    """All buckets by globs, virtual-hosted towards the store, each client key with its user's credentials.

    Nobody gets at a bucket whose name ends in `-closed` without a key, whatever the store thinks of it.
    """
    credentials = {u.client_key: (u.access_key, u.secret_key) for u in cluster.users.values()}
    keys = [{"access_key": u.client_key, "secret_key": u.client_secret} for u in cluster.users.values()]
    return (
        "from osp_gateway import ProxyServerConfig\n"
        f"CREDENTIALS = {credentials!r}\n"
        f"RGW = dict(host={cluster.dns_name!r}, port={cluster.port}, is_tls_enabled=False,"
        " addressing_style='virtual')\n"
        "def bucket_creds_fetcher(token, bucket):\n"
        "    return CREDENTIALS[token]\n"
        "def validator(token, bucket):\n"
        "    return token != '' or not bucket.endswith('-closed')\n"
        "config = ProxyServerConfig(\n"
        "    cos_map={'strict-*': RGW, '*': RGW},\n"
        f"    hmac_keystore={keys!r},\n"
        "    bucket_creds_fetcher=bucket_creds_fetcher,\n"
        "    validator=validator,\n"
        f"    {extra}\n"
        ")\n"
    )


def ceph_backend(cluster: Cluster, bucket: str, user: str = ALICE) -> str:
    """A backend's settings, as the text of a dictionary: one bucket of a user's, virtual-hosted."""
    owner = cluster.users[user]
    return repr(
        {
            "host": cluster.dns_name,
            "port": cluster.port,
            "is_tls_enabled": False,
            "addressing_style": "virtual",
            "bucket": bucket,
            "access_key": owner.access_key,
            "secret_key": owner.secret_key,
        }
    )


@contextmanager
def strict_gateway(folder: Path, cluster: Cluster, extra: str = "") -> Iterator[GatewayProcess]:
    """mitmdump before the cluster; `extra` are more arguments of its configuration."""
    with gateway(folder, strict_config(cluster, extra)) as running:
        yield running


# The measure


@dataclass
class SameAsDirect:
    """`same_as_direct(call)` does `call(side)` both ways and compares all that was exchanged; see `PERMITTED`.

    Each way has a bucket of its own, so that writing on one way leaves the other alone. `reading(call, bucket)` gives
    both the same bucket, and then times and versions have to be the same as well. The last exchange through the
    gateway is returned: for the test to say what it should have been, or both might have failed alike.
    """

    cluster: Cluster
    osp: GatewayProcess
    buckets: tuple[str, str]
    prefix: str

    def __call__(self, call: Callable[[Side], Any], *, own_answer: bool = False) -> Exchange:
        """`own_answer`: the gateway need not ask the store to refuse this."""
        return self._both(call, self.buckets, twins=True, own_answer=own_answer)

    def reading(self, call: Callable[[Side], Any], bucket: str | None = None) -> Exchange:
        """On one bucket (the store's own way's by default), for what changes nothing."""
        bucket = bucket or self.buckets[0]
        return self._both(call, (bucket, bucket), twins=False, own_answer=False)

    def sides(self, buckets: tuple[str, str] | None = None) -> tuple[Side, Side]:
        """The store's own way, and the gateway's."""
        direct, through = buckets or self.buckets
        users = self.cluster.users
        return (
            Side(
                "d",
                self.cluster.url,
                {u.name: (u.access_key, u.secret_key) for u in users.values()},
                direct,
                self.prefix,
            ),
            Side(
                "g",
                self.osp.url,
                {u.name: (u.client_key, u.client_secret) for u in users.values()},
                through,
                self.prefix,
            ),
        )

    def _both(
        self, call: Callable[[Side], Any], buckets: tuple[str, str], *, twins: bool, own_answer: bool
    ) -> Exchange:
        direct, through = self.sides(buckets)
        for side in (direct, through):
            try:
                call(side)
            except ClientError:
                assert side.exchanges, "boto3 raised before it sent anything"
            finally:
                side.hang_up()
        differences = compare(direct, through, rules(twins=twins, own_answer=own_answer))
        assert not differences, "\n".join(["not the same as direct:", *differences])
        return through.exchanges[-1]


def new_twins(cluster: Cluster, **arguments: Any) -> tuple[str, str]:
    """Two fresh buckets of Alice's, whose names are of the same length."""
    stem = f"strict-{uuid.uuid4().hex[:16]}"
    for way in "dg":
        cluster.s3().create_bucket(Bucket=f"{stem}-{way}", **arguments)
    return f"{stem}-d", f"{stem}-g"
