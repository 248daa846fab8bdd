"""Programs under test talk to the gateway, whatever their environment said before."""

from __future__ import annotations

import configparser

import pytest

from osp_gateway.testing.environment import variables, without_proxy

URL, KEY, SECRET, REGION = "http://127.0.0.1:7777", "test-fake-key", "test-fake-secret", "eu-west-1"


@pytest.fixture
def laid(tmp_path):
    return variables(URL, KEY, SECRET, REGION, tmp_path, {})


@pytest.mark.parametrize(
    "name",
    [
        "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_S3_CONTROL", "AWS_ENDPOINT_URL_STS",
        "AWS_ENDPOINT", "S3_ENDPOINT_URL",
    ],
)  # fmt: skip
def test_every_name_of_an_endpoint_is_the_gateways(laid, name):
    assert laid[name] == URL


@pytest.mark.parametrize("name", ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ROLE_ARN"])
def test_what_belongs_to_other_credentials_is_empty_where_it_is_there(tmp_path, laid, name):
    assert name not in laid
    assert variables(URL, KEY, SECRET, REGION, tmp_path, {name: "real"})[name] == ""


def test_a_profile_is_ours_and_holds_the_same(tmp_path, laid):
    for name, fields in (
        ("AWS_CONFIG_FILE", {"region": REGION}),
        ("AWS_SHARED_CREDENTIALS_FILE", {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}),
    ):
        file = configparser.ConfigParser()
        assert file.read(laid[name])
        assert {name: dict(section) for name, section in file.items() if name != "DEFAULT"} == {"default": fields}
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        assert name not in laid
        assert variables(URL, KEY, SECRET, REGION, tmp_path, {name: "real"})[name] == "default"


def test_where_no_key_is_known_the_profile_has_none_either(tmp_path):
    laid = variables(URL, "", "", REGION, tmp_path, {})
    file = configparser.ConfigParser()
    file.read(laid["AWS_SHARED_CREDENTIALS_FILE"])
    assert dict(file["default"]) == {}


@pytest.mark.parametrize(
    ("around", "names"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"HTTP_PROXY": "http://proxy:8080"}, "127.0.0.1,localhost"),
        ({"no_proxy": "a, .b,"}, "a,.b,127.0.0.1,localhost"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,b,127.0.0.1,localhost"),
        ({"NO_PROXY": "localhost"}, "localhost,127.0.0.1"),
        ({"NO_PROXY": "*"}, "*"),  # in a list of several some would take it for a name
    ],
)
def test_no_proxy_is_asked_for_the_gateway(around, names):
    assert without_proxy(around) == {"no_proxy": names, "NO_PROXY": names}
