"""What each client of OBS is asked to do; see `scenario.py` for how steps are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.foreign.scenario import Step

_AT = {"Bucket": "lake"}
_LARGE = "x" * (5 * 1024 * 1024)
_PARTS = [{"PartNumber": 1, "ETag": "$first"}, {"PartNumber": 2, "ETag": "$second"}]


def _boto3(api: str) -> tuple[Step, ...]:
    """Play objects by one of boto3's signatures."""
    one: Mapping[str, Any] = {**_AT, "Key": "a b/ü+1.txt"}
    return (
        Step(f"{api}.put_object", {**one, "Body": "hello", "ContentType": "text/plain", "Metadata": {"n": "1"}}),
        Step(f"{api}.get_object", one, expect={"Body": "hello", "ContentType": "text/plain", "Metadata.n": "1"}),
        Step(f"{api}.get_object", {**one, "Range": "bytes=1-2"}, expect={"Body": "el", "ContentRange": "bytes 1-2/5"}),
        Step(f"{api}.head_object", one, expect={"ContentLength": 5, "ETag": '"5d41402abc4b2a76b9719d911017c592"'}),
        Step(
            f"{api}.list_objects_v2", {**_AT, "Prefix": "a b/"}, expect={"Contents.0.Key": "a b/ü+1.txt", "KeyCount": 1}
        ),
        Step(f"{api}.list_objects", {**_AT, "Delimiter": "/"}, expect={"CommonPrefixes.0.Prefix": "a b/"}),
        Step(
            f"{api}.generate_presigned_url",
            {"Params": one, "ExpiresIn": 60},
            ("get_object",),
            {"url": ""},
            local=True,
        ),
        Step("fetch", {"url": "$url"}, expect={"": "hello"}),
        Step(f"{api}.delete_object", one),
        Step(f"{api}.list_objects_v2", _AT, expect={"KeyCount": 0}),
    )


BOTO3 = (
    Step("v4.create_bucket", _AT),
    Step("v4.list_buckets", expect={"Buckets.0.Name": "lake"}),
    Step("v4.head_bucket", _AT),
    Step("v4.get_bucket_location", _AT, expect={"LocationConstraint": "cn-north-4"}),
    Step("v4.get_bucket_versioning", _AT),
    *_boto3("v4"),
    *_boto3("v4-host"),
    *_boto3("v2"),
    Step("v4.create_multipart_upload", {**_AT, "Key": "large"}, save={"upload": "UploadId"}),
    Step("v4.list_multipart_uploads", _AT, expect={"Uploads.0.UploadId": "$upload"}),
    Step(
        "v4.upload_part",
        {**_AT, "Key": "large", "UploadId": "$upload", "PartNumber": 1, "Body": _LARGE},
        save={"first": "ETag"},
    ),
    Step("v4.put_object", {**_AT, "Key": "end", "Body": "0123456789"}),
    Step(
        "v4.upload_part_copy",
        {
            **_AT,
            "Key": "large",
            "UploadId": "$upload",
            "PartNumber": 2,
            "CopySource": "lake/end",
            "CopySourceRange": "bytes=2-5",
        },
        save={"second": "CopyPartResult.ETag"},
    ),
    Step("v4.list_parts", {**_AT, "Key": "large", "UploadId": "$upload"}, expect={"Parts.1.Size": 4}),
    Step(
        "v4.complete_multipart_upload",
        {**_AT, "Key": "large", "UploadId": "$upload", "MultipartUpload": {"Parts": _PARTS}},
    ),
    Step("v4.get_object", {**_AT, "Key": "large", "Range": "bytes=-6"}, expect={"Body": "xx2345"}),
    Step("v4.create_multipart_upload", {**_AT, "Key": "gone"}, save={"gone": "UploadId"}),
    Step("v4.abort_multipart_upload", {**_AT, "Key": "gone", "UploadId": "$gone"}),
    Step("v4.copy_object", {**_AT, "Key": "copy", "CopySource": "lake/end"}),
    Step("v4.get_object", {**_AT, "Key": "copy"}, expect={"Body": "0123456789"}),
    Step(
        "v4.delete_objects",
        {**_AT, "Delete": {"Objects": [{"Key": "copy"}, {"Key": "end"}, {"Key": "large"}]}},
        expect={"Deleted.2.Key": "large"},
    ),
    Step("v4.delete_bucket", _AT),
    Step("v4.list_buckets", expect={"Buckets": []}),
)

