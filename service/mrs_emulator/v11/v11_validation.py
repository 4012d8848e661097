"""
Checks of what V1.1 clients send: fields of rows, paths, and the submit-job body, with the documented limits.

Source: API reference V1.1, pages mrs_02_0022 to mrs_02_0053 (2022), Open Telekom Cloud (2026); SDK 3.1.219.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mrs_emulator.core import checks, refusals, settings
from mrs_emulator.v11 import hql, v11_refusals

PATH_MAX = 1023
URL_MAX = 255
DESCRIPTION_MAX = 65_535
ROW_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")

TYPES: Mapping[int, str] = {
    1: "MapReduce",
    2: "SparkSubmit",
    3: "HiveScript",
    4: "HiveSql",
    5: "DistCp",
    6: "SparkScript",
    7: "SparkSql",
}
"""Numbers of job types, as job types of V2 play them."""

_JAR, _SCRIPT, _SQL, _DISTCP = {1, 2}, {3, 6}, {4, 7}, 5
_FORBIDDEN = frozenset(";|&>'<$")
_FORBIDDEN_SOMEWHERE = frozenset('!\\"')
_OLD_SCHEMES = ("s3a://", "s3n://", "s3://")
_SECRET = re.compile(r"@(\S+?)=\S*")


@dataclass(frozen=True, slots=True)
class Order:
    """A submit-job body, checked; texts that were not sent are empty."""

    type_code: int
    name: str
    cluster_id: str
    jar_path: str
    arguments: str
    input: str
    output: str
    job_log: str
    hive_script_path: str
    file_action: str
    hql: str
    sql: str

    def submission(self) -> checks.Submission:
        """Return the same job as V2 knows it, so that it plays the same life."""
        words = tuple(hidden(self.arguments).split())
        if self.type_code in _SCRIPT:
            words = (*words, obs_url(self.hive_script_path))
        elif self.type_code in _SQL:
            words = (*words, self.sql)
        elif self.type_code in _JAR:
            words = (self.jar_path, *words)
        else:
            words = (self.input, self.output, *words)
        return checks.Submission(self.name, TYPES[self.type_code], words, {})


def order(body: Mapping[str, Any], quirks: settings.Quirks, old: settings.OldApi) -> Order:
    """
    Return the job in a submit-job body.

    Raises:
        Refusal: 12000002; 12000054 for SQL types; 12000081, 12000114 for a missing path; 12000086 for its scheme.
    """
    code = body.get("job_type")
    if isinstance(code, bool) or not isinstance(code, int) or code not in TYPES:
        raise refusals.invalid("job_type must be a number from 1 to 7")
    if code in _SQL and not old.sql_types:
        raise v11_refusals.coded("12000054", why=f"job_type {code}")

    name = text(body, "job_name", most=64)
    if checks.NAME.fullmatch(name) is None:
        raise refusals.invalid("job_name must match ^[A-Za-z0-9_-]{1,64}$")

    cluster_id = text(body, "cluster_id", most=64)
    if not cluster_id:
        raise refusals.invalid("cluster_id must be the id of a cluster")

    jar_path = _path(body, "jar_path", old, ".jar" if code in _JAR else "")
    if code in _JAR and not jar_path:
        raise v11_refusals.coded(old.jar_path_code)

    script = _path(body, "hive_script_path", old, ".sql" if code in _SCRIPT else "")
    if code in _SCRIPT and not script:
        raise v11_refusals.coded("12000114")

    encoded = text(body, "hql", most=quirks.arguments_max)
    sql = hql.decoded(encoded) if encoded else ""
    if code in _SQL and not (sql and sql.strip()):
        raise refusals.invalid("hql must be an encoded statement")

    wanted = Order(
        type_code=code,
        name=name,
        cluster_id=cluster_id,
        jar_path=jar_path,
        arguments=_arguments(body, quirks),
        input=_path(body, "input", old),
        output=_path(body, "output", old),
        job_log=_path(body, "job_log", old),
        hive_script_path=script,
        file_action=text(body, "file_action", most=16),
        hql=encoded,
        sql=sql or "",
    )

    _check_action(wanted)
    return wanted


def _arguments(body: Mapping[str, Any], quirks: settings.Quirks) -> str:
    arguments = text(body, "arguments", most=quirks.arguments_max)
    _check_characters("arguments", arguments)
    if quirks.strict_characters and _FORBIDDEN_SOMEWHERE & set(arguments):
        raise refusals.invalid("arguments contain forbidden characters")
    return arguments


def _check_characters(name: str, value: str) -> None:
    """Refuse seven characters on which all pages agree."""
    if _FORBIDDEN & set(value):
        raise refusals.invalid(f"{name} must not contain any of ;|&>'<$")


def _check_action(wanted: Order) -> None:
    if wanted.file_action not in {"", "import", "export"}:
        raise refusals.invalid("file_action must be import or export")
    if wanted.type_code != _DISTCP:
        return
    if not wanted.file_action:
        raise refusals.invalid("file_action is mandatory for DistCp")
    objects, files = wanted.input, wanted.output
    if wanted.file_action == "export":
        objects, files = files, objects
    if not files.startswith("/") or objects.startswith("/") or not objects:
        raise refusals.invalid("import needs an OBS path as input and an HDFS path as output, export the reverse")


def _path(body: Mapping[str, Any], name: str, old: settings.OldApi, ending: str = "") -> str:
    """Return a path, possibly empty; one of blanks only counts as empty."""
    value = text(body, name, most=PATH_MAX)
    if not value.strip():
        return ""
    _check_characters(name, value)
    check_scheme(name, value, old)
    if ending and not value.lower().endswith(ending):
        raise refusals.invalid(f"{name} must end with {ending}")
    return value


def check_scheme(name: str, value: str, old: settings.OldApi, *, hdfs: bool = True) -> None:
    """
    See whether a path starts as paths of this cluster version do.

    Raises:
        Refusal: 12000086 for s3a where obs is wanted; 12000002 for anything else.
    """
    if hdfs and value.startswith("/"):
        return
    if old.paths == "obs" and value.startswith(_OLD_SCHEMES):
        raise v11_refusals.coded("12000086")
    allowed = {"s3a": ("s3a://",), "obs": ("obs://",), "both": ("s3a://", "obs://")}[old.paths]
    if not value.startswith(allowed):
        starts = (*allowed, "/") if hdfs else allowed
        raise refusals.invalid(f"{name} must start with {' or '.join(starts)}")


def obs_url(path: str) -> str:
    """Return where the emulator keeps a file: s3a:// means obs://, and HDFS is played by the bucket `hdfs`."""
    for scheme in _OLD_SCHEMES:
        if path.startswith(scheme):
            return f"obs://{path.removeprefix(scheme)}"
    return f"obs://hdfs{path}" if path.startswith("/") else path


def text(body: Mapping[str, Any], name: str, *, most: int) -> str:
    """
    Return a text field, empty when it is absent or null.

    Raises:
        Refusal: 12000002, it is no text or longer than `most` characters.
    """
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refusals.invalid(f"{name} must be a string")
    if len(value) > most:
        raise refusals.invalid(f"{name} must not exceed {most} characters")
    return value


def row_name(body: Mapping[str, Any], pattern: re.Pattern[str] = ROW_NAME) -> str:
    """
    Return the name of a row that is made.

    Raises:
        Refusal: 12000002, it is absent or has other characters.
    """
    name = body.get("name")
    if not isinstance(name, str) or pattern.fullmatch(name) is None:
        raise refusals.invalid(f"name must match ^{pattern.pattern}$")
    return name


def flag(body: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """
    Return a flag; its name as text counts, too, because a public client sends it so.

    Raises:
        Refusal: 12000002, it is something else.
    """
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise refusals.invalid(f"{name} must be true or false")
    return value


def hidden(arguments: str) -> str:
    """Return arguments as they are shown: the value behind a name that starts with @ becomes asterisks."""
    return _SECRET.sub(r"@\1=******", arguments)
