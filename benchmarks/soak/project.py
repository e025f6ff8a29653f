"""A project as `headrace init` writes it, on servers of its own, with processes that can be killed."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from benchmarks.streams.measure import wait_until
from benchmarks.streams.servers import CACHE
from headrace import load_settings
from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.commands.init import write_project
from headrace.deploy.local.child import Child, free_port
from headrace.deploy.local.kafka_server import KafkaServer
from headrace.deploy.local.redis_server import RedisServer
from headrace.deploy.settings import Settings
from headrace.featurestore.batch.materialize import materialize

PROCESSES = ("worker", "join", "train", "serve")
KAFKA_DATA = "kafka/data"  # in the folder of a soak
WINDOW_MS, HOP_MS, WAIT_MS = 600_000, 60_000, 300_000
# What `headrace init` writes, and what makes it come to its steady state in a few minutes.
_SHORTER = {
    "features.py": {
        "time_window=timedelta(hours=1)": f"time_window=timedelta(milliseconds={WINDOW_MS})",
        "time_window=timedelta(days=1)": f"time_window=timedelta(milliseconds={WINDOW_MS})",
        "slide_interval=timedelta(minutes=5)": f"slide_interval=timedelta(milliseconds={HOP_MS})",
        "slide_interval=timedelta(hours=1)": f"slide_interval=timedelta(milliseconds={HOP_MS})",
    },
    "learners.py": {"wait=timedelta(hours=1)": f"wait=timedelta(milliseconds={WAIT_MS})"},
}
_READY_S = 600.0


class SoakProject:
    """Everything of a project, within its block."""

    settings: Settings

    def __init__(self, folder: Path) -> None:
        self.folder, self.children = folder, dict[str, Child]()
        self._stack = ExitStack()

    def __enter__(self) -> SoakProject:
        kafka = self._stack.enter_context(KafkaServer(self.folder / "kafka", cache=CACHE / "kafka"))
        redis = self._stack.enter_context(RedisServer(self.folder / "redis", persistent=True))
        repository = self.folder / "shop"
        write_project(repository)
        for name, replacements in _SHORTER.items():
            _replace(repository / name, replacements)
        self.settings = load_settings(
            repository, kafka=kafka.bootstrap, redis=redis.url, port=free_port(), idle_ms=3_600_000
        )
        self.settings.make_signing_key()
        self.plan = compile_project(repository).plan
        apply_plan(self.settings, self.plan)
        materialize(repository, self.plan, self.settings.redis)
        for name in PROCESSES:
            self._start(name)
        wait_until(self._answers, _READY_S, "serve", self.check)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.children.values():
            if kind is not None:
                print(f"{child.name} ends with:\n{child.last_lines(10)}", file=sys.stderr)
            child.stop()
        self._stack.close()

    def restart(self, name: str) -> None:
        """As kill -9 does, and then as an orchestrator does."""
        self.children[name].kill()
        print(f"{time.strftime('%H:%M:%S')} {name} was killed and is started anew", flush=True)
        self._start(name)

    def check(self) -> None:
        for child in self.children.values():
            child.check()

    def _start(self, name: str) -> None:
        repository = self.settings.project_dir
        command = [sys.executable, "-P", "-m", "headrace", name, str(repository)]
        log = self.folder / f"{name}.log"
        self.children[name] = Child(name, command, log, repository, self.settings.environment()).start()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.port}"


def _replace(file: Path, replacements: dict[str, str]) -> None:
    text = file.read_text()
    for old, new in replacements.items():
        if old not in text:
            raise ValueError(f"{file.name} of `headrace init` has no '{old}' any more")
        text = text.replace(old, new)
    file.write_text(text)
