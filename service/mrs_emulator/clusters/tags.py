"""
The tag operations of V1.1: one tag, several at once, the tags of a cluster, of the project, and clusters by tags.

Source: API reference V1.1, pages mrs_02_0071 to mrs_02_0076 (2021, 2022). Chosen where they are silent: tags can be
changed in any state; a batch is done as a whole or not at all; a batch delete does not compare values; queries over
the project leave terminated clusters out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mrs_emulator.clusters import tagging
from mrs_emulator.core import fields, refusals, routes, settings, state, wire

_OK, _DONE = 200, 204
_ALL = "/v1.1/{project_id}/clusters"
_ONE = f"{_ALL}/{{cluster_id}}/tags"
_LIMIT_MAX = 1000
_NAME_MAX = 64


class Tags:
    """
    Handlers of the tag operations.

    Args:
        world: the clusters.
        rules: what tags may be.
    """

    def __init__(self, world: state.World, rules: settings.ClusterRules) -> None:
        self._world = world
        self._rules = rules

    def operations(self) -> Iterable[routes.Route]:
        """
        Return the operations; no limit is documented.

        The batch path is one operation for MRS and two for its SDK; it bears the name of the first here.
        """
        return (
            routes.Route("ListAllTags", "GET", f"{_ALL}/tags", self.list_all),
            routes.Route("ListClustersByTags", "POST", f"{_ALL}/resource_instances/action", self.find),
            routes.Route("CreateClusterTag", "POST", _ONE, self.create),
            routes.Route("ListClusterTags", "GET", _ONE, self.list_one),
            routes.Route("DeleteClusterTag", "DELETE", f"{_ONE}/{{key}}", self.delete),
            routes.Route("BatchCreateClusterTags", "POST", f"{_ONE}/action", self.batch),
        )

    async def create(self, call: routes.Call) -> wire.Reply:
        """Answer CreateClusterTag: add a tag, or overwrite its value."""
        cluster = self._world.cluster(call.path["cluster_id"])
        body = fields.Fields(call.body())
        body.need("tag")
        key, value = tagging.read(body.object("tag"), self._rules)
        self._set(cluster, tagging.joined(cluster.record.tags, {key: value}, self._rules))
        return wire.Reply(_DONE)

    async def delete(self, call: routes.Call) -> wire.Reply:
        """Answer DeleteClusterTag: remove a tag that is there."""
        cluster = self._world.cluster(call.path["cluster_id"])
        if call.path["key"] not in cluster.record.tags:
            raise refusals.no_such_tag()
        self._set(cluster, {key: value for key, value in cluster.record.tags.items() if key != call.path["key"]})
        return wire.Reply(_DONE)

    async def batch(self, call: routes.Call) -> wire.Reply:
        """Answer BatchCreateClusterTags and BatchDeleteClusterTags: the body's action decides."""
        cluster = self._world.cluster(call.path["cluster_id"])
        body = fields.Fields(call.body())
        body.need("action", "tags")
        before = cluster.record.tags
        if body.one_of("action", ("create", "delete")) == "create":
            added = dict(tagging.read(one, self._rules) for one in body.objects("tags"))
            self._set(cluster, tagging.joined(before, added, self._rules))
        else:
            gone = {tagging.read_any(one)[0] for one in body.objects("tags")}
            self._set(cluster, {key: value for key, value in before.items() if key not in gone})
        return wire.Reply(_DONE)

    async def list_one(self, call: routes.Call) -> wire.Reply:
        """Answer ListClusterTags: the tags of one cluster."""
        cluster = self._world.cluster(call.path["cluster_id"])
        return wire.as_json(_OK, {"tags": _plain(cluster.record.tags)})

    async def list_all(self, call: routes.Call) -> wire.Reply:
        """Answer ListAllTags: every key in use, with its values."""
        found: dict[str, dict[str, None]] = {}
        for one in self._present(call.now_ms):
            for key, value in one.record.tags.items():
                found.setdefault(key, {})[value] = None
        return wire.as_json(_OK, {"tags": [{"key": key, "values": list(values)} for key, values in found.items()]})

    async def find(self, call: routes.Call) -> wire.Reply:
        """Answer ListClustersByTags: filter or count clusters by tags and name; newest first."""
        body = fields.Fields(call.body())
        body.need("action")
        action = body.one_of("action", ("filter", "count"))
        query = tagging.query(body, self._rules)
        names = _names(body)
        limit = body.number("limit", _LIMIT_MAX, least=1, most=_LIMIT_MAX)
        offset = body.number("offset", 0, least=0)
        found = [one for one in self._present(call.now_ms) if query.matches(one.record.tags) and _named(one, names)]
        total = {"total_count": len(found)}
        if action == "count":
            return wire.as_json(_OK, total)
        found.sort(key=lambda one: -one.created_ms)
        resources = [_resource(one) for one in found[offset : offset + limit]]
        return wire.as_json(_OK, {"resources": resources, **total})

    def _set(self, cluster: state.ClusterState, tags: Mapping[str, str]) -> None:
        if tags != cluster.record.tags:
            self._world.change(cluster, tags=tags)

    def _present(self, now_ms: int) -> list[state.ClusterState]:
        return [one for one in self._world.clusters.values() if one.state(now_ms) != "terminated"]


def _plain(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _resource(cluster: state.ClusterState) -> dict[str, Any]:
    record = cluster.record
    return {
        "resource_id": record.cluster_id,
        "resource_name": record.name,
        "resource_detail": None,
        "tags": _plain(dict(list(record.tags.items())[::-1])),
    }


def _names(body: fields.Fields) -> list[str]:
    asked = body.objects("matches")
    return [one.text("value", most=_NAME_MAX) for one in asked if one.one_of("key", ("resource_name",))]


def _named(cluster: state.ClusterState, names: list[str]) -> bool:
    """Return whether a name contains all parts; an empty part means an exact match, so it matches no cluster."""
    return all(part and part.lower() in cluster.record.name.lower() for part in names)
