"""Metrics of a running gateway before a real S3 server: what they say is exactly what happened."""

import textwrap

import pytest

from support.processes import BACKEND_KEY, BACKEND_SECRET, CLIENT_KEY, CLIENT_SECRET, rclone_server
from support.raw import ask, talk
from support.s3 import client as s3_client
from support.scrape import OPEN_METRICS, after, metrics_page, scrape, scrape_when
from support.serving import HERE, PROGRAMS, Gate, configuration, serving
from support.signing import signed
from support.upstream import recording_upstream

SMALL, LARGE = b"a" * 1000, b"b" * 300_000
NOBODY_THERE = 9


def several_buckets(port):
    return textwrap.dedent(f"""
        from osp_gateway import ProxyServerConfig

        def store(**more):
            return dict(host='127.0.0.1', port={port}, is_tls_enabled=False, **more)

        KEYS = dict(access_key={BACKEND_KEY!r}, secret_key={BACKEND_SECRET!r})

        def validator(token, bucket):
            return bucket != 'team-denied'

        def bucket_creds_fetcher(token, bucket):
            if bucket == 'broken':
                raise OSError('no vault')
            return KEYS['access_key'], KEYS['secret_key']

        def hmac_fetcher(access_key):
            return 'fetched-fake-secret' if access_key == 'fetched-fake-key' else None

        config = ProxyServerConfig(
            cos_map={{
                'demo': store(**KEYS),
                'team-*': store(**KEYS),
                'fetched': store(),
                'broken': store(),
                'dead': dict(host='127.0.0.1', port={NOBODY_THERE}, is_tls_enabled=False, **KEYS),
            }},
            hmac_keystore=[dict(access_key={CLIENT_KEY!r}, secret_key={CLIENT_SECRET!r})],
            validator=validator, bucket_creds_fetcher=bucket_creds_fetcher, hmac_fetcher=hmac_fetcher,
            admin_port=0, {HERE}
        )
    """)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with rclone_server(tmp_path_factory.mktemp("store")) as running:
        for bucket in ("demo", "team-a", "fetched"):
            running.make_bucket(bucket)
        yield running


@pytest.fixture(params=PROGRAMS)
def osp(request, store, tmp_path):
    with serving(tmp_path, several_buckets(store.port), request.param) as running:
        yield running


