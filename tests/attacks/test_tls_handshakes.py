"""Clients that do not shake hands as they should: nothing of theirs reaches the store, and nobody else notices."""

import contextlib
import socket
import ssl
import subprocess

import pytest

from support.certificates import Authority
from support.processes import START_SECONDS
from support.raw import ask
from support.serving import HERE, HERE_TLS, Gate, configuration, serving
from support.signing import signed
from support.upstream import recording_upstream


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def front(authority):
    return authority.sign("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def alice(authority):
    return authority.sign("alice.example.test", common_name="alice")


@pytest.fixture(scope="module")
def store():
    with recording_upstream(Gate()) as upstream:
        yield upstream


@pytest.fixture(scope="module", params=["https_port", "http_port"])
def osp(request, store, front, authority, tmp_path_factory):
    """A gateway that wants certificates, on a port for TLS and on one that takes plain HTTP, too."""
    files = f"cert_path={str(front.chain)!r}, key_path={str(front.key)!r}, client_ca_path={str(authority.path)!r},"
    here = HERE_TLS if request.param == "https_port" else HERE
    with serving(tmp_path_factory.mktemp("mutual"), configuration(store.port, here + files)) as running:
        yield running


@pytest.fixture
def only_alice(osp, store, front, alice):
    """After the attack: it has left nothing at the store, and others are served."""
    store.forget()
    yield
    request = signed(osp.port, "GET", "/demo/the-last-one").octets
    assert ask(osp.port, request, front.client_context(shows=alice)).status == 200
    assert [seen.target for seen in store.requests] == ["/demo/the-last-one"]
    assert "Traceback" not in osp.output()
    assert "crashed" not in osp.output()


def self_signed(folder, subject):
    """A certificate with the same subject as a good one, signed by itself."""
    chain, key = folder / "self.pem", folder / "self.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    return chain, key


def leaf_as_authority(folder, alice):
    """A certificate that a client has signed with its own, which is no authority's."""
    chain, key, request = folder / "leaf.pem", folder / "leaf.key", folder / "leaf.csr"
    openssl = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=alice"]
    subprocess.run([*openssl, "-keyout", str(key), "-out", str(request)], check=True, capture_output=True)
    sign = ["openssl", "x509", "-req", "-in", str(request), "-CA", str(alice.chain), "-CAkey", str(alice.key)]
    subprocess.run([*sign, "-set_serial", "1", "-days", "1", "-out", str(chain)], check=True, capture_output=True)
    chain.write_bytes(chain.read_bytes() + alice.chain.read_bytes())
    return chain, key


SHOWN = {
    "none": lambda given: None,
    "signed by another authority": lambda given: pair(
        given["stranger"].sign("alice.example.test", common_name="alice")
    ),
    "expired": lambda given: pair(given["authority"].sign("alice.example.test", common_name="alice", expired=True)),
    "signed by itself": lambda given: self_signed(given["folder"], "/CN=alice"),
    "signed by a client": lambda given: leaf_as_authority(given["folder"], given["alice"]),
}


def pair(certificate):
    return certificate.chain, certificate.key


@pytest.mark.parametrize("kind", SHOWN)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_that_is_not_right_ends_the_handshake(
    osp, front, authority, stranger, alice, tmp_path, only_alice, kind, version
):
    given = {"authority": authority, "stranger": stranger, "alice": alice, "folder": tmp_path}
    context = front.client_context()
    context.minimum_version = context.maximum_version = version
    shown = SHOWN[kind](given)
    if shown:
        context.load_cert_chain(*shown)
    with pytest.raises(OSError):  # in the handshake or, with TLS 1.3, after it: also SSLError and ConnectionError
        ask(osp.port, signed(osp.port, "GET", "/demo/key").octets, context)


def test_a_request_without_tls_is_refused(osp, only_alice):
    assert ask(osp.port, signed(osp.port, "GET", "/demo/key").octets).status in (400, 403)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(osp, front, alice, only_alice, version):
    context = front.client_context(shows=alice)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(osp.port, signed(osp.port, "GET", "/demo/key").octets, context)
    osp.running.wait_for("cannot agree on a TLS version")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_new_versions_of_tls_are_spoken(osp, front, alice, version):
    context = front.client_context(shows=alice)
    context.minimum_version = context.maximum_version = version
    assert ask(osp.port, signed(osp.port, "GET", "/demo/key").octets, context).status == 200


def test_a_client_that_names_no_server_is_served(osp, front, alice):
    context = front.client_context(shows=alice)
    context.check_hostname = False
    with tls(osp, context, name=None) as connection:
        connection.sendall(signed(osp.port, "GET", "/demo/key").octets)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_session_does_not_stand_in_for_a_certificate(osp, front, alice):
    """Each connection shows its certificate: what was decided about an earlier one may no longer hold."""
    context = front.client_context(shows=alice)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with tls(osp, context) as first:
        first.sendall(signed(osp.port, "GET", "/demo/key").octets)
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        session = first.session
    with tls(osp, context, session) as second:
        assert not second.session_reused
        second.sendall(signed(osp.port, "GET", "/demo/key").octets)
        assert second.recv(65536).startswith(b"HTTP/1.1 200 ")


@contextlib.contextmanager
def tls(osp, context, session=None, name="localhost"):
    plain = socket.create_connection(("127.0.0.1", osp.port), START_SECONDS)
    with context.wrap_socket(plain, server_hostname=name, session=session) as connection:
        yield connection


GARBAGE = {
    "a record without an end": b"\x16\x03\x01\x40\x00",
    "an empty record": b"\x16\x03\x01\x00\x00",
    "a record of another kind": b"\x17\x03\x03\x00\x05hello",
    "a hello of zeros": b"\x16\x03\x01\x00\x40" + b"\0" * 64,
    "a hello that is cut": b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" + b"\0" * 20,
    "random octets": bytes(range(255, 0, -1)),
    "zeros": b"\0" * 1000,
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\0" * 40,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_ends_with_the_connection(osp, only_alice, kind):
    with socket.create_connection(("127.0.0.1", osp.port), START_SECONDS) as connection:
        connection.sendall(GARBAGE[kind])
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            received = b"".join(iter(lambda: connection.recv(65536), b""))
            assert not received.startswith(b"HTTP/1.1 2")
