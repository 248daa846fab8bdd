"""Lines to a file, by a thread: nobody waits, and what cannot be written is counted."""

import contextlib
import logging
import os
import threading
import time

import pytest

from osp_gateway.observe.log_writer import STDOUT, LineWriter

WAIT_SECONDS = 30.0


def until(condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "access.log"


def test_lines_are_written_in_their_order(file):
    writer = LineWriter(str(file))
    lines = [b"%d\n" % number for number in range(1000)]
    for line in lines:
        writer.put(line)
    writer.close()
    assert file.read_bytes() == b"".join(lines)
    assert (writer.written, writer.dropped) == (1000, 0)


def test_a_file_goes_on_where_it_ended(file):
    file.write_bytes(b"before\n")
    writer = LineWriter(str(file))
    writer.put(b"after\n")
    writer.close()
    assert file.read_bytes() == b"before\nafter\n"


def test_others_cannot_read_it(file):
    LineWriter(str(file)).close()
    assert file.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("target", ["", "no/such/folder/access.log"])
def test_a_file_that_cannot_be_opened_is_an_error(tmp_path, target):
    with pytest.raises(OSError):
        LineWriter(str(tmp_path / target))


def test_a_pipe_that_nobody_reads_is_an_error_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):
        LineWriter(str(tmp_path / "pipe"))


def test_opened_anew_it_writes_to_the_new_file_and_loses_nothing(file, tmp_path):
    writer = LineWriter(str(file))
    writer.put(b"one\n")
    file.rename(tmp_path / "access.log.1")
    writer.put(b"two\n")
    writer.reopen()
    writer.put(b"three\n")
    writer.close()
    assert (tmp_path / "access.log.1").read_bytes() == b"one\ntwo\n"
    assert file.read_bytes() == b"three\n"
    assert writer.dropped == 0


def test_where_it_cannot_be_opened_anew_the_old_one_stays(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    writer = LineWriter(str(folder / "access.log"))
    folder.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        writer.reopen()
    writer.put(b"still\n")
    writer.close()
    assert (tmp_path / "moved" / "access.log").read_bytes() == b"still\n"


def test_a_full_disk_is_counted_and_told_once(caplog):
    caplog.set_level(logging.INFO)
    writer = LineWriter("/dev/full")
    for _ in range(50):
        writer.put(b"lost\n")
        time.sleep(0)
    writer.close()
    assert (writer.written, writer.dropped) == (0, 50)
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    assert "No space left" in caplog.text


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    for end in (read, write):
        with contextlib.suppress(OSError):
            os.close(end)


def test_a_reader_that_has_gone_is_counted_and_told_once(pipe, caplog):
    read, write = pipe
    writer = LineWriter(f"/dev/fd/{write}")
    os.close(write)
    os.close(read)
    for _ in range(50):
        writer.put(b"lost\n")
    writer.close()
    assert (writer.written, writer.dropped) == (0, 50)
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


def test_a_reader_that_does_not_read_holds_nobody_up(pipe):
    read, write = pipe
    writer = LineWriter(f"/dev/fd/{write}", max_lines=100)
    line = b"x" * 1023 + b"\n"
    putting = threading.Thread(target=lambda: [writer.put(line) for _ in range(5000)])
    putting.start()
    putting.join(WAIT_SECONDS)
    assert not putting.is_alive()
    assert writer.dropped > 1000
    writer.close(0)
    os.close(write)
    taken = 0
    while data := os.read(read, 65536):
        taken += len(data)
    until(lambda: writer.written + writer.dropped == 5000)
    assert taken == writer.written * 1024


def test_what_waits_has_a_bound_in_octets_too(pipe):
    _, write = pipe
    writer = LineWriter(f"/dev/fd/{write}", max_octets=300_000)
    for _ in range(20):
        writer.put(b"x" * 99_999 + b"\n")
    assert writer.dropped >= 20 - 3 - 4  # three wait, and at most what waited once more is being written
    writer.close(0)


def test_a_line_that_could_not_be_ended_does_not_spoil_the_next(tmp_path, monkeypatch):
    """A disk that fills in the middle of a line, and has room again."""
    file = tmp_path / "access.log"
    writer = LineWriter(str(file))
    really_write = os.write
    full = threading.Event()
    full.set()

    def write(descriptor, data):
        if not full.is_set():
            return really_write(descriptor, data)
        if len(data) <= 3:
            raise OSError(28, "No space left on device")
        return really_write(descriptor, bytes(data[:3]))

    monkeypatch.setattr(
        os, "write", lambda d, data: write(d, data) if d == writer._descriptor else really_write(d, data)
    )

    def put(line):
        before = writer.written + writer.dropped
        writer.put(line)
        until(lambda: writer.written + writer.dropped == before + 1)

    put(b"abcdef")
    full.clear()
    put(b"whole\n")
    writer.close()
    lines = file.read_bytes().split(b"\n")
    assert lines[-2] == b"whole"
    assert (writer.written, writer.dropped) == (1, 1)


def test_after_an_outage_it_is_told_that_lines_are_written_again(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    link = tmp_path / "log"
    link.symlink_to("/dev/full")
    writer = LineWriter(str(link))
    writer.put(b"lost\n")
    until(lambda: writer.dropped == 1)
    link.unlink()
    writer.reopen()
    writer.put(b"kept\n")
    writer.close()
    assert link.read_bytes() == b"kept\n"
    assert "written again; 1 lines" in caplog.text


def test_a_line_after_the_end_is_counted_as_lost(file):
    writer = LineWriter(str(file))
    writer.close()
    writer.put(b"late\n")
    assert writer.dropped == 1


def test_standard_output_is_not_closed(capfd):
    writer = LineWriter(STDOUT)
    writer.put(b"a line\n")
    writer.reopen()
    writer.close()
    os.write(1, b"still open\n")
    assert capfd.readouterr().out == "a line\nstill open\n"
