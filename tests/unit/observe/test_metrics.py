"""Metrics: what is counted, and that nobody can make there be many of them."""

import pytest
from botocore.loaders import Loader
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from osp_gateway.backends.routes import BucketRoute, Routes
from osp_gateway.observe import metrics as module
from osp_gateway.observe.exchange import Answer, Timings
from osp_gateway.observe.labels import BucketLabels, FewOperations, reason_class, status_label
from osp_gateway.observe.metrics import Gauges, Metrics
from osp_gateway.s3.errors import STATUS
from osp_gateway.tallies import Tallies
from support.observed import exchange, verdict
from support.raw import Answer as RawAnswer
from support.scrape import Scrape

OPERATIONS = sorted(Loader().load_service_model("s3", "service-2")["operations"])


def routes(*patterns):
    return Routes(tuple(BucketRoute(pattern=pattern) for pattern in patterns))


def make(*patterns, gauges=None, tallies=None):
    metrics = Metrics(tallies or Tallies(), gauges or Gauges(), "1.2.3", "12.9")
    metrics.use(routes(*(patterns or ("demo", "team-*"))))
    return metrics


def read(metrics, accept=""):
    page = metrics.page(accept)
    return Scrape(RawAnswer(page.status, {"content-type": page.media_type}, page.body))


def test_a_request_that_was_allowed():
    metrics = make()
    metrics.finished(exchange(received=5))
    found = read(metrics)
    labels = {"operation": "GetObject", "bucket": "demo", "status": "200", "verdict": "allowed"}
    assert found.value("osp_requests_total", **labels) == found.value("osp_requests_total") == 1
    assert found.value("osp_received_bytes_total", bucket="demo") == 5
    assert found.value("osp_sent_bytes_total", bucket="demo") == 14
    assert found.value("osp_admit_seconds_sum") == pytest.approx(0.00015)
    assert found.value("osp_upstream_first_byte_seconds_sum", operation="GetObject") == pytest.approx(0.003)
    assert found.value("osp_request_seconds_sum", operation="GetObject") == pytest.approx(0.012)
    assert found.value("osp_refusals_total") == found.value("osp_requests_broken_off_total") == 0


def test_a_request_that_was_refused():
    metrics = make()
    refused = verdict(allowed=False, reason="denied by may")
    metrics.finished(exchange(verdict=refused, refused=True, answer=Answer(403, error_code="AccessDenied")))
    found = read(metrics)
    assert found.value("osp_requests_total", status="403", verdict="refused") == 1
    assert found.value("osp_refusals_total", code="AccessDenied", reason="authorization") == 1
    assert "denied by may" not in found.text


def test_a_request_that_was_broken_off():
    metrics = make()
    metrics.finished(exchange(answer=None, complete=False, timings=Timings(2.0)))
    found = read(metrics)
    assert found.value("osp_requests_total", status="-", verdict="allowed") == 1
    assert found.value("osp_requests_broken_off_total") == 1
    assert found.value("osp_upstream_first_byte_seconds_count") == 0


def test_a_request_that_could_not_be_read():
    metrics = make()
    metrics.finished(exchange(verdict=None, head=None, refused=True, answer=Answer(400, error_code="InvalidRequest")))
    assert read(metrics).value("osp_requests_total", operation="-", bucket="-", status="400", verdict="refused") == 1


def test_numbers_that_others_keep():
    tallies = Tallies()
    tallies.cache("decisions").hits = 7
    tallies.cache("shared").failures = 2
    tallies.refresh("iam_tokens").failed = 3
    gauges = Gauges(in_flight=lambda: 4, connections_open=lambda: 5, lines_dropped=lambda: 6, reloads={"ok": 8})
    found = read(make(gauges=gauges, tallies=tallies))
    assert found.value("osp_cache_lookups_total", cache="decisions", result="hit") == 7
    assert found.value("osp_cache_failures_total", cache="shared") == 2
    assert found.value("osp_credential_refreshes_total", kind="iam_tokens", result="failed") == 3
    assert found.value("osp_requests_in_flight") == 4
    assert found.value("osp_connections_open") == 5
    assert found.value("osp_access_log_lines_total", result="dropped") == 6
    assert found.value("osp_config_reloads_total", result="ok") == 8


def test_versions_and_the_process():
    found = read(make())
    assert found.labels("osp_build_info", "mitmproxy") == {"12.9"}
    assert found.labels("osp_build_info", "version") == {"1.2.3"}
    assert found.value("process_resident_memory_bytes") > 0


def test_each_gateway_has_metrics_of_its_own():
    one, other = make(), make()
    one.finished(exchange())
    assert read(other).value("osp_requests_total") == 0


def test_another_configuration_leaves_the_numbers_as_they_are():
    metrics = make("demo")
    metrics.finished(exchange())
    metrics.use(routes("another"))
    metrics.finished(exchange())
    found = read(metrics)
    assert found.value("osp_requests_total", bucket="demo") == 1
    assert found.value("osp_requests_total", bucket="other") == 1


