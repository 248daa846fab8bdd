"""SIGHUP: the configuration is read anew, no request is lost, and nothing changes where it is wrong."""

import re
import shutil
import ssl
import threading

import pytest

from support.certificates import certificate
from support.processes import CLIENT_KEY, CLIENT_SECRET
from support.raw import ask, talk
from support.serving import HERE, HERE_TLS, PROGRAMS, Gate, configuration, serving
from support.signing import presigned, signed
from support.upstream import recording_upstream

BODY = b"a" * 300_000
CLIENTS = 6
RELOADS = 20


@pytest.fixture(params=PROGRAMS)
def program(request):
    return request.param


@pytest.fixture
def gate():
    gate = Gate(b"the old store")
    yield gate
    gate.open.set()


@pytest.fixture
def old(gate):
    with recording_upstream(gate) as upstream:
        yield upstream


@pytest.fixture
def new():
    with recording_upstream(Gate(b"the new store")) as upstream:
        yield upstream


@pytest.fixture
def osp(old, tmp_path, program):
    with serving(tmp_path, configuration(old.port, HERE), program) as running:
        yield running


def test_the_next_request_meets_the_new_configuration(osp, old, new):
    assert osp.get().body == b"the old store"
    osp.reload(configuration(new.port, HERE))
    assert osp.get().body == b"the new store"


def test_a_kept_connection_meets_the_new_configuration(osp, new):
    with talk(osp.port) as client:
        for words in (b"the old store", b"the new store"):
            client.send(signed(osp.port, "GET", "/demo/key").octets)
            assert client.read_answer().body == words
            osp.reload(configuration(new.port, HERE))


def test_what_was_allowed_and_remembered_is_asked_again(osp, old):
    assert osp.get().status == 200
    osp.reload(configuration(old.port, HERE, allow="False"))
    assert osp.get().status == 403


def test_an_upload_under_way_ends_with_the_configuration_that_it_began_with(osp, old, new):
    request = signed(osp.port, "PUT", "/demo/key", BODY)
    with talk(osp.port) as client:
        client.send(request.head + BODY[:200_000])
        old.wait_for_request("/demo/key")
        osp.reload(configuration(new.port, HERE, allow="False"))
        client.send(BODY[200_000:])
        assert client.read_answer().body == b"the old store"
    assert bytes(old.requests[0].body) == BODY
    assert not new.requests


def test_an_answer_under_way_ends_with_the_configuration_that_it_began_with(osp, old, new, gate):
    with talk(osp.port) as client:
        client.send(signed(osp.port, "GET", "/demo/slow").octets)
        old.wait_for_request("/demo/slow")
        osp.reload(configuration(new.port, HERE, allow="False"))
        gate.open.set()
        assert client.read_answer().body == b"the old store"


BATCH_RESULT = b'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>'


@pytest.mark.parametrize(
    ("before", "after", "denied"),
    [
        ("True", "False", []),
        ("request.key != 'one'", "True", ["one"]),
        ("not request.key", "True", ["one", "two"]),
    ],
)
def test_a_batch_is_judged_by_the_gateway_that_let_it_in(old, gate, tmp_path, program, before, after, denied):
    gate.words = BATCH_RESULT
    body = b"<Delete><Object><Key>one</Key></Object><Object><Key>two</Key></Object></Delete>"
    with serving(tmp_path, configuration(old.port, HERE, allow=before), program) as osp, talk(osp.port) as client:
        request = signed(osp.port, "POST", "/demo?delete", body).plus("Expect", "100-continue")
        client.send(request.head)
        assert client.read_answer().status == 100
        osp.reload(configuration(old.port, HERE, allow=after))
        client.send(body)
        answer = client.read_answer()
    entries = re.findall(rb"<Error><Key>(\w+)</Key>.*?<Code>(\w+)</Code>", answer.body)
    assert answer.status == 200
    assert entries == [(key.encode(), b"AccessDenied") for key in denied]
    asked = [re.findall(rb"<Key>(\w+)</Key>", bytes(seen.body)) for seen in old.requests]
    left = [key for key in (b"one", b"two") if key.decode() not in denied]
    assert asked == ([left] if left else [])