def test_what_was_done_is_what_is_counted(osp):
    port = osp.port

    def send(method, target, body=b"", **more):
        return ask(port, signed(port, method, target, body, **more).octets)

    assert send("PUT", "/demo/small", SMALL).status == 200
    assert send("PUT", "/demo/large", LARGE).status == 200
    assert send("GET", "/demo/small").body == SMALL
    assert send("GET", "/demo/large").body == LARGE
    assert send("GET", "/team-a/none").code == "NoSuchKey"
    assert send("GET", "/team-denied/key").code == "AccessDenied"
    assert send("GET", "/team-denied/key").code == "AccessDenied"
    assert send("GET", "/demo/small", secret="wrong-fake-secret").code == "SignatureDoesNotMatch"
    assert send("GET", "/demo/small", key="unknown-fake-key").code == "InvalidAccessKeyId"
    assert send("GET", "/demo/small", key="fetched-fake-key", secret="fetched-fake-secret").status == 200
    assert send("GET", "/demo/small", key="fetched-fake-key", secret="fetched-fake-secret").status == 200
    assert send("GET", "/nowhere/key").code == "NoSuchBucket"
    assert send("GET", "/dead/key").code == "ServiceUnavailable"
    assert send("GET", "/broken/key").code == "ServiceUnavailable"
    assert send("PUT", "/fetched/key", SMALL).status == 200
    assert send("PUT", "/fetched/key", SMALL).status == 200
    wrong = signed(port, "PUT", "/demo/wrong", SMALL).but(body=b"c" * 1000)
    assert ask(port, wrong.octets).code == "XAmzContentSHA256Mismatch"
    assert ask(port, b"GET /demo/small HTTP/1.1\r\nHost: h\r\n\r\n").code == "AccessDenied"
    assert ask(port, b"no HTTP at all\r\n\r\n").status == 400
    found = after(osp.admin_port, 19)

    requests = {
        ("GetObject", "demo", "200", "allowed"): 4,
        ("PutObject", "demo", "200", "allowed"): 2,
        ("PutObject", "demo", "400", "refused"): 1,
        ("GetObject", "team-*", "404", "allowed"): 1,
        ("GetObject", "team-*", "403", "refused"): 2,
        ("-", "demo", "403", "refused"): 3,
        ("GetObject", "other", "404", "refused"): 1,
        ("GetObject", "dead", "503", "refused"): 1,
        ("GetObject", "broken", "503", "refused"): 1,
        ("PutObject", "fetched", "200", "allowed"): 2,
        ("-", "-", "400", "refused"): 1,
    }
    names = ("operation", "bucket", "status", "verdict")
    assert found.series("osp_requests_total") == {
        tuple(sorted(zip(names, labels, strict=True))): number for labels, number in requests.items()
    }
    refusals = {
        ("AccessDenied", "authorization"): 2,
        ("AccessDenied", "identity"): 1,
        ("InvalidAccessKeyId", "identity"): 1,
        ("InvalidRequest", "request"): 1,
        ("NoSuchBucket", "routing"): 1,
        ("ServiceUnavailable", "backend"): 2,
        ("SignatureDoesNotMatch", "identity"): 1,
        ("XAmzContentSHA256Mismatch", "body"): 1,
    }
    assert found.series("osp_refusals_total") == {
        (("code", code), ("reason", reason)): number for (code, reason), number in refusals.items()
    }
    assert found.value("osp_received_bytes_total", bucket="demo") == len(SMALL) + len(LARGE) + 1000
    assert found.value("osp_received_bytes_total", bucket="fetched") == 2 * len(SMALL)
    assert found.value("osp_sent_bytes_total", bucket="demo") >= len(LARGE) + 3 * len(SMALL)
    assert found.value("osp_request_seconds_count") == 19
    assert found.value("osp_admit_seconds_count") == 18
    assert found.value("osp_upstream_first_byte_seconds_count") == 9
    assert found.value("osp_requests_broken_off_total") == 0
    assert found.value("osp_requests_in_flight") == 0
    assert found.value("osp_connections_total") == 19

    def cache(name, result):
        return found.value("osp_cache_lookups_total", cache=name, result=result)

    # Two keys at demo, one at five more buckets.
    assert (cache("decisions", "miss"), cache("decisions", "hit")) == (7, 7)
    assert (cache("client_secrets", "miss"), cache("client_secrets", "hit")) == (2, 1)
    assert (cache("backend_credentials", "miss"), cache("backend_credentials", "hit")) == (2, 1)
    assert found.value("osp_credential_refreshes_total", kind="backend_credentials", result="ok") == 1
    assert found.value("osp_credential_refreshes_total", kind="backend_credentials", result="failed") == 1


def test_a_client_that_people_use_is_counted_by_its_operations(osp):
    s3 = s3_client(f"http://127.0.0.1:{osp.port}")
    s3.put_object(Bucket="demo", Key="one", Body=SMALL)
    s3.copy_object(Bucket="demo", Key="two", CopySource="demo/one")
    s3.head_object(Bucket="demo", Key="two")
    s3.list_objects_v2(Bucket="demo")
    s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": "one"}, {"Key": "two"}]})
    s3.list_buckets()
    found = after(osp.admin_port, 6)
    operations = {
        dict(labels)["operation"]: number
        for labels, number in found.series("osp_requests_total").items()
        if dict(labels)["verdict"] == "allowed"
    }
    expected = ("PutObject", "CopyObject", "HeadObject", "ListObjectsV2", "DeleteObjects", "ListBuckets")
    assert operations == dict.fromkeys(expected, 1)


