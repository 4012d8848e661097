"""The relay's client of OBS against the emulator's OBS, over a socket: rows, sizes, rights, keys and troubles."""

from __future__ import annotations

import asyncio
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pydantic
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer, TestServer

from mrs_emulator.core import faults, settings
from mrs_emulator.http import server
from mrs_emulator.obs import store
from mrs_relay import errors
from mrs_relay.obs import client, paths, transport
from mrs_relay.obs import settings as obs_settings

KEY = settings.Credential()
KEYS = transport.OwnKeys(KEY.access_key, KEY.secret_key)
PLACE = paths.parse("obs://lake/results/a=1/one row.csv")
MEBIBYTE = 1 << 20


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[server.Running]:
    """Yield an emulator that serves OBS."""
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "obs_port": 0, "obs_dir": folder})
    async with server.running(chosen) as live:
        yield live


def opened(
    live: server.Running, keys: Callable[[], transport.Keys | None] = lambda: KEYS, **changes: object
) -> client.Client:
    """Return a client of it."""
    given = {"endpoint": live.obs_url, "region": "cn-north-4", "path_style": True, **changes}
    group = obs_settings.ObsSettings.model_validate(given)
    return client.Client(group, client.over_network(group), keys)


def put(folder: Path, content: bytes, place: paths.Place = PLACE) -> None:
    """Leave an object."""
    file = folder / place.bucket / place.key
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


async def test_object_is_read_whole_in_pieces(tmp_path: Path) -> None:
    """Any size below the limit, also none; the pieces are the object, in order."""
    async with serving(tmp_path) as live:
        reader = opened(live)
        for content in (b"", b"a,b\n1,2\n", os.urandom(5 * MEBIBYTE + 3)):
            put(tmp_path, content)
            pieces: list[bytes] = []
            assert await reader.read(PLACE, pieces.append) == len(content)
            assert b"".join(pieces) == content
        assert len(pieces) > 3


async def test_object_over_the_limit_is_refused_before_its_content_is_read(tmp_path: Path) -> None:
    """Its size is known from the head of the reply."""
    pieces: list[bytes] = []
    async with serving(tmp_path) as live:
        put(tmp_path, b"x" * 2000)
        with pytest.raises(errors.ObsRefused, match="2000 bytes; at most 1024 are read"):
            await opened(live, max_object_bytes=1024).read(PLACE, pieces.append)
    assert pieces == []


async def test_missing_objects_wrong_keys_and_silence_are_told_apart(tmp_path: Path) -> None:
    """What may come yet, what is final, and what may be tried again; no text holds an address or a key."""
    wrong = transport.OwnKeys(KEY.access_key, pydantic.SecretStr("another"))
    async with serving(tmp_path) as live:
        put(tmp_path, b"x")
        with pytest.raises(errors.ObsMissing):
            await opened(live).read(PLACE._replace(key="results/none.csv"), lambda _piece: None)
        with pytest.raises(errors.ObsRefused) as refused:
            await opened(live, lambda: wrong).read(PLACE, lambda _piece: None)
        with pytest.raises(errors.ObsDown, match="no key pair"):
            await opened(live, lambda: None).read(PLACE, lambda _piece: None)
        reader = opened(live)

    with pytest.raises(errors.ObsDown) as silent:
        await reader.read(PLACE, lambda _piece: None)

    for text in (str(refused.value), str(silent.value)):
        assert KEY.access_key not in text
        assert "http://" not in text


async def test_slow_and_broken_replies_end_within_the_deadline_and_can_be_tried_again(tmp_path: Path) -> None:
    """A reply that comes late, one that never comes, one that ends early, and the next one, which is good."""
    async with serving(tmp_path) as live:
        put(tmp_path, b"x" * 4000)
        reader = opened(live, read_timeout_s=0.5)
        for action in ("latency", "drop_after", "half_body"):
            order = {"action": action, "operation": "OBS.GetObject"}
            live.emulator.add_faults(faults.Fault(**order, **({"seconds": 1.5} if action == "latency" else {})))
            with pytest.raises(errors.ObsDown):
                await asyncio.wait_for(reader.read(PLACE, lambda _piece: None), 5)
        assert await reader.read(PLACE, lambda _piece: None) == 4000


