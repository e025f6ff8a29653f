"""The peers' own virtual environments and Flink's jars, made on first use under `.cache/bench`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.streams.servers import CACHE

_PINS = Path(__file__).resolve().parent / "requirements"
_JARS = (
    "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
    "org.apache.flink:flink-sql-avro-confluent-registry:2.3.0",
)


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, installed from `requirements/<peer>.txt`."""
    pins = _PINS / f"{peer}.txt"
    home = CACHE / "bench" / peer
    installed = home / ".installed"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    if not (installed.exists() and installed.read_text() == digest):
        print(f"installing {peer} into {home}", file=sys.stderr)
        uv = [str(Path(sys.executable).parent / "uv")]
        _run([*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(home)])
        _run([*uv, "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), "-r", str(pins)])
        installed.write_text(digest)
    return home / "bin" / "python"


def flink_jars() -> list[Path]:
    """Flink's Kafka connector and its format for Confluent Avro, fetched by Maven."""
    home = CACHE / "bench" / "jars"
    for artifact in _JARS:
        if not _jar(home, artifact).exists():
            maven = shutil.which("mvn")
            if maven is None:
                raise SystemExit("'mvn' is not on the PATH, and Flink's connector comes by Maven; install it")
            copy = [maven, "-B", "-q", "dependency:copy", f"-Dartifact={artifact}"]
            _run([*copy, f"-DoutputDirectory={home}"])
    return [_jar(home, artifact) for artifact in _JARS]


def _jar(home: Path, artifact: str) -> Path:
    _, name, version = artifact.split(":")
    return home / f"{name}-{version}.jar"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
