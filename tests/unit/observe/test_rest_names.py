"""S3's names for operations in its access log."""

import re

import pytest
from botocore.loaders import Loader

from osp_gateway.observe.rest_names import rest_name

MODEL = Loader().load_service_model("s3", "service-2")["operations"]


@pytest.mark.parametrize(
    ("operation", "method", "name"),
    [
        ("GetObject", "GET", "REST.GET.OBJECT"),
        ("PutObject", "PUT", "REST.PUT.OBJECT"),
        ("CopyObject", "PUT", "REST.COPY.OBJECT"),
        ("UploadPart", "PUT", "REST.PUT.PART"),
        ("UploadPartCopy", "PUT", "REST.COPY.PART"),
        ("ListObjectsV2", "GET", "REST.GET.BUCKET"),
        ("ListBuckets", "GET", "REST.GET.SERVICE"),
        ("DeleteObjects", "POST", "REST.POST.MULTI_OBJECT_DELETE"),
        ("CompleteMultipartUpload", "POST", "REST.POST.UPLOAD"),
        ("GetBucketVersioning", "GET", "REST.GET.VERSIONING"),
        ("GetBucketLocation", "GET", "REST.GET.LOCATION"),
        ("GetObjectTagging", "GET", "REST.GET.OBJECT_TAGGING"),
        ("PutBucketCors", "PUT", "REST.PUT.CORS"),
    ],
)
def test_the_names_that_people_know(operation, method, name):
    assert rest_name(operation, method, True, True) == name


@pytest.mark.parametrize("operation", MODEL)
def test_each_operation_of_the_model_has_one(operation):
    name = rest_name(operation, MODEL[operation]["http"]["method"], True, False)
    assert re.fullmatch(r"REST\.(GET|HEAD|PUT|POST|DELETE|OPTIONS|COPY)\.[A-Z0-9_]+", name)


@pytest.mark.parametrize(
    ("bucket", "key", "resource"), [(True, True, "OBJECT"), (True, False, "BUCKET"), (False, False, "SERVICE")]
)
def test_a_request_that_has_no_name_is_known_by_what_it_is_about(bucket, key, resource):
    assert rest_name("-", "GET", bucket, key) == f"REST.GET.{resource}"


def test_a_method_of_the_clients_own_is_none():
    assert rest_name("-", "EV\nIL", False, False) == "REST.UNKNOWN.SERVICE"
