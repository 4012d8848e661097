"""
The error codes of MRS and its gateway, as data: the meaning of each, and whether the call may be repeated.

`replies` combines a code's class with the safety class of the operation. Decide on the code, never on the HTTP status
alone: the same code comes with 400 or 500, depending on the age of the cluster's region.

Source: API reference, error codes (2021 to 2025, OTC), API signing guide; the retry classes are an interpretation.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


class Retry(enum.Enum):
    """The consequence of a failed call for the next one."""

    REPEAT = "R"
    """Transient: repeat with backoff, a command only if repeating is harmless."""
    LATER = "L"
    """Not now: repeat later, when the state, load or stock has changed; nothing was done."""
    OPEN = "Q"
    """Outcome unknown: repeat a read, look up a write."""
    NEVER = "N"
    """Do not repeat unchanged."""
    RENEW = "renew"
    """Not executed: the credentials are wrong or too old."""
    WAIT = "wait"
    """Not executed: the quota is used up."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """
    One error code.

    Attributes:
        text: its meaning, in the relay's words.
        retry: the class.
        by_status: the class where the HTTP status decides between two meanings.
        once: the class for a write that must not happen twice, where it differs. Class R is OPEN there by default;
            REPEAT says that the failure certainly came before any effect.
    """

    text: str
    retry: Retry
    by_status: Mapping[int, Retry] = field(default_factory=dict)
    once: Retry | None = None

    def for_status(self, status: int) -> Retry:
        """Return the class of the code with this HTTP status."""
        return self.by_status.get(status, self.retry)


_R, _L, _Q, _N, _RENEW, _WAIT = Retry.REPEAT, Retry.LATER, Retry.OPEN, Retry.NEVER, Retry.RENEW, Retry.WAIT

_Rows = tuple[tuple[str, Retry, str], ...]

# One row holds all codes of one meaning, separated by spaces.
_GATEWAY: Final[_Rows] = (
    ("APIGW.0101", _N, "no such API, or the wrong method"),
    ("APIGW.0103", _N, "the gateway found no backend"),
    ("APIGW.0104", _N, "the gateway found no plug-in configuration"),
    ("APIGW.0105", _N, "the gateway found no backend configuration"),
    ("APIGW.0106", _N, "orchestration error in the gateway"),
    ("APIGW.0301", _RENEW, "token or signature is wrong"),
    ("APIGW.0302", _N, "the IAM user may not call this API"),
    ("APIGW.0303", _N, "signature refused; documented cause: the clock is more than 15 minutes off"),
    ("APIGW.0304", _N, "the app is not authorised"),
    ("APIGW.0305", _N, "authentication information is wrong"),
    ("APIGW.0306", _N, "access to the API denied"),
    ("APIGW.0307", _RENEW, "the token must be renewed"),
    ("APIGW.0308", _WAIT, "the rate limit is reached"),
    ("APIGW.0310", _N, "the project is not available"),
    ("APIGW.0311", _N, "debugging authentication is wrong"),
    ("APIGW.0401 APIGW.0402 APIGW.0404", _N, "this IP address may not call the API"),
    ("APIGW.0501 APIGW.0502", _N, "the app's quota is used up, or the app is frozen"),
    ("APIGW.0601", _Q, "internal error of the gateway"),
    ("APIGW.0602", _N, "the gateway found the request malformed"),
    ("APIGW.0605 APIGW.0606 APIGW.0608 APIGW.0609 APIGW.0611 APIGW.0612", _Q, "the gateway could not use its backend"),
    ("APIGW.0607", _N, "protocol not allowed"),
    ("APIGW.0610", _Q, "no backend available"),
    ("APIGW.0705", _Q, "the gateway could not sign for its backend"),
    ("APIGW.0802", _N, "the IAM user is forbidden in this region"),
)

_JOBS: Final[_Rows] = (
    ("0023", _R, "the cluster's details could not be read"),
    ("0056", _L, "the cluster's state forbids jobs now"),
    ("0057", _N, "Spark jobs are not possible: component absent or unhealthy"),
    ("0093", _N, "no metadata for the cluster version"),
    ("0160", _R, "killing the job failed"),
    ("0161", _R, "deleting the jobs failed"),
    ("0162", _R, "the job could not be read"),
    ("0165", _N, "the SQL text was rejected"),
    ("0166", _R, "the job list could not be read"),
    ("0167", _N, "the cluster version has no V2 job API"),
    ("0168", _N, "Hive jobs are not possible: component absent or unhealthy"),
    ("0169", _N, "Flink jobs are not possible: component absent or unhealthy"),
    ("0170", _R, "log directories could not be read"),
    ("0171", _R, "log details could not be read"),
    ("0172", _R, "the SQL result could not be collected"),
    ("0173", _Q, "the submission failed"),
    ("0174", _R, "the job could not be read"),
    ("0175", _R, "killing the job failed"),
    ("0176", _N, "the job does not exist"),
    ("0177", _L, "the cluster already runs its maximum of 10 jobs"),
    ("0178", _N, "the job id is missing"),
    ("0179", _N, "only a SparkSql or SparkScript job has statement results"),
    ("0181", _N, "the SQL result is empty"),
    ("0182", _R, "the SQL result could not be read"),
    ("0183", _L, "the job is running"),
    ("0185", _N, "no such log type"),
    ("0187", _N, "there are no logs"),
    ("0188", _R, "the job query returned nothing"),
    ("0189", _R, "deleting the jobs failed"),
    ("0190", _N, "the submitting user is empty"),
    ("0192", _N, "the calling user is unknown on MRS Manager: synchronise the IAM users to the cluster"),
    ("0193", _Q, "the job record could not be written"),
    ("0194", _Q, "the launcher did not start"),
    ("0199", _R, "deleting the jobs failed"),
    ("0200", _R, "killing on YARN failed"),
    ("0201", _N, "the job does not exist"),
    ("0202", _L, "too many submissions at once"),
    ("0211", _N, "more than four extra security groups"),
    ("12000060", _L, "the cluster already runs its maximum of jobs"),
    ("12000061", _Q, "the submission failed"),
    ("12000062", _L, "the cluster's state forbids jobs now"),
    ("12000063", _N, "Spark jobs are not possible"),
    ("12000064", _N, "a security cluster does not take jobs by this API"),
    ("12000085", _N, "the cluster version needs the V2 job API"),
    ("12000086", _N, "s3a and s3n paths are not supported, use obs"),
    ("12000070", _R, "no access by Knox"),
    ("12000071", _Q, "internal error of the executor"),
)

_CLUSTERS: Final[_Rows] = (
    ("12000001 130000002", _RENEW, "authentication invalid"),
    ("12000136", _N, "permission denied by policy"),
    ("12000052", _N, "no access right"),
    ("12000002 12000009 MRS.0002", _N, "invalid parameter"),
    ("12000003", _N, "the cluster does not exist"),
    ("12000004", _Q, "internal error of MRS"),
    ("12000054", _N, "operation not supported"),
    ("12000107", _N, "invalid project id"),
    ("12000012", _L, "the cluster is busy, or not running"),
    ("12000013 12000014", _Q, "scaling failed"),
    ("12000017", _L, "the cluster is not running"),
    ("12000018", _L, "scaling is already in progress"),
    ("12000019", _R, "the host list could not be read"),
    ("12000020", _R, "deleting the cluster failed"),
    ("12000021", _L, "the cluster's state forbids its deletion now"),
    ("12000023", _R, "the cluster's details could not be read"),
    ("12000024", _N, "a yearly or monthly cluster cannot be deleted"),
    ("12000027", _N, "the subnet check failed"),
    ("12000028", _N, "too many core and task nodes"),
    ("12000029", _R, "the quota could not be read"),
    ("12000030 12000031 12000032 12000033 12000034", _N, "a node, CPU, memory or disk quota is exceeded"),
    ("12000036", _R, "product information could not be read"),
    ("12000038", _R, "the security group could not be read"),
    ("12000041", _R, "the cluster list could not be read"),
    ("12000042", _Q, "creating the cluster failed"),
    ("12000043", _N, "the cluster name is taken"),
    ("12000044", _N, "the master nodes have too little memory"),
    ("12000045 12000046", _N, "the security group or rule quota is exhausted"),
    ("12000048", _N, "unknown flavor"),
    ("12000050", _N, "bad certificate"),
    ("12000053", _N, "bad billing type"),
    ("12000055 12000057 12000073", _R, "a file or HDFS could not be read"),
    ("12000059 12000106", _N, "the key pair does not exist"),
    ("12000065", _N, "a prepaid cluster cannot be scaled here"),
    ("12000067", _N, "the cluster version is too old to scale"),
    ("12000069", _N, "the program's library is missing"),
    ("12000080", _L, "some nodes are not running"),
    ("12000081", _N, "jar_path is missing"),
    ("12000082", _L, "node groups cannot be deleted while scaling"),
    ("12000090", _N, "the flavor is withdrawn in this zone"),
    ("12000092", _R, "version metadata could not be read"),
    ("12000093", _N, "version metadata not found"),
    ("12000094", _N, "the node type does not support the flavor in this version"),
    ("12000095 12000099", _N, "patch or topology template missing"),
    ("12000100 12000101", _L, "stopping or starting is not allowed in this state"),
    ("12000102 12000103", _R, "stopping or starting failed"),
    ("12000104", _Q, "a service that MRS depends on failed"),
    ("12000105", _N, "the VPC does not exist"),
    ("12000108 12000109 12000110 12000111 12000112 12000113", _N, "the elastic IP address cannot be used"),
    ("12000114", _N, "hive_script_path is missing"),
    ("12000115 12000116 12000117", _N, "an ECS group, VPC or subnet quota is exhausted"),
    ("12000118 12000119", _N, "the security group rule cannot be created"),
    ("12000121", _N, "an unpaid order blocks scaling"),
    ("12000122", _R, "the enterprise project service failed"),
    ("12000123 12000124 12000125", _L, "task nodes cannot be changed now"),
    ("12000127 12000128", _R, "the cluster could not be locked or unlocked"),
    ("12000129 12000130 12000131 12000132 12000133 12000134 12000135", _N, "the master nodes cannot be scaled up"),
    ("12000138", _L, "node groups cannot be changed now"),
    ("12000139 12000140", _L, "disks are sold out"),
    ("12000141 12000142", _N, "a disk is too small or above 32,000 GB"),
    ("12000154", _L, "IAM users are being synchronised already"),
    ("12000156 12000157 12000163 12000164", _R, "an IAM or Manager group or user could not be read"),
    ("12000209 12000210", _N, "the VPC or subnet is missing"),
    ("120000212", _R, "the zones could not be read"),
    ("120000213 120000214", _N, "unknown region, or zone not permitted"),
    ("12000222 12000223 12000224", _N, "cluster template limit reached, absent or taken"),
    ("12000233 12000234", _L, "the flavor is out of stock"),
    ("12000360 12000361 12000362 12000363", _N, "not allowed, or an offline cluster"),
    ("12000504 12000505 12000506 12000507 12000508 12000509 12000510", _N, "cluster template error"),
    ("12005001 12005002 12005003", _N, "too many tags, a bad tag, or no such tag"),
    ("13000046", _N, "the security group does not exist"),
    ("MRS.0010", _N, "data connector error"),
    (
        "MRS.0205 MRS.0207 MRS.0208 MRS.0209 MRS.0210 MRS.0211 MRS.0213 MRS.0214 MRS.0215 MRS.0216 MRS.0217 MRS.0218",
        _N,
        "agency mapping or policy error",
    ),
    ("MRS.0206 MRS.0212", _L, "the task is running already"),
    ("MRS.1010", _N, "the RDS instance is absent or unhealthy"),
)

_SPECIAL: Final[Mapping[str, Meaning]] = {
    # The gateway refuses the body or address, or has lost its backend after it passed the request on.
    "APIGW.0201": Meaning("malformed or too large, or the backend did not answer", _N, by_status={502: _Q, 504: _Q}),
    # These three fail while the caller is being identified, but no page says that nothing was done: in doubt.
    "APIGW.0613": Meaning("IAM is not available to the gateway", _R),
    "0191": Meaning("the submitting user could not be looked up on MRS Manager", _R),
    "12000126": Meaning("authentication information could not be obtained", _R),
    # In the reply to a submission this code may concern the very job that was just submitted.
    "0180": Meaning("the job is still being submitted", _L, once=_Q),
    "12000068": Meaning("some nodes are not running, or the main file is missing", _L, by_status={500: _N}),
    # Only the text identifies the hand-over case; see `replies`.
    "MRS.0011": Meaning("the cluster cannot run this SQL", _N),
}

HANDED_OVER: Final = "MRS.0011"
"""The code that is N, except where its text says that handing the statement over to the executor failed (Q)."""

CLOCK_OFF: Final = "APIGW.0303"
"""The code that documents a clock which is off by more than 15 minutes."""


def _table() -> Iterator[tuple[str, Meaning]]:
    for rows in (_GATEWAY, _JOBS, _CLUSTERS):
        for codes, retry, text in rows:
            for code in codes.split():
                yield code, Meaning(text, retry)
    yield from _SPECIAL.items()


MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(dict(_table()))
"""Every documented code."""
