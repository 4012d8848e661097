"""What a real Kafka is started from: its jars, which `make kafka` fetches, and a Java."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support import java

KAFKA_LIBS = Path(__file__).resolve().parents[2] / ".cache" / "kafka" / "libs"
_ARCHIVE = "classes.jsa"


class BrokerMissing(RuntimeError):  # noqa: N818 - named for what happened
    """The broker's program is not on this machine; the message says which command brings it."""


@dataclass(frozen=True, slots=True)
class KafkaParts:
    """What a Kafka node is started from: a Java and the folder of jars."""

    java: Path
    libs: Path


def require_kafka(libs: Path = KAFKA_LIBS) -> KafkaParts:
    """
    Return what a Kafka node is started from.

    Raises:
        BrokerMissing: the jars or a Java are missing.
    """
    if not any(libs.glob("kafka_*.jar")):
        raise BrokerMissing(f"no Kafka in {libs}: run `make kafka`")
    if (found := java.find_java()) is None:
        raise BrokerMissing(f"no Java {java.LEAST_VERSION} or newer: run `make kafka`, or set JAVA_HOME")
    return KafkaParts(found, libs)


def archive_of(libs: Path) -> Path:
    """
    Return where Kafka's classes lie as Java loads them fastest, beside their jars; it need not exist.

    With it the start of a broker costs a third less.
    """
    return libs.resolve().parent / _ARCHIVE
