"""Delivery reports for callers in asyncio: served in a thread, counted down for one that waits on a loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from headrace.streams.log.kafka_producer import KafkaProducer

_SERVE_S = 0.1


class ReportThread:
    """Serves the reports of a producer in a thread of its own, for callers in asyncio."""

    def __init__(self, producer: KafkaProducer, name: str) -> None:
        self._producer = producer
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        """Begin to serve reports."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait until it has ended."""
        self._stopping.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._producer.serve(_SERVE_S)


class Countdown:
    """Counts the reports of a batch, in any thread, for one that waits on the event loop.

    To be made on that loop.

    Parameters
    ----------
    records
        Number of records in the batch.
    """

    def __init__(self, records: int) -> None:
        self._missing, self._lock = records, threading.Lock()
        self._loop, self._settled = asyncio.get_running_loop(), asyncio.Event()
        if not records:
            self._settled.set()

    def count(self, records: int = 1) -> None:
        """Count records that are delivered, given up or refused."""
        with self._lock:
            self._missing -= records
            last = self._missing == 0
        if last:
            with suppress(RuntimeError):  # the loop is closed, nobody waits any more
                self._loop.call_soon_threadsafe(self._settled.set)

    async def wait(self) -> None:
        """Return when all are counted."""
        await self._settled.wait()
