"""Somebody else's test suite: two lines give it a gateway, recordings and faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mitmproxy.io import FlowReader

from osp_gateway.testing.gateway import ACCESS_KEY, SECRET_KEY
from osp_gateway.testing.store import SECRET_KEY as STORE_SECRET
from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_KEY, CLIENT_SECRET, config_for

HEAD = """
import boto3
import pytest
from botocore.config import Config

@pytest.fixture
def s3(s3_gateway):
    config = Config(retries={"max_attempts": 2, "mode": "standard"}, response_checksum_validation="when_required")
    return boto3.client("s3", config=config, **s3_gateway.client_kwargs())
"""
SESSION = """
def test_session(s3, s3_recording):
    s3.put_object(Bucket="bucket", Key="a", Body=b"what was put")
    assert s3.get_object(Bucket="bucket", Key="a")["Body"].read() == b"what was put"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["a"]
"""


class Suite:
    """A folder with tests in it, run by a pytest of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.runs = 0

    @property
    def folder(self) -> Path:
        return self.pytester.path

    def write(self, text: str, name: str = "test_it") -> None:
        self.pytester.makepyfile(**{name: HEAD + text})

    def ini(self, **settings: str) -> None:
        lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
        self.pytester.makeini(f"[pytest]\n{lines}\n")

    def run(self, *arguments: str) -> pytest.RunResult:
        self.runs += 1
        return self.pytester.run(
            sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:asyncio",
            f"--basetemp={self.folder / f'temp-{self.runs}'}", *arguments,
        )  # fmt: skip

    @property
    def had_a_store(self) -> bool:
        """Whether the last run has started one."""
        return bool(list((self.folder / f"temp-{self.runs}").rglob("rclone.log")))

    def recordings(self) -> list[str]:
        folder = self.folder / "recordings"
        return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())

    def operations(self, name: str) -> list[str]:
        with (self.folder / "recordings" / name).open("rb") as file:
            return [flow.metadata["osp"]["operation"] for flow in FlowReader(file).stream()]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Suite(pytester)


# A gateway


def test_two_lines_are_enough(suite):
    suite.pytester.makepyfile(
        """
        import boto3

        def test_upload(s3_gateway):
            s3 = boto3.client("s3", **s3_gateway.client_kwargs())
            s3.put_object(Bucket=s3_gateway.bucket, Key="a", Body=b"x")
        """
    )
    suite.run().assert_outcomes(passed=1)
    assert suite.had_a_store


def test_each_test_finds_its_bucket_empty_and_sees_its_own_requests(suite):
    suite.write(
        """
@pytest.mark.parametrize("number", range(3))
def test_alone(s3, s3_gateway, number):
    assert "Contents" not in s3.list_objects_v2(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key=f"key {number}", Body=b"x")
    seen = s3_gateway.requests()
    assert [(one.operation, one.bucket, one.key, one.status) for one in seen] == [
        ("ListObjectsV2", "bucket", "", 200), ("PutObject", "bucket", f"key {number}", 200)
    ]
    assert all(one.allowed and not one.replayed and one.identity == s3_gateway.access_key for one in seen)
"""
    )
    suite.run().assert_outcomes(passed=3)


def test_several_buckets(suite):
    suite.ini(s3_gateway_buckets="reports logs")
    suite.write(
        """
def test_buckets(s3, s3_gateway):
    assert s3_gateway.bucket == "reports"
    s3.put_object(Bucket="reports", Key="a", Body=b"x")
    s3.copy_object(Bucket="logs", Key="b", CopySource={"Bucket": "reports", "Key": "a"})
    assert s3.get_object(Bucket="logs", Key="b")["Body"].read() == b"x"
"""
    )
    suite.run().assert_outcomes(passed=1)


def test_programs_get_it_by_their_environment(suite):
    suite.write(
        """
import os, subprocess, sys

def test_program(s3, s3_gateway):
    s3.put_object(Bucket="bucket", Key="a", Body=b"x")
    program = "import boto3; print(boto3.client('s3').get_object(Bucket='bucket', Key='a')['Body'].read())"
    env = {**os.environ, **s3_gateway.env}
    assert subprocess.check_output([sys.executable, "-c", program], env=env) == b"b'x'\\n"
"""
    )
    suite.run().assert_outcomes(passed=1)


