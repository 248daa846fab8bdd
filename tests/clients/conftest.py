"""Fixtures for clients: two stores, and a gateway before both. See support/client_steps.py for how to add a client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.certificates import certificate
from support.client_backends import BACKENDS, Backend, configuration, rclone_version, rgw_version, tls_before
from support.client_steps import Missing, Steps
from support.clients import DIRECT_WAYS, Verdict, record, run_client, version_of
from support.processes import BACKEND_KEY, BACKEND_SECRET, gateway, rclone_server
from support.strict import ALICE, ceph_cluster


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`verdict` is there once for each backend and way that the module's `client` has."""
    if "verdict" in metafunc.fixturenames:
        client: Steps = metafunc.module.client
        ways = [way for way in DIRECT_WAYS if client.h2 or way != "h2"]
        marks = [pytest.mark.big] if client.big else []
        cases = [
            pytest.param((backend, way), id=f"{backend}-{way}", marks=marks) for backend in BACKENDS for way in ways
        ]
        metafunc.parametrize("verdict", cases, indirect=True)


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Backend | str]]:
    """The stores by name; the reason in place of one that cannot be had."""
    found: dict[str, Backend | str] = {}
    hosts = {}
    cert = certificate(tmp_path_factory.mktemp("certificate"), "127.0.0.1", "localhost")
    with ExitStack() as stack:
        store = stack.enter_context(rclone_server(tmp_path_factory.mktemp("rclone")))
        tls = stack.enter_context(tls_before(store.port, cert))
        hosts["rclone"] = {"host": "127.0.0.1", "port": store.port, "addressing_style": "path"}
        secure = f"https://127.0.0.1:{tls}"
        found["rclone"] = Backend(
            "rclone", rclone_version(), store.url, secure, BACKEND_KEY, BACKEND_SECRET, cert.authority
        )
        try:
            cluster = stack.enter_context(ceph_cluster(tmp_path_factory.mktemp("ceph")))
        except pytest.skip.Exception as reason:
            found["rgw"] = str(reason)
        else:
            alice = cluster.users[ALICE]
            tls = stack.enter_context(tls_before(cluster.port, cert))
            hosts["rgw"] = {"host": cluster.dns_name, "port": cluster.port, "addressing_style": "virtual"}
            url, secure = f"http://127.0.0.1:{cluster.port}", f"https://127.0.0.1:{tls}"
            found["rgw"] = Backend(
                "rgw", rgw_version(), url, secure, alice.access_key, alice.secret_key, cert.authority
            )
        stores = [backend for backend in found.values() if isinstance(backend, Backend)]
        config = configuration(stores, hosts, cert)
        folder = tmp_path_factory.mktemp("gateway")
        one = stack.enter_context(gateway(folder / "1", config, options={"http2": "false"}))
        two = stack.enter_context(gateway(folder / "2", config))
        for backend in stores:
            backend.gateways = {"http": one, "tls": one, "h2": two}
            backend.s3().create_bucket(Bucket=backend.bucket)
            backend.seed()
        yield found


@pytest.fixture(scope="session")
def direct_results() -> dict[tuple[str, str, str], dict]:
    """What was done direct already, by client, backend and way."""
    return {}


@pytest.fixture
def verdict(request, backends, direct_results) -> Verdict:
    """The module's client, run direct and through the gateway on one backend and way."""
    client: Steps = request.module.client
    name, way = request.param
    try:
        version = version_of(client)
    except Missing as error:
        record({"client": client.name, "version": "", "backend": name, "way": way, "missing": str(error), "steps": {}})
        pytest.skip(f"{client.name} cannot be had here: {error}")
    backend = backends[name]
    if isinstance(backend, str):
        pytest.skip(backend)
    file = Path(request.module.__file__)
    case = (client.name, name, DIRECT_WAYS[way])
    if case not in direct_results:
        direct_results[case] = run_client(client, version, file, backend, DIRECT_WAYS[way])
    found = Verdict(direct_results[case], run_client(client, version, file, backend, way))
    if wrong := found.nowhere:
        pytest.fail(wrong)
    return found
