"""The same gateway started in different ways, on one port and on several."""

from __future__ import annotations

import re
import socket
import sys
from contextlib import contextmanager

import pytest
import trustme
from botocore.exceptions import ClientError, EndpointConnectionError

from support.processes import BIN, CLIENT_KEY, CLIENT_SECRET, Running, config_for, gateway
from support.s3 import client

HOSTLESS = "'hostless': {'access_key': STORE['access_key'], 'secret_key': STORE['secret_key']}"


def address_of(output, target):
    """Where the listener with this reverse target is."""
    return re.search(rf"reverse proxy to {re.escape(target)} listening at ([^\s]*:\d+)\.?\s", output)[1]


@pytest.fixture(scope="module")
def two_ports(store, direct, tmp_path_factory):
    """One gateway: a port without a target, and one whose target is the store. Gives both URLs."""
    direct.create_bucket(Bucket="hostless")
    # Two addresses: mitmproxy does not take two ports of the kernel's choice on one.
    modes = ("reverse:http://s3.invalid@127.0.0.1:0", f"reverse:http://127.0.0.1:{store.port}@127.0.0.2:0")
    config = config_for(store, extra_buckets=HOSTLESS)
    with gateway(tmp_path_factory.mktemp("two"), config, modes=modes) as running:
        targets = ("http://s3.invalid", f"http://127.0.0.1:{store.port}")
        yield [address_of(running.output(), target) for target in targets]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_port_serves_plain_http_and_tls(two_ports, direct, prefix, number, scheme):
    s3 = client(f"{scheme}://{two_ports[number]}", verify=False)
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x")
    assert s3.get_object(Bucket="demo", Key=f"{prefix}x")["Body"].read() == b"x"


def test_a_bucket_without_a_host_lies_on_the_reverse_target(two_ports, direct, prefix):
    client(f"http://{two_ports[1]}").put_object(Bucket="hostless", Key=f"{prefix}x", Body=b"x")
    assert direct.get_object(Bucket="hostless", Key=f"{prefix}x")["Body"].read() == b"x"


def test_a_bucket_without_a_host_is_unavailable_where_there_is_no_reverse_target(two_ports, prefix):
    with pytest.raises(ClientError, match="No backend is configured") as caught:
        client(f"http://{two_ports[0]}").get_object(Bucket="hostless", Key=f"{prefix}x")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_the_reverse_target_does_not_serve_what_is_not_configured(two_ports):
    s3 = client(f"http://{two_ports[1]}")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="backend-name")


# Without mitmproxy's tools


def served(store, **more):
    arguments = ", ".join(f"{name}={value!r}" for name, value in {"listen_host": "127.0.0.1", **more}.items())
    return config_for(store, extra_buckets=HOSTLESS, extra=arguments)


@contextmanager
def process(command, folder, ports=1, env=None):
    """Gives the running process and the ports that it says it listens on."""
    running = Running(list(map(str, command)), folder / "log", env)
    try:
        yield running, [int(m[1]) for m in running.wait_for(r"listening at [^\s]*?:(\d+)\.?\s", ports)]
    finally:
        running.stop()


@pytest.fixture
def config_file(store, tmp_path):
    file = tmp_path / "my_server.py"
    file.write_text(served(store, http_port=0))
    return file


@pytest.fixture
def program(store, tmp_path):
    """One file that serves both ways: it calls `start_server` when it is run."""
    file = tmp_path / "my_program.py"
    text = served(store, http_port=0).replace("config = ", "settings = ")
    file.write_text(
        text + "if __name__ == '__main__':\n    from osp_gateway import start_server\n    start_server(settings)\n"
    )
    return file


def assert_serves(url, direct, prefix):
    client(url).put_object(Bucket="demo", Key=f"{prefix}x", Body=b"served")
    assert direct.get_object(Bucket="demo", Key=f"{prefix}x")["Body"].read() == b"served"
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(url, secret="another-fake-secret").get_object(Bucket="demo", Key=f"{prefix}x")


def test_osp_serve_serves_a_configuration_and_tells_its_port(config_file, direct, prefix, tmp_path):
    with process([BIN / "osp", "serve", config_file], tmp_path) as (_, [port]):
        assert_serves(f"http://127.0.0.1:{port}", direct, prefix)


def test_start_server_serves_from_a_program(program, direct, prefix, tmp_path):
    with process([sys.executable, program], tmp_path) as (_, [port]):
        assert_serves(f"http://127.0.0.1:{port}", direct, prefix)


def test_osp_serve_serves_a_program_too(program, direct, prefix, tmp_path):
    with process([BIN / "osp", "serve", program], tmp_path) as (_, [port]):
        assert_serves(f"http://127.0.0.1:{port}", direct, prefix)


