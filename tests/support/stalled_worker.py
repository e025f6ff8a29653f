"""As `worker_process`, with restores that do not end by themselves."""

from __future__ import annotations

import sys

from tests.support import worker_process
from tests.support.stalled_restore import stall_restores

if __name__ == "__main__":
    stall_restores()
    worker_process.main(*sys.argv[1:])
