"""Keys land where Kafka's Java producer puts them."""

from __future__ import annotations

import pytest

from headrace.streams.log.partitioner import murmur2, partition_for

VECTORS = {  # from UtilsTest.testMurmur2 of Apache Kafka
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize("text", VECTORS)
def test_murmur2_equals_javas(text: str) -> None:
    assert murmur2(text.encode()) == VECTORS[text]


def test_a_partition_is_never_negative() -> None:
    assert partition_for(b"21", 10) == (-973932308 & 0x7FFFFFFF) % 10
    assert {partition_for(str(n).encode(), 4) for n in range(100)} == {0, 1, 2, 3}
