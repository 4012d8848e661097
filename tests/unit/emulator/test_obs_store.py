"""Keys of OBS as files: each key has one file of its own inside of its bucket, whatever it is called."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrs_emulator.obs import errors, keys, listing, markup, multipart, objects, store, uploads, wire

_ODD = ["", ".", "..", "a", "b", "¤", "¤e", "¤+", "¤a", "a¤2e", "\\", "\x00", "\x7f", "é" * 150, "%2e%2e", " ", "~"]
SEGMENTS = st.sampled_from(_ODD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join).filter(lambda key: 0 < len(key.encode()) <= 1024)


@given(KEYS)
def test_key_lies_in_its_bucket_and_is_found_again(key: str) -> None:
    """No key leads out of a bucket, each name is one that a file may have, and the way back leads to the key."""
    names = keys.parts(key)
    assert all(name not in {"", ".", ".."} and "/" not in name and "\0" not in name for name in names)
    assert all(len(name.encode()) <= 210 for name in names)
    assert keys.key(names) == key
    assert keys.key([*names, keys.SELF]) == key


@given(KEYS, KEYS)
def test_two_keys_have_two_files(one: str, other: str) -> None:
    """Neither escapes nor cuts let two keys meet."""
    assert (keys.parts(one) == keys.parts(other)) == (one == other)


def _put(place: store.Store, key: str, data: bytes) -> None:
    fresh = place.incoming()
    fresh.write_bytes(data)
    place.put("bucket", key, fresh, store.About(f"tag of {data!r}"))


def _read(place: store.Store, key: str) -> tuple[bytes, str]:
    file, found = place.open("bucket", key)
    with file:
        return file.read(), found.etag


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=3)), max_size=12))
def test_store_holds_what_was_put_and_not_deleted(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, bytes | None]]
) -> None:
    """A key that is a folder as well keeps its bytes, in any order of puts and deletes; nothing lies outside."""
    root = tmp_path_factory.mktemp("obs")
    place = store.Store(lambda: root / "obs")
    place.create_bucket("bucket")
    held: dict[str, bytes] = {}

    for key, data in deeds:
        if data is None:
            place.delete("bucket", key)
            held.pop(key, None)
        else:
            _put(place, key, data)
            held[key] = data

    assert sorted(place.walk("bucket", "")) == sorted(held)
    for key, data in held.items():
        assert _read(place, key) == (data, f"tag of {data!r}")
        assert key in set(place.walk("bucket", key[: len(key) // 2]))

    assert [path.name for path in root.iterdir()] == ["obs"]
    assert {path.name for path in (root / "obs").iterdir()} <= {"bucket", store.OWN}

    for key in held:
        place.delete("bucket", key)
    place.delete_bucket("bucket")


def test_links_are_no_way_out(tmp_path: Path) -> None:
    """Neither a link to a file, nor one to a folder, nor a bucket that is one can be read or written."""
    outside, root = tmp_path / "outside", tmp_path / "obs"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    place = store.Store(lambda: root)
    place.create_bucket("bucket")
    (root / "bucket" / "file").symlink_to(outside / "secret")
    (root / "bucket" / "folder").symlink_to(outside)
    (root / "linked").symlink_to(outside)

    for key in ("file", "folder/secret", "folder/../folder/secret"):
        with pytest.raises(errors.ObsError, match="NoSuchKey"):
            place.open("bucket", key)

    with pytest.raises(errors.ObsError, match="AccessDenied"):
        _put(place, "folder/new", b"")
    with pytest.raises(errors.ObsError, match="NoSuchBucket"):
        place.open("linked", "secret")

    assert list(place.walk("bucket", "")) == list(place.walk("bucket", "folder/")) == []
    assert [path.name for path in outside.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    "name", ["..", ".", ".obs", "", "a/b", "a\\b", "a\0", "Ab_c", "x" * 64, "ab", "1.2.3.4", "a..b", "a-.b"]
)
def test_bucket_that_may_not_be_called_so_is_not_made(tmp_path: Path, name: str) -> None:
    """OBS's rules for names of buckets, which leave no way out of the folder."""
    place = store.Store(lambda: tmp_path / "obs")
    with pytest.raises(errors.ObsError, match="InvalidBucketName"):
        place.create_bucket(name)


def test_file_that_a_person_wrote_is_an_object(tmp_path: Path) -> None:
    """It has a tag that changes with it; what was known of an object that it replaces does not count any more."""
    place = store.Store(lambda: tmp_path)
    place.create_bucket("bucket")
    _put(place, "a/b", b"one")
    (tmp_path / "bucket" / "a" / "b").write_bytes(b"other")
    (tmp_path / "bucket" / "c").write_bytes(b"new")
    data, etag = _read(place, "a/b")
    assert (data, etag.endswith("-1")) == (b"other", True)
    assert sorted(place.walk("bucket", "")) == ["a/b", "c"]
    assert place.look("bucket", "c").etag != etag