ELSEWHERE = """
import os, socket, subprocess, sys, threading

PYTHON = "import boto3; boto3.client('s3').put_object(Bucket='bucket', Key='a', Body=b'x')"
PROGRAMS = {
    "boto3": [sys.executable, "-c", PYTHON],
    "aws": [os.path.join(os.path.dirname(sys.executable), "aws"), "s3api", "put-object", "--bucket=bucket", "--key=a"],
}

@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    "Everything in the environment leads to another store, which notes who comes."
    config = tmp_path / "config"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config.write_text(
            f"[default]\\nendpoint_url={url}\\nignore_configured_endpoint_urls=true\\n"
            f"[profile real]\\nendpoint_url={url}\\n"
        )
        for name in ("AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "real-fake-token")
        monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_PROFILE", "real")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        came = []

        def accept():
            try:
                while True:
                    connection, _ = listener.accept()
                    came.append(connection.recv(100))
                    connection.close()
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        yield came

@pytest.mark.parametrize("program", PROGRAMS)
def test_program(elsewhere, s3_gateway, program):
    ran = subprocess.run(PROGRAMS[program], env={**os.environ, **s3_gateway.env}, capture_output=True, text=True)
    assert elsewhere == []
    assert ran.returncode == 0, ran.stderr
    (seen,) = s3_gateway.requests()
    assert (seen.operation, seen.key, seen.status) == ("PutObject", "a", 200)

def test_in_this_process(elsewhere, s3_gateway, monkeypatch):
    monkeypatch.delenv("AWS_PROFILE")
    s3 = boto3.client("s3", **s3_gateway.client_kwargs())
    s3.put_object(Bucket="bucket", Key="a", Body=b"x")
    assert elsewhere == []
"""


def test_and_it_leads_them_nowhere_else_whatever_it_said_before(suite):
    suite.write(ELSEWHERE)
    suite.run().assert_outcomes(passed=3)


@pytest.mark.parametrize("way", ["ini", "fixture"])
def test_a_configuration_of_ones_own(suite, store, way):
    (suite.folder / "server.py").write_text(config_for(store))
    text = """
def test_own(s3, s3_gateway):
    s3.put_object(Bucket="demo", Key="from-a-plugin", Body=b"x")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.get_object(Bucket="bucket", Key="x")
"""
    if way == "ini":
        suite.ini(s3_gateway_config="server.py")
    else:
        text += """
@pytest.fixture(scope="session")
def s3_gateway_config():
    from pathlib import Path
    return Path(__file__).with_name("server.py")
"""
    suite.write(text + f"    assert s3_gateway.access_key == {CLIENT_KEY!r}\n" * (way == "ini"))
    suite.run().assert_outcomes(passed=1)
    assert not suite.had_a_store


def test_or_as_data(suite, store):
    backend = {"host": "127.0.0.1", "port": store.port, "is_tls_enabled": False}
    backend |= {"access_key": BACKEND_KEY, "secret_key": BACKEND_SECRET}
    keys = [{"access_key": CLIENT_KEY, "secret_key": CLIENT_SECRET, "buckets": ["demo"]}]
    suite.write(
        f"""
@pytest.fixture(scope="session")
def s3_gateway_config():
    return {{"cos_map": {{"demo": {backend!r}}}, "hmac_keystore": {keys!r}}}

def test_own(s3):
    s3.put_object(Bucket="demo", Key="from-a-plugin", Body=b"x")
"""
    )
    suite.run().assert_outcomes(passed=1)


# Recordings


def test_the_first_run_records_and_the_second_needs_no_store(suite):
    suite.write(SESSION)
    suite.run().assert_outcomes(passed=1)
    assert suite.had_a_store
    assert suite.recordings() == ["test_it/test_session.osp"]
    assert suite.operations("test_it/test_session.osp") == ["PutObject", "GetObject", "ListObjectsV2"]
    for mode in ("once", "none"):
        suite.run("--s3-record-mode", mode).assert_outcomes(passed=1)
        assert not suite.had_a_store
    suite.run("-n", "2", "-p", "xdist").assert_outcomes(passed=1)


def test_no_key_is_in_a_recording(suite):
    suite.write(SESSION)
    suite.run().assert_outcomes(passed=1)
    octets = (suite.folder / "recordings/test_it/test_session.osp").read_bytes()
    for secret in (SECRET_KEY, STORE_SECRET, "store-fake-key", "Signature="):
        assert secret.encode() not in octets
    assert ACCESS_KEY.encode() in octets  # the identity's name


