"""`headrace` whose effects are counted, as a process of the nursery, which may end at one of them.

``python -m tests.support.dying_command SETTINGS WATCHED WORD …``: variables of the environment and what is
watched, as JSON. Processes that the command starts are of its group, import this module, and are watched too.
"""

from __future__ import annotations

import json
import os
import sys

from tests.support.effects import Watched, watch

_WATCHED = "EFFECTS_WATCHED"

if __name__ == "__main__":
    from headrace.deploy.cli.main import main

    os.environ.update(json.loads(sys.argv[1]))
    os.environ[_WATCHED] = sys.argv[2]
    watch(Watched(**json.loads(sys.argv[2])))
    sys.argv = ["headrace", *sys.argv[3:]]
    main()
elif _WATCHED in os.environ:
    watch(Watched(**json.loads(os.environ[_WATCHED])))
