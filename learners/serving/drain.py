"""How a service that ends leaves its clients: it is not ready, still answers for a while, and then stops."""

from __future__ import annotations

import signal
import time
from types import FrameType

import uvicorn


class Drain:
    """The time between the moment a service is told to end and the moment its port is closed.

    In it the service answers as before, but for ``/readyz``, and asks each client to connect anew.

    Parameters
    ----------
    seconds
        How long it takes.

    Attributes
    ----------
    has_begun
        Whether the service was told to end.

    Examples
    --------
    >>> drain = Drain(60)
    >>> drain.has_begun, drain.is_over
    (False, False)
    >>> drain.begin()
    >>> drain.has_begun, drain.is_over
    (True, False)
    >>> drain.cut_short()
    >>> drain.is_over
    True
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun_s: float | None = None

    @property
    def has_begun(self) -> bool:
        return self._begun_s is not None

    @property
    def is_over(self) -> bool:
        """Whether the port is to be closed."""
        return self._begun_s is not None and time.monotonic() - self._begun_s >= self._seconds

    def begin(self) -> None:
        """Begin, unless it has begun."""
        if self._begun_s is None:
            self._begun_s = time.monotonic()

    def cut_short(self) -> None:
        """Close the port as soon as the service ends, or now where it was told to."""
        self._seconds = 0.0


class DrainingServer(uvicorn.Server):
    """A server that drains before it closes its port. SIGINT, or a second SIGTERM, cuts that short.

    Parameters
    ----------
    config
        As for uvicorn's own.
    drain
        Shared with the application.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; called by uvicorn at a signal."""
        if sig == signal.SIGINT or self._drain.has_begun:
            self._drain.cut_short()
        self._drain.begin()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Tell whether to close the port; asked by uvicorn ten times a second."""
        if not await super().on_tick(counter):
            return False
        self._drain.begin()  # where no signal came: the plan was replaced
        return self.force_exit or self._drain.is_over
