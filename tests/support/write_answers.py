"""Write what this code says to the state of each release: ``python -m tests.support.write_answers``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from headrace.deploy.local.redis_server import RedisServer
from headrace.streams.connections.redis import redis_client
from tests.support.release_state import FOLDER, Release, names, plan_of_today, told_of


def main() -> None:
    answers = {}
    with RedisServer() as server, tempfile.TemporaryDirectory() as folder:
        plan = plan_of_today(Path(folder))
        for name in names():
            data = Path(folder) / name
            answers[name] = told_of(Release(name, data, redis_client(server.url), server.url, plan))
    (FOLDER / "answers.json").write_text(json.dumps(answers, indent=2) + "\n")


if __name__ == "__main__":
    main()
