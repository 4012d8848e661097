"""
Errors as OBS words them: a code, an HTTP status and a sentence, in XML.

Source: OBS API reference, "Error codes" (2024).
"""

from __future__ import annotations

from collections.abc import Mapping

_KNOWN: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access Denied"),
    "BadDigest": (400, "The specified value of Content-MD5 does not match the value received by OBS."),
    "BucketAlreadyOwnedByYou": (409, "Your previous request to create the named bucket succeeded and you own it."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed object size."),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header."),
    "InternalError": (500, "The server met an error that it did not expect."),
    "InvalidAccessKeyId": (403, "The OBS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidPart": (400, "One or more of the specified parts could not be found or has another entity tag."),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order."),
    "InvalidRange": (416, "The requested range cannot be satisfied."),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidSecurity": (403, "The provided security credentials are not valid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLong": (400, "Your key is too long."),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate against our schema."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "NoSuchBucket": (404, "The specified bucket does not exist."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchUpload": (404, "The specified multipart upload does not exist."),
    "NotImplemented": (501, "A header you provided implies functionality that is not played."),
    "NotModified": (304, ""),
    "PreconditionFailed": (412, "At least one of the preconditions you specified did not hold."),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "SignatureDoesNotMatch": (
        403,
        "The signature we calculated is not the one you provided. Check your key and method.",
    ),
    "XAmzContentSHA256Mismatch": (400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
}


class ObsError(Exception):
    """
    A refusal.

    Args:
        code: as OBS names it.
        message: the sentence, where it says more than the usual one.
        more: further elements of the XML.
    """

    def __init__(self, code: str, message: str = "", **more: str) -> None:
        super().__init__(code)
        self.code = code
        self.status, usual = _KNOWN[code]
        self.message = message or usual
        self.more: Mapping[str, str] = more


def not_played(what: str) -> ObsError:
    """Return a refusal of what OBS has and the emulator has not."""
    return ObsError("NotImplemented", f"not played: {what}; use what the emulator's page on OBS lists")