async def test_object_of_any_length_is_streamed_in_parts(tmp_path: Path) -> None:
    """Also none, and one that is larger than what is read at once; each part has a deadline, not the whole."""
    async with serving(tmp_path) as live:
        reader = opened(live, read_timeout_s=2, max_object_bytes=1024)
        for content in (b"", b"a,b\n1,2\n", os.urandom(17 * MEBIBYTE + 3)):
            put(tmp_path, content)
            assert b"".join([piece async for piece in reader.stream(PLACE)]) == content
        slow = [piece async for piece in reader.stream(PLACE) if await asyncio.sleep(0.1, result=True)]
        assert len(b"".join(slow)) == 17 * MEBIBYTE + 3
        with pytest.raises(errors.ObsRefused, match="at most 2048 are written in chunks"):
            [piece async for piece in opened(live, max_stream_bytes=2048).stream(PLACE)]


async def test_object_that_is_replaced_or_fails_while_it_is_streamed_is_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts are those of one object, or the stream ends with an error after which it may begin again."""
    monkeypatch.setattr(client, "_PART_BYTES", 4 * MEBIBYTE)
    async with serving(tmp_path) as live:
        put(tmp_path, b"a" * 40 * MEBIBYTE)
        stream = opened(live).stream(PLACE)
        assert set(await anext(stream)) == {ord("a")}
        put(tmp_path, b"b" * 40 * MEBIBYTE)
        with pytest.raises(errors.ObsDown, match="was replaced"):
            [piece async for piece in stream]

        for action in ("drop_after", "half_body", "latency"):
            order = {"action": action, "operation": "OBS.GetObject"}
            live.emulator.add_faults(faults.Fault(**order, **({"seconds": 1.5} if action == "latency" else {})))
            with pytest.raises(errors.ObsDown):
                [piece async for piece in opened(live, read_timeout_s=0.5).stream(PLACE)]
        with pytest.raises(errors.ObsMissing):
            [piece async for piece in opened(live).stream(PLACE._replace(key="results/none.csv"))]


async def test_signed_address_reads_the_object_and_no_other(tmp_path: Path) -> None:
    """Without keys, for its time; another object's address does not take its signature."""

    def fetched(url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return bytes(reply.read())

    async with serving(tmp_path) as live:
        put(tmp_path, b"a,b\n")
        put(tmp_path, b"secret", PLACE._replace(key="results/other.csv"))
        url = await opened(live).sign(PLACE, 600)
        assert await asyncio.to_thread(fetched, url) == b"a,b\n"
        assert "X-Amz-Expires=600" in url
        path, _, query = url.partition("?")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            await asyncio.to_thread(fetched, f"{path.rpartition('/results/')[0]}/results/other.csv?{query}")


async def test_keys_that_change_are_used_from_then_on(tmp_path: Path) -> None:
    """Temporary keys are renewed while a bucket's connections are kept."""
    now = [transport.OwnKeys(KEY.access_key, pydantic.SecretStr("old"))]
    async with serving(tmp_path) as live:
        put(tmp_path, b"x")
        reader = opened(live, lambda: now[0])
        with pytest.raises(errors.ObsRefused):
            await reader.read(PLACE, lambda _piece: None)
        now[0] = KEYS
        assert await reader.read(PLACE, lambda _piece: None) == 1


async def test_environment_of_other_programs_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's variables, which obstore reads by itself, say neither where OBS is nor who we are."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "foreign")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "foreign")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "foreign")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    async with serving(tmp_path) as live:
        put(tmp_path, b"x")
        assert await opened(live).read(PLACE, lambda _piece: None) == 1


async def test_only_so_many_objects_are_read_at_a_time(tmp_path: Path) -> None:
    """The others wait for their turn, within their own deadline."""
    async with serving(tmp_path) as live:
        put(tmp_path, b"x")
        live.emulator.add_faults(faults.Fault(action="latency", operation="OBS.GetObject", seconds=0.5))
        reader = opened(live, max_reads=1, read_timeout_s=10.0)
        ended: list[str] = []

        async def read(name: str) -> None:
            await reader.read(PLACE, lambda _piece: None)
            ended.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(read("slow"))
            await asyncio.sleep(0.1)
            group.create_task(read("next"))
        assert ended == ["slow", "next"]


def test_settings_name_what_is_missing() -> None:
    """A region gives the address; without both there is none."""
    assert obs_settings.ObsSettings().at("cn-north-4").endpoint == "https://obs.cn-north-4.myhuaweicloud.com"
    assert obs_settings.ObsSettings(region="ap-southeast-3").at("cn-north-4").region == "ap-southeast-3"
    with pytest.raises(errors.SettingsError, match=r"obs\.endpoint or obs\.region"):
        client.over_network(obs_settings.ObsSettings().at(None))
    for wrong in ({"access_key": "a"}, {"security_token": "t"}, {"endpoint": "lake"}):
        with pytest.raises(pydantic.ValidationError):
            obs_settings.ObsSettings.model_validate(wrong)


async def test_pieces_are_small_and_other_tasks_have_their_turns(tmp_path: Path) -> None:
    """A piece of 256 KiB may have as many rows, which would hold the event loop for half a second."""
    turns: list[int] = []
    pieces: list[bytes] = []

    async def others() -> None:
        while True:
            turns.append(len(pieces))
            await asyncio.sleep(0)

    async with serving(tmp_path) as live:
        put(tmp_path, b"\n" * MEBIBYTE)
        task = asyncio.create_task(others())
        await opened(live).read(PLACE, pieces.append)
        task.cancel()
    assert max(map(len, pieces)) <= 16 * 1024
    assert set(range(len(pieces))) <= set(turns)


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_body_of_a_refusal_is_not_shown(status: int) -> None:
    """It may quote the keys that were sent, in one line; its code says enough."""
    reported = "<Code>InvalidToken</Code><AWSAccessKeyId>AK1</AWSAccessKeyId><Token-0>t0k</Token-0>"
    body = f"<?xml version='1.0'?><Error>{reported}</Error>"

    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", refuse)
    async with TestServer(app) as refusing:
        url = f"http://127.0.0.1:{refusing.port}"
        group = obs_settings.ObsSettings(endpoint=url, region="cn-north-4", path_style=True)
        own = transport.OwnKeys("AK1", pydantic.SecretStr("sk"), pydantic.SecretStr("t0k"))
        with pytest.raises(errors.ObsError, match=f"{status} .*InvalidToken$") as failed:
            await client.Client(group, client.over_network(group), lambda: own).read(PLACE, lambda _piece: None)
    assert not any(word in str(failed.value) for word in ("AK1", "t0k"))


async def test_folder_is_listed_by_whole_steps_and_over_many_pages(tmp_path: Path) -> None:
    """What lies below it, also more than a reply holds; not what begins alike, and not too much."""
    folder = paths.folder("obs://lake/results/f")
    names = [f"results/f/part-{number:05}" for number in range(1100)]
    async with serving(tmp_path) as live:
        for name in [*names, "results/f/_temporary/0/ü é.json", "results/fx/foreign", "results/f.csv", "other"]:
            put(tmp_path, b"12345", paths.Place("lake", name))
        found = await opened(live).list_objects(folder)
        assert [one.key for one in found] == sorted([*names, "results/f/_temporary/0/ü é.json"])
        assert {one.size for one in found} == {5}
        put(tmp_path, b"54321 ", paths.Place("lake", names[0]))
        again = await opened(live).list_objects(folder)
        assert {one.key for one, other in zip(found, again, strict=True) if one != other} == {names[0]}
        assert await opened(live).list_objects(paths.folder("obs://lake/none")) == []
        with pytest.raises(errors.ObsRefused, match="more than 1000 objects"):
            await opened(live, max_objects=1000).list_objects(folder)


async def test_only_the_objects_that_are_named_are_removed(tmp_path: Path) -> None:
    """By some at a time; what is not there is no error, and what is refused or silent is one."""
    wrong = transport.OwnKeys(KEY.access_key, pydantic.SecretStr("another"))
    names = [f"results/f/part-{number}" for number in range(20)]

    async with serving(tmp_path) as live:
        for name in [*names, "results/f/part-1.bak", "results/f/part-1/x"]:
            put(tmp_path, b"x", paths.Place("lake", name)) if name != "results/f/part-1" else None
        with pytest.raises(errors.ObsError):
            await opened(live, lambda: wrong).delete_objects("lake", names)
        await opened(live).delete_objects("lake", [])
        await opened(live).delete_objects("lake", [*names, "results/none"])
        await opened(live).delete_objects("lake", names)
        left = await opened(live).list_objects(paths.folder("obs://lake/results/f"))
        assert [one.key for one in left] == ["results/f/part-1.bak", "results/f/part-1/x"]
        live.emulator.add_faults(faults.Fault(action="drop_after", operation="OBS.ListObjects", count=3))
        with pytest.raises(errors.ObsDown):
            await opened(live, read_timeout_s=1).list_objects(paths.folder("obs://lake/results/f"))


async def test_objects_that_stand_for_folders_are_listed_and_removed(tmp_path: Path) -> None:
    """OBS keeps an empty object for a folder, whose key ends with a slash; one without it is another object."""
    folder = paths.folder("obs://lake/results/a=1 ü/f")
    names = [f"{folder.key}{name}" for name in ("", "_temporary/", "part-0")]
    others = [folder.key.removesuffix("/"), f"{folder.key}_temporary", "results/", "results/a=1 ü/"]

    async with serving(tmp_path) as live:
        (tmp_path / "lake").mkdir()
        objects = store.Store(lambda: tmp_path)
        for key in [*names, *others]:
            fresh = objects.incoming()
            fresh.write_bytes(b"")
            objects.put("lake", key, fresh, store.About("tag"))
        reader = opened(live)
        shown = [f"{folder.key}{name}" for name in ("", "_temporary", "_temporary", "part-0")]
        assert [one.key for one in await reader.list_objects(folder)] == shown
        await reader.delete_objects("lake", [*names[1:], names[0]])
        await reader.delete_objects("lake", names)
        assert sorted(objects.walk("lake", "")) == sorted(others)


async def test_object_that_stands_for_a_folder_is_removed_where_the_host_names_the_bucket() -> None:
    """As OBS is reached but for `obs.path_style`."""
    asked: list[tuple[str, str]] = []

    async def reply(request: web.BaseRequest) -> web.Response:
        asked.append((request.method, str(request.url)))
        return web.Response(status=204)

    async with RawTestServer(reply) as proxy:
        given = {"endpoint": "http://obs.test", "region": "r", "proxy": str(proxy.make_url("/"))}
        group = obs_settings.ObsSettings.model_validate(given)
        await client.Client(group, client.over_network(group), lambda: KEYS).delete_objects("lake", ["results/a=1/f/"])
    assert asked == [("DELETE", "http://lake.obs.test/results/a%3D1/f/")]


async def test_end_of_an_object_is_read_and_no_more(tmp_path: Path) -> None:
    """Of any size; it says whether that is all of it, and a missing one is missing."""
    content = os.urandom(3 * MEBIBYTE)
    async with serving(tmp_path) as live:
        reader = opened(live)
        put(tmp_path, content)
        assert await reader.read_tail(PLACE, 1000) == client.Tail(content[-1000:], is_whole=False)
        put(tmp_path, b"short")
        assert await reader.read_tail(PLACE, 5) == client.Tail(b"short", is_whole=True)
        assert await reader.read_tail(PLACE, 1000) == client.Tail(b"short", is_whole=True)
        put(tmp_path, b"")
        assert await reader.read_tail(PLACE, 1000) == client.Tail(b"", is_whole=True)
        with pytest.raises(errors.ObsMissing):
            await reader.read_tail(PLACE._replace(key="results/none.csv"), 1000)
        sent = live.emulator.calls()["OBS.GetObject"]
    assert sum(sent.values()) == 3


async def test_end_of_an_object_has_the_deadline_of_a_read(tmp_path: Path) -> None:
    """A reply that comes too late may be asked for again; wrong keys are final."""
    wrong = transport.OwnKeys(KEY.access_key, pydantic.SecretStr("another"))
    async with serving(tmp_path) as live:
        put(tmp_path, b"x" * 4000)
        live.emulator.add_faults(faults.Fault(action="latency", operation="OBS.GetObject", seconds=1.5))
        with pytest.raises(errors.ObsDown):
            await asyncio.wait_for(opened(live, read_timeout_s=0.5).read_tail(PLACE, 10), 5)
        with pytest.raises(errors.ObsRefused):
            await opened(live, lambda: wrong).read_tail(PLACE, 10)
