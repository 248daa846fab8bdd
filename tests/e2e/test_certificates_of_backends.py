"""A backend that cannot prove who it is gets nothing; the client is told to try again, the operator is told why."""

import subprocess

import pytest

from support.certificates import Authority, Certificate
from support.processes import CLIENT_KEY, CLIENT_SECRET, gateway
from support.raw import ask
from support.signing import signed
from support.upstream import recording_upstream


def self_signed(folder):
    result = Certificate(folder / "self.pem", folder / "self.pem", folder / "self.key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(result.key), "-out", str(result.chain)]
    subprocess.run(command, check=True, capture_output=True)
    return result


KINDS = {
    "good": (lambda known, unknown, folder: known.sign("127.0.0.1"), ""),
    "named": (lambda known, unknown, folder: known.sign("named.localhost"), ""),
    "othername": (lambda known, unknown, folder: known.sign("other.localhost"), "hostname mismatch"),
    "expired": (lambda known, unknown, folder: known.sign("127.0.0.1", expired=True), "certificate has expired"),
    "misnamed": (lambda known, unknown, folder: known.sign("127.0.0.2"), "IP address mismatch"),
    "unknown": (lambda known, unknown, folder: unknown.sign("127.0.0.1"), "unable to get local issuer certificate"),
    "selfsigned": (lambda known, unknown, folder: self_signed(folder), "self-signed certificate"),
}


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    """A recorder for each kind of certificate, and the authority that the gateway knows."""
    known = Authority(tmp_path_factory.mktemp("known"))
    unknown = Authority(tmp_path_factory.mktemp("unknown"))
    contexts = {
        kind: make(known, unknown, tmp_path_factory.mktemp(kind)).server_context() for kind, (make, _) in KINDS.items()
    }
    running = [recording_upstream(tls=context) for context in contexts.values()]
    try:
        yield dict(zip(contexts, [each.__enter__() for each in running], strict=True)), known
    finally:
        for each in running:
            each.__exit__(None, None, None)


GOOD = {"good", "named"}
HOSTS = {"named": "named.localhost", "othername": "named.localhost"}


@pytest.fixture(scope="module", params=["for all backends", "for a bucket"])
def osp(request, backends, tmp_path_factory):
    """The authority is told to mitmproxy, or to each bucket."""
    recorders, known = backends
    told = {"verify": str(known.path)} if request.param == "for a bucket" else {}
    access = {"is_tls_enabled": True, "access_key": "k", "secret_key": "s", "addressing_style": "path", **told}
    buckets = {
        kind: {"host": HOSTS.get(kind, "127.0.0.1"), "port": each.port, **access} for kind, each in recorders.items()
    }
    config = (
        "from osp_gateway import ProxyServerConfig\n"
        f"config = ProxyServerConfig(cos_map={buckets!r}, validator=lambda token, bucket: True,\n"
        f"    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})])\n"
    )
    options = {} if told else {"ssl_verify_upstream_trusted_ca": str(known.path)}
    with gateway(tmp_path_factory.mktemp("backends"), config, options=options) as running:
        yield running


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_a_backend_with_a_good_certificate_is_used(osp, kind):
    assert ask(osp.ports[0], signed(osp.ports[0], "GET", f"/{kind}/key").octets).status == 200


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in GOOD])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_backend_with_a_wrong_certificate_gets_nothing(osp, backends, kind, method):
    body = b"a" * 100_000 if method == "PUT" else b""
    answer = ask(osp.ports[0], signed(osp.ports[0], method, f"/{kind}/key", body).octets)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert answer.message == "The backend's certificate could not be verified."
    assert not backends[0][kind].requests


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in GOOD])
def test_the_operator_is_told_what_is_wrong_with_it(osp, kind):
    ask(osp.ports[0], signed(osp.ports[0], "GET", f"/{kind}/told-{kind}").octets)
    osp.running.wait_for(rf"/told-{kind}[^\n]*{KINDS[kind][1]}")


def test_a_file_of_authorities_that_has_gone_is_no_reason_to_trust_others(backends, tmp_path):
    recorders, known = backends
    copied = tmp_path / "copied.pem"
    copied.write_bytes(known.path.read_bytes())
    bucket = {
        **{"host": "127.0.0.1", "port": recorders["good"].port, "is_tls_enabled": True, "verify": str(copied)},
        **{"access_key": "k", "secret_key": "s", "addressing_style": "path"},
    }
    config = (
        "from osp_gateway import ProxyServerConfig\n"
        f"config = ProxyServerConfig(cos_map={{'gone': {bucket!r}}}, validator=lambda token, bucket: True,\n"
        f"    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})])\n"
    )
    options = {"ssl_verify_upstream_trusted_ca": str(known.path)}  # which mitmproxy itself would believe
    with gateway(tmp_path / "gone", config, options=options) as running:
        request = signed(running.ports[0], "GET", "/gone/key").octets
        assert ask(running.ports[0], request).status == 200
        copied.unlink()
        answer = ask(running.ports[0], request)
        assert (answer.status, answer.message) == (503, "The backend's certificate could not be verified.")
