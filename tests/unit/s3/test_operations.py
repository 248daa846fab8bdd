"""Requests get the names that S3's own model has for them, and a request that could have two names gets none."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from osp_gateway.s3.address import locate
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.operations import COPY_SOURCE, NOT_FORWARDED, OperationTable
from support.botocore_requests import SERVICE, Sent, serialized
from support.oracle import generated

HOST = "gateway.example.test"
DEPRECATED = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
"""Twins on the wire, of which the model says that they are deprecated, and what is to be said instead."""
DIRECTORY_BUCKETS = {"ListDirectoryBuckets": "ListBuckets"}
"""Told from ListBuckets by its host name only."""
LAMBDA = {"WriteGetObjectResponse"}
"""Goes to a host of its own: below a gateway it can only be a request about a bucket of that name."""
NAMES = sorted(set(SERVICE.operation_names) - LAMBDA)
OBJECT, BUCKET, ROOT = "/bucket/key", "/bucket", "/"


@cache
def table() -> OperationTable:
    return OperationTable.from_botocore()


def named(method: str, target: str, **headers: str) -> str:
    path, _, query = target.partition("?")
    fields = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return table().name(method, locate(path, HOST, ()), encoding.parse_query(query), fields).name


def name_of(sent: Sent) -> str:
    pairs = encoding.parse_query(sent.query)
    return table().name(sent.method, locate(sent.path, HOST, ()), pairs, sent.headers).name


def refused(method: str, target: str, **headers: str) -> str:
    with pytest.raises(S3Error) as caught:
        named(method, target, **headers)
    return caught.value.code


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_named_as_botocore_names_it(name: str) -> None:
    assert name_of(serialized(name)) == {**DEPRECATED, **DIRECTORY_BUCKETS}.get(name, name)


@pytest.mark.parametrize("name", sorted(set(NAMES) - DIRECTORY_BUCKETS.keys()))
def test_optional_parameters_do_not_change_an_operations_name(name: str) -> None:
    assert name_of(serialized(name, optional_parameters=True)) == DEPRECATED.get(name, name)


@pytest.mark.parametrize("name", NAMES)
def test_the_parameter_that_some_sdks_add_does_not_change_an_operations_name(name: str) -> None:
    sent = serialized(name)
    with_id = Sent(sent.method, sent.path, f"{sent.query}&x-id={name}", sent.headers)
    if "x-id" in sent.query:
        with_id = sent

    assert name_of(with_id) == {**DEPRECATED, **DIRECTORY_BUCKETS}.get(name, name)


@pytest.mark.parametrize("name", sorted(NOT_FORWARDED))
def test_what_is_not_forwarded_is_an_operation_of_the_model(name: str) -> None:
    assert name in SERVICE.operation_names


def test_a_response_to_object_lambda_is_not_understood() -> None:
    assert refused("POST", "/WriteGetObjectResponse?x-id=WriteGetObjectResponse") == "MethodNotAllowed"


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("GET", "/", "ListBuckets"),
        ("GET", "/bucket", "ListObjects"),
        ("GET", "/bucket/", "ListObjects"),
        ("GET", "/bucket?prefix=a&delimiter=%2F", "ListObjects"),
        ("GET", "/bucket?list-type=2", "ListObjectsV2"),
        ("GET", "/bucket?list-type=2&prefix=acl", "ListObjectsV2"),
        ("GET", "/bucket?versions", "ListObjectVersions"),
        ("GET", "/bucket?versions=", "ListObjectVersions"),
        ("GET", "/bucket?versioning", "GetBucketVersioning"),
        ("GET", "/bucket?uploads", "ListMultipartUploads"),
        ("GET", "/bucket?location", "GetBucketLocation"),
        ("GET", "/bucket?inventory", "ListBucketInventoryConfigurations"),
        ("GET", "/bucket?inventory&id=a", "GetBucketInventoryConfiguration"),
        ("GET", "/bucket?%61cl", "GetBucketAcl"),
        ("HEAD", "/bucket", "HeadBucket"),
        ("PUT", "/bucket", "CreateBucket"),
        ("DELETE", "/bucket", "DeleteBucket"),
        ("DELETE", "/bucket?cors", "DeleteBucketCors"),
        ("POST", "/bucket?delete", "DeleteObjects"),
        ("GET", "/bucket/key", "GetObject"),
        ("GET", "/bucket/key?versionId=1", "GetObject"),
        ("GET", "/bucket/key?partNumber=1", "GetObject"),
        ("GET", "/bucket/key?response-content-type=a%2Fb", "GetObject"),
        ("GET", "/bucket/key?acl", "GetObjectAcl"),
        ("GET", "/bucket/key?acl&versionId=1", "GetObjectAcl"),
        ("GET", "/bucket/key?uploadId=1", "ListParts"),
        ("GET", "/bucket/key?attributes", "GetObjectAttributes"),
        ("HEAD", "/bucket/key", "HeadObject"),
        ("PUT", "/bucket/key", "PutObject"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=a", "UploadPart"),
        ("PUT", "/bucket/key?uploadId=a&partNumber=1", "UploadPart"),
        ("PUT", "/bucket/key?retention", "PutObjectRetention"),
        ("POST", "/bucket/key?uploads", "CreateMultipartUpload"),
        ("POST", "/bucket/key?uploadId=1", "CompleteMultipartUpload"),
        ("POST", "/bucket/key?restore", "RestoreObject"),
        ("POST", "/bucket/key?select&select-type=2", "SelectObjectContent"),
        ("DELETE", "/bucket/key", "DeleteObject"),
        ("DELETE", "/bucket/key?versionId=1", "DeleteObject"),
        ("DELETE", "/bucket/key?uploadId=1", "AbortMultipartUpload"),
        ("DELETE", "/bucket/key?tagging", "DeleteObjectTagging"),
        ("DELETE", "/bucket//", "DeleteObject"),
    ],
)
def test_everyday_requests_have_their_names(method: str, target: str, name: str) -> None:
    assert named(method, target) == name


@pytest.mark.parametrize(
    ("target", "name"), [(OBJECT, "CopyObject"), (f"{OBJECT}?partNumber=1&uploadId=a", "UploadPartCopy")]
)
def test_a_copy_source_makes_a_copy(target: str, name: str) -> None:
    assert named("PUT", target, x_amz_copy_source="/other/key") == name


def test_a_form_posted_to_a_bucket_has_a_name_of_its_own() -> None:
    assert named("POST", BUCKET, content_type="Multipart/Form-Data; boundary=x") == "PostObject"
    assert refused("POST", BUCKET, content_type="application/xml") == "MethodNotAllowed"
    assert refused("POST", OBJECT, content_type="multipart/form-data") == "MethodNotAllowed"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"{OBJECT}?acl&tagging"),
        ("GET", f"{OBJECT}?tagging&acl"),
        ("PUT", f"{OBJECT}?acl&tagging"),
        ("PUT", f"{OBJECT}?acl&legal-hold"),
        ("PUT", f"{OBJECT}?uploadId=1"),
        ("PUT", f"{OBJECT}?partNumber=1"),
        ("PUT", f"{OBJECT}?partNumber=1&uploadId=1&acl"),
        ("PUT", f"{OBJECT}?uploads"),
        ("POST", f"{OBJECT}?uploads&uploadId=1"),
        ("POST", f"{OBJECT}?restore&uploads"),
        ("DELETE", f"{OBJECT}?uploadId=1&tagging"),
        ("DELETE", f"{OBJECT}?acl"),
        ("DELETE", f"{OBJECT}?delete"),
        ("GET", f"{OBJECT}?uploadId=1&acl"),
        ("GET", f"{OBJECT}?list-type=2"),
        ("GET", f"{OBJECT}?policy"),
        ("GET", f"{BUCKET}?acl&policy"),
        ("GET", f"{BUCKET}?list-type=2&versions"),
        ("GET", f"{BUCKET}?list-type=2&uploads"),
        ("GET", f"{BUCKET}?list-type=3"),
        ("GET", f"{BUCKET}?list-type="),
        ("GET", f"{BUCKET}?uploadId=1"),
        ("GET", f"{BUCKET}?id=1"),
        ("PUT", f"{BUCKET}?acl&cors"),
        ("PUT", f"{BUCKET}?delete"),
        ("PUT", f"{BUCKET}?id=1"),
        ("DELETE", f"{BUCKET}?policy&cors"),
        ("DELETE", f"{BUCKET}?inventory"),
        ("POST", f"{BUCKET}?delete&acl"),
        ("GET", f"{ROOT}?acl"),
        ("HEAD", f"{OBJECT}?acl"),
        ("HEAD", f"{BUCKET}?versioning"),
    ],
)
def test_parameters_that_belong_to_two_operations_are_refused(method: str, target: str) -> None:
    assert refused(method, target) == "InvalidArgument"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", f"{OBJECT}?uploadId="),
        ("DELETE", f"{OBJECT}?uploadId"),
        ("PUT", f"{OBJECT}?partNumber=1&uploadId="),
        ("PUT", f"{OBJECT}?partNumber=&uploadId=a"),
        ("PUT", f"{OBJECT}?partNumber&uploadId"),
        ("GET", f"{OBJECT}?uploadId="),
        ("POST", f"{OBJECT}?uploadId="),
        ("GET", f"{BUCKET}?inventory&id="),
        ("DELETE", f"{BUCKET}?analytics&id="),
    ],
)
def test_an_identifying_parameter_without_a_value_is_refused(method: str, target: str) -> None:
    # Some stores take an empty uploadId for none: DELETE then removes the object instead of aborting an upload,
    # and PUT replaces it instead of adding a part.
    assert refused(method, target) == "InvalidArgument"


@pytest.mark.parametrize(
    "query", ["prefix=a&prefix=b", "acl&acl", "acl&acl=", "versionId=1&versionId=2", "%61cl&acl", "a=1&a=1"]
)
@pytest.mark.parametrize("path", [BUCKET, OBJECT])
def test_a_parameter_given_twice_is_refused(path: str, query: str) -> None:
    assert refused("GET", f"{path}?{query}") == "InvalidArgument"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", OBJECT),
        ("GET", BUCKET),
        ("HEAD", OBJECT),
        ("DELETE", OBJECT),
        ("PUT", BUCKET),
        ("PUT", f"{OBJECT}?acl"),
        ("PUT", f"{OBJECT}?tagging"),
        ("POST", f"{OBJECT}?uploads"),
        ("POST", f"{BUCKET}?delete"),
    ],
)
@pytest.mark.parametrize("source", ["/other/key", ""])
def test_a_copy_source_on_what_is_no_copy_is_refused(method: str, target: str, source: str) -> None:
    assert refused(method, target, x_amz_copy_source=source) == "InvalidArgument"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"{OBJECT}?Torrent"),
        ("GET", f"{OBJECT}?ACL"),
        ("PUT", f"{OBJECT}?append"),
        ("PUT", f"{BUCKET}?protection"),
        ("GET", f"{BUCKET}?unheard-of"),
        ("GET", f"{BUCKET}?unheard-of="),
        ("GET", f"{BUCKET}?acl&unheard-of"),
        ("DELETE", f"{BUCKET}?mdsearch"),
    ],
)
def test_an_unknown_subresource_is_not_implemented(method: str, target: str) -> None:
    assert refused(method, target) == "NotImplemented"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", f"{OBJECT}?append=1&position=0"),
        ("GET", f"{OBJECT}?lambdaArn=arn:fake"),
        ("PUT", f"{BUCKET}?protection=1"),
        ("PUT", f"{BUCKET}?replication-reset=1"),
        ("DELETE", f"{BUCKET}?mdsearch=1"),
        ("GET", f"{BUCKET}?events=s3:ObjectCreated:*"),
    ],
)
def test_an_unknown_subresource_is_not_implemented_with_a_value_either(method: str, target: str) -> None:
    # Stores ask whether the parameter is there, not whether it is empty: these are other operations of Ceph, MinIO
    # or IBM COS than the one that its authorizer would be asked about.
    assert refused(method, target) == "NotImplemented"


@pytest.mark.parametrize("method", ["get", "Get", "put", "delete", "PATCH", "OPTIONS", "TRACE", "CONNECT", "", "GET "])
@pytest.mark.parametrize("target", [ROOT, BUCKET, OBJECT])
def test_a_method_that_s3_does_not_have_is_refused(method: str, target: str) -> None:
    assert refused(method, target) == "MethodNotAllowed"


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", OBJECT), ("POST", BUCKET), ("PUT", ROOT), ("POST", ROOT), ("DELETE", ROOT), ("HEAD", ROOT)],
)
def test_a_method_that_does_not_go_with_a_resource_is_refused(method: str, target: str) -> None:
    assert refused(method, target) == "MethodNotAllowed"


@pytest.mark.parametrize(
    "target", [OBJECT, f"{OBJECT}?select", f"{OBJECT}?select-type=2", f"{OBJECT}?select&select-type=1"]
)
def test_half_a_select_is_refused(target: str) -> None:
    assert refused("POST", target) == "MethodNotAllowed"


_operations = st.sampled_from(sorted(set(NAMES) - DEPRECATED.keys() - DIRECTORY_BUCKETS.keys()))
_marks = ["acl", "cors", "delete", "policy", "restore", "tagging", "torrent", "uploads", "versioning", "website"]


@generated
@given(_operations, st.sampled_from(_marks))
def test_a_foreign_mark_never_changes_a_name(name: str, mark: str) -> None:
    # An operation with a mark added is refused, or is the mark's own; it never passes under its old name.
    sent = serialized(name)
    if any(piece.partition("=")[0] == mark for piece in sent.query.split("&")):
        return
    marked = Sent(sent.method, sent.path, f"{sent.query}&{mark}" if sent.query else mark, sent.headers)

    try:
        found = name_of(marked)
    except S3Error as error:
        assert error.code in ("InvalidArgument", "NotImplemented", "MethodNotAllowed")
    else:
        assert found != name
        assert mark in str(SERVICE.operation_model(found).http["requestUri"])


@generated
@given(
    st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "PATCH"]),
    st.sampled_from([ROOT, BUCKET, OBJECT]),
    st.lists(st.tuples(st.sampled_from([*_marks, "uploadId", "partNumber", "id", "x"]), st.sampled_from(["", "1"]))),
    st.booleans(),
)
def test_every_request_has_a_name_or_is_refused(
    method: str, path: str, query: list[tuple[str, str]], copies: bool
) -> None:
    headers = {COPY_SOURCE: ["/other/key"]} if copies else {}

    try:
        operation = table().name(method, locate(path, HOST, ()), tuple(query), headers)
    except S3Error as error:
        assert error.code in ("InvalidArgument", "NotImplemented", "MethodNotAllowed")
    else:
        assert operation.method == method
        assert operation.copies == copies
        assert {name for name, _ in operation.literals} | operation.required <= dict(query).keys()
