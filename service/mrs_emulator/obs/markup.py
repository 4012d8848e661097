"""XML in and out: elements in order, without a namespace, as OBS's own clients want them."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from xml.etree import ElementTree as ET
from xml.sax import saxutils

from mrs_emulator.obs import errors

CONTENT_TYPE = "application/xml"
Element = tuple[str, "str | int | Iterable[Element]"]  # True and False are numbers

_NOT_OF_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(name: str, content: str | Iterable[Element]) -> bytes:
    """Return a whole document, of text or elements; an element without a name is text between others."""
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{_element(name, content)}'.encode()


def of_url(text: str, *, url: bool) -> str:
    """Return a key or prefix, percent-encoded where the client asked for encoding-type=url."""
    return urllib.parse.quote(text, safe="/") if url else text


def read(body: bytes, name: str) -> ET.Element:
    """
    Return the root of a document that a client sent.

    Raises:
        ObsError: MalformedXML, it is none, declares a type of its own, or has another root.
    """
    try:
        text = body.decode("utf-8-sig")  # in another encoding a document type would not be seen
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise errors.ObsError("MalformedXML")
        root = ET.fromstring(text)  # noqa: S314 - without a document type there are no entities to expand
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise errors.ObsError("MalformedXML") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != name:
        raise errors.ObsError("MalformedXML")
    return root


def _element(name: str, content: str | int | Iterable[Element]) -> str:
    if isinstance(content, bool):
        inner = "true" if content else "false"
    elif isinstance(content, str | int):
        inner = saxutils.escape(_NOT_OF_XML.sub("\ufffd", str(content)), {"\r": "&#13;", "\n": "&#10;"})
    else:
        inner = "".join(_element(*one) for one in content)
    return f"<{name}>{inner}</{name}>" if name else inner
