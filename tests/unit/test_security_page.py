"""docs/security.md: what it says about defaults, secrets, the image and the rights on MRS."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

from mrs_relay import settings
from mrs_relay.mrs import operation, reference

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs/security.md").read_text()
_SECRET = "a-secret-that-must-not-show"  # noqa: S105 - what is looked for


def _groups(model: type[pydantic.BaseModel], path: str = "") -> Iterator[tuple[str, type[pydantic.BaseModel]]]:
    """Yield all groups of settings, with their paths."""
    yield path, model
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel):
            yield from _groups(field.annotation, f"{path}.{name}".strip("."))


_GROUPS = dict(_groups(settings.Settings))


def test_everything_listens_on_loopback_by_default() -> None:
    """Each setting that names an address to listen on."""
    hosts = {
        path: group.model_fields["host"].default for path, group in _GROUPS.items() if "host" in group.model_fields
    }
    assert {"web", "api"} <= hosts.keys()
    assert all(ipaddress.ip_address(host).is_loopback for host in hosts.values())


def test_no_secret_of_the_settings_is_shown() -> None:
    """Every setting whose name speaks of a secret has a type that hides it in texts, and is not a plain text."""
    names = re.compile(r"(password|secret|secret_key|token)$")
    plain = [
        f"{path}.{name}"
        for path, group in _GROUPS.items()
        for name, field in group.model_fields.items()
        if names.search(name) and "SecretStr" not in str(field.annotation) and "str" in str(field.annotation)
    ]

    assert plain == []
    secrets = [
        name
        for group in _GROUPS.values()
        for name, field in group.model_fields.items()
        if "SecretStr" in str(field.annotation)
    ]

    assert len(secrets) >= 8
    assert _SECRET not in repr(pydantic.SecretStr(_SECRET))


def test_image_and_units_run_without_rights() -> None:
    """The image's user is a number that is not root's, and comes before the program; units have a user of their own."""
    dockerfile = (_ROOT / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    assert int(user) > 0
    assert dockerfile.index("\nUSER ") < dockerfile.index("\nENTRYPOINT ")
    for unit in (_ROOT / "deploy/systemd").glob("*.service"):
        text = unit.read_text()
        assert re.search(r"^(User=(?!root$)\w|DynamicUser=yes)", text, re.MULTILINE), unit.name
        assert re.search(r"^NoNewPrivileges=(yes|true)$", text, re.MULTILINE), unit.name


def _table() -> dict[str, str]:
    """Return the page's table: operation to actions."""
    section = _PAGE.partition("| operations | action |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    return {name: actions for names, actions in rows for name in re.findall(r"`(\w+)`", names)}


def _constants() -> dict[str, str]:
    """Return the names of operations by their constants."""
    found: dict[str, str] = {}
    for module in reference.GROUPS.values():
        found |= {name: one.name for name, one in vars(module).items() if isinstance(one, operation.Operation)}
    return found


def test_policy_has_an_action_for_every_operation_that_the_relay_calls_by_itself() -> None:
    """The table names each of them; the policy has the actions of those that jobs and SQL need, and no others."""
    constants, table = _constants(), _table()
    text = "".join(path.read_text() for path in (_ROOT / "service/mrs_relay/engine").rglob("*.py"))
    called = {constants[name] for name in re.findall(r"\b[A-Z][A-Z0-9_]+\b", text) if name in constants}
    assert called == table.keys()

    (policy,) = re.findall(r"^```json\n([\s\S]*?)^```$", _PAGE, re.MULTILINE)
    statement: dict[str, Any] = json.loads(policy)["Statement"][0]
    needed = {
        action
        for name, actions in table.items()
        if "delete" not in actions and not name.startswith(("Create", "Run", "Update", "Delete", "Batch"))
        for action in re.findall(r"`(mrs:[\w:]+)`", actions)
    }
    assert set(statement["Action"]) == needed | {"mrs:job:submit"}
