"""
OBS without a socket: the head of a request is admitted, then its body is received, and a reply comes out.

    head → wire.request → access.Gate → body received (listener.py) → answer: buckets.py, objects.py, multipart.py

What OBS has and is not played is refused with NotImplemented, never done by half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mrs_emulator.iam import accounts
from mrs_emulator.obs import access, buckets, errors, markup, multipart, objects, own_signature, store, wire

_NOT_MODIFIED = 304

_OF_BUCKET = (
    ("GET", "uploads", "ListMultipartUploads"),
    ("GET", "location", "GetBucketLocation"),
    ("GET", "versioning", "GetBucketVersioning"),
    ("GET", "", "ListObjects"),
    ("HEAD", "", "HeadBucket"),
    ("PUT", "", "CreateBucket"),
    ("DELETE", "", "DeleteBucket"),
    ("POST", "delete", "DeleteObjects"),
)
_OF_OBJECT = (
    ("GET", "uploadId", "ListParts"),
    ("GET", "", "GetObject"),
    ("HEAD", "", "HeadObject"),
    ("PUT", "uploadId", "UploadPart"),
    ("PUT", "", "PutObject"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
    ("DELETE", "", "DeleteObject"),
    ("POST", "uploadId", "CompleteMultipartUpload"),
    ("POST", "uploads", "InitiateMultipartUpload"),
)
OPERATIONS = ("ListBuckets", *(name for _, _, name in (*_OF_BUCKET, *_OF_OBJECT)))
"""Names of all operations that are played."""

_PLAYED = frozenset({"uploads", "location", "versioning", "delete", "uploadid", "partnumber"})


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that was admitted, with its body and the time at which OBS sees it."""

    request: wire.Request
    admitted: access.Admitted
    body: wire.Body
    now_ms: int


class Service:
    """
    One account's OBS.

    Args:
        known: the keys.
        folder: the store.
        region: where the buckets are.
        owner: the account that owns them.
        checks: False admits requests without a signature.
    """

    def __init__(self, known: accounts.Accounts, folder: store.Store, region: str, owner: str, *, checks: bool) -> None:
        self.gate = access.Gate(known, owner, checks=checks)
        self.store = folder
        of_all, of_one = buckets.Buckets(folder, region), objects.Objects(folder)
        parts = multipart.Multipart(folder)

        self._handlers: dict[str, Callable[[_Call], wire.Reply]] = {
            "ListBuckets": lambda call: of_all.all(call.admitted),
            "ListMultipartUploads": lambda call: parts.under_way(call.request),
            "GetBucketLocation": lambda call: of_all.location(call.request, call.admitted),
            "GetBucketVersioning": lambda call: of_all.versioning(call.request),
            "ListObjects": lambda call: of_all.contents(call.request, call.admitted),
            "HeadBucket": lambda call: of_all.head(call.request, call.admitted),
            "CreateBucket": lambda call: of_all.create(call.request),
            "DeleteBucket": lambda call: of_all.delete(call.request),
            "DeleteObjects": lambda call: of_all.delete_many(call.request, call.body),
            "ListParts": lambda call: parts.parts(call.request),
            "GetObject": lambda call: of_one.read(call.request, call.admitted),
            "HeadObject": lambda call: of_one.read(call.request, call.admitted),
            "UploadPart": lambda call: parts.put(call.request, call.body, call.now_ms),
            "PutObject": lambda call: of_one.put(call.request, call.body),
            "AbortMultipartUpload": lambda call: parts.abort(call.request),
            "DeleteObject": lambda call: of_one.delete(call.request),
            "CompleteMultipartUpload": lambda call: parts.complete(call.request, call.body),
            "InitiateMultipartUpload": lambda call: parts.begin(call.request, call.now_ms),
        }

    def answer(self, request: wire.Request, admitted: access.Admitted, body: wire.Body, now_ms: int) -> wire.Reply:
        """
        Answer a request that was admitted; blocks.

        Raises:
            ObsError: the request is refused.
        """
        return self._handlers[operation(request)](_Call(request, admitted, body, now_ms))


def operation(request: wire.Request) -> str:
    """
    Name of the operation that a request asks for.

    Raises:
        ObsError: NotImplemented, MethodNotAllowed.
    """
    if not request.bucket:
        if request.verb == "GET":
            return "ListBuckets"
        raise errors.ObsError("MethodNotAllowed")
    for name, _ in request.query:
        if name.lower() in own_signature.RESOURCES - _PLAYED and not name.startswith("response-"):
            raise errors.not_played(f"the sub-resource {name}")

    has = {name for name, _ in request.query}
    for verb, parameter, found in _OF_OBJECT if request.key else _OF_BUCKET:
        if verb == request.verb and (not parameter or parameter in has):
            meant = {parameter, "partNumber"} if found == "UploadPart" else {parameter}
            if left := [name for name in has - meant if name.lower() in _PLAYED]:
                raise errors.not_played(f"{verb} with the sub-resource {min(left)}")
            return found
    raise errors.ObsError("MethodNotAllowed")


def refused(error: errors.ObsError, request: wire.Request | None, request_id: str) -> wire.Reply:
    """Return the reply that says why a request is refused; one to HEAD has no body."""
    if error.status == _NOT_MODIFIED or (request is not None and request.verb == "HEAD"):
        return wire.Reply(error.status)
    resource = f"/{request.bucket}/{request.key}".rstrip("/") or "/" if request else "/"
    elements: list[markup.Element] = [
        ("Code", error.code),
        ("Message", error.message),
        ("RequestId", request_id),
        ("HostId", request_id),
        ("Resource", resource),
        *error.more.items(),
    ]
    return wire.Reply(error.status, {"Content-Type": markup.CONTENT_TYPE}, markup.document("Error", elements))
