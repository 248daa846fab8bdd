"""Mutual TLS: who the client is must be shown in the handshake, and validators see it."""

import shutil

import pytest

from support.certificates import Authority
from support.http2 import http2
from support.raw import ask, talk
from support.serving import HERE, HERE_TLS, PROGRAMS, Gate, configuration, serving
from support.signing import signed
from support.upstream import recording_upstream


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def front(authority):
    return authority.sign("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def alice(authority):
    return authority.sign("alice.example.test", common_name="alice")


@pytest.fixture(scope="module")
def bob(authority):
    return authority.sign("bob.example.test", common_name="bob")


@pytest.fixture(scope="module")
def store():
    with recording_upstream(Gate()) as upstream:
        yield upstream


def tls(front, authority_path, more=""):
    files = f"cert_path={str(front.chain)!r}, key_path={str(front.key)!r}, client_ca_path={str(authority_path)!r}, "
    return files + more


ALICE = "'CN=alice' in str(request.tls_subject)"


@pytest.fixture(scope="module", params=PROGRAMS)
def osp(request, store, front, authority, tmp_path_factory):
    """A gateway that wants certificates, and whose validator wants them to be Alice's."""
    text = configuration(store.port, HERE_TLS + tls(front, authority.path), allow=ALICE)
    with serving(tmp_path_factory.mktemp("mutual"), text, request.param) as running:
        yield running


@pytest.fixture(scope="module", params=PROGRAMS)
def optional(request, store, front, authority, tmp_path_factory):
    more = "client_certificates='optional',"
    allow = "request.tls_subject is None or " + ALICE
    text = configuration(store.port, HERE + tls(front, authority.path, more), allow=allow)
    with serving(tmp_path_factory.mktemp("optional"), text, request.param) as running:
        yield running


def get(osp):
    return signed(osp.port, "GET", "/demo/key")


def test_a_client_with_a_certificate_is_served_over_http1(osp, front, alice):
    assert ask(osp.port, get(osp).octets, front.client_context(shows=alice)).status == 200


def test_a_client_with_a_certificate_is_served_over_http2(osp, front, alice):
    with http2(osp.port, front.client_context(["h2", "http/1.1"], shows=alice)) as client:
        for _ in range(3):
            assert client.ask(get(osp)).status == 200


def test_the_validator_tells_clients_apart_by_their_certificate_although_they_share_a_key(osp, front, alice, bob):
    shown = [alice, bob, alice, bob]
    assert [ask(osp.port, get(osp).octets, front.client_context(shows=who)).status for who in shown] == [
        200,
        403,
        200,
        403,
    ]


def test_the_log_of_a_refusal_names_the_certificate(osp, front, bob):
    ask(osp.port, get(osp).octets, front.client_context(shows=bob))
    assert "[CN=bob" in osp.output()


def test_a_signature_is_needed_all_the_same(osp, front, alice):
    request = get(osp).without("authorization")
    assert ask(osp.port, request.octets, front.client_context(shows=alice)).status == 403


def test_a_certificate_may_be_left_out_where_it_is_optional(optional, front, alice, bob):
    assert ask(optional.port, get(optional).octets, front.client_context()).status == 200
    assert ask(optional.port, get(optional).octets, front.client_context(shows=alice)).status == 200
    assert ask(optional.port, get(optional).octets, front.client_context(shows=bob)).status == 403
    assert ask(optional.port, get(optional).octets).status == 200


def test_new_authorities_judge_connections_that_are_open_already(store, front, alice, authority, tmp_path):
    trusted = tmp_path / "trusted.pem"
    shutil.copy(authority.path, trusted)
    text = configuration(store.port, HERE_TLS + tls(front, trusted))
    with serving(tmp_path, text) as osp, talk(osp.port, front.client_context(shows=alice)) as client:
        for says in (200, 403, 200):
            client.send(get(osp).octets)
            assert client.read_answer().status == says
            other = (
                Authority(tmp_path / f"other{says}").path if trusted.read_text() == authority.path.read_text() else None
            )
            shutil.copy(other or authority.path, trusted)
            osp.reload()


def test_certificates_that_become_required_are_required_of_open_connections(store, front, authority, tmp_path):
    text = configuration(store.port, HERE + tls(front, authority.path, "client_certificates='optional'"))
    with serving(tmp_path, text) as osp, talk(osp.port, front.client_context()) as secret, talk(osp.port) as plain:
        for client in (secret, plain):
            client.send(get(osp).octets)
            assert client.read_answer().status == 200
        osp.reload(text.replace("'optional'", "'required'"))
        for client in (secret, plain):
            client.send(get(osp).octets)
            assert client.read_answer().status == 403


@pytest.mark.parametrize("content", ["", "FAKE-SECRET"])
def test_authorities_that_cannot_be_read_leave_the_old_ones_in_place(store, front, alice, authority, tmp_path, content):
    trusted = tmp_path / "trusted.pem"
    shutil.copy(authority.path, trusted)
    with serving(tmp_path, configuration(store.port, HERE_TLS + tls(front, trusted))) as osp:
        trusted.write_text(content)
        osp.reload(says="stays what it was")
        assert "client_ca_path: expected a PEM file" in osp.output()
        assert ask(osp.port, get(osp).octets, front.client_context(shows=alice)).status == 200