BROKEN = {
    "a mistake": (lambda text: text.replace("admin_port=0", "admin_port=0, threads='many'"), "threads"),
    "a wrong value": (lambda text: text.replace("port=port", "port='FAKE-SECRET'"), r"cos_map\['demo'\].port"),
    "no Python": (lambda text: text + "SECRET = 'FAKE-SECRET\n", "SyntaxError"),
    "an exception": (lambda text: text + "int('FAKE-SECRET')\n", "ValueError"),
    "an exit": (lambda text: text + "raise SystemExit('FAKE-SECRET')\n", "SystemExit"),
    "nothing": (lambda text: "", "found neither"),
    "no certificate": (lambda text: text.replace("admin_port=0", "cert_path=__file__, key_path=__file__"), "cert_path"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_wrong_configuration_changes_nothing_and_is_told_in_one_line(osp, kind):
    change, told = BROKEN[kind]
    text = osp.file.read_text()
    osp.reload(change(text), says="stays what it was")
    assert osp.get().body == b"the old store"
    osp.reload(text.replace("'demo'", "'another'"))
    assert osp.get().code == "NoSuchBucket"
    lines = [line for line in osp.output().splitlines() if "server.py: " in line and "read anew" not in line]
    assert len(lines) == 1
    assert re.search(told, lines[0])
    if kind != "an exit":
        assert "FAKE-SECRET" not in osp.output()
    assert "Traceback" not in osp.output()


def test_every_mistake_has_a_line_of_its_own(osp):
    osp.reload(
        osp.file.read_text().replace("admin_port=0", "threads='many', read_timeout='long'"), says="stays what it was"
    )
    lines = [line for line in osp.output().splitlines() if "server.py: " in line]
    assert len(lines) == 2
    assert osp.get().status == 200


def test_a_file_that_has_gone_changes_nothing(osp):
    osp.file.unlink()
    osp.reload(says="stays what it was")
    assert "no such file" in osp.output()
    assert osp.get().status == 200


def test_a_file_that_hangs_while_it_is_read_holds_up_nothing(osp, tmp_path):
    mark = tmp_path / "reading"
    osp.file.write_text(f"import time\nopen({str(mark)!r}, 'w').close()\ntime.sleep(3600)\n")
    osp.signal("SIGHUP")
    while not mark.exists():
        assert osp.get().status == 200
    assert osp.get().status == 200
    osp.signal()
    assert osp.status() == 0


def test_ports_and_addresses_are_named_as_what_needs_a_restart(osp, old, program):
    text = configuration(old.port, "http_port=1, listen_host='127.0.0.2', admin_host='127.0.0.2',")
    osp.reload(text.replace("admin_port=0", "admin_port=2"))
    changed = ["admin_port", "admin_host"] if program == "mitmdump" else ["http_port", "listen_host", "admin_port"]
    for argument in changed:
        assert f"{argument}: a change takes effect with the next start only" in osp.output()
    assert osp.get().status == 200


def test_an_https_port_does_not_become_a_plain_one(old, tmp_path):
    cert = certificate(tmp_path / "cert", "localhost", "127.0.0.1")
    files = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r},"
    with serving(tmp_path, configuration(old.port, HERE_TLS + files)) as osp:
        osp.reload(configuration(old.port, HERE + files))
        assert "https_port: a change" in osp.output()
        assert osp.get().status == 400
        assert ask(osp.port, signed(osp.port, "GET", "/demo/key").octets, cert.client_context()).status == 200


def test_uses_of_a_presigned_url_go_on_being_counted(old, tmp_path, program):
    text = configuration(old.port, HERE + "max_presign_url_usage_attempts=2")
    with serving(tmp_path, text, program) as osp:
        request = presigned(osp.port, "GET", "/demo/key").octets
        statuses = []
        for _ in range(3):
            statuses.append(ask(osp.port, request).status)
            osp.reload()
        assert statuses == [200, 200, 403]


def test_a_new_limit_on_presigned_urls_holds(old, tmp_path, program):
    text = configuration(old.port, HERE + "max_presign_url_usage_attempts=1")
    with serving(tmp_path, text, program) as osp:
        request = presigned(osp.port, "GET", "/demo/key").octets
        assert [ask(osp.port, request).status for _ in range(2)] == [200, 403]
        osp.reload(text.replace("attempts=1", "attempts=2"))
        assert [ask(osp.port, request).status for _ in range(2)] == [200, 403]


def test_an_env_file_is_read_anew(old, tmp_path, program):
    env = tmp_path / ".env"
    env.write_text("ANSWER=True\nGONE=1\n")
    before = "import os\nANSWER = os.environ['ANSWER'] == 'True' and os.environ.get('KEPT') == 'yes'\n"
    text = configuration(old.port, HERE, allow="ANSWER", before=before)
    with serving(tmp_path, text, program, env={"KEPT": "yes"}) as osp:
        assert osp.get().status == 200
        env.write_text("ANSWER=False\n")
        osp.reload(text.replace("import os", "import os\nassert 'GONE' not in os.environ"))
        assert osp.get().status == 403
        env.write_text("ANSWER=True\nKEPT=no\n")
        osp.reload()
        assert osp.get().status == 200


def test_a_program_of_its_own_reads_certificates_only(old, new, tmp_path):
    cert = certificate(tmp_path / "cert", "localhost", "127.0.0.1")
    files = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r},"
    start = "from osp_gateway import start_server\nstart_server(config)"
    with serving(tmp_path, configuration(old.port, HERE + files, more=start), "python") as osp:
        osp.reload(configuration(new.port, HERE + files, more=start), says="certificates read anew")
        assert "has to be restarted" in osp.output()
        assert osp.get().body == b"the old store"
        replacement = certificate(tmp_path / "replacement", "localhost", "127.0.0.1")
        replace(cert, replacement)
        osp.reload(says="certificates read anew")
        assert ask(osp.port, signed(osp.port, "GET", "/demo/key").octets, replacement.client_context()).status == 200