@given(
    st.sets(KEYS, max_size=12),
    st.sampled_from(["", "a", "a/", ".", "/"]),
    st.sampled_from(["", "/", "a", "//"]),
    st.integers(1, 4),
)
def test_pages_hold_each_entry_once_and_in_order(found: set[str], prefix: str, delimiter: str, most: int) -> None:
    """However small the pages are, together they are the one large page."""
    begin = [key for key in found if key.startswith(prefix)]
    whole = listing.page(begin, prefix, delimiter, "", 1000)
    entries: list[str] = []
    after = ""
    while True:
        page = listing.page(begin, prefix, delimiter, after, most)
        entries += sorted((*page.keys, *page.prefixes), key=str.encode)
        assert len(page.keys) + len(page.prefixes) <= most
        if not page.last:
            break
        after = page.last
    assert entries == sorted((*whole.keys, *whole.prefixes), key=str.encode)
    assert set(whole.keys) | {key for key in begin if any(key.startswith(one) for one in whole.prefixes)} == set(begin)


def test_page_without_room_is_empty() -> None:
    """max-keys=0 is allowed."""
    assert listing.page(["a"], "", "", "", 0) == listing.Page((), (), "")


def test_file_name_that_is_no_text_hides_no_others(tmp_path: Path) -> None:
    """It is no key; the other files of its bucket are listed all the same."""
    place = store.Store(lambda: tmp_path)
    place.create_bucket("bucket")
    _put(place, "a", b"")
    (tmp_path / "bucket" / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    assert list(place.walk("bucket", "")) == ["a"]


def test_reader_sees_a_tag_that_belongs_to_the_bytes(tmp_path: Path) -> None:
    """Also while the object is put again and again."""
    place = store.Store(lambda: tmp_path)
    place.create_bucket("bucket")
    _put(place, "a", b"0")
    ended = threading.Event()

    def write() -> None:
        for number in range(300):
            _put(place, "a", b"1" * (number % 7 + 1))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not ended.is_set():
            data, etag = _read(place, "a")
            assert etag == f"tag of {data!r}"
    finally:
        writer.join()


def test_document_in_another_encoding_is_refused() -> None:
    """A document type in it would not be seen."""
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE Delete [<!ENTITY a "b">]><Delete>&a;</Delete>'
    for body in (text.encode("utf-16"), text.replace("UTF-16", "UTF-8").encode()):
        with pytest.raises(errors.ObsError, match="MalformedXML"):
            markup.read(body, "Delete")
    assert markup.read("\ufeff<Delete>é</Delete>".encode(), "Delete").text == "é"


def _part_copy(number: str, upload_id: str, source: str) -> wire.Request:
    path = f"/bucket/whole?partNumber={number}&uploadId={upload_id}"
    return wire.request("PUT", path, {"x-amz-copy-source": source, "x-amz-copy-source-range": "bytes=1-3"}, ())


def test_part_that_cannot_be_copied_leaves_no_file(tmp_path: Path) -> None:
    """Neither a wrong number nor a missing source leaves anything of what was to be copied."""
    place = store.Store(lambda: tmp_path)
    place.create_bucket("bucket")
    _put(place, "source", b"abcdef")
    parts = multipart.Multipart(place)
    begun = uploads.Uploads(place).begin("bucket", "whole", {}, 0)
    body = wire.Body(tmp_path / "none", 0, b"", "")
    for number, source in (("0", "/bucket/source"), ("1", "/bucket/none")):
        with pytest.raises(errors.ObsError):
            parts.put(_part_copy(number, begun.upload_id, source), body, 0)
    parts.put(_part_copy("1", begun.upload_id, "/bucket/source"), body, 0)
    assert list(place.own("incoming").iterdir()) == []
    (part,) = uploads.Uploads(place).parts(begun)
    assert (part.size, part.etag) == (3, hashlib.md5(b"bcd", usedforsecurity=False).hexdigest())


def test_upload_that_ends_while_it_is_completed_is_not_there(tmp_path: Path) -> None:
    """Two that complete it at once: the later one finds no upload, and makes no half object."""
    place = store.Store(lambda: tmp_path)
    place.create_bucket("bucket")
    under_way = uploads.Uploads(place)
    begun = under_way.begin("bucket", "whole", {}, 0)
    fresh = place.incoming()
    fresh.write_bytes(b"abc")
    part = uploads.Part(1, hashlib.md5(b"abc", usedforsecurity=False).hexdigest(), 3, 0)
    under_way.put(begun, part, fresh)
    (place.own("uploads", begun.upload_id) / "1.part").unlink()
    with pytest.raises(errors.ObsError, match="NoSuchUpload"):
        under_way.complete(begun, [(1, part.etag)])
    assert list(place.walk("bucket", "")) == []
    assert list(place.own("incoming").iterdir()) == []


@pytest.mark.parametrize("header", ["x-amz-copy-source-if-match", "x-obs-copy-source-if-none-match", "x-amz-tagging"])
def test_copy_does_nothing_by_half(tmp_path: Path, header: str) -> None:
    """A condition or an order that is not played refuses the copy, of an object and of a part."""
    place = store.Store(lambda: tmp_path)
    place.create_bucket("bucket")
    _put(place, "source", b"abc")
    begun = uploads.Uploads(place).begin("bucket", "whole", {}, 0)
    body = wire.Body(tmp_path / "none", 0, b"", "")
    headers = {"x-amz-copy-source": "/bucket/source", header: "other"}
    with pytest.raises(errors.ObsError, match="NotImplemented"):
        objects.Objects(place).put(wire.request("PUT", "/bucket/copy", headers, ()), body)
    path = f"/bucket/whole?partNumber=1&uploadId={begun.upload_id}"
    with pytest.raises(errors.ObsError, match="NotImplemented"):
        multipart.Multipart(place).put(wire.request("PUT", path, headers, ()), body, 0)
    assert list(place.walk("bucket", "")) == ["source"]