def test_mitmdump_serves_a_program_too(program, direct, prefix, tmp_path):
    with gateway(tmp_path / "gateway", program.read_text()) as running:
        assert_serves(running.url, direct, prefix)


def test_a_toml_file_is_served(store, direct, prefix, tmp_path):
    file = tmp_path / "my_server.toml"
    file.write_text(
        f"""
        http_port = 0
        listen_host = "127.0.0.1"
        [cos_map.demo]
        host = "127.0.0.1"
        port = {store.port}
        is_tls_enabled = false
        access_key = "{store.access_key}"
        secret_key = "${{BACKEND_SECRET_OF_THE_TEST}}"
        [[hmac_keystore]]
        access_key = "{CLIENT_KEY}"
        secret_key = "{CLIENT_SECRET}"
        buckets = ["demo"]
        """
    )
    env = {"BACKEND_SECRET_OF_THE_TEST": store.secret_key}
    with process([BIN / "osp", "serve", file], tmp_path, env=env) as (_, [port]):
        assert_serves(f"http://127.0.0.1:{port}", direct, prefix)


def test_a_served_gateway_ends_when_it_is_told_to(config_file, tmp_path):
    with process([BIN / "osp", "serve", config_file], tmp_path) as (running, [port]):
        assert running.stop() == 0
        with pytest.raises(EndpointConnectionError):
            client(f"http://127.0.0.1:{port}").list_buckets()


def test_a_served_gateway_does_not_tell_its_secrets(config_file, store, direct, prefix, tmp_path):
    with process([BIN / "osp", "serve", config_file], tmp_path) as (running, [port]):
        assert_serves(f"http://127.0.0.1:{port}", direct, prefix)
        running.stop()
        assert CLIENT_SECRET not in running.output()
        assert store.secret_key not in running.output()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Files with the authority's certificate, the server's and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = [folder / name for name in ("authority.pem", "chain.pem", "key.pem")]
    authority.cert_pem.write_to_path(files[0])
    files[1].write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(files[2])
    return list(map(str, files))


@pytest.fixture(params=["arguments", "environment"])
def tls_process(request, store, certificate, tmp_path):
    """`osp serve` on an https_port, its certificate given in one of two ways."""
    _, chain, key = certificate
    in_arguments = request.param == "arguments"
    file = tmp_path / "my_server.py"
    file.write_text(served(store, https_port=0, **({"cert_path": chain, "key_path": key} if in_arguments else {})))
    env = {} if in_arguments else {"TLS_CERT_PATH": chain, "TLS_KEY_PATH": key}
    with process([BIN / "osp", "serve", file], tmp_path, env=env) as (_, [port]):
        yield port


def test_an_https_port_shows_the_operators_certificate(tls_process, certificate, direct, prefix):
    s3 = client(f"https://127.0.0.1:{tls_process}", verify=certificate[0])
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x")
    assert s3.get_object(Bucket="demo", Key=f"{prefix}x")["Body"].read() == b"x"


def test_an_https_port_takes_tls_only(tls_process):
    with pytest.raises(ClientError, match="https"):
        client(f"http://127.0.0.1:{tls_process}").list_buckets()


@pytest.fixture
def free_port():
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_gateway_listens_on_a_plain_and_a_tls_port_at_once(store, direct, certificate, free_port, prefix, tmp_path):
    file = tmp_path / "my_server.py"
    ports = {"http_port": 0, "https_port": free_port}
    file.write_text(served(store, **ports, cert_path=certificate[1], key_path=certificate[2]))
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x")
    with process([BIN / "osp", "serve", file], tmp_path, ports=2) as (_, listening):
        (plain,) = set(listening) - {free_port}
        for url in (f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{free_port}"):
            s3 = client(url, verify=certificate[0])
            assert s3.get_object(Bucket="demo", Key=f"{prefix}x")["Body"].read() == b"x"


def test_two_ports_left_to_the_kernel_are_refused_in_one_line(store, tmp_path):
    """The engine takes one such port at most."""
    file = tmp_path / "my_server.py"
    file.write_text(served(store, http_port=0, https_port=0))
    running = Running([str(BIN / "osp"), "serve", str(file)], tmp_path / "log")
    try:
        assert running.process.wait(60) == 1
        assert "https_port" in running.output()
        assert "Traceback" not in running.output()
    finally:
        running.stop()


def test_a_program_that_names_no_port_is_told_so(store, tmp_path):
    file = tmp_path / "my_server.py"
    file.write_text(served(store))
    running = Running([str(BIN / "osp"), "serve", str(file)], tmp_path / "log")
    try:
        assert running.process.wait(60) == 1
        assert "http_port, https_port: both missing" in running.output()
    finally:
        running.stop()