CHANGED = SESSION.replace('Key="a"', 'Key="b"').replace('["a"]', '["b"]')


@pytest.mark.parametrize("mode", ["once", "none"])
def test_what_was_not_recorded_fails_at_once_and_is_told(suite, mode):
    suite.write(SESSION)
    suite.run().assert_outcomes(passed=1)
    before = (suite.folder / "recordings/test_it/test_session.osp").read_bytes()
    suite.write(CHANGED)
    result = suite.run("--s3-record-mode", mode)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "NotRecorded" in text
    assert "it has no answer, or none any more, to these requests:" in text
    assert "    PutObject bucket/b" in text
    assert text.count("PutObject bucket/b: REFUSED") == 1, "nobody tried again"
    assert (suite.folder / "recordings/test_it/test_session.osp").read_bytes() == before


def test_even_where_the_code_swallows_the_error(suite):
    suite.write(
        """
def test_swallows(s3, s3_recording):
    try:
        s3.get_object(Bucket="bucket", Key="a")
    except Exception:
        pass
"""
    )
    result = suite.run("--s3-record-mode=none")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_swallows.osp: there is no such recording:", "    GetObject bucket/a"])


def test_new_episodes_are_added(suite):
    suite.write(SESSION)
    suite.run().assert_outcomes(passed=1)
    suite.write(SESSION + '    s3.put_object(Bucket="bucket", Key="more", Body=b"y" * 3_000_000)\n')
    suite.run().assert_outcomes(failed=1)
    suite.run("--s3-record-mode=new_episodes").assert_outcomes(passed=1)
    recorded = ["PutObject", "GetObject", "ListObjectsV2", "PutObject"]
    assert suite.operations("test_it/test_session.osp") == recorded
    suite.run("--s3-record-mode=none").assert_outcomes(passed=1)
    assert not suite.had_a_store


def test_all_records_anew(suite):
    suite.write(SESSION)
    suite.run().assert_outcomes(passed=1)
    suite.write(CHANGED)
    suite.ini(s3_record_mode="all")
    suite.run().assert_outcomes(passed=1)
    suite.run("--s3-record-mode=none").assert_outcomes(passed=1)


def test_large_bodies_are_recorded_as_well(suite):
    suite.write(
        """
def test_large(s3, s3_recording):
    s3.put_object(Bucket="bucket", Key="a", Body=b"x" * 3_000_000)
    assert len(s3.get_object(Bucket="bucket", Key="a")["Body"].read()) == 3_000_000
"""
    )
    suite.run().assert_outcomes(passed=1)
    suite.run("--s3-record-mode=none").assert_outcomes(passed=1)


def test_what_failed_is_not_kept(suite):
    suite.write(SESSION + "    assert False\n")
    suite.run().assert_outcomes(failed=1)
    assert not (suite.folder / "recordings").exists()


FAILING = """
import unittest

class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _fixtures(self, s3, s3_recording):
        self.s3 = s3

    def put(self):
        self.s3.put_object(Bucket="bucket", Key="a", Body=b"x")

    def test_fails(self):
        self.put()
        self.assertEqual(RIGHT, True)
        self.put()

    def test_fails_in_a_part(self):
        with self.subTest("one"):
            self.put()
            self.assertEqual(RIGHT, True)
        self.put()

    def test_skips(self):
        self.put()
        if not RIGHT:
            self.skipTest("for a reason")
        self.put()

    @unittest.expectedFailure
    def test_fails_as_expected(self):
        self.put()
        self.assertEqual(1, 2)

def test_subtests(s3, s3_recording, subtests):
    for number in range(2):
        with subtests.test(number=number):
            s3.put_object(Bucket="bucket", Key="a", Body=b"x")
            assert RIGHT or number != 0
"""


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="subtests are pytest 9's")
def test_whatever_tells_that_it_failed(suite):
    suite.write(FAILING.replace("RIGHT", "False"))
    suite.run("--s3-record-mode=all")
    assert suite.recordings() == []
    suite.write(FAILING.replace("RIGHT", "True"))
    assert suite.run().ret == 0
    names = suite.recordings()
    assert len(names) == 4
    before = [(suite.folder / "recordings" / name).read_bytes() for name in names]
    suite.write(FAILING.replace("RIGHT", "False"))
    suite.run("--s3-record-mode=all")
    assert [(suite.folder / "recordings" / name).read_bytes() for name in names] == before


