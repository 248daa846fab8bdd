"""A store that has changed since the recording: `osp replay` exits with 1 and names what is not as it was."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from support.processes import BACKEND_KEY, BACKEND_SECRET, Store, rclone_server
from support.replays import Answer, changed, error_of, keys, osp, recording, replay, through
from support.s3 import client

BACKEND = keys(BACKEND_KEY, BACKEND_SECRET)
EXCHANGES = 8


def fill(s3: Any) -> None:
    """What the session found."""
    s3.put_object(Bucket="demo", Key="a.txt", Body=b"first", Metadata={"colour": "blue"}, ContentType="text/plain")
    s3.put_object(Bucket="demo", Key="b.bin", Body=bytes(2000))


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[tuple[Store, Path]]:
    """A store of the tests' own, and a session that was recorded before it."""
    folder = tmp_path_factory.mktemp("shop")
    with rclone_server(folder) as store:
        store.make_bucket("demo")
        fill(client(store.url, BACKEND_KEY, BACKEND_SECRET))
        with recording(folder, store, osp_record_body="1") as running:
            s3 = through(running)
            s3.list_objects_v2(Bucket="demo")
            s3.head_object(Bucket="demo", Key="a.txt")
            s3.get_object(Bucket="demo", Key="a.txt")["Body"].read()
            s3.get_object(Bucket="demo", Key="b.bin")["Body"].read()
            assert error_of(s3.get_object, Bucket="demo", Key="missing") == "NoSuchKey"
            s3.put_object(Bucket="demo", Key="c.bin", Body=bytes(5000))
            s3.get_object(Bucket="demo", Key="c.bin")["Body"].read()
            s3.delete_object(Bucket="demo", Key="c.bin")
        yield store, folder / "session.osp"


@pytest.fixture
def store(shop) -> Iterator[Store]:
    """The store, which afterwards is as it was."""
    yield shop[0]
    s3 = client(shop[0].url, BACKEND_KEY, BACKEND_SECRET)
    for entry in s3.list_objects_v2(Bucket="demo").get("Contents", []):
        s3.delete_object(Bucket="demo", Key=entry["Key"])
    fill(s3)


@pytest.fixture
def session(shop) -> Path:
    """The recording."""
    return shop[1]


def test_a_store_that_has_not_changed_is_green(store, session):
    done = replay(session, store.url, env=BACKEND)
    assert done.is_green(EXCHANGES), done.said
    with changed(store, lambda _: None) as url:
        done = replay(session, url, env=BACKEND)
    assert done.is_green(EXCHANGES), done.said


OTHER_OBJECTS: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "an object's content": (
        lambda s3: s3.put_object(Bucket="demo", Key="b.bin", Body=bytes(1999) + b"!"),
        ["GetObject b.bin: body", "GetObject b.bin: header etag", "ListObjectsV2 : ListBucketResult/Contents[2]/ETag"],
    ),
    "an object is missing": (
        lambda s3: s3.delete_object(Bucket="demo", Key="b.bin"),
        ["GetObject b.bin: status", "ListObjectsV2 : ListBucketResult/Contents"],
    ),
    "an object that was not there": (
        lambda s3: s3.put_object(Bucket="demo", Key="missing", Body=b"now it is"),
        ["GetObject missing: status", "ListObjectsV2 : ListBucketResult/Contents"],
    ),
    "an object more in the listing": (
        lambda s3: s3.put_object(Bucket="demo", Key="extra", Body=b""),
        ["ListObjectsV2 : number of ListBucketResult/Contents", "ListObjectsV2 : ListBucketResult/Contents"],
    ),
    "metadata": (
        lambda s3: s3.put_object(Bucket="demo", Key="a.txt", Body=b"first", Metadata={"colour": "red"}),
        ["GetObject a.txt: header x-amz-meta-colour", "HeadObject a.txt: header x-amz-meta-colour"],
    ),
    "an object's size": (
        lambda s3: s3.put_object(Bucket="demo", Key="a.txt", Body=b"longer", Metadata={"colour": "blue"}),
        [
            "GetObject a.txt: body",
            "HeadObject a.txt: header content-length",
            "ListObjectsV2 : ListBucketResult/Contents[1]/Size",
        ],
    ),
}


@pytest.mark.parametrize("case", OTHER_OBJECTS)
@pytest.mark.parametrize("more", [(), ("--concurrent",)], ids=["in-order", "concurrent"])
def test_other_objects_are_noticed(store, session, case, more):
    change, expected = OTHER_OBJECTS[case]
    change(client(store.url, BACKEND_KEY, BACKEND_SECRET))
    done = replay(session, store.url, *more, env=BACKEND)
    assert done.status == 1
    assert set(expected) <= set(done.found), done.said


def when(method: str, part: str, change: Callable[[Answer], None]) -> Callable[[Answer], None]:
    """A change of some answers only."""

    def changes(answer: Answer) -> None:
        if answer.method == method and part in answer.path:
            change(answer)

    return changes


def truncated(answer: Answer) -> None:
    answer.length, answer.body = len(answer.body), answer.body[:-1]


def corrupted(answer: Answer) -> None:
    answer.body = bytes([answer.body[0] ^ 1]) + answer.body[1:]


def reversed_entries(answer: Answer) -> None:
    head, first, second = answer.body.split(b"<Contents>")
    second, end = second.split(b"</Contents>")
    answer.body = head + b"<Contents>" + second + b"</Contents><Contents>" + first + end


def set_header(name: str, value: str | None) -> Callable[[Answer], None]:
    def changes(answer: Answer) -> None:
        answer.headers = {n: v for n, v in answer.headers.items() if n.lower() != name}
        if value is not None:
            answer.headers[name] = value

    return changes


