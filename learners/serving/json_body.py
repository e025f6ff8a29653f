"""Bodies of requests: JSON in, checked models out."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from headrace.learners.serving.refusals import Refusal
from headrace.schemas.errors import RequestError

_Model = TypeVar("_Model", bound=BaseModel)
_SCALARS = {"bool", "int", "float", "str"}


def parse(body: bytes) -> Any:
    """Parse JSON of at most 200 levels, whose numbers have at most 4,300 digits.

    Raises
    ------
    Refusal
        With status 400, when it is none.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        problem = f"the body is not JSON ({error}); send one JSON object, in UTF-8"
        raise Refusal(400, None, problem) from error


def validate(body: Any, model: type[_Model]) -> _Model:
    """Return a body as a model.

    Raises
    ------
    RequestError
        With the path of the first field that is missing or wrong.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path, problem = [str(part) for part in first["loc"]], first["msg"].removeprefix("Value error, ")
        if len(path) > 1 and path[-1] in _SCALARS:  # one of the types a value may have
            path, problem = path[:-1], "it is neither a number, nor text, a boolean or null"
        raise RequestError(
            ".".join(path) or "body", problem, "See /openapi.json for what is expected"
        ) from error
