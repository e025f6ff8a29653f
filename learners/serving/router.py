"""One router: reads features once, scores every arm, draws one, logs the prediction and answers."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.learners.models.scoring import score
from headrace.learners.routing.draw import draw
from headrace.learners.serving.api import (
    ArmState,
    LogPosition,
    OutcomeRequest,
    OutcomeResponse,
    PredictRequest,
    PredictResponse,
    RouterArms,
    RouterInfo,
)
from headrace.learners.serving.guard import RecordTooLarge
from headrace.learners.serving.live import Live, LiveArm
from headrace.learners.serving.live_models import LiveModels
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.prediction_log import LogEntry, PredictionLog
from headrace.learners.serving.request_checks import RequestChecks
from headrace.learners.serving.served_features import Served, ServedFeatures
from headrace.schemas.domains import Score
from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.label_reader import read_router_label
from headrace.schemas.natural_keys import natural_key
from headrace.schemas.plan import Plan
from headrace.schemas.records import Outcome, Prediction, Value
from headrace.streams.log.kafka_producer import KafkaRecord
from headrace.streams.log.partitioner import partition_for

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """A prediction, the score that is returned for it, and whether that is of an untrained model."""

    prediction: Prediction
    score: Score
    untrained: bool


@dataclass(frozen=True)
class Prepared(Generic[T]):
    """Predictions or outcomes that are checked and made, and not logged yet.

    Attributes
    ----------
    items
        In the order of the requests.
    entries
        The record of each.
    """

    items: list[T]
    entries: list[LogEntry]


class RouterService:
    """Answers requests of one router.

    Parameters
    ----------
    plan
        The plan in force.
    router_name
        Which of its routers.
    features
        Reads the online store.
    models
        The models and the epoch in force.
    log
        Where predictions and outcomes are appended.
    metrics
        Counts predictions, fallbacks and errors, and times the parts of a request.

    Attributes
    ----------
    spec
        The router in the plan.
    """

    def __init__(
        self,
        plan: Plan,
        router_name: str,
        features: AsyncFeatureClient,
        models: LiveModels,
        log: PredictionLog,
        metrics: ServiceMetrics,
    ) -> None:
        self.spec = plan.router(router_name)
        self.models = models
        self._plan_hash = plan.hash
        self._reader = partial(ServedFeatures, plan, self.spec, features, metrics)
        # By the features that models of other definitions read besides.
        self._features: dict[tuple[FeatureRef, ...], ServedFeatures] = {(): self._reader()}
        self._checks = RequestChecks(plan, self.spec)
        self._log, self._metrics = log, metrics
        topics = plan.topics.router(router_name)
        self._predictions, self._outcomes = topics.predictions, topics.outcomes

    @property
    def features(self) -> tuple[str | FeatureRef, ...]:
        """Features that are read for a prediction, as the client takes them."""
        return self._features[()].features

    async def predict(self, requests: Sequence[PredictRequest]) -> list[PredictResponse]:
        """Answer a batch in its order, once all of it is logged or the log's time-out is over.

        Raises
        ------
        RequestError
            When a value is missing or wrong; nothing is logged then.
        """
        prepared = await self.prepare_predictions(requests)
        with self._metrics.seconds.labels("log").time():
            offsets = await self._log.append(prepared.entries)
        return self.predicted(prepared, offsets)

    async def record(self, outcomes: Sequence[OutcomeRequest]) -> list[OutcomeResponse]:
        """Append outcomes to the outcomes topic, and answer in their order.

        Raises
        ------
        RequestError
            When one can be no label of this router; nothing is logged then.
        """
        prepared = self.prepare_outcomes(outcomes)
        return self.recorded(prepared, await self._log.append(prepared.entries))

    async def prepare_predictions(
        self, requests: Sequence[PredictRequest], rows: Sequence[int] | None = None
    ) -> Prepared[Answer]:
        """Check requests, read their features, and score them.

        Parameters
        ----------
        requests
            Of this router.
        rows
            Their numbers in the body, for messages; 0, 1, … when None.

        Raises
        ------
        RequestError
            When a value is missing or wrong, or what is to be logged of a request is too large.
        """
        now_ms = time.time_ns() // 1_000_000
        rows = range(len(requests)) if rows is None else rows
        requests = self._checks.predictions(requests, rows, now_ms)
        live = self.models.live
        with self._metrics.seconds.labels("features").time():
            served = await self._features_of(live).read(requests, now_ms)
        with self._metrics.seconds.labels("scores").time():
            answers = [
                self._answer(live, request, features, now_ms)
                for request, features in zip(requests, served, strict=True)
            ]
            entries = [
                self._entry(f"requests[{row}]", self._predictions, a.prediction.key, a.prediction)
                for row, a in zip(rows, answers, strict=True)
            ]
        return Prepared(answers, entries)

    def prepare_outcomes(
        self, outcomes: Sequence[OutcomeRequest], rows: Sequence[int] | None = None
    ) -> Prepared[Outcome]:
        """Check outcomes; parameters and errors are those of `prepare_predictions`."""
        now_ms = time.time_ns() // 1_000_000
        rows = range(len(outcomes)) if rows is None else rows
        self._checks.outcomes(outcomes, rows, now_ms)
        records = [
            Outcome(
                outcome_id=outcome.outcome_id or uuid.uuid4().hex,
                key=str(outcome.key or outcome.prediction_id),
                label=read_router_label(self.spec, outcome.label),
                ts_ms=now_ms if outcome.ts_ms is None else outcome.ts_ms,
            )
            for outcome in outcomes
        ]
        entries = [
            self._entry(f"outcomes[{row}]", self._outcomes, record.key, record)
            for row, record in zip(rows, records, strict=True)
        ]
        return Prepared(records, entries)

    def predicted(self, prepared: Prepared[Answer], offsets: Sequence[int | None]) -> list[PredictResponse]:
        """Return the answers to predictions that were appended at these offsets, or not (None)."""
        positions = self._positions(prepared, offsets)
        return [self._response(*pair) for pair in zip(prepared.items, positions, strict=True)]

    def recorded(self, prepared: Prepared[Outcome], offsets: Sequence[int | None]) -> list[OutcomeResponse]:
        """Return the answers to outcomes that were appended at these offsets, or not (None)."""
        return [
            OutcomeResponse(outcome_id=record.outcome_id, logged=position is not None, log=position)
            for record, position in zip(prepared.items, self._positions(prepared, offsets), strict=True)
        ]

    def info(self) -> RouterInfo:
        """Describe the router as the plan declares it."""
        spec = self.spec
        return RouterInfo(
            name=spec.name,
            target=spec.target,
            kind=spec.domain.kind,
            low=spec.domain.low,
            high=spec.domain.high,
            classes=list(spec.domain.classes),
            arms=list(spec.arms),
            champion=spec.champion,
            entities=list(spec.entities),
            request=list(spec.request),
            unit=spec.unit,
            policy=spec.policy.kind,
            reward=spec.reward,
            wait_ms=spec.wait_ms,
            plan_hash=self._plan_hash,
        )

    def arms(self) -> RouterArms:
        """Describe the arms as they serve now: versions, prefixes and propensities."""
        live = self.models.live
        states = [
            ArmState(
                arm=arm.name,
                version=arm.version,
                offset=arm.offset,
                examples=arm.examples,
                untrained=arm.is_untrained,
                propensity=live.epoch.propensities[arm.name],
            )
            for arm in live.arms
        ]
        return RouterArms(router=self.spec.name, epoch=live.epoch.epoch, arms=states)

    def _features_of(self, live: Live) -> ServedFeatures:
        """Return the reader of all that these models read."""
        if live.others not in self._features:
            self._features = {(): self._features[()], live.others: self._reader(live.others)}
        return self._features[live.others]

    def _answer(self, live: Live, request: PredictRequest, served: Served, now_ms: int) -> Answer:
        spec, epoch = self.spec, live.epoch
        unit = _text(request.value(spec.unit))
        chosen = draw(spec.arms, epoch.propensities, spec.salt, epoch.epoch, unit)
        scores = {arm.name: self._score(arm, request, served) for arm in live.arms}
        answer, fallback = self._fall_back(scores, chosen)
        untrained = tuple(arm.name for arm in live.arms if arm.is_untrained)
        answering = {None: chosen, "champion": spec.champion}.get(fallback)
        prediction_id = request.prediction_id or uuid.uuid4().hex
        prediction = Prediction.model_construct(  # of values that were checked where they came from
            prediction_id=prediction_id,
            router=spec.name,
            key=request.key or self._natural_key(request) or prediction_id,
            unit=unit,
            ts_ms=now_ms if request.ts_ms is None else request.ts_ms,
            entities=request.entities,
            request=request.request,
            features=served.features or {},
            provenance=served.provenance,
            scores=scores,
            versions={arm.name: arm.version for arm in live.arms},
            epoch=epoch.epoch,
            propensities=epoch.propensities,
            chosen=chosen,
            propensity=epoch.propensities[chosen],
            fallback=fallback,
            untrained=untrained,
            plan_hash=self._plan_hash,
        )
        return Answer(prediction, answer, answering in untrained)

    def _score(self, arm: LiveArm, request: PredictRequest, served: Served) -> Score | None:
        if served.features is None and arm.inputs.reads_features:
            return None
        try:
            x = arm.inputs.select(served.features or {}, request.request, request.entities)
            return score(arm.model, x, self.spec.domain)
        except (Exception, SystemExit) as error:  # a model may hold any function
            _log.warning("%s@%s raised %s: %s", arm.name, arm.version, type(error).__name__, error)
            self._metrics.arm_errors.labels(self.spec.name, arm.name).inc()
            return None

    def _fall_back(self, scores: Mapping[str, Score | None], chosen: str) -> tuple[Score, str | None]:
        """Return the score of the chosen arm, else of the champion, else the default; and which fallback."""
        if (chosen_score := scores[chosen]) is not None:
            return chosen_score, None
        champion = scores[self.spec.champion]
        fallback = "default" if champion is None else "champion"
        return self.spec.default if champion is None else champion, fallback

    def _natural_key(self, request: PredictRequest) -> str | None:
        if self.spec.outcome is None:
            return None
        value = request.value(self.spec.outcome.key_field)
        return None if value is None else natural_key(value)

    def _entry(self, where: str, topic: str, key: str, record: Prediction | Outcome) -> LogEntry:
        raw = key.encode()
        partition = partition_for(raw, self.spec.partitions)
        entry = KafkaRecord(record.to_bytes(), raw, record.ts_ms, partition=partition)
        if entry.size > self._log.max_record_bytes:
            most = self._log.max_record_bytes
            raise RecordTooLarge(
                where, f"its record has {entry.size} bytes, the log takes {most}", "Send less"
            )
        return topic, entry

    def _positions(self, prepared: Prepared[Any], offsets: Sequence[int | None]) -> list[LogPosition | None]:
        for (topic, _), offset in zip(prepared.entries, offsets, strict=True):
            if offset is None:
                self._metrics.unlogged.labels(topic).inc()
        return [
            None if offset is None else LogPosition(topic=topic, partition=entry.partition, offset=offset)
            for (topic, entry), offset in zip(prepared.entries, offsets, strict=True)
        ]

    def _response(self, answer: Answer, position: LogPosition | None) -> PredictResponse:
        prediction = answer.prediction
        self._metrics.predictions.labels(self.spec.name, prediction.chosen).inc()
        if prediction.fallback is not None:
            self._metrics.fallbacks.labels(self.spec.name, prediction.fallback).inc()
        if answer.untrained:
            self._metrics.untrained.labels(self.spec.name, prediction.chosen).inc()
        return PredictResponse(
            prediction_id=prediction.prediction_id,
            key=prediction.key,
            score=answer.score if isinstance(answer.score, float | int) else dict(answer.score),
            arm=prediction.chosen,
            version=prediction.versions[prediction.chosen],
            propensity=prediction.propensity,
            epoch=prediction.epoch,
            fallback=prediction.fallback,
            untrained=answer.untrained,
            logged=position is not None,
            log=position,
        )


def _text(value: Value) -> str:
    """Return the text of a unit; one that is equal to another has the same."""
    return "" if value is None else natural_key(value)