def test_an_old_test_without_a_recording_says_so(suite):
    suite.write(FAILING.replace("RIGHT", "False"))
    result = suite.run("--s3-record-mode=none", "-k", "test_fails_in_a_part")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*test_fails_in_a_part-*.osp: there is no such recording:", "    PutObject bucket/a"])


AROUND = """
@pytest.fixture
def seeded(s3):
    s3.put_object(Bucket="bucket", Key="seed", Body=b"seed")
    yield
    s3.delete_object(Bucket="bucket", Key="seed")

def test_before(seeded, s3_recording, s3, s3_gateway):
    assert s3.get_object(Bucket="bucket", Key="seed")["Body"].read() == b"seed"

def test_after(s3_recording, seeded, s3):
    assert s3.get_object(Bucket="bucket", Key="seed")["Body"].read() == b"seed"

def test_late(request, s3):
    request.getfixturevalue("s3_recording")
    s3.put_object(Bucket="bucket", Key="late", Body=b"x")
"""


def test_what_fixtures_ask_for_belongs_to_the_recording(suite):
    suite.write(AROUND)
    suite.run().assert_outcomes(passed=3)
    for name in ("before", "after"):
        assert suite.operations(f"test_it/test_{name}.osp") == ["PutObject", "GetObject", "DeleteObject"]
    assert suite.operations("test_it/test_late.osp") == ["PutObject"]
    suite.run("--s3-record-mode=none").assert_outcomes(passed=3)
    assert not suite.had_a_store


def test_a_fixture_without_a_recorded_answer_says_so_once(suite):
    suite.write(AROUND)
    result = suite.run("--s3-record-mode=none", "-k", "before")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_before.osp: there is no such recording:", "    PutObject bucket/seed"])


def test_what_they_ask_for_after_the_test_has_to_be_recorded_as_well(suite):
    suite.write(AROUND)
    suite.run().assert_outcomes(passed=3)
    before = (suite.folder / "recordings/test_it/test_before.osp").read_bytes()
    suite.write(
        AROUND.replace(
            '    s3.delete_object(Bucket="bucket", Key="seed")',
            """
    try:
        s3.delete_object(Bucket="bucket", Key="other")
    except Exception:
        pass
""",
        )
    )
    result = suite.run("-k", "before")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*it has no answer, or none any more, to these requests:", "    DeleteObject bucket/other"]
    )
    assert (suite.folder / "recordings/test_it/test_before.osp").read_bytes() == before
    assert not suite.had_a_store


def test_nor_is_what_asked_for_nothing(suite):
    suite.write("def test_idle(s3_recording):\n    pass\n")
    suite.run().assert_outcomes(passed=1)
    assert not (suite.folder / "recordings").exists()


def test_each_test_has_a_recording_of_its_own_and_may_name_another(suite):
    suite.write(
        """
@pytest.mark.parametrize("key", ["plain", "../up", "a/b"])
def test_keys(s3, s3_recording, key):
    s3.put_object(Bucket="bucket", Key="k", Body=key.encode())

class TestClass:
    def test_keys(self, s3, s3_recording):
        s3.put_object(Bucket="bucket", Key="k", Body=b"x")

def test_named(s3, s3_recording):
    with s3_recording("shared/session").file.parent and pytest.raises(Exception, match="expected a name within"):
        s3_recording("../outside")
    s3.put_object(Bucket="bucket", Key="k", Body=b"named")
    with pytest.raises(Exception, match="expected this before the first one"):
        s3_recording("late")
"""
    )
    for _ in range(2):
        suite.run().assert_outcomes(passed=5)
    names = suite.recordings()
    assert len(names) == 5
    assert "test_it/shared/session.osp" in names
    assert all(name.startswith("test_it/") for name in names)
    assert not suite.had_a_store


def test_in_parallel(suite):
    suite.write("".join(SESSION.replace("test_session", f"test_{number}") for number in range(6)))
    for _ in range(2):
        suite.run("-n", "2").assert_outcomes(passed=6)
    assert len(suite.recordings()) == 6


# Faults

