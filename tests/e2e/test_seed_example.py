"""The example server of the system that this project answers, with nothing but its import lines changed.

Its text stays where it is: it is read from the page beside the repository, where there is one.
"""

import re
import sys

import pytest

from support.processes import REPO, Running, gateway
from support.raw import ask
from support.s3 import client

PAGE = REPO.parent / "shared" / "seed" / "object-storage-proxy.txt"
ENVIRONMENT = {
    "COS_API_KEY": "fake-cos-api-key",
    "ACCESS_KEY": "fake-backend-key",
    "SECRET_KEY": "fake-backend-secret",
    "PROXY_BUCKET05_ACCESS_KEY": "fake-bucket05-key",
    "PROXY_BUCKET05_SECRET_KEY": "fake-bucket05-secret",
    "AWS_ACCESS_KEY": "fake-aws-key",
    "AWS_SECRET_KEY": "fake-aws-secret",
    "LOCAL_ACCESS_KEY": "fake-local-key",
    "LOCAL_SECRET_KEY": "fake-local-secret",
    "LOCAL2_ACCESS_KEY": "fake-local2-key",
    "LOCAL2_SECRET_KEY": "fake-local2-secret",
    "OSP_ENABLE_REQUEST_COUNTING": "true",
}
BUCKETS = {"bucket1", "bucket2", "proxy-bucket01", "proxy-bucket05", "proxy-aws-bucket01"}

pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="the page with the example server is not beside this repository"
)


def example():
    """The example with its import lines changed."""
    match = re.search(r'^import json\n.*?^if __name__ == "__main__":\n    main\(\)\n', PAGE.read_text(), re.M | re.S)
    assert match, "the page has no example server"
    lines = match[0].splitlines(keepends=True)
    return "".join(
        line.replace("object_storage_proxy", "osp_gateway") if line.startswith(("import ", "from ")) else line
        for line in lines
    )


@pytest.fixture(scope="module", params=["osp_config", "program"])
def port(request, tmp_path_factory):
    """The port of the example, read through `osp_config` or run as a program."""
    folder = tmp_path_factory.mktemp("seed")
    if request.param == "osp_config":
        with gateway(folder, example(), env=ENVIRONMENT) as running:
            yield running.ports[0]
        return
    path = folder / "server.py"
    path.write_text(example().replace("6190", "0"))
    running = Running([sys.executable, str(path)], folder / "log", ENVIRONMENT)
    try:
        yield int(running.wait_for(r"listening at [^\s]*?:(\d+)\.?\s")[0][1])
    finally:
        running.stop()


def test_it_denies_an_unsigned_request(port):
    answer = ask(port, b"GET /bucket1/key HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize("name", ["local2", "local"])
def test_it_lists_the_buckets_for_a_key_that_it_knows(port, name):
    """`local2` is in its keystore, `local` is found by its function."""
    s3 = client(f"http://127.0.0.1:{port}", f"fake-{name}-key", f"fake-{name}-secret")
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == BUCKETS


def test_it_refuses_a_key_that_it_does_not_know(port):
    s3 = client(f"http://127.0.0.1:{port}", "fake-unknown-key", "fake-unknown-secret")
    with pytest.raises(s3.exceptions.ClientError) as caught:
        s3.list_buckets()
    assert caught.value.response["Error"]["Code"] == "InvalidAccessKeyId"


def test_the_example_differs_from_the_page_in_two_lines_only():
    changed = [line for line in example().splitlines() if line not in PAGE.read_text().splitlines()]
    assert len(changed) == 2
    assert all(line.startswith(("import ", "from ")) for line in changed)