def replace(cert, by):
    shutil.copy(by.chain, cert.chain)
    shutil.copy(by.key, cert.key)


@pytest.fixture
def with_tls(old, tmp_path, program):
    cert = certificate(tmp_path / "cert", "localhost", "127.0.0.1")
    files = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r},"
    with serving(tmp_path, configuration(old.port, HERE + files), program) as osp:
        yield osp, cert


def test_a_new_certificate_is_shown_to_the_next_client(with_tls, tmp_path):
    osp, cert = with_tls
    request = signed(osp.port, "GET", "/demo/key").octets
    replacement = certificate(tmp_path / "replacement", "localhost", "127.0.0.1")
    with talk(osp.port, cert.client_context()) as client:
        client.send(request)
        assert client.read_answer().status == 200
        replace(cert, replacement)
        osp.reload()
        client.send(request)
        assert client.read_answer().status == 200
    assert ask(osp.port, request, replacement.client_context()).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(osp.port, request, cert.client_context())


def encrypted(key):
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(key.read_bytes(), None)
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"fake-password"),
    )


BROKEN_FILES = {
    "no PEM": lambda cert, other: cert.chain.write_text("FAKE-SECRET"),
    "empty": lambda cert, other: cert.key.write_text(""),
    "the key of another": lambda cert, other: shutil.copy(other.key, cert.key),
    "an encrypted key": lambda cert, other: cert.key.write_bytes(encrypted(cert.key)),
    "no file": lambda cert, other: cert.chain.unlink(),
}


@pytest.mark.parametrize("kind", BROKEN_FILES)
def test_a_broken_certificate_leaves_the_old_one_in_place(with_tls, tmp_path, kind):
    osp, cert = with_tls
    trusted = cert.client_context()
    BROKEN_FILES[kind](cert, certificate(tmp_path / "other", "localhost"))
    osp.reload(says="stays what it was")
    assert "cert_path" in osp.output()
    assert "Traceback" not in osp.output()
    assert "FAKE-SECRET" not in osp.output()
    assert ask(osp.port, signed(osp.port, "GET", "/demo/key").octets, trusted).status == 200


def test_no_request_is_lost_over_many_reloads_under_load(osp, old, new):
    """Half of the clients keep their connection. Each answer is one of the two configurations', whole."""
    texts = [configuration(old.port, HERE), configuration(new.port, HERE)]
    expected = {b"the old store", b"the new store"}
    done = threading.Event()
    found = []
    served = [0] * CLIENTS

    def keep_asking(number):
        try:
            while not done.is_set():
                if number % 2:
                    with talk(osp.port) as client:
                        for _ in range(20):
                            note(number, client)
                else:
                    with talk(osp.port) as client:
                        note(number, client)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
            found.append(error)

    def note(number, client):
        body = BODY[: 1000 * (number + 1)]
        client.send(signed(osp.port, "PUT", f"/demo/key{number}", body).octets)
        answer = client.read_answer()
        if answer.status != 200 or answer.body not in expected:
            found.append(answer)
        served[number] += 1

    threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for turn in range(RELOADS):
        osp.reload(texts[(turn + 1) % 2])
    done.set()
    for thread in threads:
        thread.join(60)
    assert not found
    assert all(served)
    assert osp.get().body == b"the old store"
    osp.signal()
    assert osp.status() == 0
    for upstream in (old, new):
        assert all(seen.complete for seen in upstream.requests)


def test_signals_in_quick_succession_end_with_the_last_configuration(osp, new):
    osp.file.write_text(configuration(new.port, HERE))
    for _ in range(50):
        osp.signal("SIGHUP")
    osp.reload()
    assert osp.get().body == b"the new store"


def test_toml_is_read_anew(old, tmp_path, program):
    text = (
        f"admin_port = 0\nhttp_port = 0\nlisten_host = '127.0.0.1'\n[cos_map.demo]\nhost = '127.0.0.1'\n"
        f"port = {old.port}\naccess_key = 'fake'\nsecret_key = 'fake'\n"
        f"[[hmac_keystore]]\naccess_key = {CLIENT_KEY!r}\nsecret_key = {CLIENT_SECRET!r}\nbuckets = ['demo']\n"
    )
    with serving(tmp_path, text, program, name="server.toml") as osp:
        assert osp.get().status == 200
        osp.reload(text.replace("['demo']", "['other']"))
        assert osp.get().status == 403
