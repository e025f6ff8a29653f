"""As `join_process`, with restores that do not end by themselves."""

from __future__ import annotations

import sys

from tests.support import join_process
from tests.support.stalled_restore import stall_restores

if __name__ == "__main__":
    stall_restores()
    join_process.main(*sys.argv[1:])
