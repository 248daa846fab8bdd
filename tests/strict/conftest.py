"""Fixtures: one cluster and one gateway for each worker, and the comparison of both ways to the store."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from support.processes import GatewayProcess
from support.strict import Cluster, SameAsDirect, ceph_cluster, new_twins, strict_gateway


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Ceph cluster with the users alice, bob and (in the tenant acme) carol."""
    with ceph_cluster(tmp_path_factory.mktemp("ceph")) as running:
        yield running


@pytest.fixture(scope="session")
def strict_osp(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway before it."""
    with strict_gateway(tmp_path_factory.mktemp("strict"), cluster) as running:
        yield running


@pytest.fixture(scope="session")
def open_osp(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that lets anonymous requests through to the validator and the store."""
    with strict_gateway(tmp_path_factory.mktemp("open"), cluster, "allow_anonymous=True") as running:
        yield running


@pytest.fixture(scope="session")
def common_buckets(cluster: Cluster) -> tuple[str, str]:
    """A bucket for each way, for tests that change nothing but their own keys."""
    return new_twins(cluster)


@pytest.fixture
def prefix() -> str:
    """A key prefix of the test's own."""
    return f"{uuid.uuid4().hex[:16]}/"


@pytest.fixture
def same_as_direct(
    cluster: Cluster, strict_osp: GatewayProcess, common_buckets: tuple[str, str], prefix: str
) -> SameAsDirect:
    """Does a call both ways and compares, see `SameAsDirect`."""
    return SameAsDirect(cluster, strict_osp, common_buckets, prefix)


@pytest.fixture
def same_in_the_open(same_as_direct: SameAsDirect, open_osp: GatewayProcess) -> SameAsDirect:
    """The same through the gateway that knows anonymous requests."""
    return replace(same_as_direct, osp=open_osp)


@pytest.fixture
def own_buckets(same_as_direct: SameAsDirect) -> tuple[str, str]:
    """Buckets for this test alone, for tests that change a bucket or list all of it."""
    same_as_direct.buckets = new_twins(same_as_direct.cluster)
    return same_as_direct.buckets