OTHER_ANSWERS: dict[str, tuple[Callable[[Answer], None], list[str]]] = {
    "the content type": (
        when("HEAD", "a.txt", set_header("content-type", "text/html")),
        ["HeadObject a.txt: header content-type"],
    ),
    "another error code": (
        when("GET", "missing", lambda answer: answer.fails(404, "NoSuchBucket")),
        ["GetObject missing: error code"],
    ),
    "a truncated body": (when("GET", "b.bin", truncated), ["GetObject b.bin: body"]),
    "a truncated document": (when("GET", "list-type", truncated), ["ListObjectsV2 : document"]),
    "a corrupted octet": (when("GET", "a.txt", corrupted), ["GetObject a.txt: body"]),
    "a corrupted octet of what was made up": (when("GET", "c.bin", corrupted), ["GetObject c.bin: body"]),
    "an entity tag of its own": (
        when("GET", "a.txt", set_header("etag", '"0123456789abcdef0123456789abcdef"')),
        ["GetObject a.txt: header etag"],
    ),
    "no entity tag": (when("HEAD", "a.txt", set_header("etag", None)), ["HeadObject a.txt: header etag"]),
    "denied access": (
        when("GET", "a.txt", lambda answer: answer.fails(403, "AccessDenied")),
        ["GetObject a.txt: error code", "GetObject a.txt: status"],
    ),
    "denied writing": (
        when("PUT", "c.bin", lambda answer: answer.fails(403, "AccessDenied")),
        ["PutObject c.bin: error code", "PutObject c.bin: status", "GetObject c.bin: body"],
    ),
    "another order of the listing": (
        when("GET", "list-type", reversed_entries),
        ["ListObjectsV2 : ListBucketResult/Contents[1]/Key", "ListObjectsV2 : ListBucketResult/Contents[2]/Key"],
    ),
    "a listing that says that there is more": (
        when("GET", "list-type", lambda a: a.replace(b"<IsTruncated>false", b"<IsTruncated>true")),
        ["ListObjectsV2 : ListBucketResult/IsTruncated"],
    ),
    "another status of a success": (
        when("DELETE", "c.bin", lambda answer: setattr(answer, "status", 200)),
        ["DeleteObject c.bin: status"],
    ),
}


@pytest.mark.parametrize("case", OTHER_ANSWERS)
def test_other_answers_are_noticed(store, session, case):
    change, expected = OTHER_ANSWERS[case]
    with changed(store, change) as url:
        done = replay(session, url, env=BACKEND)
    assert done.status == 1
    assert set(expected) <= set(done.found), done.said
    assert {found.partition(":")[0] for found in done.found} == {found.partition(":")[0] for found in expected}, (
        "and nothing else is named"
    )


def test_two_stores_are_compared_side_by_side(store, session):
    with changed(store, when("HEAD", "a.txt", set_header("content-type", "text/html"))) as url:
        done = replay(session, store.url, "--compare", url, env=BACKEND)
    assert done.found == [f"HeadObject a.txt: header content-type [{url}]"]


def test_a_store_that_is_not_there_is_red_everywhere(session, free_port):
    done = replay(session, f"http://127.0.0.1:{free_port}", env=BACKEND)
    assert done.status == 1
    assert done.result["different"] == EXCHANGES
    assert all("answer" in found for found in done.found)


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_keys_that_the_store_does_not_know_are_red(store, session):
    done = replay(session, store.url, env=keys("unknown-fake-key", "unknown-fake-secret"))
    assert done.status == 1
    assert done.result["different"] == EXCHANGES


def test_a_tolerance_turns_a_difference_green_again(store, session, tmp_path):
    file = tmp_path / "tolerances.toml"
    file.write_text('[[ignore]]\noperations = ["Head*"]\nheaders = ["content-type"]\n', encoding="utf-8")
    with changed(store, when("HEAD", "a.txt", set_header("content-type", "text/html"))) as url:
        done = osp("replay", session, "--against", url, "--tolerances", file, env=BACKEND)
    assert done.returncode == 0, done.stdout + done.stderr


def test_reports_for_people_ci_and_programs_say_the_same(store, session, tmp_path):
    client(store.url, BACKEND_KEY, BACKEND_SECRET).delete_object(Bucket="demo", Key="b.bin")
    arguments = ("--junit", tmp_path / "junit.xml", "--json", tmp_path / "report.json")
    done = osp("replay", session, "--against", store.url, *arguments, env=BACKEND)
    assert done.returncode == 1
    assert "#4 GetObject demo/b.bin\n    status: expected 200, found 404\n" in done.stdout
    assert done.stdout.endswith("6 of 8 exchanges as recorded, 2 with differences\n")
    suite = fromstring((tmp_path / "junit.xml").read_bytes())
    assert (suite.get("tests"), suite.get("failures")) == ("8", "2")
    assert json.loads((tmp_path / "report.json").read_text())["different"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "expected either --against URL or --serve"),
        (("--against", "http://h", "--serve"), "expected either --against URL or --serve"),
        (("--against", "ftp://h"), "expected http://HOST"),
        (("--against", "http://h", "--tolerances", "nowhere.toml"), "nowhere.toml: No such file"),
        (("--against", "http://h", "--as", "nobody"), "nobody"),
        (("--against", "http://h", "--as", "=x"), "expected IDENTITY=PROFILE"),
    ],
)
def test_wrong_usage_is_explained(session, arguments, says):
    done = osp("replay", session, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_recording_is_refused(tmp_path):
    for name, content in (("empty", b""), ("text", b"no flow file"), ("cut", b"100:abc")):
        file = tmp_path / name
        file.write_bytes(content)
        done = osp("replay", file, "--against", "http://h")
        assert done.returncode == 2, name
        assert str(file) in done.stderr
        assert "Traceback" not in done.stderr
