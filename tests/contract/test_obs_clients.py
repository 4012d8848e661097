"""
boto3 and obstore, unmodified, against the emulator's OBS; `make foreign-clients` runs more clients, and more of these.

boto3 is synchronous and runs in threads. What a job writes to obs:// is an object, and what is put here a job can read.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import boto3
import obstore
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    ResponseStreamingError,
)
from huaweicloudsdkmrs import v2
from obstore.store import S3Store
from tests.support import vendor_sdk

from mrs_emulator.core import faults, settings
from mrs_emulator.http import server

KEY = settings.Credential()
SECRET = KEY.secret_key.get_secret_value()
CLUSTER = settings.Cluster().cluster_id
MEBIBYTE = 1 << 20

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@asynccontextmanager
async def serving(folder: Path, **changes: object) -> AsyncIterator[server.Running]:
    """Yield an emulator that serves OBS."""
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "obs_port": 0, "obs_dir": folder, **changes})
    async with server.running(chosen) as live:
        yield live


@contextmanager
def opened(url: str, access: str = KEY.access_key, secret: str = SECRET, token: str | None = None) -> Iterator[Any]:
    """Yield boto3's client."""
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name="cn-north-4",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    try:
        yield client
    finally:
        client.close()


def refused(call: Callable[..., Any], **fields: object) -> str:
    """Return the code of a refusal, as boto3 reads it."""
    with pytest.raises(ClientError) as caught:
        call(**fields)
    return str(caught.value.response["Error"]["Code"])


async def test_boto3_puts_reads_lists_copies_and_deletes_objects(tmp_path: Path) -> None:
    """With metadata, ranges, pages and common prefixes."""

    def play(url: str) -> None:
        with opened(url) as s3:
            s3.create_bucket(Bucket="lake")
            for number in range(5):
                s3.put_object(Bucket="lake", Key=f"in/{number}.txt", Body=f"row {number}", Metadata={"n": str(number)})
            s3.put_object(Bucket="lake", Key="in", Body=b"", ContentType="text/csv")
            found = s3.get_object(Bucket="lake", Key="in/3.txt", Range="bytes=4-")
            assert (found["Body"].read(), found["Metadata"], found["ContentRange"]) == (b"3", {"n": "3"}, "bytes 4-4/5")
            assert s3.head_object(Bucket="lake", Key="in")["ContentType"] == "text/csv"

            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket="lake", Prefix="in", PaginationConfig={"PageSize": 2}
            )
            keys = [one["Key"] for page in pages for one in page["Contents"]]
            assert keys == ["in", *(f"in/{number}.txt" for number in range(5))]
            folded = s3.list_objects(Bucket="lake", Delimiter="/")
            assert [one["Prefix"] for one in folded["CommonPrefixes"]] == ["in/"]
            s3.copy_object(Bucket="lake", Key="out", CopySource="lake/in/1.txt")
            assert s3.head_object(Bucket="lake", Key="out")["Metadata"] == {"n": "1"}
            gone = {"Objects": [{"Key": key} for key in [*keys, "out", "never"]]}
            assert len(s3.delete_objects(Bucket="lake", Delete=gone)["Deleted"]) == 8
            s3.delete_bucket(Bucket="lake")

    async with serving(tmp_path) as live:
        await asyncio.to_thread(play, live.obs_url)


