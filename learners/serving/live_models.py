"""The models and the epoch that serve now: a thread follows them in Redis and swaps them all at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import redis

from headrace.learners.models.inputs import Inputs
from headrace.learners.models.pointers import InForce, ModelPointer, ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.project import Project
from headrace.learners.routing.changed_arms import epoch_of_arms
from headrace.learners.routing.epochs import initial_epoch
from headrace.learners.routing.propensities import propensity_fault
from headrace.learners.serving.live import UNTRAINED, Live, LiveArm
from headrace.learners.serving.model_inputs import Features, Misfit, ModelInputs
from headrace.schemas.errors import HeadraceError, UnknownNameError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Epoch
from headrace.schemas.router_specs import LearnerSpec, RouterSpec
from headrace.streams.connections.redis_retry import REDIS_ERRORS, is_temporary
from headrace.streams.progress import Progress, ProgressStore

_log = logging.getLogger(__name__)
REFRESH_S = 0.25  # longest time between two refreshes, when no write is announced
HEARTBEAT_S = 3.0  # longest time between two reports of progress
RETRY_S = 1.0


class LiveModels:
    """Follows the pointers of one router.

    What does not serve leaves the arm on the model that it has: a version that cannot be loaded (tried again
    every second), one that has learned less, one of a definition that this plan does not fit, an entry that
    is gone from Redis. Until the first version is loaded, an untrained model answers, and says so. An epoch
    serves when its propensities are finite, not negative and sum to 1, restricted to the arms of this plan;
    else the last good one serves on. Entries must be signed with the key of the store, and go forward: one
    that does not stops its arm alone.

    Parameters
    ----------
    plan
        The plan in force.
    router
        Whose arms.
    project
        Builds untrained models.
    store
        Has the published versions.
    client
        Redis, where pointers, epochs and progress are.
    replica
        Name of this process in the progress of the stage ``serve``.
    on_failure
        Called with an arm whose published version could not be loaded.
    on_epoch_fault
        Called once for each epoch that does not serve.
    prepare
        Prepares features to be read that models of other definitions need; see `ModelInputs`.

    Attributes
    ----------
    live
        Models and epoch that serve now.
    epoch_fault
        Why the epoch that Redis has does not serve; None when it serves.
    arm_faults
        By arm, why its entry in Redis, or the artifact that it points to, does not serve, and what to do.
    refresh_fault
        Why what Redis has cannot be read at all, and the models stay as they are; None when it is read.
    followed
        Set once Redis was read for the first time.
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
        on_epoch_fault: Callable[[], None] = lambda: None,
        prepare: Callable[[Features], None] = lambda features: None,
    ) -> None:
        self._plan, self._router, self._project, self._store = plan, router, project, store
        self._pointers = ModelPointers(client, plan.project, key=store.key)
        self._progress, self._replica = ProgressStore(client, plan), replica
        topics = plan.topics.router(router.name)
        self._inputs = [(topics.examples, 0), *((topics.closings, n) for n in range(router.partitions))]
        self._model_inputs = ModelInputs(plan, router, prepare)
        self._on_failure, self._on_epoch_fault = on_failure, on_epoch_fault
        self.epoch_fault: str | None = None
        self.arm_faults: dict[str, str] = {}
        self.refresh_fault: str | None = None
        self._epoch_place: tuple[str, int, int] | None = None  # log, era and number of the epoch that serves
        self._loaded: dict[str, ModelPointer] = {}
        self._failed: dict[str, tuple[ModelPointer, float]] = {}  # and when it is tried again
        self._reported: tuple[list[int], float] = ([], 0.0)  # offsets, and when
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"models-{router.name}", daemon=True)
        arms = tuple(self._untrained(plan.learner(arm)) for arm in router.arms)
        self.live = Live(arms, initial_epoch(router, plan.hash))
        self.followed = threading.Event()

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Stop following, and remove this replica from the progress."""
        self._stopping.set()
        self._thread.join()
        try:
            for topic, partition in self._inputs:
                self._progress.forget("serve", topic, partition, self._replica)
        except redis.RedisError as error:
            _log.warning("progress of replica '%s' is left to expire: %s", self._replica, error)

    def refresh(self) -> None:
        """Read pointers and epoch once, load new versions, swap, and report progress."""
        in_force = self._pointers.read(self._router)
        arms = tuple(self._followed(arm, in_force) for arm in self.live.arms)
        self.live = Live(arms, self._judged(in_force))
        self._report([min(arm.offset for arm in arms), *in_force.closings])
        self.followed.set()

    @property
    def faults(self) -> list[str]:
        """Why entries of Redis, and artifacts they point to, do not serve; each of one arm or the epoch."""
        arms = [f"arm '{arm}': {fault}" for arm, fault in self.arm_faults.items()]
        others = (self.epoch_fault, self.refresh_fault)
        return [*arms, *(fault for fault in others if fault)]

    @property
    def is_loaded(self) -> bool:
        """Whether each arm has a published model; one of which none is known yet may do without."""
        return self.followed.is_set() and all(arm in self._loaded for arm in self.arm_faults)

    def _followed(self, arm: LiveArm, in_force: InForce) -> LiveArm:
        """Return the arm as its entry in Redis wants it; as it is, where that entry does not serve."""
        pointer, loaded = in_force.pointers.get(arm.name), self._loaded.get(arm.name)
        fault = in_force.faults.get(arm.name)
        if fault is None and pointer is None and loaded is None and self._store.has_any(arm.name):
            fault = (
                f"Redis has no pointer to learner '{arm.name}', and the model store has versions of it: run "
                "`headrace train`, which puts it back"
            )
        if fault is not None:
            return self._stays(arm, fault)
        if pointer is None or pointer == loaded:
            return self._goes_on(arm)
        if loaded is None:
            return self._swapped(arm, pointer)
        if pointer.names_the_model_of(loaded):
            if not pointer.goes_back_from(loaded):
                self._loaded[arm.name] = pointer
            return self._goes_on(replace(arm, offset=max(arm.offset, pointer.offset)))
        if pointer.goes_back_from(loaded):
            return self._stays(
                arm,
                f"the pointer of learner '{arm.name}' in Redis goes back from {loaded.version} to "
                f"{pointer.version}; see who can write to Redis, or start this process anew if it is meant",
            )
        chosen = pointer.is_chosen and pointer.log == loaded.log
        if pointer.offset < arm.offset and not chosen:
            anew = "" if pointer.log == loaded.log else ", or where this process is started anew"
            return self._stays(
                arm,
                f"version {pointer.version} has learned the examples before offset {pointer.offset}, and "
                f"{arm.version} those before {arm.offset}: it serves once it has learned as many{anew}",
                is_failure=False,
            )
        return self._swapped(arm, pointer)

    def _goes_on(self, arm: LiveArm) -> LiveArm:
        if arm.name not in self._failed:
            self.arm_faults.pop(arm.name, None)
        return arm

    def _stays(self, arm: LiveArm, fault: str, is_failure: bool = True) -> LiveArm:
        """Leave an arm as it is, and tell once why."""
        if fault != self.arm_faults.get(arm.name):
            level = logging.ERROR if is_failure else logging.INFO
            _log.log(level, "%s stays at %s: %s", arm.name, arm.version, fault)
            self.arm_faults[arm.name] = fault
            if is_failure:
                self._on_failure(arm.name)
        return arm

    def _judged(self, in_force: InForce) -> Epoch:
        """Return the epoch, of the arms of this plan, if it may serve, else the last good one."""
        epoch, fault = in_force.epoch, in_force.epoch_fault
        if fault is None and epoch is not None:
            if self._epoch_place is not None and self._goes_back(in_force):
                problem = f"it goes back to epoch {epoch.epoch}; see who can write to Redis"
                fault = f"the epoch of router '{self._router.name}' in Redis does not serve: {problem}"
            elif (unfit := propensity_fault(epoch.propensities)) is not None:
                fault = f"epoch {epoch.epoch} of router '{self._router.name}' does not serve: {unfit}"
            else:
                self._epoch_place = (*in_force.epoch_place, epoch.epoch)
                epoch = epoch_of_arms(epoch, self._router)
        if fault is not None and fault != self.epoch_fault:
            _log.error("%s; epoch %d serves on", fault, self.live.epoch.epoch)
            self._on_epoch_fault()
        self.epoch_fault = fault
        return self.live.epoch if fault or epoch is None else epoch

    def _goes_back(self, in_force: InForce) -> bool:
        """Whether an epoch is older than one of the same log that served."""
        assert in_force.epoch is not None
        assert self._epoch_place is not None
        log, era = in_force.epoch_place
        return log == self._epoch_place[0] and (era, in_force.epoch.epoch) < self._epoch_place[1:]

    def _swapped(self, arm: LiveArm, pointer: ModelPointer) -> LiveArm:
        """Return the published version, or the one before while the new one cannot be loaded."""
        failed, retry_s = self._failed.get(arm.name, (None, 0.0))
        if failed == pointer and time.monotonic() < retry_s:
            return arm
        try:
            loaded = self._load(arm.name, pointer)
        except (HeadraceError, OSError) as error:
            self._failed[arm.name] = (pointer, time.monotonic() + RETRY_S)
            if isinstance(error, Misfit) and arm.name in self._loaded:
                return self._stays(arm, str(error), is_failure=False)
            self.arm_faults.pop(arm.name, None)  # each failure is counted
            return self._stays(arm, _with_remedy(error))
        self._failed.pop(arm.name, None)
        self.arm_faults.pop(arm.name, None)
        self._loaded[arm.name] = pointer
        return loaded

    def _load(self, name: str, pointer: ModelPointer) -> LiveArm:
        artifact = self._store.load(name, pointer.version, pointer.artifact)
        inputs, others = self._model_inputs.of(artifact)
        examples = artifact.header.examples
        return LiveArm(name, artifact.model, pointer.version, pointer.offset, inputs, examples, others)

    def _untrained(self, spec: LearnerSpec) -> LiveArm:
        model = self._project.learner(spec.name).model()
        return LiveArm(spec.name, model, UNTRAINED, 0, Inputs(self._plan, spec))

    def _report(self, offsets: list[int]) -> None:
        """Publish progress when it has changed, and as a heartbeat."""
        now = time.monotonic()
        if self._reported[0] != offsets or now - self._reported[1] > HEARTBEAT_S:
            for (topic, partition), offset in zip(self._inputs, offsets, strict=True):
                self._progress.publish("serve", topic, partition, Progress(offset), self._replica)
            self._reported = (offsets, now)

    def _follow(self) -> None:
        subscription = self._pointers.subscribe()
        while not self._stopping.is_set():
            try:
                subscription.wait(REFRESH_S)
                self.refresh()
                self.refresh_fault = None
            except REDIS_ERRORS as error:
                if is_temporary(error):
                    _log.warning("Redis cannot be reached, the models stay as they are: %s", error)
                else:
                    self._stay(f"Redis refuses what is in force ({error})")
                self._stopping.wait(RETRY_S)
            except Exception as error:
                _log.debug("models of router '%s' were not refreshed", self._router.name, exc_info=True)
                self._stay(f"what is in force cannot be followed ({type(error).__name__}: {error})")
                self._stopping.wait(RETRY_S)
        subscription.close()

    def _stay(self, problem: str) -> None:
        """Say once that the models stay as they are."""
        fault = f"models of router '{self._router.name}' stay as they are: {problem}; see who writes to Redis"
        if fault != self.refresh_fault:
            _log.error("%s", fault)
        self.refresh_fault = fault


def _with_remedy(error: Exception) -> str:
    if isinstance(error, UnknownNameError):
        return f"{error}; have every `train` and `serve` use one model store (HEADRACE_DATA_DIR)"
    return str(error)
