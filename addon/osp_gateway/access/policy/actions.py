"""Which IAM actions an operation of S3 needs: all of them must be allowed.

See "Required permissions for Amazon S3 API operations" in the S3 user guide, and "Actions, resources, and condition
keys for Amazon S3" in the service authorization reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from osp_gateway.access.authorizer import AccessRequest
from osp_gateway.s3.operations import POST_OBJECT, PREFLIGHT

VERSION: Final = "versionId"
BATCH: Final = "DeleteObjects"
BATCH_ACTIONS: Final = ("s3:DeleteObject", "s3:DeleteObjectVersion")
ABOUT_THE_BUCKET: Final = frozenset({PREFLIGHT})
"""Operations on a key that are about its bucket all the same."""


@dataclass(frozen=True, slots=True)
class Need:
    """An action that an operation needs.

    `versioned` is the one that it needs instead where it names a version; `headers` are those of which one must be
    there for the action to be needed at all, None: always.
    """

    action: str
    versioned: str | None = None
    headers: frozenset[str] | None = None


def _always(action: str, versioned: str | None = None) -> tuple[Need, ...]:
    return (Need(f"s3:{action}", f"s3:{versioned}" if versioned else None),)


def _with(action: str, *headers: str) -> Need:
    return Need(f"s3:{action}", headers=frozenset(headers))


_GRANTS: Final = tuple(
    f"x-amz-{name}"
    for name in ("acl", "grant-full-control", "grant-read", "grant-read-acp", "grant-write", "grant-write-acp")
)
_SETTINGS: Final = (
    _with("PutObjectTagging", "x-amz-tagging", "tagging"),
    _with("PutObjectAcl", *_GRANTS),
    _with("PutObjectRetention", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"),
    _with("PutObjectLegalHold", "x-amz-object-lock-legal-hold"),
)
"""What an upload may set beside the object itself."""
_BYPASS: Final = "x-amz-bypass-governance-retention"
_UPLOAD: Final = (*_always("PutObject"), *_SETTINGS)
_READ: Final = _always("GetObject", "GetObjectVersion")
_DELETE: Final = (*_always("DeleteObject", "DeleteObjectVersion"), _with("BypassGovernanceRetention", _BYPASS))

NEEDS: Final[Mapping[str, tuple[Need, ...]]] = {
    "AbortMultipartUpload": _always("AbortMultipartUpload"),
    "CompleteMultipartUpload": _always("PutObject"),
    "CopyObject": _UPLOAD,
    "CreateBucket": (
        *_always("CreateBucket"),
        _with("PutBucketAcl", *_GRANTS),
        _with("PutBucketObjectLockConfiguration", "x-amz-bucket-object-lock-enabled"),
        _with("PutBucketVersioning", "x-amz-bucket-object-lock-enabled"),
        _with("PutBucketOwnershipControls", "x-amz-object-ownership"),
    ),
    "CreateBucketMetadataConfiguration": _always("CreateBucketMetadataTableConfiguration"),
    "CreateBucketMetadataTableConfiguration": _always("CreateBucketMetadataTableConfiguration"),
    "CreateMultipartUpload": _UPLOAD,
    "DeleteBucket": _always("DeleteBucket"),
    "DeleteBucketAnalyticsConfiguration": _always("PutAnalyticsConfiguration"),
    "DeleteBucketCors": _always("PutBucketCORS"),
    "DeleteBucketEncryption": _always("PutEncryptionConfiguration"),
    "DeleteBucketIntelligentTieringConfiguration": _always("PutIntelligentTieringConfiguration"),
    "DeleteBucketInventoryConfiguration": _always("PutInventoryConfiguration"),
    "DeleteBucketLifecycle": _always("PutLifecycleConfiguration"),
    "DeleteBucketMetadataConfiguration": _always("DeleteBucketMetadataTableConfiguration"),
    "DeleteBucketMetadataTableConfiguration": _always("DeleteBucketMetadataTableConfiguration"),
    "DeleteBucketMetricsConfiguration": _always("PutMetricsConfiguration"),
    "DeleteBucketOwnershipControls": _always("PutBucketOwnershipControls"),
    "DeleteBucketPolicy": _always("DeleteBucketPolicy"),
    "DeleteBucketReplication": _always("PutReplicationConfiguration"),
    "DeleteBucketTagging": _always("PutBucketTagging"),
    "DeleteBucketWebsite": _always("DeleteBucketWebsite"),
    "DeleteObject": _DELETE,
    "DeleteObjectAnnotation": _always("DeleteObjectAnnotation", "DeleteObjectVersionAnnotation"),
    "DeleteObjectTagging": _always("DeleteObjectTagging", "DeleteObjectVersionTagging"),
    BATCH: (),
    "DeletePublicAccessBlock": _always("PutBucketPublicAccessBlock"),
    "GetBucketAbac": _always("GetBucketAbac"),
    "GetBucketAccelerateConfiguration": _always("GetAccelerateConfiguration"),
    "GetBucketAcl": _always("GetBucketAcl"),
    "GetBucketAnalyticsConfiguration": _always("GetAnalyticsConfiguration"),
    "GetBucketCors": _always("GetBucketCORS"),
    "GetBucketEncryption": _always("GetEncryptionConfiguration"),
    "GetBucketIntelligentTieringConfiguration": _always("GetIntelligentTieringConfiguration"),
    "GetBucketInventoryConfiguration": _always("GetInventoryConfiguration"),
    "GetBucketLifecycleConfiguration": _always("GetLifecycleConfiguration"),
    "GetBucketLocation": _always("GetBucketLocation"),
    "GetBucketLogging": _always("GetBucketLogging"),
    "GetBucketMetadataConfiguration": _always("GetBucketMetadataTableConfiguration"),
    "GetBucketMetadataTableConfiguration": _always("GetBucketMetadataTableConfiguration"),
    "GetBucketMetricsConfiguration": _always("GetMetricsConfiguration"),
    "GetBucketNotificationConfiguration": _always("GetBucketNotification"),
    "GetBucketOwnershipControls": _always("GetBucketOwnershipControls"),
    "GetBucketPolicy": _always("GetBucketPolicy"),
    "GetBucketPolicyStatus": _always("GetBucketPolicyStatus"),
    "GetBucketReplication": _always("GetReplicationConfiguration"),
    "GetBucketRequestPayment": _always("GetBucketRequestPayment"),
    "GetBucketTagging": _always("GetBucketTagging"),
    "GetBucketVersioning": _always("GetBucketVersioning"),
    "GetBucketWebsite": _always("GetBucketWebsite"),
    "GetObject": _READ,
    "GetObjectAcl": _always("GetObjectAcl", "GetObjectVersionAcl"),
    "GetObjectAnnotation": _always("GetObjectAnnotation", "GetObjectVersionAnnotation"),
    "GetObjectAttributes": (*_READ, *_always("GetObjectAttributes", "GetObjectVersionAttributes")),
    "GetObjectLegalHold": _always("GetObjectLegalHold"),
    "GetObjectLockConfiguration": _always("GetBucketObjectLockConfiguration"),
    "GetObjectRetention": _always("GetObjectRetention"),
    "GetObjectTagging": _always("GetObjectTagging", "GetObjectVersionTagging"),
    "GetObjectTorrent": _always("GetObjectTorrent", "GetObjectVersionTorrent"),
    "GetPublicAccessBlock": _always("GetBucketPublicAccessBlock"),
    "HeadBucket": _always("ListBucket"),
    "HeadObject": _READ,
    "ListBucketAnalyticsConfigurations": _always("GetAnalyticsConfiguration"),
    "ListBucketIntelligentTieringConfigurations": _always("GetIntelligentTieringConfiguration"),
    "ListBucketInventoryConfigurations": _always("GetInventoryConfiguration"),
    "ListBucketMetricsConfigurations": _always("GetMetricsConfiguration"),
    "ListBuckets": _always("ListAllMyBuckets"),
    "ListMultipartUploads": _always("ListBucketMultipartUploads"),
    "ListObjectAnnotations": _always("ListObjectAnnotations", "ListObjectVersionAnnotations"),
    "ListObjectVersions": _always("ListBucketVersions"),
    "ListObjects": _always("ListBucket"),
    "ListObjectsV2": _always("ListBucket"),
    "ListParts": _always("ListMultipartUploadParts"),
    POST_OBJECT: _UPLOAD,
    PREFLIGHT: _always("GetBucketCORS"),
    "PutBucketAbac": _always("PutBucketAbac"),
    "PutBucketAccelerateConfiguration": _always("PutAccelerateConfiguration"),
    "PutBucketAcl": _always("PutBucketAcl"),
    "PutBucketAnalyticsConfiguration": _always("PutAnalyticsConfiguration"),
    "PutBucketCors": _always("PutBucketCORS"),
    "PutBucketEncryption": _always("PutEncryptionConfiguration"),
    "PutBucketIntelligentTieringConfiguration": _always("PutIntelligentTieringConfiguration"),
    "PutBucketInventoryConfiguration": _always("PutInventoryConfiguration"),
    "PutBucketLifecycleConfiguration": _always("PutLifecycleConfiguration"),
    "PutBucketLogging": _always("PutBucketLogging"),
    "PutBucketMetricsConfiguration": _always("PutMetricsConfiguration"),
    "PutBucketNotificationConfiguration": _always("PutBucketNotification"),
    "PutBucketOwnershipControls": _always("PutBucketOwnershipControls"),
    "PutBucketPolicy": _always("PutBucketPolicy"),
    "PutBucketReplication": _always("PutReplicationConfiguration"),
    "PutBucketRequestPayment": _always("PutBucketRequestPayment"),
    "PutBucketTagging": _always("PutBucketTagging"),
    "PutBucketVersioning": _always("PutBucketVersioning"),
    "PutBucketWebsite": _always("PutBucketWebsite"),
    "PutObject": _UPLOAD,
    "PutObjectAcl": _always("PutObjectAcl", "PutObjectVersionAcl"),
    "PutObjectAnnotation": _always("PutObjectAnnotation", "PutObjectVersionAnnotation"),
    "PutObjectLegalHold": _always("PutObjectLegalHold"),
    "PutObjectLockConfiguration": _always("PutBucketObjectLockConfiguration"),
    "PutObjectRetention": (*_always("PutObjectRetention"), _with("BypassGovernanceRetention", _BYPASS)),
    "PutObjectTagging": _always("PutObjectTagging", "PutObjectVersionTagging"),
    "PutPublicAccessBlock": _always("PutBucketPublicAccessBlock"),
    "RestoreObject": _always("RestoreObject"),
    "SelectObjectContent": _READ,
    "UpdateBucketMetadataAnnotationTableConfiguration": _always("UpdateBucketMetadataAnnotationTableConfiguration"),
    "UpdateBucketMetadataInventoryTableConfiguration": _always("UpdateBucketMetadataInventoryTableConfiguration"),
    "UpdateBucketMetadataJournalTableConfiguration": _always("UpdateBucketMetadataJournalTableConfiguration"),
    "UpdateObjectEncryption": _always("UpdateObjectEncryption"),
    "UploadPart": _always("PutObject"),
    "UploadPartCopy": _always("PutObject"),
}
"""By operation. A batch needs nothing for itself: each of its keys is judged as the DeleteObject that it is."""

_WITHOUT_OPERATION: Final = (
    "AllowVendedLogDeliveryForResource AssociateAccessGrantsIdentityCenter CreateAccessGrant"
    " CreateAccessGrantsInstance CreateAccessGrantsLocation CreateAccessPoint CreateAccessPointForObjectLambda"
    " CreateJob CreateMultiRegionAccessPoint CreateStorageLensGroup DeleteAccessGrant DeleteAccessGrantsInstance"
    " DeleteAccessGrantsInstanceResourcePolicy DeleteAccessGrantsLocation DeleteAccessPoint"
    " DeleteAccessPointForObjectLambda DeleteAccessPointPolicy DeleteAccessPointPolicyForObjectLambda"
    " DeleteJobTagging DeleteMultiRegionAccessPoint DeleteStorageLensConfiguration"
    " DeleteStorageLensConfigurationTagging DeleteStorageLensGroup DescribeJob"
    " DescribeMultiRegionAccessPointOperation DissociateAccessGrantsIdentityCenter GetAccessGrant"
    " GetAccessGrantsInstance GetAccessGrantsInstanceForPrefix GetAccessGrantsInstanceResourcePolicy"
    " GetAccessGrantsLocation GetAccessPoint GetAccessPointConfigurationForObjectLambda"
    " GetAccessPointForObjectLambda GetAccessPointPolicy GetAccessPointPolicyForObjectLambda"
    " GetAccessPointPolicyStatus GetAccessPointPolicyStatusForObjectLambda GetAccountPublicAccessBlock"
    " GetDataAccess GetJobTagging GetMultiRegionAccessPoint GetMultiRegionAccessPointPolicy"
    " GetMultiRegionAccessPointPolicyStatus GetMultiRegionAccessPointRoutes"
    " GetObjectVersionAnnotationForReplication GetObjectVersionForReplication GetStorageLensConfiguration"
    " GetStorageLensConfigurationTagging GetStorageLensDashboard GetStorageLensGroup InitiateReplication"
    " ListAccessGrants ListAccessGrantsInstances ListAccessGrantsLocations ListAccessPoints"
    " ListAccessPointsForObjectLambda ListCallerAccessGrants ListJobs ListMultiRegionAccessPoints"
    " ListStorageLensConfigurations ListStorageLensGroups ListTagsForResource ObjectOwnerOverrideToBucketOwner"
    " PauseReplication PutAccessGrantsInstanceResourcePolicy PutAccessPointConfigurationForObjectLambda"
    " PutAccessPointPolicy PutAccessPointPolicyForObjectLambda PutAccessPointPublicAccessBlock"
    " PutAccountPublicAccessBlock PutJobTagging PutMultiRegionAccessPointPolicy PutStorageLensConfiguration"
    " PutStorageLensConfigurationTagging ReplicateDelete ReplicateObject ReplicateObjectAnnotation ReplicateTags"
    " SubmitMultiRegionAccessPointRoutes TagResource UntagResource UpdateAccessGrantsLocation UpdateJobPriority"
    " UpdateJobStatus UpdateStorageLensGroup"
)
"""Actions that documents may name, and that nothing that is forwarded needs."""

ACTIONS: Final = frozenset(
    {name for needs in NEEDS.values() for need in needs for name in (need.action, need.versioned) if name}
    | {f"s3:{name}" for name in _WITHOUT_OPERATION.split()}
)


def needed_actions(request: AccessRequest) -> tuple[str, ...] | None:
    """The actions that a request needs; None for an operation that is not known, which nothing allows."""
    needs = NEEDS.get(request.operation)
    if needs is None:
        return None
    found: list[str] = []
    for need in needs:
        if need.headers is not None and not _any_of(need.headers, request.headers):
            continue
        if need.versioned is not None and VERSION in request.query:
            found.append(need.versioned)
            if request.query[VERSION]:
                continue  # an empty one is no version for some stores: both are needed
        found.append(need.action)
    return tuple(found)


def _any_of(names: frozenset[str], headers: Mapping[str, str]) -> bool:
    if names.isdisjoint(headers):
        return False
    return names != {_BYPASS} or headers[_BYPASS].strip().lower() != "false"
