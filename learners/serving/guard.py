"""Whatever goes wrong with a request becomes an answer that names the field and the way out."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator

from starlette.requests import Request
from starlette.responses import Response

from headrace.learners.serving.refusals import Refusal
from headrace.schemas.errors import HeadraceError, RequestError

_log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]


class RecordTooLarge(RequestError):
    """What is to be logged of a request is larger than a record may be."""


def guarded(path: str, run: Handler) -> Handler:
    """Return a handler that answers errors, too.

    Parameters
    ----------
    path
        Named in the log.
    run
        Answers requests.
    """

    async def handle(request: Request) -> Response:
        try:
            return await run(request)
        except Refusal as refusal:
            return refused(refusal)
        except RecordTooLarge as error:
            return refused(Refusal(413, error.field, str(error)))
        except RequestError as error:
            return refused(Refusal(422, error.field, str(error)))
        except HeadraceError as error:
            _log.exception("%s failed", path)
            return refused(Refusal(503, None, str(error)))
        except Exception:
            _log.exception("%s failed", path)
            return refused(Refusal(500, None, "an error of the service; its log has it"))

    return handle


def refused(refusal: Refusal) -> Response:
    """Return a refusal as an answer."""
    return Response(refusal.body(), refusal.status, dict(_texts(refusal.headers())))


async def not_found(request: Request, error: Exception) -> Response:
    """Answer a path that is not there."""
    return refused(Refusal(404, None, "there is no such path; /openapi.json has those there are"))


async def not_allowed(request: Request, error: Exception) -> Response:
    """Answer a method that a path does not have."""
    return refused(Refusal(405, None, f"{request.method} is not for this path; see /openapi.json"))


def _texts(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((name.decode(), value.decode()) for name, value in headers)
