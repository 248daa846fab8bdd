"""10,000 requests at 64 connections, a tenth of them from clients that misbehave: the others notice nothing."""

import os
import random
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.aws_chunked import HMAC
from support.chunked_requests import Upload
from support.inside import COUNTS_TASKS, Inside, settled
from support.processes import config_for
from support.raw import Talk, ask
from support.s3 import client
from support.serving import HERE, PROGRAMS, serving
from support.signing import signed

REQUESTS = int(os.environ.get("OSP_TEST_LOAD_REQUESTS", "10000"))
CONNECTIONS = 64
WARM_UP = 1000
OBJECTS = 16
LARGE = 4 * 2**20
ALLOWED_GROWTH = 32 * 2**20
"""A connection or flow that stays behind holds 100 KiB and more: a thousand misbehaving ones hold 100 MiB."""


def content(number):
    return random.Random(number).randbytes(1024)


def hang_up(connection):
    """Close with a reset."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_a_head(port, rng):
    connection = Talk(port)
    octets = signed(port, "GET", "/demo/object-0").octets
    connection.send(octets[: rng.randrange(1, len(octets) - 2)])
    rng.choice([hang_up, Talk.close])(connection)


def wrong_signature(port, rng):
    answer = ask(port, signed(port, "GET", "/demo/object-0", secret="wrong-fake-secret").octets)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def broken_chunk(port, rng):
    request = Upload(HMAC, bytes(20_000)).request(port, "/demo/never")
    place = rng.randrange(200, 8000)
    body = request.body[:place] + b"x" + request.body[place + 1 :]
    assert 400 <= ask(port, request.but(body=body).octets).status < 500


def reset_in_mid_body(port, rng):
    connection = Talk(port)
    connection.send(signed(port, "PUT", "/demo/never", bytes(100_000)).octets[: rng.randrange(2000, 90_000)])
    hang_up(connection)


def reads_little(port, rng):
    connection = Talk(port)
    connection.send(signed(port, "GET", "/demo/large").octets)
    connection.read_some(rng.randrange(1, 50_000))
    rng.choice([hang_up, Talk.close])(connection)


def stalls(port, rng):
    """Half a body, and then nothing while other requests pass."""
    connection = Talk(port)
    connection.send(signed(port, "PUT", "/demo/never", bytes(10_000)).octets[:-5000])
    threading.Event().wait(rng.random())
    connection.close()


def pipelines_junk(port, rng):
    connection = Talk(port)
    connection.send(signed(port, "GET", "/demo/object-0").octets + rng.randbytes(300) + b"\r\n\r\n")
    assert connection.read_answer().body == content(0)
    connection.close()


MISBEHAVIOURS = (
    half_a_head,
    wrong_signature,
    broken_chunk,
    reset_in_mid_body,
    reads_little,
    stalls,
    pipelines_junk,
)


def worker(port, seed, count, written):
    """One client after another: nine in ten use one connection well, the tenth misbehaves on its own."""
    rng = random.Random(seed)
    gets = [signed(port, "GET", f"/demo/object-{number}").octets for number in range(OBJECTS)]
    connection = Talk(port)
    served = 0
    for number in range(count):
        if rng.random() < 0.1:
            rng.choice(MISBEHAVIOURS)(port, rng)
            continue
        if rng.random() < 0.1:
            key, data = f"written-{seed}-{number}", rng.randbytes(500)
            connection.send(signed(port, "PUT", f"/demo/{key}", data).octets)
            assert connection.read_answer("PUT").status == 200
            written[key] = data
        else:
            which = rng.randrange(OBJECTS)
            connection.send(gets[which])
            answer = connection.read_answer()
            assert (answer.status, answer.body) == (200, content(which))
        served += 1
    connection.close()
    return served


def load(port, requests, seed):
    """So many requests; the objects that were written, and how many requests were answered rightly."""
    written = {}
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        each = [pool.submit(worker, port, seed + n, requests // CONNECTIONS, written) for n in range(CONNECTIONS)]
        return written, sum(future.result() for future in each)


@pytest.mark.parametrize("program", PROGRAMS)
def test_well_behaved_clients_are_answered_and_nothing_is_left_over(store, tmp_path, program):
    bucket = store.make_bucket("demo")
    s3 = client(store.url, store.access_key, store.secret_key)  # rclone need not see what is written behind its back
    for number in range(OBJECTS):
        s3.put_object(Bucket="demo", Key=f"object-{number}", Body=content(number))
    s3.put_object(Bucket="demo", Key="large", Body=bytes(LARGE))
    tasks_file = tmp_path / "tasks"
    text = config_for(store, extra=f"admin_port=0, {HERE}") + COUNTS_TASKS.format(file=str(tasks_file))
    with serving(tmp_path, text, program) as running:
        inside = Inside(running.running, tasks_file)
        idle_tasks, idle_files = inside.tasks(), inside.files()
        load(running.port, WARM_UP, seed=1000)
        settled(inside.files, idle_files)
        memory = inside.resident()

        written, served = load(running.port, REQUESTS, seed=2000)

        assert served > REQUESTS * 0.85
        for key, data in written.items():
            assert (bucket / key).read_bytes() == data
        assert not (bucket / "never").exists()
        assert settled(inside.tasks, idle_tasks) <= idle_tasks
        assert settled(inside.files, idle_files) <= idle_files + 4
        assert settled(lambda: inside.resident() - memory, ALLOWED_GROWTH) <= ALLOWED_GROWTH
        assert "crashed" not in running.output()
        assert "Traceback" not in running.output()
