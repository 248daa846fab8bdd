"""A wrong configuration is refused at start: one line per mistake, no secret, and nothing listens."""

import subprocess

import pytest

from support.processes import ADDON, BIN, CLIENT_KEY, CLIENT_SECRET, REPO, START_SECONDS

WRONG_PYTHON = """
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={
        'first': {'host': 1, 'port': 'FAKE-SECRET-A', 'access_key': 'k', 'secret_key': 'FAKE-SECRET-B'},
        'second': {'host': 'h', 'secret_kye': 'FAKE-SECRET-C'},
    },
    hmac_keystore=[dict(access_key='key', secret_key=b'FAKE-SECRET-D')],
    validator='FAKE-SECRET-E',
)
"""
MISTAKES = [
    "cos_map['first'].host",
    "cos_map['first'].port",
    "cos_map['second'].secret_kye",
    "validator",
]
WRONG_TOML = """
http_prot = 6190
hmac_keystore = [{access_key = "key", secret_key = "FAKE-SECRET-A", buckets = 1}]
[cos_map.first]
host = "h"
access_key = "FAKE-SECRET-B"
"""
OTHERS = {
    "syntax error": ("server.py", "SECRET = 'FAKE-SECRET-A\n"),
    "exception with a value in its text": ("server.py", "int('FAKE-SECRET-A')\n"),
    "key error with a value in its text": ("server.py", "{}['FAKE-SECRET-A']\n"),
    "unknown import": ("server.py", "import module_that_is_not_there  # FAKE-SECRET-A\n"),
    "no configuration": ("server.py", "SECRET = 'FAKE-SECRET-A'\n"),
    "configuration of another type": ("server.py", "config = 'FAKE-SECRET-A'\n"),
    "not TOML": ("server.toml", 'secret = "FAKE-SECRET-A\n'),
    "TOML with other fields": ("server.toml", 'secret = "FAKE-SECRET-A"\n'),
    "another kind of file": ("server.yaml", "secret: FAKE-SECRET-A\n"),
    "wrong python": ("server.py", WRONG_PYTHON),
    "wrong toml": ("server.toml", WRONG_TOML),
}


def run(*command):
    """A program that ends by itself: its status and all that it wrote."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_SECONDS, check=False
    )
    return done.returncode, done.stdout + done.stderr


def mitmdump(folder, config):
    mode = ("--mode", "reverse:http://s3.invalid@127.0.0.1:0")
    options = ("--set", f"confdir={folder / 'confdir'}", *(("--set", f"osp_config={config}") if config else ()))
    return run(str(BIN / "mitmdump"), "-s", str(ADDON), *mode, *options)


def osp_check(folder, config):
    return run(str(BIN / "osp"), "check", str(config))


def osp_serve(folder, config):
    return run(str(BIN / "osp"), "serve", str(config))


PROGRAMS = pytest.mark.parametrize("start", [mitmdump, osp_check, osp_serve])


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


@PROGRAMS
def test_every_mistake_has_a_line_of_its_own(tmp_path, start):
    status, output = start(tmp_path, write(tmp_path, "server.py", WRONG_PYTHON))
    assert status != 0
    for mistake in MISTAKES:
        assert sum(f"server.py: {mistake}" in line for line in output.splitlines()) == 1, mistake


@PROGRAMS
@pytest.mark.parametrize("kind", OTHERS)
def test_a_wrong_file_is_refused_without_telling_its_secrets(tmp_path, start, kind):
    name, text = OTHERS[kind]
    status, output = start(tmp_path, write(tmp_path, name, text))
    assert status != 0
    assert name in output
    assert "FAKE-SECRET" not in output


@PROGRAMS
@pytest.mark.parametrize("kind", ["wrong python", "wrong toml", "syntax error"])
def test_a_wrong_file_is_refused_without_a_trace(tmp_path, start, kind):
    name, text = OTHERS[kind]
    _, output = start(tmp_path, write(tmp_path, name, text))
    assert "Traceback" not in output


@PROGRAMS
@pytest.mark.parametrize("kind", ["wrong python", "no configuration"])
def test_nothing_listens_with_a_wrong_file(tmp_path, start, kind):
    name, text = OTHERS[kind]
    _, output = start(tmp_path, write(tmp_path, name, text))
    assert "listening" not in output


@PROGRAMS
def test_a_file_that_is_not_there_is_named(tmp_path, start):
    status, output = start(tmp_path, tmp_path / "nowhere.py")
    assert status != 0
    assert "nowhere.py: no such file" in output


def test_mitmdump_without_osp_config_ends_and_says_what_is_missing(tmp_path):
    status, output = mitmdump(tmp_path, None)
    assert status != 0
    assert "osp_config is not set" in output


RIGHT = f"""
from osp_gateway import ProxyServerConfig
config = ProxyServerConfig(
    cos_map={{'demo': dict(host='h', access_key='k', secret_key='FAKE-SECRET-A')}},
    hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
    validator=lambda token, bucket: True,
)
"""


def test_check_says_that_a_right_file_is_right(tmp_path):
    status, output = osp_check(tmp_path, write(tmp_path, "server.py", RIGHT))
    assert status == 0
    assert "server.py: ok" in output
    assert "demo" in output
    assert "FAKE-SECRET" not in output


def test_serve_needs_a_port(tmp_path):
    status, output = osp_serve(tmp_path, write(tmp_path, "server.py", RIGHT))
    assert status != 0
    assert "http_port" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("start", [mitmdump, osp_serve])
def test_a_certificate_that_cannot_be_read_is_refused(tmp_path, start):
    (tmp_path / "cert.pem").write_text("FAKE-SECRET-A")
    files = f"http_port=0, cert_path={str(tmp_path / 'cert.pem')!r}, key_path={str(tmp_path / 'cert.pem')!r},\n)"
    text = RIGHT.rstrip().removesuffix(")") + files
    status, output = start(tmp_path, write(tmp_path, "server.py", text))
    assert status != 0
    assert "cert_path" in output
    assert "FAKE-SECRET" not in output
    assert "listening" not in output
    assert "Traceback" not in output


def test_no_path_of_this_repository_is_needed_to_check_a_file(tmp_path):
    status, output = osp_check(tmp_path, write(tmp_path, "server.py", RIGHT))
    assert status == 0
    assert str(REPO) not in output