@pytest.mark.parametrize("path", ["/metrics", "/-/metrics"])
@pytest.mark.parametrize(("accept", "media_type"), [("", "text/plain"), (OPEN_METRICS, "application/openmetrics-text")])
def test_prometheus_can_read_them(osp, path, accept, media_type):
    ask(osp.port, signed(osp.port, "GET", "/demo/none").octets)
    after(osp.admin_port, 1)
    answer = metrics_page(osp.admin_port, path, accept)
    assert answer.headers["content-type"].startswith(media_type)
    found = scrape(osp.admin_port, accept)
    assert found.value("osp_requests_total") == 1
    assert found.value("osp_build_info") == 1
    assert found.value("process_open_fds") > 0


def test_clients_cannot_see_them(osp):
    assert ask(osp.port, b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n").status == 403
    assert ask(osp.port, b"GET /-/metrics HTTP/1.1\r\nHost: h\r\n\r\n").status == 400


def test_no_secret_is_in_them(osp):
    ask(osp.port, signed(osp.port, "GET", "/demo/none").octets)
    text = after(osp.admin_port, 1).text
    for secret in (CLIENT_KEY, CLIENT_SECRET, BACKEND_KEY, BACKEND_SECRET, "Signature="):
        assert secret not in text


def test_a_reload_takes_nothing_away(osp, store):
    for _ in range(3):
        ask(osp.port, signed(osp.port, "GET", "/demo/none").octets)
    before = after(osp.admin_port, 3)
    osp.reload(several_buckets(store.port))
    osp.reload(several_buckets(store.port).replace("'demo'", "'renamed'"))
    osp.reload("nonsense", says="stays what it was")
    ask(osp.port, signed(osp.port, "GET", "/renamed/none").octets)
    found = after(osp.admin_port, 4)
    counters = [sample for sample in before.samples if sample.name.endswith(("_total", "_count", "_bucket"))]
    assert all(found.value(sample.name, **sample.labels) >= sample.value for sample in counters)
    assert found.value("osp_requests_total", bucket="demo") == 3
    assert found.value("osp_requests_total", bucket="renamed") == 1
    assert found.value("osp_cache_lookups_total", cache="decisions", result="miss") == 2
    assert found.value("osp_config_reloads_total", result="ok") == 2
    assert found.value("osp_config_reloads_total", result="failed") == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_under_way_is_shown_while_it_is(tmp_path, program):
    gate = Gate()
    with recording_upstream(gate) as upstream, serving(tmp_path, configuration(upstream.port, HERE), program) as osp:
        try:
            with talk(osp.port) as client:
                client.send(signed(osp.port, "GET", "/demo/slow").octets)
                upstream.wait_for_request("/demo/slow")
                found = scrape(osp.admin_port)
                assert found.value("osp_requests_in_flight") == 1
                assert found.value("osp_connections_open") == 1
                assert found.value("osp_requests_total") == 0
                gate.open.set()
                assert client.read_answer().status == 200
            found = scrape_when(osp.admin_port, lambda now: now.value("osp_connections_open") == 0)
            assert found.value("osp_requests_in_flight") == found.value("osp_connections_open") == 0
            assert found.value("osp_requests_total") == 1
        finally:
            gate.open.set()


@pytest.mark.parametrize("program", PROGRAMS)
def test_connections_over_the_limit_are_counted(tmp_path, program):
    with recording_upstream(Gate()) as upstream:
        text = configuration(upstream.port, HERE + "limits=dict(connections_per_address=1),")
        with serving(tmp_path, text, program) as osp, talk(osp.port) as first:
            first.send(signed(osp.port, "GET", "/demo/key").octets)
            assert first.read_answer().status == 200
            with talk(osp.port) as second:
                assert second.closed_by_peer()
            assert scrape(osp.admin_port).value("osp_connections_refused_total") == 1
            assert scrape(osp.admin_port).value("osp_connections_total") == 1
