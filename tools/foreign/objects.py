"""
Clients of OBS that the runner steers: boto3, obstore, the vendor's esdk-obs-python, DuckDB's httpfs.

    python -m tools.foreign.objects boto3|obstore|esdk|duckdb

The API of a call is the signature, with `-host` where the bucket stands in the host. Names below .localhost are this
machine, as RFC 6761 wants; not every resolver knows it, so it is said here.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tools.foreign import lines

_REGION = "cn-north-4"
_resolve = socket.getaddrinfo


def _local(host: Any, *arguments: Any, **named: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    return _resolve("127.0.0.1" if str(name).endswith(".localhost") else host, *arguments, **named)


def boto3_client() -> None:
    """Call boto3, by three signatures and both ways to name a bucket."""
    import boto3  # noqa: PLC0415 - each client is imported only where it is asked for
    from botocore.config import Config  # noqa: PLC0415

    def made(signature: str, style: str) -> Any:
        at = lines.OBS.replace("127.0.0.1", "localhost") if style == "virtual" else lines.OBS
        config = Config(signature_version=signature, s3={"addressing_style": style}, retries={"total_max_attempts": 1})
        return boto3.client(
            "s3",
            endpoint_url=at,
            aws_access_key_id=lines.AK,
            aws_secret_access_key=lines.SK,
            region_name=_REGION,
            config=config,
        )

    clients = {"v4": made("s3v4", "path"), "v4-host": made("s3v4", "virtual"), "v2": made("s3", "path")}

    def answer(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        if wanted["call"] == "fetch":
            return {"reply": _fetched(wanted["fields"])}
        reply = getattr(clients[wanted["api"] or "v4"], wanted["call"])(*wanted["values"], **wanted["fields"])
        if isinstance(reply, dict) and hasattr(reply.get("Body"), "read"):
            reply["Body"] = reply["Body"].read().decode()
        return {"reply": reply}

    lines.serve(importlib.metadata.version("boto3"), {}, answer)


def obstore_client() -> None:
    """Call obstore, on Rust's object_store."""
    import obstore  # noqa: PLC0415
    from obstore.store import S3Store  # noqa: PLC0415

    place = S3Store(
        "lake",
        endpoint=lines.OBS,
        access_key_id=lines.AK,
        secret_access_key=lines.SK,
        region=_REGION,
        client_options={"allow_http": True},
    )

    def answer(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        call, values, fields = wanted["call"], wanted["values"], dict(wanted["fields"])
        if call == "sign":
            url = obstore.sign(place, values[0], values[1], dt.timedelta(minutes=1))
            return {"reply": _fetched({"url": url})}
        if call == "put":
            values = (values[0], values[1].encode())
        reply = getattr(obstore, call)(place, *values, **fields)
        if call == "get":
            return {"reply": bytes(reply.bytes()).decode()}
        if call == "get_range":
            return {"reply": bytes(reply).decode()}
        if call == "list":
            return {"reply": [one["path"] for batch in reply for one in batch]}
        return {"reply": reply}

    lines.serve(importlib.metadata.version("obstore"), {}, answer)


def esdk_client() -> None:
    """Call the vendor's SDK for OBS, by OBS's own signature and AWS's of versions 2 and 4."""
    import obs  # noqa: PLC0415

    def made(signature: str, at: str) -> Any:
        return obs.ObsClient(
            access_key_id=lines.AK, secret_access_key=lines.SK, server=at, signature=signature, region=_REGION
        )

    at = lines.OBS.replace("127.0.0.1", "localhost")
    clients = {"obs-host": made("obs", at), "v2": made("v2", lines.OBS), "v4": made("v4", lines.OBS)}

    def answer(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        call, client = wanted["call"], clients[wanted["api"]]
        fields = dict(wanted["fields"])

        if call == "completeMultipartUpload":
            parts = [obs.CompletePart(partNum=number, etag=etag) for number, etag in fields.pop("parts")]
            fields["completeMultipartUploadRequest"] = obs.CompleteMultipartUploadRequest(parts=parts)

        if call == "deleteObjects":
            named = [obs.Object(key=key) for key in fields.pop("keys")]
            fields["deleteObjectsRequest"] = obs.DeleteObjectsRequest(quiet=False, objects=named)

        if call == "createSignedUrl":
            signed = client.createSignedUrl(**fields)
            return {"reply": _fetched({"url": signed.signedUrl, "method": fields["method"]})}

        if call == "getObject" and "range" in fields:
            fields["headers"] = obs.GetObjectHeader(range=fields.pop("range"))
        reply = getattr(client, call)(**fields)
        if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
            return {"error": f"{reply.status} {reply.errorCode} {reply.errorMessage}"}

        body = reply.body
        if call == "getObject":
            return {"reply": body.buffer.decode()}
        return {"reply": {"status": reply.status, "body": body, "header": dict(reply.header or {})}}

    lines.serve(importlib.metadata.version("esdk-obs-python"), {}, answer)


def duckdb_client() -> None:
    """Call DuckDB's httpfs: each call is a statement."""
    import duckdb  # noqa: PLC0415
    import duckdb_extension_httpfs  # noqa: PLC0415

    (extension,) = Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension")
    opened = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    opened.execute(f"INSTALL '{extension}'")
    opened.execute("LOAD httpfs")
    opened.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{lines.AK}', SECRET '{lines.SK}', REGION '{_REGION}', "
        f"ENDPOINT '{lines.OBS.removeprefix('http://')}', URL_STYLE 'path', USE_SSL false)"
    )

    def answer(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"reply": [list(row) for row in opened.execute(wanted["values"][0]).fetchall()]}

    lines.serve(importlib.metadata.version("duckdb"), {}, answer)


def _fetched(fields: Mapping[str, Any]) -> str:
    asked = urllib.request.Request(fields["url"], method=fields.get("method", "GET"))  # noqa: S310 - our emulator's
    with urllib.request.urlopen(asked, timeout=30) as reply:  # noqa: S310 - the same
        return str(reply.read().decode())


_CLIENTS: Mapping[str, Callable[[], None]] = {
    "boto3": boto3_client,
    "obstore": obstore_client,
    "esdk": esdk_client,
    "duckdb": duckdb_client,
}

if __name__ == "__main__":
    socket.getaddrinfo = _local
    _CLIENTS[sys.argv[1]]()
