from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.routes import ApiKey, BucketRoute, Endpoint, Routes, preferred_style, region_of, resolve
from osp_gateway.s3.address import AddressingStyle
from osp_gateway.s3.errors import S3Error

TLS = Endpoint("store.example.test", 443, True)
PLAIN = Endpoint("store.example.test", 80, False)


def routes(*patterns: str) -> Routes:
    return Routes(BucketRoute(pattern) for pattern in patterns)


@pytest.mark.parametrize(
    ("patterns", "bucket", "found"),
    [
        (("logs", "logs*", "*"), "logs", "logs"),
        (("*", "logs*", "logs"), "logs", "logs"),
        (("*", "logs-*"), "logs-1", "logs-*"),
        (("logs-*", "logs-2026-*", "*"), "logs-2026-01", "logs-2026-*"),
        (("logs-*", "logs-2026-*", "*"), "logs-2025-01", "logs-*"),
        (("a*", "a?"), "ab", "a?"),
        (("*-eu", "logs-*"), "logs-eu", "logs-*"),
        (("*",), "anything", "*"),
        (("[ab]*", "*"), "bucket", "[ab]*"),
        (("a-*-*", "a-*"), "a-b-c", "a-*-*"),
    ],
)
def test_an_exact_name_comes_first_then_the_most_specific_pattern(
    patterns: tuple[str, ...], bucket: str, found: str
) -> None:
    assert routes(*patterns).find(bucket).pattern == found


@given(st.permutations(["logs", "logs-*", "logs-2026-*", "logs-????", "*-eu", "*"]))
def test_the_order_in_which_buckets_are_configured_does_not_matter(patterns: list[str]) -> None:
    subject = routes(*patterns)
    found = {name: subject.find(name).pattern for name in ("logs", "logs-1", "logs-2026-1", "x-eu", "other")}
    assert found == {"logs": "logs", "logs-1": "logs-*", "logs-2026-1": "logs-2026-*", "x-eu": "*-eu", "other": "*"}


@pytest.mark.parametrize("bucket", ["other", "demo2", "Demo", "", "demo\n", "*"])
def test_an_unknown_bucket_does_not_exist(bucket: str) -> None:
    with pytest.raises(S3Error) as caught:
        routes("demo", "logs-*").find(bucket)
    assert (caught.value.code, caught.value.details) == ("NoSuchBucket", {"BucketName": bucket})


def test_patterns_are_not_names() -> None:
    assert routes("demo", "logs-*", "*", "a").names == ("demo", "a")


@pytest.mark.parametrize(("patterns", "expected"), [(("*", "demo"), "*"), (("demo", "**"), None), ((), None)])
def test_the_catch_all_is_the_star_alone(patterns: tuple[str, ...], expected: str | None) -> None:
    found = routes(*patterns).catch_all
    assert (found.pattern if found else None) == expected


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("s3.eu-west-3.amazonaws.com", "eu-west-3"),
        ("s3-eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3.dualstack.us-west-2.amazonaws.com", "us-west-2"),
        ("s3-fips.us-east-2.amazonaws.com", "us-east-2"),
        ("s3-fips.dualstack.us-west-2.amazonaws.com", "us-west-2"),
        ("s3.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("s3.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("bucket.vpce-0a1b2c3d-4e5f6a7b.s3.us-east-2.vpce.amazonaws.com", "us-east-2"),
        ("s3.amazonaws.com", None),
        ("s3.eu-de.cloud-object-storage.appdomain.cloud", "eu-de"),
        ("s3.private.us-south.cloud-object-storage.appdomain.cloud", "us-south"),
        ("s3.direct.eu-gb.cloud-object-storage.appdomain.cloud", "eu-gb"),
        ("s3.us.cloud-object-storage.appdomain.cloud", "us"),
        ("s3.eu-west-3.amazonaws.com.example.test", None),
        ("store.example.test", None),
        ("127.0.0.1", None),
    ],
)
def test_the_region_is_read_from_the_hosts_of_aws_and_ibm(host: str, region: str | None) -> None:
    assert region_of(host) == region


