"""The door of a router: values, keys and times of requests, checked before anything is done with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.featurestore.logged_values import fits
from headrace.learners.models.inputs import GREATEST
from headrace.learners.serving.api import OutcomeRequest, PredictRequest
from headrace.schemas.errors import LabelError, RequestError
from headrace.schemas.event_times import DEFAULT_MAX_FUTURE_MS, EARLIEST_MS, LATEST_MS, short
from headrace.schemas.feature_types import ValueType
from headrace.schemas.label_reader import read_router_label
from headrace.schemas.natural_keys import natural_key
from headrace.schemas.plan import Plan
from headrace.schemas.records import Value
from headrace.schemas.router_specs import RouterSpec

MAX_KEY: Final = 500  # characters of a natural key
_INT_BITS: Final[Mapping[ValueType, int]] = {"Int32": 31, "Int64": 63}
_WHOLE: Final = ("Int32", "Int64", "UnixTimestamp")
_EXACT: Final = 2**53  # up to here a float that is whole is one integer
_NULL: Final = "Send its value"


class RequestChecks:
    """Checks the requests of one router, and gives them on with values of the declared types.

    Declared are the types of join keys, and of request fields that on-demand views take. Every other value is
    a boolean, a text, an integer of 64 bits or a number that a model can take in.

    Parameters
    ----------
    plan
        The plan in force.
    router
        Whose requests.

    Attributes
    ----------
    types
        Join keys and request fields, with their declared types.
    """

    def __init__(self, plan: Plan, router: RouterSpec) -> None:
        self._router = router
        refs = plan.logged_features(router)
        keys = plan.request_keys(refs)
        fields = [field for view in plan.on_demand_of(refs) for field in view.request]
        self.types = {field.name: field.dtype for field in (*fields, *keys)}
        self._keys = dict.fromkeys(key.name for key in keys)
        outcome = router.outcome
        self._max_future_ms = plan.source(outcome.source).max_future_ms if outcome else DEFAULT_MAX_FUTURE_MS

    def predictions(
        self, requests: Sequence[PredictRequest], rows: Sequence[int], now_ms: int
    ) -> list[PredictRequest]:
        """Return requests with values of the declared types.

        Parameters
        ----------
        requests, rows
            Requests, and their numbers in the body.
        now_ms
            The time here, epoch milliseconds.

        Raises
        ------
        RequestError
            For the first value that is missing or wrong.
        """
        return [
            self._prediction(f"requests[{row}]", request, now_ms)
            for row, request in zip(rows, requests, strict=True)
        ]

    def outcomes(self, outcomes: Sequence[OutcomeRequest], rows: Sequence[int], now_ms: int) -> None:
        """Check outcomes; parameters are those of `predictions`.

        Raises
        ------
        RequestError
            For the first that cannot be a label of this router.
        """
        for row, outcome in zip(rows, outcomes, strict=True):
            self._outcome(f"outcomes[{row}]", outcome, now_ms)

    def _prediction(self, where: str, request: PredictRequest, now_ms: int) -> PredictRequest:
        self._check_time(where, request.ts_ms, now_ms)
        self._check_missing(where, request)
        entities = self._values(f"{where}.entities", request.entities)
        fields = self._values(f"{where}.request", request.request)
        if entities is not request.entities or fields is not request.request:
            request = request.model_copy(update={"entities": entities, "request": fields})
        for name in self._keys:
            if entities.get(name) is None:
                raise RequestError(
                    f"{where}.entities.{name}", "it is null, but features are read by it", _NULL
                )
        self._check_keys(where, request)
        return request

    def _check_missing(self, where: str, request: PredictRequest) -> None:
        router = self._router
        for place, names, sent in (
            ("entities", router.entities, request.entities),
            ("request", router.request, request.request),
        ):
            for name in names:
                if name not in sent:
                    remedy = f"Router '{router.name}' needs it; send null where it is not known"
                    raise RequestError(f"{where}.{place}.{name}", "it is missing", remedy)

    def _check_keys(self, where: str, request: PredictRequest) -> None:
        """Check the unit, and the natural key where the request has none of its own."""
        router = self._router
        if request.value(router.unit) is None:
            raise RequestError(f"{where}.{router.unit}", "it is null, but traffic is split by it", _NULL)
        if router.outcome is None or request.key is not None:
            return
        value = request.value(router.outcome.key_field)
        if value is not None and len(natural_key(value)) > MAX_KEY:
            problem = f"it is the natural key, and has above {MAX_KEY} characters"
            raise RequestError(f"{where}.{router.outcome.key_field}", problem, "Use a shorter key")

    def _values(self, where: str, sent: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return values of the declared types; the mapping itself where all are."""
        changed = {}
        for name, value in sent.items():
            checked = value
            if (dtype := self.types.get(name)) is not None:
                checked = _of_type(f"{where}.{name}", dtype, value)
            _check_value(f"{where}.{name}", checked)
            if checked is not value:
                changed[name] = checked
        return {**sent, **changed} if changed else sent

    def _check_time(self, where: str, ts_ms: int | None, now_ms: int) -> None:
        if ts_ms is not None and ts_ms - now_ms > self._max_future_ms:
            if ts_ms > LATEST_MS:
                problem = f"{short(ts_ms)} is behind the year 2262"
            else:
                problem = f"{ts_ms} is {ts_ms - now_ms} ms ahead of the time here"
            remedy = f"Send epoch milliseconds, at most {self._max_future_ms} ahead"
            raise RequestError(f"{where}.ts_ms", problem, remedy)

    def _outcome(self, where: str, outcome: OutcomeRequest, now_ms: int) -> None:
        self._check_time(where, outcome.ts_ms, now_ms)
        try:
            read_router_label(self._router, outcome.label)
        except LabelError as error:
            raise RequestError(f"{where}.label", error.problem, error.remedy) from error
        if self._router.outcome is not None and outcome.key is None:
            field = self._router.outcome.key_field
            problem = f"router '{self._router.name}' finds predictions by '{field}'"
            remedy = "Send that value as `key`: the answer to the prediction has it"
            raise RequestError(f"{where}.prediction_id", problem, remedy)


def _of_type(where: str, dtype: ValueType, value: Value) -> Value:
    """Return a value of a declared type; a number that is whole is an integer, however it is written."""
    if dtype in _WHOLE and isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)
    if not fits(dtype, value):
        raise RequestError(where, f"{_shown(value)} is no {dtype}", "Send such a value, or null")
    if dtype == "UnixTimestamp" and value is not None and not EARLIEST_MS <= int(value) <= LATEST_MS:
        problem = f"{_shown(value)} is not between the years 1678 and 2262"
        raise RequestError(where, problem, "Send times in epoch milliseconds")
    bits = _INT_BITS.get(dtype)
    if bits is not None and isinstance(value, int) and not -(2**bits) <= value < 2**bits:
        raise RequestError(where, f"{_shown(value)} is no {dtype}", "Send such a value, or null")
    return value


def _check_value(where: str, value: Value) -> None:
    """Refuse numbers that nothing behind can hold, and texts that end in NUL, which no event can hold."""
    if isinstance(value, str):
        if value.endswith("\0"):
            raise RequestError(where, "the text ends in NUL", "Send it without")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise RequestError(where, f"{_shown(value)} has more than 64 bits", "Send it as text")
    elif value is not None and not -GREATEST <= value <= GREATEST:
        raise RequestError(where, f"{value} is beyond 3.4e38", "Send a number within, or null")


def _shown(value: Any) -> str:
    """Return a value as it may stand in a message."""
    text = short(value) if isinstance(value, int) else ascii(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