@pytest.mark.parametrize(
    ("accept", "media_type", "parse"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", plain_text),
        ("text/html, */*", "text/plain; version=0.0.4; charset=utf-8", plain_text),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", open_metrics),
        (
            "application/openmetrics-text;version=one;escaping=\x01, */*",
            "application/openmetrics-text; v",
            open_metrics,
        ),
        ("text/plain;q=0.5, Application/OpenMetrics-Text;q=0.9", "application/openmetrics-text; v", open_metrics),
        ("application/openmetrics-text2", "text/plain; version=0.0.4; charset=utf-8", plain_text),
    ],
)
def test_the_form_is_the_one_that_was_asked_for(accept, media_type, parse):
    metrics = make()
    metrics.finished(exchange())
    page = metrics.page(accept)
    assert page.media_type.startswith(media_type)
    assert "osp_requests" in {family.name for family in parse(page.body.decode())}
    assert b"_created" not in page.body


# Bounds


def count(metrics):
    return len(read(metrics).samples)


def test_ten_thousand_buckets_are_one_series():
    metrics = make("demo", "team-*")
    metrics.finished(exchange(verdict=verdict(bucket="no-such-bucket")))
    metrics.finished(exchange(verdict=verdict(bucket="team-first")))
    before = count(metrics)
    for number in range(5_000):
        metrics.finished(exchange(verdict=verdict(bucket=f"bucket-{number}")))
        metrics.finished(exchange(verdict=verdict(bucket=f"team-{number}")))
    assert count(metrics) == before
    assert read(metrics).labels("osp_requests_total", "bucket") == {"other", "team-*"}


def test_operations_and_statuses_that_nobody_knows_are_few_too():
    metrics = make()
    for number in range(5_000):
        metrics.finished(exchange(verdict=verdict(operation=f"Made{number}Up"), answer=Answer(number)))
    found = read(metrics)
    assert len(found.labels("osp_requests_total", "operation")) <= 257
    assert len(found.labels("osp_requests_total", "status")) < 100


def test_many_configured_buckets_do_not_multiply_without_end(monkeypatch):
    monkeypatch.setattr(module, "MAX_SERIES", 200)
    metrics = make(*(f"bucket-{number}" for number in range(500)))
    for number in range(500):
        for operation in ("GetObject", "PutObject", "DeleteObject"):
            metrics.finished(exchange(verdict=verdict(bucket=f"bucket-{number}", operation=operation)))
    found = read(metrics)
    assert len(found.series("osp_requests_total")) <= 200 + 3
    assert found.value("osp_requests_total") == 1500
    assert found.value("osp_requests_total", bucket="other") > 0


def test_buckets_beyond_a_number_have_no_label_of_their_own():
    labels = BucketLabels(routes("a", "b", "c"), most=2)
    assert [labels.of(name) for name in ("a", "b", "c", "d", "")] == ["a", "b", "other", "other", "-"]


def test_a_pattern_is_its_own_label_and_a_name_goes_before_it():
    labels = BucketLabels(routes("team-*", "team-a", "*"))
    assert [labels.of(name) for name in ("team-a", "team-b", "x", "team-*")] == ["team-a", "team-*", "*", "team-*"]


def test_operations_beyond_a_number_are_other():
    few = FewOperations(most=2)
    assert [few.of(name) for name in ("a", "b", "c", "a")] == ["a", "b", "other", "a"]


def test_all_operations_of_the_model_have_room():
    few = FewOperations()
    assert [few.of(name) for name in OPERATIONS] == OPERATIONS


@pytest.mark.parametrize(
    ("status", "label"), [(200, "200"), (404, "404"), (599, "5xx"), (99, "other"), (1000, "other"), (None, "-")]
)
def test_labels_of_statuses(status, label):
    assert status_label(status) == label


@pytest.mark.parametrize("code", STATUS)
@pytest.mark.parametrize("operation", ["-", "GetObject"])
def test_each_error_has_a_class(code, operation):
    classes = {
        "identity",
        "authorization",
        "body",
        "limits",
        "routing",
        "unsupported",
        "internal",
        "backend",
        "request",
    }
    assert reason_class(code, operation) in classes


@pytest.mark.parametrize(
    ("code", "operation", "expected"),
    [
        ("AccessDenied", "-", "identity"),
        ("AccessDenied", "GetObject", "authorization"),
        ("ServiceUnavailable", "GetObject", "backend"),
        ("NoSuchBucket", "GetObject", "routing"),
        ("XAmzContentSHA256Mismatch", "PutObject", "body"),
        ("SlowDown", "-", "limits"),
        ("SomethingNew", "GetObject", "request"),
    ],
)
def test_classes_of_errors(code, operation, expected):
    assert reason_class(code, operation) == expected
