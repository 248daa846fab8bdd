"""The end of a gateway: what is under way is answered, what is idle is closed, nothing new is taken on."""

import os
import pty
import socket
import threading

import pytest

from support.certificates import certificate
from support.goaway import patient_http2
from support.processes import BIN, CLIENT_KEY, CLIENT_SECRET, Running
from support.raw import ask, talk
from support.serving import HERE, HERE_TLS, PROGRAMS, Gate, configuration, serving
from support.signing import signed
from support.upstream import recording_upstream

BODY = b"a" * 300_000


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def store(gate):
    with recording_upstream(gate) as upstream:
        yield upstream


@pytest.fixture(params=PROGRAMS)
def program(request):
    return request.param


@pytest.fixture
def osp(store, tmp_path, program):
    with serving(tmp_path, configuration(store.port, HERE), program) as running:
        yield running


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_gateway_without_requests_ends_with_status_0(osp, name):
    osp.signal(name)
    assert osp.status() == 0
    assert "cut off" not in osp.output()
    assert "Traceback" not in osp.output()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_request_that_waits_for_the_store_is_answered(osp, store, gate, name):
    with talk(osp.port) as client:
        client.send(signed(osp.port, "GET", "/demo/slow").octets)
        store.wait_for_request("/demo/slow")
        osp.begin_to_end(name)
        gate.open.set()
        answer = client.read_answer()
        assert (answer.status, answer.body) == (200, b"from the store")
        assert answer.headers["connection"] == "close"
        assert client.closed_by_peer()
    assert osp.status() == 0
    assert "cut off" not in osp.output()
    assert "Traceback" not in osp.output()


def test_an_upload_under_way_arrives_whole(osp, store):
    request = signed(osp.port, "PUT", "/demo/key", BODY)
    with talk(osp.port) as client:
        client.send(request.head + BODY[:200_000])
        store.wait_for_request("/demo/key")
        osp.begin_to_end()
        client.send(BODY[200_000:])
        assert client.read_answer().status == 200
    assert osp.status() == 0
    assert bytes(store.requests[0].body) == BODY


def test_a_head_under_way_is_read_to_its_end(osp):
    request = signed(osp.port, "GET", "/demo/key").octets
    with talk(osp.port) as waiting, talk(osp.port) as client:
        client.send(request)
        assert client.read_answer().status == 200
        client.send(request[:40])
        osp.begin_to_end()
        assert waiting.closed_by_peer()  # so idle connections have been closed by now
        client.send(request[40:])
        assert client.read_answer().status == 200
        assert client.closed_by_peer()
    assert osp.status() == 0


def test_idle_connections_are_closed_while_others_go_on(osp, store, gate):
    with talk(osp.port) as used, talk(osp.port) as silent, talk(osp.port) as busy:
        used.send(signed(osp.port, "GET", "/demo/key").octets)
        assert used.read_answer().status == 200
        busy.send(signed(osp.port, "GET", "/demo/slow").octets)
        store.wait_for_request("/demo/slow")
        osp.begin_to_end()
        assert used.closed_by_peer()
        assert silent.closed_by_peer()
        gate.open.set()
        assert busy.read_answer().status == 200
    assert osp.status() == 0


def test_no_new_connection_is_taken_on(osp, store, gate):
    with talk(osp.port) as busy:
        busy.send(signed(osp.port, "GET", "/demo/slow").octets)
        store.wait_for_request("/demo/slow")
        osp.begin_to_end()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", osp.port))
        gate.open.set()
        assert busy.read_answer().status == 200
    assert osp.status() == 0


def test_the_admin_port_says_that_the_gateway_is_alive_but_not_ready(osp, store, gate):
    def page(name):
        return ask(osp.admin_port, f"GET /-/{name} HTTP/1.1\r\nHost: admin\r\n\r\n".encode())

    assert page("ready").status == 200
    with talk(osp.port) as busy:
        busy.send(signed(osp.port, "GET", "/demo/slow").octets)
        store.wait_for_request("/demo/slow")
        osp.begin_to_end()
        assert (page("ready").status, page("health").status) == (503, 200)
        gate.open.set()
        assert busy.read_answer().status == 200
    assert osp.status() == 0


