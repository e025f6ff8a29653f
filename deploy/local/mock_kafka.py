"""librdkafka's built-in broker as a process: `python -m headrace.deploy.local.mock_kafka --topic flights=4`.

The process prints its address as one line and serves until SIGTERM. Everything is in memory, some megabytes
per partition: enough for a demonstration that reads what it writes, not for data that must last. Topics are
made at the start with the partitions asked for; a topic that is first used later gets four.
"""

from __future__ import annotations

import argparse
import ctypes
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import confluent_kafka

from headrace.schemas.errors import ServiceUnavailable

DEFAULT_PARTITIONS = 4  # fixed in librdkafka
_PRODUCER = 0
_ERROR_LENGTH = 512
_BETWEEN_S = 0.001  # a request that comes while the broker finishes another one may wait for a second


def _library() -> ctypes.CDLL:
    """Load the librdkafka in confluent-kafka, whose Python interface has the cluster's address alone."""
    package = Path(confluent_kafka.__file__).parent
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    files = [file for folder in folders for file in folder.glob("librdkafka*")]
    library = ctypes.CDLL(str(files[0]) if files else "librdkafka.so.1")
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (ctypes.c_int, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [ctypes.c_int, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, ctypes.c_int]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_topic_create": (ctypes.c_int, [pointer, text, ctypes.c_int, ctypes.c_int]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class MockKafka:
    """The built-in broker, inside this process until `close`.

    Parameters
    ----------
    topics
        Topics to make, with their partition counts.

    Attributes
    ----------
    bootstrap
        Its address.
    """

    def __init__(self, topics: Mapping[str, int] | None = None) -> None:
        self._library = library = _library()
        error = ctypes.create_string_buffer(_ERROR_LENGTH)
        conf = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(conf, b"log_level", b"3", error, _ERROR_LENGTH)
        self._handle = library.rd_kafka_new(_PRODUCER, conf, error, _ERROR_LENGTH)
        self._cluster = library.rd_kafka_mock_cluster_new(self._handle, 1) if self._handle else None
        if not self._cluster:
            raise ServiceUnavailable(f"librdkafka's broker did not start: {error.value.decode()}")
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap: str = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        for name, partitions in (topics or {}).items():
            self.create_topic(name, partitions)
            time.sleep(_BETWEEN_S)

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic.

        Raises
        ------
        ServiceUnavailable
            When it exists already.
        """
        code = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        if code != 0:
            raise ServiceUnavailable(
                f"librdkafka's broker refused topic '{name}' with {partitions} partitions (error {code}); "
                "does it exist already?"
            )

    def close(self) -> None:
        """End the broker; its data is gone."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


def _topic(argument: str) -> tuple[str, int]:
    name, _, partitions = argument.rpartition("=")
    if not name or not partitions.isdigit() or int(partitions) < 1:
        raise argparse.ArgumentTypeError(f"'{argument}' is not NAME=PARTITIONS")
    return name, int(partitions)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m headrace.deploy.local.mock_kafka", description=__doc__)
    parser.add_argument("--topic", type=_topic, action="append", default=[], metavar="NAME=PARTITIONS")
    topics = dict(parser.parse_args().topic)
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before librdkafka's threads inherit the mask
    broker = MockKafka(topics)
    print(broker.bootstrap, flush=True)
    signal.sigwait(stop)
    broker.close()


if __name__ == "__main__":
    main()