@pytest.mark.parametrize(
    ("bucket", "endpoint", "style"),
    [
        ("demo", TLS, AddressingStyle.VIRTUAL),
        ("demo", PLAIN, AddressingStyle.VIRTUAL),
        ("a.b", PLAIN, AddressingStyle.VIRTUAL),
        ("a.b", TLS, AddressingStyle.PATH),
        ("a..b", PLAIN, AddressingStyle.PATH),
        ("Demo", PLAIN, AddressingStyle.PATH),
        ("under_score", PLAIN, AddressingStyle.PATH),
        ("-demo", PLAIN, AddressingStyle.PATH),
        ("demo-", PLAIN, AddressingStyle.PATH),
        ("x" * 64, PLAIN, AddressingStyle.PATH),
        ("x" * 63, PLAIN, AddressingStyle.VIRTUAL),
        ("demo", Endpoint("127.0.0.1", 80, False), AddressingStyle.PATH),
        ("demo", Endpoint("::1", 80, False), AddressingStyle.PATH),
        ("demo", Endpoint("localhost", 80, False), AddressingStyle.VIRTUAL),
    ],
)
def test_virtual_hosted_style_is_preferred_but_for_what_cannot_be_a_host_name(
    bucket: str, endpoint: Endpoint, style: AddressingStyle
) -> None:
    assert preferred_style(bucket, endpoint) is style


@pytest.mark.parametrize("style", list(AddressingStyle))
def test_a_configured_style_is_kept(style: AddressingStyle) -> None:
    assert resolve(BucketRoute("demo", endpoint=TLS, style=style), "demo", None).style is style


@pytest.mark.parametrize(
    ("endpoint", "style", "authority"),
    [
        (TLS, AddressingStyle.VIRTUAL, "demo.store.example.test"),
        (TLS, AddressingStyle.PATH, "store.example.test"),
        (Endpoint("store.example.test", 9000, True), AddressingStyle.VIRTUAL, "demo.store.example.test:9000"),
        (Endpoint("store.example.test", 443, False), AddressingStyle.PATH, "store.example.test:443"),
        (Endpoint("store.example.test", 80, True), AddressingStyle.PATH, "store.example.test:80"),
        (Endpoint("::1", 9000, False), AddressingStyle.PATH, "[::1]:9000"),
    ],
)
def test_the_host_header_is_written_as_clients_write_it(
    endpoint: Endpoint, style: AddressingStyle, authority: str
) -> None:
    assert resolve(BucketRoute("demo", endpoint=endpoint, style=style), "demo", None).authority == authority


def test_the_route_names_the_bucket_on_the_backend() -> None:
    destination = resolve(BucketRoute("demo", endpoint=TLS, backend_bucket="theirs"), "demo", None)
    assert (destination.client_bucket, destination.bucket) == ("demo", "theirs")
    assert destination.authority == "theirs.store.example.test"


@pytest.mark.parametrize(
    ("configured", "host", "region"),
    [
        ("eu-test-1", "s3.eu-west-3.amazonaws.com", "eu-test-1"),
        (None, "s3.eu-west-3.amazonaws.com", "eu-west-3"),
        (None, "store.example.test", "us-east-1"),
    ],
)
def test_the_region_is_the_configured_one_or_the_hosts_own(configured: str | None, host: str, region: str) -> None:
    assert resolve(BucketRoute("demo", Endpoint(host, 443, True), configured), "demo", None).region == region


def test_a_bucket_without_a_host_goes_to_the_reverse_target() -> None:
    assert resolve(BucketRoute("demo"), "demo", PLAIN).endpoint == PLAIN


def test_a_buckets_own_host_comes_before_the_reverse_target() -> None:
    assert resolve(BucketRoute("demo", endpoint=TLS), "demo", PLAIN).endpoint == TLS


@pytest.mark.parametrize("target", [None, Endpoint("s3.invalid", 80, False)])
def test_without_any_host_there_is_no_backend(target: Endpoint | None) -> None:
    with pytest.raises(S3Error) as caught:
        resolve(BucketRoute("demo"), "demo", target)
    assert caught.value.code == "ServiceUnavailable"


def test_the_root_has_no_bucket_on_the_backend_even_where_the_pattern_names_one() -> None:
    assert resolve(BucketRoute("*", endpoint=TLS, backend_bucket="theirs"), "", None).bucket == ""


def test_an_api_key_is_not_shown() -> None:
    assert "fake" not in repr(BucketRoute("demo", credentials=ApiKey("fake-api-key")))
