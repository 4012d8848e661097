"""
Cut the end of a log to what an event may show: without secrets, and without the request's own values. Pure.

A log is written by programs that know nothing of events' readers. So passwords, tokens, keys and signatures are removed
wherever they stand beside a name that says so, or look like a key of the cloud, besides all that `redaction` removes.
"""

from __future__ import annotations

import re
from typing import Final

from mrs_relay.engine import redaction

_NAMES: Final = r"(?:private|access|secret|api)[_. -]?key|password|passwd|passphrase|pwd|secret|token|credential"

_QUOTED: Final = r"\"(?:[^\"\\\r\n]|\\.){0,4000}\"?|'(?:[^'\\\r\n]|\\.){0,4000}'?"

_SCHEME: Final = r"\b[A-Za-z][A-Za-z0-9+.-]{1,15}://"
_PORT: Final = r"\d{1,5}[/?#]"
_UP_TO_AT: Final = r"(?:(?!://)[^\s\"'<>]){1,400}@"

_RULES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"), "…"),
    # such a key whose beginning was cut off
    (re.compile(r"\A[A-Za-z0-9+/=\s]{0,8000}-----END [A-Z ]{0,40}PRIVATE KEY-----"), "…"),
    # a header: its whole line
    (
        re.compile(
            r"(?i)((?:proxy-)?authorization|x-auth-token|cookie)([\"']?[ \t]{0,4}[:=][ \t]{0,4})[^\r\n]{1,4000}"
        ),
        r"\1\2…",
    ),
    (re.compile(r"(?i)\b(bearer|basic) [A-Za-z0-9+/=._~-]{8,4000}"), r"\1 …"),
    # name=value, name: "value", and JSON within JSON, whose quotes are escaped; no line of a file, as in a stack
    (
        re.compile(
            rf"(?i)((?:{_NAMES})[\w.-]{{0,60}}(?<!\.java)(?<!\.scala)(?<!\.py)\\{{0,4}}[\"']?"
            rf"[ \t]{{0,4}}(?:=>|->|[=:])[ \t]{{0,4}})"
            rf"(?:\\{{1,4}}[\"'][^\"'\r\n]{{0,4000}}|{_QUOTED}|[^\s&\"']{{1,4000}})"
        ),
        r"\1…",
    ),
    # (name,value), as Spark prints its settings; a value may hold a bracket, and one without an end is all of its line
    (
        re.compile(
            rf"(?i)(\([\w.-]{{0,100}}(?:{_NAMES})[\w.-]{{0,60}},)(?=\S)"
            r"(?:[^\r\n]{1,4000}?(?=\)(?:[\s,)]|\Z))|[^\r\n]{1,4000})"
        ),
        r"\1…",
    ),
    # <name>value, and Hadoop's <name>name</name><value>value
    (re.compile(rf"(?i)((?:{_NAMES})[\w.-]{{0,60}}(?:</name>\s{{0,40}}<value)?>)[^<\r\n]{{1,4000}}"), r"\1…"),
    (re.compile(r"(?i)(\bidentified by[ \t]{1,4})'[^'\r\n]{1,4000}'?"), r"\1…"),
    # scheme://user:password@host, where the password may hold "/" and "@"; and scheme://host:port/path@more, of which
    # only what could be a password is removed
    (re.compile(rf"({_SCHEME}[^\s/@:]{{1,200}}:{_PORT}){_UP_TO_AT}"), r"\1…@"),
    (re.compile(rf"({_SCHEME})[^\s/@:]{{0,200}}:(?!{_PORT}){_UP_TO_AT}"), r"\1…@"),
    # what signs an address
    (
        re.compile(
            r"(?i)([?&](?:x-amz-|x-obs-)?(?:signature|credential|security-token|accesskeyid|awsaccesskeyid|sig)=)[^&\s\"']{1,4000}"
        ),
        r"\1…",
    ),
    # an access key id, and a secret access key, of the cloud
    (re.compile(r"\b[A-Z0-9]{20}\b"), "…"),
    (re.compile(r"\b[A-Za-z0-9]{40}\b"), "…"),
)

_BESIDE: Final = re.compile(rf"(?i)(?:{_NAMES})[\w.-]{{0,30}}[ \t]{{1,200}}(?=[^\s-])({_QUOTED}|\S{{1,4000}})")
"""The end of a name that says so, and the next word, as in `--db-password value`, or in prose."""

_OF_NAMES: Final = "-._abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MAX_NAME: Final = 100

_GENERATED: Final = re.compile(r"(?=\S{0,4000}[A-Za-z])(?=\S{0,4000}[0-9])\S{6}")
"""A word that is hardly one of prose."""

_TWICE: Final = 2


def piece(text: str, at: int, most: int) -> tuple[str, bool]:
    """
    Return the part of a log's end that is worth showing, and whether it counts from its beginning.

    It is twice as long as what is shown, since a value that was cut off would not be recognised.

    Args:
        text: the end of the log, of whole lines.
        at: where the report begins that must be part of it; -1: the end alone matters.
        most: characters to show.
    """
    room = min(_TWICE * most, redaction.MAX_LENGTH)
    text = text.rstrip()
    if 0 <= at < len(text) - most:
        return text[at : at + room], True
    if len(text) <= room:
        return text, False
    return after_cut(text[len(text) - room :]), False


def after_cut(text: str) -> str:
    """Return what is whole of a text that was cut off in front: half a secret would not be recognised."""
    return text.partition("\n")[2] or text.partition(" ")[2]


def detail(text: str, most: int, asked: redaction.Asked | None, *, from_start: bool) -> str:
    """
    Return what an event shows of such a piece, whose secrets have been removed.

    Args:
        text: the piece.
        most: characters.
        asked: the request's values, which are removed; None: nothing is.
        from_start: the beginning is kept rather than the end.
    """
    shown = text if asked is None else redaction.redact(text, asked)
    shown = shown.strip()
    if len(shown) <= most:
        return shown
    return shown[: most - 1] + redaction.ELLIPSIS if from_start else redaction.ELLIPSIS + shown[1 - most :]


def without_secrets(text: str) -> str:
    """Return a text without passwords, tokens, keys and signatures."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return _BESIDE.sub(_without_value, text)


def _without_value(found: re.Match[str]) -> str:
    return found[0].removesuffix(found[1]) + redaction.ELLIPSIS if _is_value(found) else found[0]


def _is_value(found: re.Match[str]) -> bool:
    """
    Return whether the word behind a name is its value: of an option, in a file of settings, or by its looks.

    Prose has such words, too: "the token expired". A line of settings is a name with a dot and a value, alone.
    """
    if _GENERATED.match(found[1]):
        return True
    before = found.string[max(0, found.start() - _MAX_NAME) : found.start()]
    begins = before[len(before.rstrip(_OF_NAMES)) :]
    if begins.startswith("-"):
        return True

    text, end = found.string, found.end()
    is_alone = not before.removesuffix(begins).rpartition("\n")[2].strip() and text[end : end + 1] in {"", "\r", "\n"}
    name = begins + found[0].removesuffix(found[1])
    return is_alone and "." in name