async def test_boto3_uploads_in_parts_and_reads_the_same_bytes(tmp_path: Path) -> None:
    """Parts in parallel; a part that is missing, changed or too small is refused, and an upload can be given up."""
    data = os.urandom(11 * MEBIBYTE)

    def play(url: str) -> None:
        with opened(url) as s3:
            s3.create_bucket(Bucket="lake")
            parts = TransferConfig(multipart_threshold=5 * MEBIBYTE, multipart_chunksize=5 * MEBIBYTE)
            s3.upload_fileobj(io.BytesIO(data), "lake", "large", Config=parts)
            assert s3.head_object(Bucket="lake", Key="large")["ETag"].endswith('-3"')
            whole = io.BytesIO()
            s3.download_fileobj("lake", "large", whole)
            assert whole.getvalue() == data

            at = {"Bucket": "lake", "Key": "other"}
            upload = s3.create_multipart_upload(**at)["UploadId"]
            tags = [
                s3.upload_part(**at, UploadId=upload, PartNumber=number, Body=b"small")["ETag"] for number in (1, 2)
            ]
            named = [{"PartNumber": 1, "ETag": tags[0]}, {"PartNumber": 2, "ETag": tags[1]}]
            for chosen, code in (
                ([named[0], {"PartNumber": 3, "ETag": tags[1]}], "InvalidPart"),
                ([named[1], named[0]], "InvalidPartOrder"),
                (named, "EntityTooSmall"),
            ):
                wanted = {"UploadId": upload, "MultipartUpload": {"Parts": chosen}}
                assert refused(s3.complete_multipart_upload, **at, **wanted) == code
            s3.abort_multipart_upload(**at, UploadId=upload)
            assert refused(s3.list_parts, **at, UploadId=upload) == "NoSuchUpload"

    async with serving(tmp_path) as live:
        await asyncio.to_thread(play, live.obs_url)


async def test_refusals_have_the_documented_codes(tmp_path: Path) -> None:
    """And what is not played says so."""

    def play(url: str) -> None:
        with opened(url) as s3:
            s3.create_bucket(Bucket="lake")
            s3.put_object(Bucket="lake", Key="one", Body=b"12345")
            one = {"Bucket": "lake", "Key": "one"}

            tag = s3.head_object(**one)["ETag"]
            for call, fields, code in (
                (s3.get_object, {"Bucket": "lake", "Key": "none"}, "NoSuchKey"),
                (s3.get_object, {"Bucket": "none", "Key": "none"}, "NoSuchBucket"),
                (s3.head_object, {"Bucket": "lake", "Key": "none"}, "404"),
                (s3.put_object, {"Bucket": "none", "Key": "one", "Body": b"x"}, "NoSuchBucket"),
                (s3.get_object, {**one, "Range": "bytes=5-"}, "InvalidRange"),
                (s3.get_object, {**one, "IfMatch": '"other"'}, "PreconditionFailed"),
                (s3.get_object, {**one, "IfNoneMatch": tag}, "304"),
                (s3.put_object, {**one, "Body": b"x", "ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"),
                (s3.put_object, {**one, "Body": b"x", "IfNoneMatch": "*"}, "NotImplemented"),
                (s3.put_object, {**one, "Body": b"x", "ACL": "public-read"}, "NotImplemented"),
                (s3.get_object_acl, one, "NotImplemented"),
                (s3.get_object, {**one, "VersionId": "1"}, "NotImplemented"),
                (s3.create_bucket, {"Bucket": "lake"}, "BucketAlreadyOwnedByYou"),
                (s3.create_bucket, {"Bucket": "No_Name"}, "InvalidBucketName"),
                (s3.delete_bucket, {"Bucket": "lake"}, "BucketNotEmpty"),
                (s3.list_objects_v2, {"Bucket": "lake", "ContinuationToken": "?"}, "InvalidArgument"),
            ):
                assert refused(call, **fields) == code, (call, fields)

            assert s3.get_object(**one)["Body"].read() == b"12345"

        for access, secret, code in (
            (KEY.access_key, "wrong", "SignatureDoesNotMatch"),
            ("NOBODY", SECRET, "InvalidAccessKeyId"),
        ):
            with opened(url, access, secret) as s3:
                assert refused(s3.list_buckets) == code

        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/lake/one", timeout=60)
        with caught.value as reply:
            assert (reply.status, b"<Code>AccessDenied</Code>" in reply.read()) == (403, True)

    async with serving(tmp_path) as live:
        await asyncio.to_thread(play, live.obs_url)


async def test_presigned_url_and_temporary_key_end_with_the_emulators_clock(tmp_path: Path) -> None:
    """The key is one that the emulator's IAM gives out; OBS has IAM's keys and MRS's clock."""

    def ahead(live: server.Running, seconds: int) -> None:
        body = json.dumps({"advance_s": seconds}).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{live.url}/emulator/clock", body, headers)):
            pass

    def play(live: server.Running) -> None:
        with opened(live.obs_url) as s3:
            s3.create_bucket(Bucket="lake")
            s3.put_object(Bucket="lake", Key="one", Body=b"1")
            url = s3.generate_presigned_url("get_object", Params={"Bucket": "lake", "Key": "one"}, ExpiresIn=600)

        with urllib.request.urlopen(url, timeout=60) as reply:
            assert reply.read() == b"1"
        with opened(live.obs_url, "TEMPORARY", SECRET) as s3:
            assert refused(s3.list_buckets) == "InvalidSecurity"

        with opened(live.obs_url, "TEMPORARY", SECRET, "token") as s3:
            assert s3.get_object(Bucket="lake", Key="one")["Body"].read() == b"1"
            ahead(live, 16 * 60)
            assert refused(s3.list_buckets) == "RequestTimeTooSkewed"

        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url, timeout=60)
        with caught.value as reply:
            assert b"Request has expired" in reply.read()

    temporary = {"access_key": "TEMPORARY", "secret_key": SECRET, "security_token": "token"}
    async with serving(tmp_path, credentials=[{}, temporary]) as live:
        await asyncio.to_thread(play, live)


