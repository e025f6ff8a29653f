"""Does what documents say: writes files, runs commands and programs, compares what they print."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from feast.repo_config import load_repo_config

from headrace.deploy.cli.main import app
from headrace.deploy.local.child import Child, free_port
from tests.support.documents import Block, blocks
from tests.support.paths import ROOT
from tests.support.shell_text import Command, commands
from tests.support.waiting import eventually

_KAFKA, _REDIS, _SERVE = "127.0.0.1:9092", "redis://127.0.0.1:6379/0", "http://127.0.0.1:8080"
_EXPORT = re.compile(r"export HEADRACE_KAFKA=(\S+) HEADRACE_REDIS=(\S+)")
_MINUTES = re.compile(r" \(\d+:\d\d:\d\d\)$")  # pytest adds them where there are some
_APPLIED = re.compile(r"applied plan (\w+) of")
_UP_S = 300.0
_LONG_RUNNING = {"worker", "join", "train", "serve"}


class DocumentReader:
    """Reads documents in a folder, which is what they are about, beside a `headrace up` that they start.

    The addresses that the documents name are replaced by those of the running stack.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._up: Child | None = None
        self._port = free_port()
        self._printed = ""
        self._addresses: dict[str, str] = {}
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HEADRACE_PORT": str(self._port),
            "HEADRACE_SERVE": f"http://127.0.0.1:{self._port}",
        }

    def stop(self) -> None:
        if self._up is not None:
            self._up.stop()
            self._up = None

    def read(self, document: Path, folder: Path | None = None) -> None:
        """Do everything a document says, in its order; its programs share their names."""
        where, names = folder or self.folder, {"__name__": "snippet"}
        for block in blocks(document):
            try:
                self._do(block, where, names)
            except Exception as error:
                error.add_note(f"{block.place}\n{block.text}")
                raise

    def _do(self, block: Block, where: Path, names: dict[str, Any]) -> None:
        if "excerpt" in block.notes:
            text = (ROOT / block.notes["excerpt"]).read_text(encoding="utf-8")
            assert " ".join(block.text.split()) in " ".join(text.split()), "it does not stand there"
        elif "seen" in block.notes:
            self._compare(block.text)
        elif block.title is not None:
            self._write(block, where)
        elif block.language == "python":
            self._python(block, where, names)
        elif block.language == "sh":
            self._shell(block, where)
        else:
            self._parse(block)

    def _parse(self, block: Block) -> None:
        if block.language == "yaml":
            self._yaml(block)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "properties":
            lines = [line for line in block.text.splitlines() if line and not line.startswith("#")]
            assert all("=" in line for line in lines)
        else:
            assert block.language == "text", block.language

    def _yaml(self, block: Block) -> None:
        """A part of `feature_store.yaml` is read by Feast itself, as a part of a project's."""
        (told,) = yaml.safe_load_all(block.text)
        if {"online_store", "offline_store"} & set(told):
            whole = yaml.safe_load((self.folder / "shop" / "feature_store.yaml").read_text(encoding="utf-8"))
            file = self.folder / "feature_store.yaml"
            file.write_text(yaml.safe_dump(whole | told), encoding="utf-8")
            config = load_repo_config(self.folder, file)
            assert None not in (config.online_store, config.offline_store)

    def _write(self, block: Block, where: Path) -> None:
        file = where / str(block.title)
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = "a" if "appended" in block.notes else "w"
        with file.open(mode, encoding="utf-8") as opened:
            opened.write(("\n" if mode == "a" else "") + self._addressed(block.text))

    def _python(self, block: Block, where: Path, names: dict[str, Any]) -> None:
        file = (
            where / ".snippets" / f"{block.document.stem}_{block.line}.py"
        )  # so that functions have a source
        file.parent.mkdir(exist_ok=True)
        file.write_text(self._addressed(block.text), encoding="utf-8")
        program = compile(file.read_text(encoding="utf-8"), str(file), "exec")
        if "parsed" in block.notes:
            return
        with self._as_said(where):
            exec(program, names)

    def _shell(self, block: Block, where: Path) -> None:
        if "parsed" in block.notes:
            return
        said = list(commands(block.text))
        if [command.words[:2] for command in said] == [("headrace", "up")]:
            self._start(said[0], where)
            return
        for command in said:
            assert command.program != "make", "say that it is parsed"
            assert command.words[:1] != ("headrace",) or command.words[1] not in _LONG_RUNNING, "say so"
        if all(command.program == "headrace" and not command.assigned for command in said):
            with self._as_said(where):  # not in processes of their own, whose imports take a second each
                for command in said:
                    app(list(command.words[1:]), standalone_mode=False)
            applied = _APPLIED.search(self._printed)
            if self._up is not None and applied:  # `serve` starts anew by that plan
                eventually(self._ready, f"a service with plan {applied[1]}", lambda text: applied[1] in text)
            return
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._addressed(block.text)],
            cwd=where,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self._printed = done.stdout

    def _ready(self) -> str:
        """What the service says of its readiness; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self._environment['HEADRACE_SERVE']}/readyz", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    @contextlib.contextmanager
    def _as_said(self, where: Path) -> Iterator[None]:
        """In the folder, with the environment; what is printed is kept."""
        told = io.StringIO()
        with contextlib.chdir(where), _environment(self._environment), contextlib.redirect_stdout(told):
            yield
        self._printed = told.getvalue()

    def _start(self, command: Command, where: Path) -> None:
        """`headrace up`; what ran before is stopped, as one does with Ctrl-C."""
        self.stop()
        log = self.folder / "up.log"
        log.unlink(missing_ok=True)
        self._up = Child(
            "headrace up", command.words, log, where, self._environment | command.assigned
        ).start()
        self._up.wait_until(lambda: "Ctrl-C stops it" in log.read_text(), _UP_S)
        self._printed = log.read_text()
        exported = _EXPORT.search(self._printed)
        assert exported is not None
        kafka, redis = exported.groups()
        self._addresses = {_REDIS: redis, _KAFKA: kafka, _SERVE: self._environment["HEADRACE_SERVE"]}
        self._environment |= {"HEADRACE_KAFKA": kafka, "HEADRACE_REDIS": redis}

    def _addressed(self, text: str) -> str:
        for told, real in self._addresses.items():
            text = text.replace(told, real)
        return text

    def _compare(self, told: str) -> None:
        """Each line of a document is one that was printed, whatever its figures are."""
        printed = {_without_figures(line) for line in self._printed.splitlines()}
        missing = [line for line in told.splitlines() if _without_figures(line) not in printed]
        assert not missing, f"not printed: {missing}, but:\n{self._printed}"


def _without_figures(line: str) -> str:
    """A line with each word that has a digit, and each path, replaced: they differ from run to run."""
    words = re.split(r"[\s,]+", _MINUTES.sub("", line.strip()))
    return " ".join("#" if re.search(r"\d", word) or word.startswith("/") else word for word in words)


@contextlib.contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
