"""A project whose processes are replaced under load, one after the other, while its definitions change."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import redis

from headrace import load_settings
from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.local.child import free_port
from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.versions import PublishedVersion, read_versions
from headrace.schemas.plan import Plan
from headrace.schemas.records import Epoch, Prediction
from headrace.streams.log.reader import read_log
from tests.support import nursery
from tests.support.clicks_project import CLICKS
from tests.support.nursery import Forked
from tests.support.waiting import FETCH_WAIT_MS, PATIENCE_S, eventually

_IMPORTS = (
    "headrace.featurestore.online.writer",
    "headrace.learners.serving.process",
    "headrace.learners.training.process",
    "headrace.streams.join.process",
    "headrace.streams.worker.process",
)
_LEARNERS = """
from datetime import timedelta

from river import dummy, linear_model, optim, preprocessing

from headrace import Learner, Router, ThompsonSampling


def logistic(rate):
    return lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(rate))


RATES = {rates}
ARMS = [Learner("plain", dummy.PriorClassifier, None, "bought")] + [
    Learner(name, logistic(rate), None, "bought", request=["amount"]) for name, rate in RATES.items()
]
main = Router(
    "main", arms=[arm.name for arm in ARMS], champion="plain", unit="user", entities=["user"],
    request=["amount"], wait=timedelta(seconds=2), refresh=timedelta(seconds=1), publish=None, partitions=2,
    policy=ThompsonSampling(floor=0.02),
)
"""
SLOTS = ("serve", "other")  # replicas, in whose places new ones come


@dataclass(frozen=True)
class Answered:
    """An answer, and which replica gave it during which step."""

    step: str
    slot: str
    replica: int
    answer: Mapping[str, Any]
    label: float

    @property
    def is_right(self) -> bool:
        return bool((self.answer["score"] >= 0.5) == (self.label >= 0.5))


class CutOverScene:
    """Worker, join, train and two replicas of serve, and clients that ask and tell labels all the time."""

    def __init__(self, bootstrap: str, redis_url: str, project: str, folder: Path) -> None:
        self.bootstrap, self.project, self._folder = bootstrap, project, folder
        self._repository = folder / "shop"
        shutil.copytree(CLICKS, self._repository)
        for name in ("feature_store.yaml", "features.py"):
            file = self._repository / name
            renamed = file.read_text().replace('topic="clicks"', f'topic="{project}.clicks"')
            file.write_text(renamed.replace("project: clicks", f"project: {project}"))
        (self._repository / "data").mkdir()
        self._settings = load_settings(
            self._repository, kafka=bootstrap, redis=redis_url, event_partitions=1, idle_ms=500,
            publish_every_s=0.2, drain_s=0, fetch_wait_ms=FETCH_WAIT_MS,
        )  # fmt: skip
        self._settings.make_signing_key()
        self.redis = redis.Redis.from_url(redis_url)
        self.pointers = ModelPointers(self.redis, project, key=self._settings.signing_key())
        self.plans: dict[str, Plan] = {}
        self.plan: Plan
        self._running: dict[str, Forked] = {}
        self._ports = {slot: free_port() for slot in SLOTS}
        self._replicas: dict[str, int] = dict.fromkeys(SLOTS, 0)
        self._endpoints: set[str] = set()  # replicas that are ready, which alone are asked
        self.step = ""
        self.answers: list[Answered] = []
        self._ends, self._numbers = threading.Event(), count()

    def apply(self, rates: Mapping[str, float]) -> None:
        """Put a plan in force with an arm for each rate of learning, besides the plain one."""
        (self._repository / "learners.py").write_text(_LEARNERS.format(rates=dict(rates)))
        self.plan = compile_project(self._repository).plan
        self.plans[self.plan.hash] = self.plan
        apply_plan(self._settings, self.plan)

    def restart(self, name: str, kills: bool = False) -> None:
        """Replace a process; a replica of serve once the one that takes its place is ready."""
        if (before := self._running.pop(name, None)) is not None:
            self._endpoints.discard(name)
            before.kill() if kills else before.terminate()
            before.wait(PATIENCE_S)
        environment = self._settings.environment()
        if name in SLOTS:
            environment |= {"HEADRACE_PORT": str(self._ports[name])}
        words = [json.dumps(environment), "serve" if name in SLOTS else name, str(self._repository)]
        log, begun = self._folder / f"{name}.log", self._begun(name)
        self._running[name] = nursery.start("tests.support.headrace_process", words, log, _IMPORTS)
        self.eventually(lambda: self._begun(name) > begun, f"{name} to have read its plan")
        if name in SLOTS:
            self._replicas[name] += 1
            self.eventually(lambda: self.is_ready(name), f"{name} to be ready")
            self._endpoints.add(name)

    def is_ready(self, slot: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[slot]}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def eventually(self, look: Any, what: str) -> Any:
        def alive() -> Any:
            for name, process in self._running.items():
                assert process.poll() is None, f"{name} ended: {self._log(name)}"
            return look()

        try:
            return eventually(alive, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(map(self._log, self._running))) from error

    def wait_for_answers(self, many: int) -> None:
        """Wait until each replica has answered so many more."""
        wanted = {slot: self._answered(slot) + many for slot in SLOTS if slot in self._running}
        self.eventually(
            lambda: all(self._answered(slot) >= wanted[slot] for slot in wanted), "answers of each replica"
        )

    def wait_for_cut_over(self) -> None:
        """Wait until what serves is all of the plan."""
        definitions = {learner.name: learner.definition for learner in self.plan.learners}

        def has_cut_over() -> bool:
            in_force = self.pointers.read(self.plan.router("main"))
            if in_force.epoch is None or in_force.epoch.propensities.keys() != definitions.keys():
                return False
            trained = {(one.name, one.version): one.definition for one in self.lineage() if one.examples}
            served = {name: trained.get((name, one.version)) for name, one in in_force.pointers.items()}
            return all(served.get(arm) == definition for arm, definition in definitions.items())

        self.eventually(has_cut_over, "all versions and the epoch of this plan")

    @contextmanager
    def load(self) -> Iterator[None]:
        """Ask all replicas, and tell labels, within the block."""
        clients = [threading.Thread(target=self._ask, args=(slot,), daemon=True) for slot in SLOTS]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._ends.set()
            for client in clients:
                client.join()

    def lineage(self) -> list[PublishedVersion]:
        return read_versions(self.bootstrap, self.project)

    def predictions(self) -> dict[str, Prediction]:
        topic = self.plan.topics.router("main").predictions
        logged = (message.value() for n in range(2) for message in read_log(self.bootstrap, topic, n))
        found = (Prediction.model_validate_json(value) for value in logged if value)
        return {prediction.prediction_id: prediction for prediction in found}

    def epochs(self) -> dict[int, Epoch]:
        topic = self.plan.topics.router("main").epochs
        found = [Epoch.model_validate_json(m.value() or b"") for m in read_log(self.bootstrap, topic, 0)]
        assert len({epoch.epoch for epoch in found}) == len(found)  # no number means two things
        return {epoch.epoch: epoch for epoch in found}

    def end(self) -> None:
        """End all in order, so that every version is in the lineage."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(PATIENCE_S)
        self._running.clear()

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def start(self, rates: Mapping[str, float]) -> None:
        """Apply a first plan, and start everything."""
        self.apply(rates)
        for name in ("worker", "join", "train", *SLOTS):
            self.restart(name)

    def _answered(self, slot: str) -> int:
        replica = self._replicas[slot]
        return sum(one.slot == slot and one.replica == replica for one in self.answers)

    def _begun(self, name: str) -> int:
        """How often a process of this name has told its plan."""
        log = self._folder / f"{name}.log"
        return log.read_text().count(f"project '{self.project}', plan ") if log.exists() else 0

    def _log(self, name: str) -> str:
        return f"--- {name}\n" + (self._folder / f"{name}.log").read_text()[-3000:]

    def _ask(self, slot: str) -> None:
        """Ask a replica while it is there; what is asked is answered by its amount alone."""
        while not self._ends.wait(0.05):
            if slot not in self._endpoints:
                continue
            number, replica = next(self._numbers), self._replicas[slot]
            amount = (number * 37 % 100) / 50 - 1
            label = float(amount > 0)
            asked = {"entities": {"user": f"u{number}"}, "request": {"amount": amount}}
            try:
                answer = self._post(slot, "/v1/predict", asked)
                told = {"prediction_id": answer["prediction_id"], "label": label}
                self._post(slot, "/v1/outcomes", told)
            except (OSError, http.client.HTTPException):
                continue  # it is being replaced
            if replica == self._replicas[slot]:
                self.answers.append(Answered(self.step, slot, replica, answer, label))

    def _post(self, slot: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._ports[slot]}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return dict(json.load(answer))