def test_a_client_that_reads_slowly_gets_all_of_the_answer(tmp_path, program):
    words = os.urandom(8 * 2**20)
    with (
        recording_upstream(Gate(words)) as store,
        serving(tmp_path, configuration(store.port, HERE), program) as osp,
        talk(osp.port) as client,
    ):
        client.send(signed(osp.port, "GET", "/demo/key").octets)
        begun = client.read_some(1000)
        osp.begin_to_end()
        rest = b"".join(iter(lambda: client.socket.recv(65536), b""))
        assert (begun + client.read_some(0) + client._buffer + rest).endswith(words)
        assert osp.status() == 0


def test_what_is_still_under_way_at_the_end_of_the_grace_period_is_cut_off(store, tmp_path, program):
    with serving(tmp_path, configuration(store.port, HERE + "shutdown_grace=0.5"), program) as osp:
        with talk(osp.port) as one, talk(osp.port) as other:
            for number, client in enumerate((one, other)):
                client.send(signed(osp.port, "GET", f"/demo/slow{number}").octets)
                store.wait_for_request(f"/demo/slow{number}")
            osp.signal()
            assert one.closed_by_peer()
            assert other.closed_by_peer()
        assert osp.status() == 0
        assert "2 requests in flight on 2 connections are cut off" in osp.output()
        assert "Traceback" not in osp.output()


def test_an_upload_that_is_cut_off_is_never_whole_at_the_store(store, tmp_path, program):
    with serving(tmp_path, configuration(store.port, HERE + "shutdown_grace=0"), program) as osp:
        with talk(osp.port) as client:
            client.send(signed(osp.port, "PUT", "/demo/key", BODY).head + BODY[:200_000])
            seen = store.wait_for_request("/demo/key")
            osp.signal()
            assert client.closed_by_peer()
        assert osp.status() == 0
        assert seen.ended.wait(60)
        assert not seen.complete


def test_a_second_signal_ends_at_once(store, tmp_path, program):
    with serving(tmp_path, configuration(store.port, HERE + "shutdown_grace=3600"), program) as osp:
        with talk(osp.port) as client:
            client.send(signed(osp.port, "GET", "/demo/slow").octets)
            store.wait_for_request("/demo/slow")
            osp.begin_to_end()
            osp.signal()
            assert client.closed_by_peer()
        assert osp.status() == 0
        assert "1 requests in flight on 1 connections are cut off" in osp.output()
        assert "Traceback" not in osp.output()


def test_an_operators_function_that_hangs_does_not_hold_up_the_end(store, tmp_path, program):
    before = f"import time\nopen({str(tmp_path / 'asked')!r}, 'w').close()\n"
    text = configuration(store.port, HERE + "shutdown_grace=0.2", allow="time.sleep(3600)", before=before)
    with serving(tmp_path, text, program) as osp:
        with talk(osp.port) as client:
            client.send(signed(osp.port, "GET", "/demo/key").octets)
            osp.begin_to_end()
            assert client.closed_by_peer()
        assert osp.status() == 0


def test_mitmweb_lets_requests_finish_when_it_is_terminated(store, gate, tmp_path):
    options = ("web_port=0", "web_open_browser=false", "web_password=fake")
    with serving(tmp_path, configuration(store.port, HERE), "mitmweb", options=options) as osp:
        with talk(osp.port) as client:
            client.send(signed(osp.port, "GET", "/demo/slow").octets)
            store.wait_for_request("/demo/slow")
            osp.begin_to_end()
            gate.open.set()
            assert client.read_answer().status == 200
        assert osp.status() == 0


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("front"), "localhost", "127.0.0.1")


@pytest.fixture
def h2(store, cert, tmp_path, program):
    files = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r},"
    with (
        serving(tmp_path, configuration(store.port, HERE_TLS + files), program) as osp,
        patient_http2(osp.port, cert.client_context(["h2", "http/1.1"])) as client,
    ):
        yield osp, client


