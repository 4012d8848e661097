r"""
Bodies that AWS's clients send in chunks of their own (`aws-chunked`), each with a size and, in one form, a signature.

    400;chunk-signature=ad80…\r\n<1024 bytes>\r\n0;chunk-signature=b6c6…\r\n[trailers]\r\n
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mrs_emulator.obs import errors, v4

_HEAD = re.compile(rb"(?P<size>[0-9a-fA-F]{1,8})(?:;chunk-signature=(?P<sum>[0-9a-f]{64}))?")
_HEAD_MAX_BYTES = 200


@dataclass(frozen=True, slots=True)
class Framing:
    """Whose signatures the chunks bear; without a claim they bear none."""

    claim: v4.Claim | None = None
    key: bytes = b""


class Decoder:
    """
    Takes chunks apart while they arrive.

    Args:
        framing: whose signatures they bear.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._before = framing.claim.signature if framing.claim else ""
        self._waiting = bytearray()
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        Yield the payload of the chunks that are whole now.

        Raises:
            ObsError: InvalidRequest, SignatureDoesNotMatch.
        """
        self._waiting += data
        while not self._ended:
            end = self._waiting.find(b"\r\n", 0, _HEAD_MAX_BYTES)
            if end < 0 and len(self._waiting) < _HEAD_MAX_BYTES:
                return
            head = _HEAD.fullmatch(self._waiting, 0, max(end, 0))
            if head is None:
                raise errors.ObsError("InvalidRequest", "the body is not in chunks")

            # The last chunk is empty and is followed by trailers, which say nothing that is checked here.
            size, start = int(head["size"], 16), end + 2
            if size and len(self._waiting) < start + size + 2:
                return
            found = (head["sum"] or b"").decode()
            payload = bytes(self._waiting[start : start + size])
            del head  # it holds the buffer, which shrinks now
            del self._waiting[: start + size + 2]
            self._check(payload, found)
            self._ended = size == 0
            yield payload

    def end(self) -> None:
        """
        Make sure that the last chunk has come.

        Raises:
            ObsError: IncompleteBody.
        """
        if not self._ended:
            raise errors.ObsError("IncompleteBody")

    def _check(self, payload: bytes, found: str) -> None:
        claim = self._framing.claim
        if claim is None:
            return
        wanted = v4.chunk_signature(self._framing.key, claim, self._before, payload)
        if not hmac.compare_digest(wanted, found):
            raise errors.ObsError("SignatureDoesNotMatch")
        self._before = found