FAULTS = """
def test_retries(s3, s3_recording, s3_faults, s3_gateway):
    s3_faults.add("error", code="SlowDown", operations="PutObject", nth=1, name="busy")
    s3_faults.add("latency", latency=10, operations="GetObject")
    s3_faults.add("wrong_etag", operations="GetObject")
    etag = s3.put_object(Bucket="bucket", Key="a", Body=b"x")["ETag"]
    assert s3.get_object(Bucket="bucket", Key="a")["ETag"] != etag
    assert [(one.rule, one.type, one.text, one.operation, one.key) for one in s3_faults.seen] == [
        ("busy", "error", "503 SlowDown", "PutObject", "a"),
        ("faults[1]", "latency", "10 ms of latency", "GetObject", "a"),
        ("faults[2]", "wrong_etag", "the ETag is another", "GetObject", "a"),
    ]
    assert [(one.status, one.faults) for one in s3_gateway.requests()] == [
        (503, ("busy",)), (200, ()), (200, ("faults[1]", "faults[2]"))
    ]

def test_a_cut_body(s3, s3_recording, s3_faults):
    s3.put_object(Bucket="bucket", Key="a", Body=b"x" * 100_000)
    s3_faults.add("limit_data", bytes=1000, nth=1)
    with pytest.raises(Exception, match="Connection broken"):
        s3.get_object(Bucket="bucket", Key="a")["Body"].read()
    assert len(s3.get_object(Bucket="bucket", Key="a")["Body"].read()) == 100_000

def test_lost_parts(s3, s3_recording, s3_faults):
    upload = s3.create_multipart_upload(Bucket="bucket", Key="a")["UploadId"]
    s3_faults.add("duplicate_part", nth=1)
    s3_faults.add("lost_part", nth=3)
    which = dict(Bucket="bucket", Key="a", UploadId=upload)
    etags = [s3.upload_part(PartNumber=number, Body=b"x" * 6_000_000, **which)["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    with pytest.raises(Exception, match="InvalidPart"):
        s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **which)

def test_afterwards_nothing_is_broken(s3, s3_recording, s3_faults):
    s3.put_object(Bucket="bucket", Key="a", Body=b"x")
    assert s3_faults.seen == []
"""


def test_faults_happen_online_and_offline_alike(suite):
    suite.write(FAULTS)
    suite.run().assert_outcomes(passed=4)
    for recorded in suite.recordings():
        assert "503" not in recorded
    suite.run("--s3-record-mode=none").assert_outcomes(passed=4)
    assert not suite.had_a_store


NOT_HAPPENED = """
from botocore.exceptions import ClientError

PUT = dict(Bucket="bucket", Key="a", Body=b"0123456789")

@pytest.mark.parametrize("type, rule", [
    ("corrupt", dict(at=10)), ("corrupt", dict(at=10, stream="upstream")), ("limit_data", dict(bytes=10)),
    ("stall", dict(bytes=10, stream="upstream")), ("reset_peer", dict(bytes=10)), ("lost_part", {}),
    ("wrong_etag", dict(operations="DeleteObject")), ("bandwidth", dict(rate=1, operations="HeadObject")),
    ("slicer", dict(average_size=3, stream="upstream", operations="GetObject")),
])
def test_not_happened(s3, s3_gateway, s3_recording, s3_faults, type, rule):
    s3_faults.add(type, times=1, **rule)
    s3.put_object(**PUT)
    s3.head_object(Bucket="bucket", Key="a")
    assert s3.get_object(Bucket="bucket", Key="a")["Body"].read() == PUT["Body"]
    s3.delete_object(Bucket="bucket", Key="a")
    assert s3_faults.seen == []
    assert [one.faults for one in s3_gateway.requests()] == [()] * 4

def test_times_are_those_that_happened(s3, s3_recording, s3_faults):
    s3.put_object(**PUT)
    s3_faults.add("corrupt", at=3, times=1)
    s3.head_object(Bucket="bucket", Key="a")
    with pytest.raises(ClientError):
        s3.get_object(Bucket="bucket", Key="b")
    assert [(one.operation, one.text) for one in s3_faults.seen] == [("GetObject", "octet 3 is corrupted downstream")]
    s3_faults.clear()
    s3_faults.add("corrupt", at=9, times=1)
    s3.head_object(Bucket="bucket", Key="a")
    assert [s3.get_object(Bucket="bucket", Key="a")["Body"].read() for _ in range(2)] == [b"0123456788", b"0123456789"]

def test_a_refusal_can_be_broken(s3, s3_gateway, s3_faults):
    s3_faults.add("latency", latency=1)
    s3_faults.add("error", code="SlowDown", nth=1)
    s3.put_object(**PUT)
    assert [sorted(one.faults) for one in s3_gateway.requests()] == [["faults[0]", "faults[1]"], ["faults[0]"]]
"""