def test_http2_requests_under_way_are_answered_and_the_client_is_told_to_go(h2, store, gate):
    osp, client = h2
    numbers = [client.send(signed(osp.port, "GET", f"/demo/slow{number}")) for number in range(5)]
    for number in range(5):
        store.wait_for_request(f"/demo/slow{number}")
    osp.begin_to_end()
    gate.open.set()
    answers = [client.answer(number) for number in numbers]
    assert [answer.status for answer in answers if answer] == [200] * 5
    client.read_to_the_end()
    assert client.told_to_go == [2**31 - 1, numbers[-1]]
    assert osp.status() == 0


def test_an_http2_upload_under_way_arrives_whole(h2, store):
    osp, client = h2
    request = signed(osp.port, "PUT", "/demo/key", BODY)
    number = client.send(request, end=False)
    client.h2.send_data(number, BODY[:10_000])
    client.flush()
    assert client.ask(signed(osp.port, "GET", "/demo/key")).status == 200
    osp.begin_to_end()
    client.send_body(number, BODY[10_000:])
    answer = client.answer(number)
    assert answer
    assert answer.status == 200
    assert osp.status() == 0
    assert [bytes(seen.body) for seen in store.requests if seen.method == "PUT"] == [BODY]


def test_an_idle_http2_connection_is_told_the_last_request_and_closed(h2):
    osp, client = h2
    assert client.ask(signed(osp.port, "GET", "/demo/key")).status == 200
    osp.begin_to_end()
    client.read_to_the_end()
    assert client.told_to_go[-1] == 1
    assert osp.status() == 0


def test_an_http2_client_that_reads_slowly_gets_all_of_the_answer(cert, tmp_path, program):
    words = os.urandom(2**20)
    files = f"cert_path={str(cert.chain)!r}, key_path={str(cert.key)!r},"
    with (
        recording_upstream(Gate(words)) as store,
        serving(tmp_path, configuration(store.port, HERE_TLS + files), program) as osp,
        patient_http2(osp.port, cert.client_context(["h2", "http/1.1"])) as client,
    ):
        number = client.send(signed(osp.port, "GET", "/demo/key"))
        assert store.wait_for_request("/demo/key").ended.wait(60)
        osp.begin_to_end()
        answer = client.answer(number)
        assert answer
        assert answer.body == words
        assert osp.status() == 0


def test_a_terminal_that_goes_away_ends_the_gateway(store, tmp_path):
    """SIGHUP comes from there, too; it is no wish for a new configuration then."""
    file = tmp_path / "server.py"
    file.write_text(configuration(store.port, HERE))
    leader, follower = pty.openpty()
    script = (
        "import fcntl, os, sys, termios\n"
        "os.setsid()\n"
        "fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)\n"
        "os.close(int(sys.argv[1]))\n"
        "os.execv(sys.argv[2], sys.argv[2:])\n"
    )
    command = [str(BIN / "python"), "-c", script, str(follower), str(BIN / "osp"), "serve", str(file)]
    running = Running(command, tmp_path / "log", pass_fds=(follower,))
    try:
        os.close(follower)
        running.wait_for("health and readiness")
        os.close(leader)
        assert running.process.wait(60) == 0
        assert "ending" in running.output()
    finally:
        running.stop()


def test_start_server_works_off_the_main_thread(store, tmp_path):
    """Signals are then the program's own affair."""
    program = f"""
import threading, time
from osp_gateway import ProxyServerConfig, start_server
config = ProxyServerConfig(
    cos_map={{'demo': dict(host='127.0.0.1', port={store.port}, is_tls_enabled=False, access_key='a', secret_key='s')}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r}, buckets=['*'])],
    admin_port=0, {HERE}
)
thread = threading.Thread(target=start_server, args=(config,), daemon=True)
thread.start()
thread.join()
"""
    with serving(tmp_path, program, "python") as osp:
        assert osp.get().status == 200


def test_many_requests_on_many_connections_are_all_answered_when_the_end_comes(osp, store, gate):
    """Each request that reached the gateway before the signal is answered."""
    answers = []
    clients = 16

    def one(number):
        with talk(osp.port) as client:
            client.send(signed(osp.port, "GET", f"/demo/slow{number}-").octets)
            answers.append(client.read_answer().status)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for number in range(clients):
        store.wait_for_request(f"/demo/slow{number}-")
    osp.begin_to_end()
    gate.open.set()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * clients
    assert osp.status() == 0
