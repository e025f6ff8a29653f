from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.local.child import Child
from headrace.deploy.local.supervisor import Supervisor
from headrace.schemas.errors import ServiceUnavailable
from tests.support.waiting import PATIENCE_S

FOREVER = "import signal; signal.pause()"

# Starts two children, tells their ids, and watches them until it is interrupted.
PARENT = """
import signal, sys
from pathlib import Path
from headrace.deploy.local.child import Child
from headrace.deploy.local.supervisor import Supervisor

signal.signal(signal.SIGTERM, signal.default_int_handler)
supervisor = Supervisor()
for name in ("one", "two"):
    child = Child(name, [sys.executable, "-c", "import signal; signal.pause()"], Path(name + ".log"))
    supervisor.start(child)
    print(child.pid, flush=True)
try:
    supervisor.watch()
except KeyboardInterrupt:
    supervisor.stop()
"""


def child_of(tmp_path: Path, name: str, program: str) -> Child:
    return Child(name, [sys.executable, "-u", "-c", program], tmp_path / f"{name}.log")


def runs(pid: int | None) -> bool:
    """Whether there is such a process that has not ended."""
    assert pid is not None
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_that_ends_is_named_with_exit_code_and_log(tmp_path: Path) -> None:
    supervisor = Supervisor()
    supervisor.start(child_of(tmp_path, "steady", FOREVER))
    supervisor.start(child_of(tmp_path, "worker", "print('out of luck'); raise SystemExit(3)"))
    with pytest.raises(ServiceUnavailable, match=r"worker ended with exit code 3[\s\S]*out of luck"):
        supervisor.watch()
    supervisor.stop()


def test_stopping_leaves_none_and_goes_from_the_last_to_the_first(tmp_path: Path) -> None:
    note = (
        "import signal, sys\n"
        "def end(*_):\n    open('order', 'a').write(sys.argv[0] + NAME); raise SystemExit\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready')\nwhile True:\n    signal.pause()"
    )
    supervisor = Supervisor()
    children = [
        Child(name, [sys.executable, "-u", "-c", f"NAME = {name!r}\n{note}"], tmp_path / name, cwd=tmp_path)
        for name in ("a", "b", "c")
    ]
    for child in children:
        supervisor.start(child, lambda child=child: "ready" in child.last_lines())  # type: ignore[misc]
    supervisor.stop()
    assert not any(runs(child.pid) for child in children)
    assert (tmp_path / "order").read_text().replace("-c", "") == "cba"


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); signal.pause()"
    child = child_of(tmp_path, "stubborn", stubborn).start()
    child.wait_until(lambda: "ready" in child.last_lines(), PATIENCE_S)
    assert child.stop(timeout_s=0.1) == -signal.SIGKILL
    assert not runs(child.pid)


def test_waiting_for_a_child_ends_when_another_ends(tmp_path: Path) -> None:
    supervisor = Supervisor()
    supervisor.start(child_of(tmp_path, "broker", "raise SystemExit(7)"))
    with pytest.raises(ServiceUnavailable, match="broker ended with exit code 7"):
        supervisor.start(child_of(tmp_path, "worker", FOREVER), lambda: False)
    supervisor.stop()


def test_a_program_that_does_not_come_up_in_time_is_reported(tmp_path: Path) -> None:
    child = child_of(tmp_path, "slow", "print('thinking'); " + FOREVER).start()
    child.wait_until(lambda: "thinking" in child.last_lines(), PATIENCE_S)
    with pytest.raises(ServiceUnavailable, match=r"slow is not ready after 0 s[\s\S]*thinking"):
        child.wait_until(lambda: False, 0)
    child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_parent_ends_no_child_is_left(tmp_path: Path, number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    assert all(runs(pid) for pid in pids)
    parent.send_signal(number)
    parent.wait(PATIENCE_S)
    parent.stdout.close()
    child_of(tmp_path, "eye", FOREVER).wait_until(lambda: not any(runs(pid) for pid in pids), PATIENCE_S)