async def test_obstore_reads_what_a_statement_wrote_and_a_job_what_obstore_put(tmp_path: Path) -> None:
    """One folder behind obs:// and OBS."""
    pace = {"new_s": 0, "submitted_s": 0, "accepted_s": 0}
    async with serving(tmp_path, pace=pace) as live:
        live.emulator.objects.store.create_bucket("lake")
        lake = S3Store(
            "lake",
            endpoint=live.obs_url,
            access_key_id=KEY.access_key,
            secret_access_key=SECRET,
            region="cn-north-4",
            client_options={"allow_http": True},
        )
        await obstore.put_async(lake, "scripts/seven.sql", b"SELECT 7 AS n")
        sdk = vendor_sdk.Vendor(live.url)

        body = v2.JobExecution(job_name="seven", job_type="SparkScript", arguments=["obs://lake/scripts/seven.sql"])
        made = await sdk.ask(sdk.v2.create_execute_job, v2.CreateExecuteJobRequest(CLUSTER, body))
        wanted = v2.ShowSingleJobExeRequest(job_execution_id=made.job_submit_result.job_id, cluster_id=CLUSTER)
        async with asyncio.timeout(60):
            while (await sdk.ask(sdk.v2.show_single_job_exe, wanted)).job_detail.job_result == "UNDEFINED":
                await asyncio.sleep(0.02)
        request = v2.ShowSqlResultWithJobRequest(cluster_id=CLUSTER, job_execution_id=made.job_submit_result.job_id)
        assert (await sdk.ask(sdk.v2.show_sql_result_with_job, request)).sql_results == {"0": [{"n": 7}]}

        text = v2.SqlExecutionReq(sql_type="presto", sql_content="SELECT 8 AS n", archive_path="obs://lake/out")
        statement = await sdk.ask(sdk.v2.execute_sql, v2.ExecuteSqlRequest(CLUSTER, text))
        read = v2.ShowSqlResultRequest(cluster_id=CLUSTER, sql_id=statement.id)
        async with asyncio.timeout(60):
            while (found := await sdk.ask(sdk.v2.show_sql_result, read)).status != "FINISHED":
                await asyncio.sleep(0.02)
        key = found.result_location.removeprefix("obs://lake/")
        listed = [one["path"] async for batch in obstore.list(lake, "out") for one in batch]
        assert listed == [key]
        assert bytes(await (await obstore.get_async(lake, key)).bytes_async()) == b"n\n8\n"


async def test_objects_and_uploads_are_there_after_a_restart(tmp_path: Path) -> None:
    """They are files, with what is known of them beside the bytes."""

    def begin(url: str) -> str:
        with opened(url) as s3:
            s3.create_bucket(Bucket="lake")
            s3.put_object(Bucket="lake", Key="one", Body=b"1", Metadata={"n": "1"})
            return str(s3.create_multipart_upload(Bucket="lake", Key="two")["UploadId"])

    def go_on(url: str, upload: str) -> None:
        with opened(url) as s3:
            found = s3.head_object(Bucket="lake", Key="one")
            assert (found["Metadata"], found["ETag"]) == ({"n": "1"}, '"c4ca4238a0b923820dcc509a6f75849b"')
            assert [one["UploadId"] for one in s3.list_multipart_uploads(Bucket="lake")["Uploads"]] == [upload]

    async with serving(tmp_path) as live:
        upload = await asyncio.to_thread(begin, live.obs_url)
    async with serving(tmp_path) as live:
        await asyncio.to_thread(go_on, live.obs_url, upload)
        calls = {name for name in live.emulator.calls() if name.startswith("OBS.")}
        assert calls == {"OBS.HeadObject", "OBS.ListMultipartUploads"}


