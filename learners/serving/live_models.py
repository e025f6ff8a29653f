"""The models and the epoch that serve now, followed in Redis by a thread and swapped all at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from headrace.learners.models.inputs import Inputs
from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.project import Project
from headrace.learners.routing.epochs import initial_epoch
from headrace.schemas import topics
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Epoch
from headrace.schemas.router_specs import LearnerSpec, RouterSpec
from headrace.streams.progress import Progress, ProgressStore

_log = logging.getLogger(__name__)
LOOK_S = 0.25  # between two looks when nothing is told
HEARTBEAT_S = 3.0
RETRY_S = 1.0


@dataclass(frozen=True)
class LiveArm:
    """A model that answers. `offset` is the learned prefix of the examples topic."""

    name: str
    model: Any
    version: str
    offset: int
    inputs: Inputs


@dataclass(frozen=True)
class Live:
    """Everything one request is answered with."""

    arms: tuple[LiveArm, ...]
    epoch: Epoch


class LiveModels:
    """Follows the pointers of one router.

    Until a learner has a published version of the plan's definition, a fresh model from its factory answers.

    Parameters
    ----------
    replica
        Name of this process in the progress of the stage ``serve``.
    on_failure
        Called with the arm whose published version could not be loaded; the one before goes on serving.
    """

    def __init__(
        self,
        plan: Plan,
        router: RouterSpec,
        project: Project,
        store: ModelStore,
        client: redis.Redis,
        replica: str,
        on_failure: Callable[[str], None] = lambda arm: None,
    ) -> None:
        self._plan, self._router, self._project, self._store = plan, router, project, store
        self._pointers = ModelPointers(client, plan.project)
        self._progress, self._replica = ProgressStore(client, plan), replica
        self._inputs = [(topics.examples(plan.project, router.name), 0)]
        self._inputs += [(topics.closings(plan.project, router.name), n) for n in range(router.partitions)]
        self._on_failure = on_failure
        self._loaded: dict[str, ModelPointer] = {}
        self._failed: dict[str, tuple[str, float]] = {}  # version, and when it is tried again
        self._said: tuple[list[int], float] = ([], 0.0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"models-{router.name}", daemon=True)
        arms = tuple(self._fresh(plan.learner(arm), 1) for arm in router.arms)
        self.live = Live(arms, initial_epoch(router, plan.hash))
        self.followed = threading.Event()  # set once the store was looked at

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop following, and take this replica out of the progress."""
        self._stopping.set()
        self._thread.join()
        try:
            for topic, partition in self._inputs:
                self._progress.forget("serve", topic, partition, self._replica)
        except redis.RedisError as error:
            _log.warning("progress of replica '%s' is left to expire: %s", self._replica, error)

    def refresh(self) -> None:
        """Look once: load what is new, swap, publish progress."""
        found = self._pointers.read(self._router)
        arms = tuple(self._refreshed(arm, found.pointers.get(arm.name)) for arm in self.live.arms)
        epoch = found.epoch
        if epoch is None or set(epoch.propensities) != set(self._router.arms):
            epoch = initial_epoch(self._router, self._plan.hash)
        self.live = Live(arms, epoch)
        self._say([min(arm.offset for arm in arms), *found.closings])
        self.followed.set()

    def _refreshed(self, arm: LiveArm, pointer: ModelPointer | None) -> LiveArm:
        seen = self._loaded.get(arm.name)
        if pointer is None or pointer == seen:
            return arm
        if seen is not None and pointer.version == seen.version:
            self._loaded[arm.name] = pointer
            offset = pointer.offset if arm.version == pointer.version else arm.offset
            return LiveArm(arm.name, arm.model, arm.version, offset, arm.inputs)
        return self._swapped(arm, pointer)

    def _swapped(self, arm: LiveArm, pointer: ModelPointer) -> LiveArm:
        """The published version, or the one before while the new one cannot be loaded."""
        failed, again = self._failed.get(arm.name, ("", 0.0))
        if failed == pointer.version and time.monotonic() < again:
            return arm
        try:
            found = self._load(arm, pointer)
        except (HeadraceError, OSError) as error:
            _log.error("%s stays at %s: %s", arm.name, arm.version, error)
            self._on_failure(arm.name)
            self._failed[arm.name] = (pointer.version, time.monotonic() + RETRY_S)
            return arm
        self._loaded[arm.name] = pointer
        return found

    def _load(self, arm: LiveArm, pointer: ModelPointer) -> LiveArm:
        spec = self._plan.learner(arm.name)
        artifact = self._store.load(arm.name, pointer.version)
        if artifact.header.definition != spec.definition:
            return self._fresh(spec, artifact.header.major + 1)
        return LiveArm(arm.name, artifact.model, pointer.version, pointer.offset, arm.inputs)

    def _fresh(self, spec: LearnerSpec, major: int) -> LiveArm:
        model = self._project.learner(spec.name).model()
        return LiveArm(spec.name, model, f"{major}.0", 0, Inputs(self._plan, spec))

    def _say(self, offsets: list[int]) -> None:
        """Progress, when it has changed and as a sign of life."""
        now = time.monotonic()
        if self._said[0] != offsets or now - self._said[1] > HEARTBEAT_S:
            for (topic, partition), offset in zip(self._inputs, offsets, strict=True):
                self._progress.publish("serve", topic, partition, Progress(offset), self._replica)
            self._said = (offsets, now)

    def _follow(self) -> None:
        subscription = self._pointers.subscribe()
        while not self._stopping.is_set():
            try:
                subscription.wait(LOOK_S)
                self.refresh()
            except redis.RedisError as error:
                _log.warning("Redis cannot be reached, the models stay as they are: %s", error)
                self._stopping.wait(RETRY_S)
            except Exception:
                _log.exception("models of router '%s' were not refreshed", self._router.name)
                self._stopping.wait(RETRY_S)
        subscription.close()