OBSTORE = (
    Step("put", values=("dir/one.txt", "hello")),
    Step("get", values=("dir/one.txt",), expect={"": "hello"}),
    Step("get_range", {"start": 1, "end": 3}, ("dir/one.txt",), expect={"": "el"}),
    Step("head", values=("dir/one.txt",), expect={"size": 5, "path": "dir/one.txt"}),
    Step("put", values=("large", _LARGE * 3)),
    Step("head", values=("large",), expect={"size": len(_LARGE) * 3}),
    Step("list", values=("dir",), expect={"": ["dir/one.txt"]}),
    Step("list_with_delimiter", expect={"common_prefixes": ["dir"], "objects.0.path": "large"}),
    Step("copy", values=("dir/one.txt", "dir/two.txt")),
    Step("rename", values=("dir/two.txt", "three.txt")),
    Step("sign", values=("GET", "three.txt"), expect={"": "hello"}),
    Step("delete", values=(["dir/one.txt", "three.txt", "large"],)),
    Step("list", expect={"": []}),
)


def _esdk(api: str) -> tuple[Step, ...]:
    """Play all that the vendor's SDK does, by one of its signatures."""
    at = {"bucketName": "esdk-lake"}
    one = {**at, "objectKey": "a b/ü+1.txt"}
    large = {**at, "objectKey": "large"}

    return (
        Step(f"{api}.createBucket", at),
        Step(f"{api}.listBuckets", expect={"body.buckets.0.name": "esdk-lake"}),
        Step(f"{api}.headBucket", at),
        Step(f"{api}.getBucketLocation", at, expect={"body.location": "cn-north-4"}),
        Step(f"{api}.putContent", {**one, "content": "hello", "metadata": {"n": "1"}}),
        Step(f"{api}.getObject", {**one, "loadStreamInMemory": True}, expect={"": "hello"}),
        Step(f"{api}.getObject", {**one, "loadStreamInMemory": True, "range": "1-2"}, expect={"": "el"}),
        Step(f"{api}.getObjectMetadata", one, expect={"body.contentLength": 5}),
        Step(f"{api}.listObjects", {**at, "delimiter": "/"}, expect={"body.commonPrefixs.0.prefix": "a b/"}),
        Step(f"{api}.listObjects", at, expect={"body.contents.0.key": "a b/ü+1.txt"}),
        Step(f"{api}.createSignedUrl", {"method": "GET", **one, "expires": 60}, expect={"": "hello"}),
        Step(f"{api}.initiateMultipartUpload", large, save={"upload": "body.uploadId"}),
        Step(
            f"{api}.uploadPart",
            {**large, "partNumber": 1, "uploadId": "$upload", "content": "y" * 102_400},
            save={"etag": "body.etag"},
        ),
        Step(f"{api}.listParts", {**large, "uploadId": "$upload"}, expect={"body.parts.0.size": 102_400}),
        Step(f"{api}.completeMultipartUpload", {**large, "uploadId": "$upload", "parts": [[1, "$etag"]]}),
        Step(f"{api}.getObjectMetadata", large, expect={"body.contentLength": 102_400}),
        Step(f"{api}.initiateMultipartUpload", large, save={"gone": "body.uploadId"}),
        Step(f"{api}.listMultipartUploads", at, expect={"body.upload.0.uploadId": "$gone"}),
        Step(f"{api}.abortMultipartUpload", {**large, "uploadId": "$gone"}),
        Step(
            f"{api}.copyObject",
            {
                "sourceBucketName": "esdk-lake",
                "sourceObjectKey": "a b/ü+1.txt",
                "destBucketName": "esdk-lake",
                "destObjectKey": "copy",
            },
        ),
        Step(f"{api}.deleteObject", one),
        Step(f"{api}.deleteObjects", {**at, "keys": ["copy", "large"]}, expect={"body.deleted.1.key": "large"}),
        Step(f"{api}.deleteBucket", at),
    )


ESDK = (*_esdk("obs-host"), *_esdk("v2"), *_esdk("v4"))

DUCKDB = (
    Step("write Parquet", values=("COPY (SELECT range AS n FROM range(100000)) TO 's3://lake/t/1.parquet'",)),
    Step("write CSV", values=("COPY (SELECT 7 AS n) TO 's3://lake/t.csv' (HEADER)",)),
    Step("read Parquet", values=("SELECT sum(n) FROM 's3://lake/t/1.parquet'",), expect={"0.0": 4_999_950_000}),
    Step("read a pattern", values=("SELECT count(*) FROM 's3://lake/t/*.parquet'",), expect={"0.0": 100_000}),
    Step("read CSV", values=("SELECT n FROM 's3://lake/t.csv'",), expect={"0.0": 7}),
    Step(
        "write partitions",
        values=("COPY (SELECT range % 2 AS p, range AS n FROM range(10)) TO 's3://lake/parts' (PARTITION_BY p)",),
    ),
    Step(
        "read partitions",
        values=("SELECT p, sum(n) FROM read_csv('s3://lake/parts/*/*') GROUP BY p ORDER BY p",),
        expect={"0": [0, 20], "1": [1, 25]},
    ),
)
