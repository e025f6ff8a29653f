"""The benchmark's peers store and read the same rows, and a wrong value gets no figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.featurestore.__main__ import WrongValues, _clear, _verify, _verify_writes
from benchmarks.featurestore.peers import Feast, Headrace, Raw
from benchmarks.featurestore.workload import Workload


async def test_peers_agree_and_differences_are_found(redis_url: str, project: str, tmp_path: Path) -> None:
    workload = Workload(40, project)
    headrace, feast, raw = (
        Headrace(workload, redis_url),
        Feast(workload, redis_url, tmp_path),
        Raw(workload, redis_url),
    )
    try:
        await _verify_writes(workload, redis_url, headrace, feast)
        accounts = [3, 39, 0]
        for peer in (headrace, feast):
            _verify(peer, workload, accounts, peer.read(accounts))
            _verify(peer, workload, accounts, await peer.read_async(accounts))
        assert all(None not in reply[:1] for reply in raw.read(accounts))
        with pytest.raises(WrongValues, match="headrace reads other values"):
            _verify(headrace, workload, [4, 39, 0], headrace.read(accounts))
    finally:
        _clear(redis_url, workload)