async def test_jobs_that_have_ended_leave_their_drivers_logs(tmp_path: Path) -> None:
    """Why a job failed stands in its stderr: what its SQL met, or the cause that it was ordered to have."""
    pace = {"new_s": 0, "submitted_s": 0, "accepted_s": 0, "run_s": 0}
    async with serving(tmp_path, pace=pace, obs_job_logs="obs://lake/logs") as live:
        sdk = vendor_sdk.Vendor(live.url)

        async def log(**body: object) -> str:
            """Return the stderr of a job that has ended."""
            made = await sdk.ask(
                sdk.v2.create_execute_job, v2.CreateExecuteJobRequest(CLUSTER, v2.JobExecution(**body))
            )
            job_id = made.job_submit_result.job_id
            wanted = v2.ShowSingleJobExeRequest(job_execution_id=job_id, cluster_id=CLUSTER)
            async with asyncio.timeout(60):
                while (await sdk.ask(sdk.v2.show_single_job_exe, wanted)).job_detail.job_result == "UNDEFINED":
                    await asyncio.sleep(0.02)
            key = f"logs/{CLUSTER}/{job_id}/stderr"
            return await asyncio.to_thread(read, key)

        def read(key: str) -> str:
            with opened(live.obs_url) as s3:
                return str(s3.get_object(Bucket="lake", Key=key)["Body"].read().decode())

        cause = {"emulator.cause": "memory"}
        assert "java.lang.OutOfMemoryError" in await log(job_name="a", job_type="SparkSubmit", properties=cause)
        assert "ordered to fail" in await log(job_name="fail", job_type="MapReduce")
        failed = await log(job_name="b", job_type="SparkSql", arguments=["SELECT secret FROM nowhere"])
        assert ("nowhere" in failed, "SELECT" in failed) == (True, False)
        fine = await log(job_name="c", job_type="SparkSubmit", arguments=["--password=secret"])
        assert ("driver ended: SUCCEEDED" in fine, "secret" in fine) == (True, False)


async def test_faults_trouble_obs_and_leave_mrs_alone(tmp_path: Path) -> None:
    """Lost replies, missing and slow objects, replies that end early; `*` means MRS, `OBS.*` means OBS."""
    orders = [
        faults.Fault(action=faults.Action.DROP_AFTER, operation="OBS.PutObject"),
        faults.Fault(action=faults.Action.STATUS, operation="OBS.GetObject", name="lake/o*", status=404),
        faults.Fault(action=faults.Action.HALF_BODY, operation="OBS.GetObject", name="lake/o*", nth=2),
        faults.Fault(action=faults.Action.STATUS_AFTER, operation="OBS.DeleteObject", status=503),
        faults.Fault(action=faults.Action.DROP_BEFORE, operation="*", count=None),
    ]

    def play(url: str) -> None:
        with opened(url) as s3:
            s3.create_bucket(Bucket="lake")
            one = {"Bucket": "lake", "Key": "one"}
            with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
                s3.put_object(**one, Body=b"12345678")
            assert s3.head_object(**one)["ContentLength"] == 8
            assert refused(s3.get_object, **one) == "NoSuchKey"
            with pytest.raises((IncompleteReadError, ResponseStreamingError)):
                s3.get_object(**one)["Body"].read()
            assert s3.get_object(**one)["Body"].read() == b"12345678"
            assert refused(s3.delete_object, **one) == "SlowDown"
            assert refused(s3.head_object, **one) == "404"

    async with serving(tmp_path) as live:
        live.emulator.add_faults(*orders)
        await asyncio.to_thread(play, live.obs_url)
