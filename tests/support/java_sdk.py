"""Where the vendor's former Java SDK (openstack4j) is; `make kafka` brings it, PROGRAM speaks through it."""

from __future__ import annotations

from pathlib import Path

from tests.support import java

_ROOT = Path(__file__).resolve().parents[2]
POM = _ROOT / "tools" / "java_sdk" / "pom.xml"
PROGRAM = POM.with_name("rows.py")
LIBS = _ROOT / ".cache" / "java-sdk" / "libs"


class SdkMissing(RuntimeError):  # noqa: N818 - named for what happened
    """The jars or a Java are not on this machine; the message says which command brings them."""


def require(libs: Path = LIBS) -> tuple[Path, Path]:
    """
    Return the home of a Java and the folder of jars.

    Raises:
        SdkMissing: one of them is missing.
    """
    if not any(libs.glob("openstack4j-*.jar")):
        raise SdkMissing(f"no Java SDK in {libs}: run `make kafka`")
    if (found := java.find_java()) is None:
        raise SdkMissing(f"no Java {java.LEAST_VERSION} or newer: run `make kafka`, or set JAVA_HOME")
    return found.resolve().parents[1], libs
