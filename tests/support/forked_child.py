"""A child process that is forked, and can be paused."""

from __future__ import annotations

from headrace.deploy.local.child import Child
from tests.support import nursery
from tests.support.nursery import Forked


class ForkedChild(Child):
    """A child that is forked, and can be paused."""

    def start(self) -> Child:
        module, *arguments = self._command
        self._process = nursery.start(module, arguments, self.log)  # type: ignore[assignment]
        return self

    @property
    def forked(self) -> Forked:
        """The process, once it was started."""
        assert isinstance(self._process, Forked)
        return self._process

    def pause(self) -> None:
        self.forked.pause()

    def wake(self) -> None:
        self.forked.wake()

    @property
    def is_paused(self) -> bool:
        return self.forked.is_paused