def test_a_fault_that_has_not_happened_is_not_told(suite):
    suite.write(NOT_HAPPENED)
    suite.run().assert_outcomes(passed=11)
    suite.run("--s3-record-mode=none").assert_outcomes(passed=11)


def test_a_file_of_faults_and_mistakes(suite):
    (suite.folder / "faults.toml").write_text('[[faults]]\ntype = "error"\ncode = "NoSuchKey"\n')
    suite.write(
        """
def test_file(s3, s3_faults):
    s3_faults.load("faults.toml")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="bucket", Key="a")
    with pytest.raises(Exception, match="latency: missing, expected a value"):
        s3_faults.add("latency")
    with pytest.raises(Exception, match="No such file"):
        s3_faults.load("nothing.toml")
    s3_faults.clear()
    s3.put_object(Bucket="bucket", Key="a", Body=b"x")
"""
    )
    suite.run().assert_outcomes(passed=1)


# What goes wrong


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"s3_record_mode": "twice"}, "s3_record_mode: expected one of none, once, new_episodes, all, got 'twice'"),
        ({"s3_gateway_config": "nothing.py"}, "nothing.py: no such file"),
        ({"s3_gateway_buckets": ""}, "s3_gateway_buckets: expected at least one name"),
    ],
)
def test_wrong_settings_end_it_with_one_line(suite, settings, said):
    suite.ini(**settings)
    suite.write(SESSION)
    result = suite.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


def test_so_does_a_mode_that_is_none(suite):
    suite.write(SESSION)
    result = suite.run("--s3-record-mode=twice")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "invalid choice: 'twice'" in result.stderr.str()


def test_a_gateway_that_does_not_start_says_why(suite):
    (suite.folder / "server.toml").write_text('server_nam = "x"\n')
    suite.ini(s3_gateway_config="server.toml")
    suite.write(SESSION)
    result = suite.run()
    result.assert_outcomes(errors=1)
    assert "server_nam: unknown field; known are" in result.stdout.str()
    assert "cos_map: missing" in result.stdout.str()


def test_threads_take_turns_to_ask_the_gateway(suite):
    suite.write(
        """
from concurrent.futures import ThreadPoolExecutor

def test_threads(s3_gateway, s3_faults):
    def look(number):
        assert s3_gateway.requests() == []
        s3_faults.add("latency", latency=number, name=f"{number}")
        return s3_faults.seen

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(look, range(200))) == [[]] * 200
"""
    )
    suite.run().assert_outcomes(passed=1)


def test_an_answer_that_nobody_waited_for_is_nobody_elses(suite):
    suite.write(
        """
def test_impatient(s3_gateway, s3_faults):
    process = s3_gateway.session.process
    patient = process._heard
    process._heard = lambda *_: 1 / 0
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            s3_gateway.requests()
    process._heard = patient
    s3_faults.add("latency", latency=1)
    assert s3_gateway.requests() == []
    with pytest.raises(Exception, match="latency: missing, expected a value"):
        s3_faults.add("latency")
    assert s3_faults.seen == []
"""
    )
    suite.run().assert_outcomes(passed=1)


def test_what_cannot_be_sent_or_read_is_said_at_once(suite):
    suite.write(
        """
def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value

VALUES = {"octets": b"octets", "set": {1}, "digits": 10**5000, "deep": nested(500), "deeper": nested(100_000)}

@pytest.mark.parametrize("name", VALUES)
def test_values(s3_faults, name):
    with pytest.raises(Exception) as caught:
        s3_faults.add("stall", bytes=VALUES[name])
    assert type(caught.value).__name__ == "TestingError"
    assert s3_faults.seen == []

def test_ended(s3_gateway):
    s3_gateway.session.process.process.kill()
    for _ in range(3):
        with pytest.raises(Exception, match="the gateway has ended"):
            s3_gateway.requests()
"""
    )
    suite.run().assert_outcomes(passed=6)


