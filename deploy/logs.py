"""The log of a process: one line a message, without accounts, whatever text of others a message holds."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

from headrace.schemas.printable import printable, printable_lines
from headrace.streams.connections.url_accounts import without_secrets

_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class OneLineFormatter(logging.Formatter):
    """Escapes control characters and indents tracebacks: no text can be taken for a line of the log.

    Libraries and the user's own code say what they were given: accounts in it are left out.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(without_secrets(super().formatMessage(record)))

    def formatException(self, ei: _Raised) -> str:
        return "  " + printable_lines(without_secrets(super().formatException(ei)))

    def formatStack(self, stack_info: str) -> str:
        return "  " + printable_lines(super().formatStack(stack_info))


def print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that nobody caught, as a `sys.excepthook`."""
    text = "".join(traceback.format_exception(kind, error, trace))
    print(printable_lines(without_secrets(text.rstrip("\n"))), file=sys.stderr)


def begin_log(level: str) -> None:
    """Log messages from a level on to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter(_LINE))
    logging.basicConfig(level=level, handlers=[handler])
