"""Commands at mitmweb's command bar, against a real store; what they export is run as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError
from mitmproxy.test import taddons

from osp_gateway.mitm.addon import OspAddon
from osp_gateway.mitm.commands import CommandsAddon
from support.mitmweb import CommandFailed, Web, mitmweb
from support.processes import CLIENT_KEY, CLIENT_SECRET, REPO, config_for
from support.raw import ask
from support.raw_s3 import presigned_target, send
from support.s3 import client
from support.signing import signed

COMMANDS = {
    "osp.allow.once",
    "osp.boto3",
    "osp.cache.clear",
    "osp.cache.show",
    "osp.config",
    "osp.curl",
    "osp.explain",
    "osp.keys",
    "osp.presign",
    "osp.python",
    "osp.reload",
}
VALIDATOR = """
def validator(token, bucket, request):
    return not request.key.startswith("denied/")
"""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": CLIENT_KEY,
    "AWS_SECRET_ACCESS_KEY": CLIENT_SECRET,
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
}


@pytest.fixture(scope="module")
def web(store, tmp_path_factory) -> Iterator[Web]:
    with mitmweb(tmp_path_factory.mktemp("web"), config_for(store, validator=VALIDATOR)) as running:
        yield running


@pytest.fixture
def s3(web) -> Any:
    return client(web.gateway.url)


def get_denied(s3: Any, key: str) -> str:
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="demo", Key=key)
    return caught.value.response["Error"]["Code"]


# What there is


def test_every_command_has_a_help_text_and_types() -> None:
    with taddons.context(CommandsAddon(OspAddon())) as context:
        commands = context.master.commands.commands
        assert commands.keys() >= COMMANDS
        for name in COMMANDS:
            assert commands[name].help
            assert "..." not in commands[name].signature_help()


def test_the_key_of_a_presigned_url_is_completed(web) -> None:
    assert web.command("osp.keys") == [CLIENT_KEY]


# Exports


def run(program: str, text: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    command = ["sh", "-c", text] if program == "osp.curl" else [sys.executable, "-c", text]
    return subprocess.run(command, env=CREDENTIALS, capture_output=True, cwd=folder, check=False, timeout=60)


@pytest.mark.parametrize("program", ["osp.curl", "osp.python"])
@pytest.mark.parametrize("key", ["plain", "with space+plus", 'it\'s $HOME `x` \\ "q"', "漢字/ü", "semi;colon&=?#%25"])
def test_what_is_exported_gets_the_object_again(web, s3, prefix, program, key, tmp_path) -> None:
    key = prefix + key
    s3.put_object(Bucket="demo", Key=key, Body=b"what is in it")
    s3.get_object(Bucket="demo", Key=key)["Body"].read()
    flow = f"@{web.flows()[-1]['id']}"
    text = web.command(program, flow)
    done = run(program, text, tmp_path)
    assert b"what is in it" in done.stdout, (text, done)


@pytest.mark.parametrize("program", ["osp.curl", "osp.python"])
@pytest.mark.parametrize("body", [b"a text", b"it's a 'text'\nof lines", bytes(range(256)), b""], ids=range(4))
def test_what_is_exported_puts_the_object_again(web, s3, direct, prefix, program, body, tmp_path) -> None:
    key = prefix + "put"
    s3.put_object(Bucket="demo", Key=key, Body=body, ContentType="text/x-fake", Metadata={"colour": "it's red"})
    text = web.command(program, f"@{web.flows()[-1]['id']}")
    direct.delete_object(Bucket="demo", Key=key)
    done = run(program, text, tmp_path)
    answer = direct.get_object(Bucket="demo", Key=key)
    assert answer["Body"].read() == body, (text, done)
    assert {name.lower(): value for name, value in answer["Metadata"].items()} == {"colour": "it's red"}


@pytest.mark.parametrize("program", ["osp.curl", "osp.python"])
def test_what_is_exported_of_other_operations_does_the_same(web, s3, prefix, program, tmp_path) -> None:
    s3.put_object(Bucket="demo", Key=prefix + "listed", Body=b"")
    s3.list_objects_v2(Bucket="demo", Prefix=prefix, Delimiter="/", MaxKeys=5)
    assert b"listed" in run(program, web.command(program, f"@{web.flows()[-1]['id']}"), tmp_path).stdout
    s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": prefix + "listed"}]})
    s3.put_object(Bucket="demo", Key=prefix + "listed", Body=b"")
    done = run(program, web.command(program, web.flow("/demo")), tmp_path)
    assert b"<Deleted>" in done.stdout, done


@pytest.mark.parametrize("program", ["osp.curl", "osp.python"])
def test_a_key_that_was_sent_less_encoded_than_it_is_signed_is_got_again(web, s3, prefix, program, tmp_path) -> None:
    target, port = f"/demo/{prefix}a!$&'(),;=:@b", web.gateway.ports[0]
    s3.put_object(Bucket="demo", Key=target.removeprefix("/demo/"), Body=b"what is in it")
    assert ask(port, signed(port, "GET", quote(target)).but(target=target).octets).status == 200
    done = run(program, web.command(program, f"@{web.flows()[-1]['id']}"), tmp_path)
    assert b"what is in it" in done.stdout, done


@pytest.mark.parametrize("program", ["osp.curl", "osp.python"])
def test_metadata_in_utf8_are_put_again_as_they_were(web, direct, prefix, program, tmp_path) -> None:
    key, port = f"{prefix}text", web.gateway.ports[0]
    raw = signed(port, "PUT", f"/demo/{key}", b"x", headers=(("x-amz-meta-a", "caf\xe9"),))
    assert ask(port, raw.octets.replace(b"caf\xe9", "caf\xe9".encode())).status == 200
    before = direct.head_object(Bucket="demo", Key=key)["Metadata"]
    text = web.command(program, f"@{web.flows()[-1]['id']}")
    direct.delete_object(Bucket="demo", Key=key)
    done = run(program, text, tmp_path)
    assert direct.head_object(Bucket="demo", Key=key)["Metadata"] == before, done


@pytest.mark.parametrize("program", ["osp.curl", "osp.python"])
def test_a_presigned_request_is_exported_as_a_signed_one(web, s3, prefix, program, tmp_path) -> None:
    s3.put_object(Bucket="demo", Key=prefix + "url", Body=b"from a URL")
    url = web.gateway.url
    assert send("GET", url, presigned_target("GET", url, f"/demo/{prefix}url")).status == 200
    text = web.command(program, f"@{web.flows()[-1]['id']}")
    assert "X-Amz" not in text
    assert b"from a URL" in run(program, text, tmp_path).stdout


@pytest.mark.parametrize("program", ["osp.curl", "osp.python"])
def test_no_secret_is_exported_and_what_is_masked_is_left_out(web, s3, prefix, program) -> None:
    extra = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef0123456789abcdef"}
    with pytest.raises(ClientError):
        s3.get_object(Bucket="demo", Key=prefix + "none", **extra)
    text = web.command(program, f"@{web.flows()[-1]['id']}")
    assert "left out, because masked: x-amz-server-side-encryption-customer-key" in text
    assert not re.search(r"redacted-|Signature=|0123456789abcdef|MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", text)
    assert CLIENT_SECRET not in text


def test_a_presigned_url_gets_the_object(web, s3, prefix) -> None:
    s3.put_object(Bucket="demo", Key=prefix + "a key", Body=b"for everybody")
    url = web.command("osp.presign", f"@{web.flows()[-1]['id']}", CLIENT_KEY, "60")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        assert answer.read() == b"for everybody"
    assert "X-Amz-Expires=60&" in url


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("unknown-fake-key",), "Invalid choice"), ((CLIENT_KEY, "0"), "found 0"), ((CLIENT_KEY, "604801"), "604800")],
)
def test_what_cannot_be_presigned_is_told(web, s3, prefix, arguments, told) -> None:
    s3.put_object(Bucket="demo", Key=prefix + "x", Body=b"")
    with pytest.raises(CommandFailed, match=told):
        web.command("osp.presign", f"@{web.flows()[-1]['id']}", *arguments)


# Once


def test_a_denied_request_passes_once(web, s3, direct, prefix) -> None:
    key = f"denied/{prefix}x"
    direct.put_object(Bucket="demo", Key=key, Body=b"let out")
    assert get_denied(s3, key) == "AccessDenied"
    web.command("osp.allow.once", f"@{web.flows()[-1]['id']}")
    assert get_denied(s3, f"denied/{prefix}another") == "AccessDenied"
    with pytest.raises(ClientError):
        s3.head_object(Bucket="demo", Key=key)
    assert s3.get_object(Bucket="demo", Key=key)["Body"].read() == b"let out"
    flow = web.flows()[-1]
    assert "ALLOWED ONCE by osp.allow.once" in flow["comment"]
    assert get_denied(s3, key) == "AccessDenied"
    assert "passes this once, by hand" in web.gateway.output()


def test_a_wrong_signature_is_refused_all_the_same_and_does_not_use_the_exception_up(web, s3, direct, prefix) -> None:
    key = f"denied/{prefix}x"
    direct.put_object(Bucket="demo", Key=key, Body=b"let out")
    get_denied(s3, key)
    web.command("osp.allow.once", f"@{web.flows()[-1]['id']}")
    wrong = client(web.gateway.url, secret="wrong-fake-secret")
    assert get_denied(wrong, key) == "SignatureDoesNotMatch"
    assert s3.get_object(Bucket="demo", Key=key)["Body"].read() == b"let out"


def test_what_no_authorizer_has_denied_gets_no_exception(web, s3, prefix) -> None:
    s3.put_object(Bucket="demo", Key=prefix + "x", Body=b"")
    with pytest.raises(CommandFailed, match="was not refused"):
        web.command("osp.allow.once", f"@{web.flows()[-1]['id']}")
    get_denied(client(web.gateway.url, secret="wrong-fake-secret"), prefix + "x")
    with pytest.raises(CommandFailed, match="not denied by an authorizer"):
        web.command("osp.allow.once", f"@{web.flows()[-1]['id']}")


def test_what_was_refused_for_its_body_gets_no_exception(web, prefix) -> None:
    port = web.gateway.ports[0]
    headers = (("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="),)
    assert ask(port, signed(port, "PUT", f"/demo/{prefix}x", b"body", headers=headers).octets).code == "BadDigest"
    with pytest.raises(CommandFailed, match="not denied by an authorizer, but: The Content-MD5"):
        web.command("osp.allow.once", f"@{web.flows()[-1]['id']}")


def test_osp_serve_makes_no_exceptions() -> None:
    source = (REPO / "addon" / "osp_gateway" / "mitm" / "serve.py").read_text(encoding="utf-8")
    assert "commands" not in source
    from osp_gateway import ProxyServerConfig

    config = ProxyServerConfig(
        cos_map={"demo": {"host": "store.example.test", "access_key": "fake", "secret_key": "fake"}},
        hmac_keystore=[{"access_key": "fake", "secret_key": "fake"}],
        validator=lambda token, bucket: False,
        http_port=0,
    )
    assert OspAddon(config.settings).grants is None


# The rest


def test_a_refusal_is_explained(web, prefix) -> None:
    port = web.gateway.ports[0]
    ask(port, signed(port, "GET", f"/demo/{prefix}x", secret="wrong-fake-secret").octets)
    text = web.command("osp.explain", f"@{web.flows()[-1]['id']}")
    assert "REFUSED" in text
    assert "What to look at" in text


def test_what_is_remembered_is_shown_and_forgotten(web, s3, prefix) -> None:
    s3.put_object(Bucket="demo", Key=prefix + "x", Body=b"")
    shown = dict(re.findall(r"^(.+?)  +(\d+)$", web.command("osp.cache.show"), re.MULTILINE))
    assert int(shown["decisions of authorizers"]) > 0
    web.command("osp.cache.clear")
    shown = dict(re.findall(r"^(.+?)  +(\d+)$", web.command("osp.cache.show"), re.MULTILINE))
    assert int(shown["decisions of authorizers"]) == 0


def test_the_configuration_is_shown_without_secrets(web, store) -> None:
    text = web.command("osp.config")
    assert f"keystore.{CLIENT_KEY} = access_key: {CLIENT_KEY}, secret_key: (set, not shown)" in text
    assert f"host: 127.0.0.1, port: {store.port}" in text
    assert "validator = validator" in text
    assert CLIENT_SECRET not in text
    assert store.secret_key not in text


def test_the_configuration_is_read_anew(web) -> None:
    web.command("osp.reload")
    web.gateway.running.wait_for("read anew; what was cached is found out anew")