@pytest.mark.parametrize("swallows", [False, True])
def test_without_a_store_that_is_what_is_said(suite, swallows):
    suite.write(
        f"""
from osp_gateway.testing import store

def test_alone(s3, monkeypatch):
    monkeypatch.setattr(store.shutil, "which", lambda name: None)
    monkeypatch.setattr(store.sys, "executable", "/nowhere/python")
    try:
        s3.list_objects_v2(Bucket="bucket")
    except Exception:
        if not {swallows}:
            raise
"""
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    assert "there is no store: expected `s3_gateway_config`" in result.stdout.str()


def test_a_failing_test_shows_what_the_gateway_said(suite):
    suite.write(
        """
def test_denied(s3, s3_gateway):
    kwargs = {**s3_gateway.client_kwargs(), "aws_secret_access_key": "wrong-fake-secret"}
    boto3.client("s3", **kwargs).get_object(Bucket="bucket", Key="a")
"""
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- S3 gateway -*", "*REFUSED*SignatureDoesNotMatch*"])


def test_a_suite_that_does_not_use_it_is_left_alone(suite):
    suite.pytester.makepyfile(
        """
        import logging, sys

        def test_nothing():
            assert "mitmproxy" not in sys.modules and "boto3" not in sys.modules and "botocore" not in sys.modules
            assert logging.getLogger().level == logging.WARNING
        """
    )
    suite.run().assert_outcomes(passed=1)


def test_nothing_is_left_running(suite):
    suite.write(
        SESSION
        + """
def test_pids(s3_gateway):
    session = s3_gateway.session
    processes = (session.process.process, session.store._running.process)
    with open("pids", "w") as file:
        file.write(" ".join(str(process.pid) for process in processes))
"""
    )
    suite.run().assert_outcomes(passed=2)
    pids = (suite.folder / "pids").read_text().split()
    assert len(pids) == 2
    for pid in pids:
        assert states_of("-p", pid) in ("", "Z")


TELLS_ITS_PROCESSES = """
    s3.list_objects_v2(Bucket="bucket")
    session = s3_gateway.session
    with open("pids", "w") as file:
        file.write(f"{session.process.process.pid} {session.store._running.process.pid}")
"""


def states_of(option: str, pid: str) -> str:
    """Of one process (`-p`), or of its whole group (`-g`), as ps tells them."""
    command = ["ps", "-o", "stat=", option, pid]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def test_nor_where_a_test_has_forked(suite):
    suite.write(
        """
import os, signal

def test_forked(s3, s3_gateway):
"""
        + TELLS_ITS_PROCESSES
        + """
    if (pid := os.fork()) == 0:
        with pytest.raises(Exception, match="expected this from the process that pytest runs in"):
            s3_gateway.requests()
        signal.pause()
    with open("fork", "w") as file:
        file.write(str(pid))
"""
    )
    suite.run().assert_outcomes(passed=1)
    try:
        for pid in (suite.folder / "pids").read_text().split():
            assert states_of("-g", pid) in ("", "Z"), "itself, and what it has started"
    finally:
        os.kill(int((suite.folder / "fork").read_text()), signal.SIGKILL)


SHADOWS = ("calendar.py", "h2.py", "tokenize.py", "flask/__init__.py", "mitmproxy/__init__.py", "subprocess.py")


def test_what_lies_in_the_folder_is_none_of_its_imports(suite):
    for name in SHADOWS:
        (suite.folder / name).parent.mkdir(exist_ok=True)
        (suite.folder / name).write_text("raise ImportError('of the project under test')\n")
    tests = suite.pytester.mkdir("tests")
    (tests / "test_it.py").write_text(HEAD + SESSION)
    options = ["-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:asyncio", "--import-mode=importlib"]
    command = [Path(sys.executable).with_name("pytest"), *options, f"--basetemp={suite.folder / 'temp'}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # pytester's has the folder in its path
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_nor_where_pytest_is_killed(suite):
    suite.write(
        """
import os, signal, time

def test_killed(s3, s3_gateway):
"""
        + TELLS_ITS_PROCESSES
        + """
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    suite.run()
    for pid in (suite.folder / "pids").read_text().split():
        deadline = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and "(zombie)" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < deadline, "it runs on"
            time.sleep(0.05)
