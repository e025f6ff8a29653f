"""`headrace` as a process of the nursery: ``python -m tests.support.headrace_process SETTINGS WORD …``.

SETTINGS are variables of the environment, as JSON.
"""

from __future__ import annotations

import json
import os
import sys

from headrace.deploy.cli.main import main

if __name__ == "__main__":
    os.environ.update(json.loads(sys.argv[1]))
    sys.argv = ["headrace", *sys.argv[2:]]
    main()
