"""The online store of ``feature_store.yaml``: rows as Feast's own store keeps them, and where Feast reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
import yaml
from feast import FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.config import read_config
from headrace.featurestore.feast_repo.config_notes import config_notes
from headrace.featurestore.feast_repo.online_store import feast_reads_elsewhere
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.redis_codec.layout import key_prefix
from headrace.schemas.errors import DefinitionErrors
from tests.support.carrier_repository import AIRLINES
from tests.support.feast_online import point_to, taken_from_both

HERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def configure(repo: Path) -> Any:
    """Replace a text of the configuration."""
    file = repo / "feature_store.yaml"

    def change(old: str, new: str) -> None:
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))

    return change


@pytest.fixture
def airlines(repo: Path, redis_url: str) -> Path:
    point_to(redis_url, repo)
    pq.write_table(pa.table(AIRLINES), repo / "data" / "airlines.parquet")
    return repo


@pytest.mark.filterwarnings("ignore:.*ersion.*3")
def test_keys_of_version_2_are_those_of_feasts_own_store(
    airlines: Path, configure: Any, redis_url: str
) -> None:
    configure("version: 3", "version: 2")
    ours, theirs = taken_from_both(airlines, redis_url, "airlines")
    assert ours.keys() == theirs.keys()
    plan = compile_features(airlines).plan()
    materialize(airlines, plan, redis_url)
    entities = [{"carrier": "UA"}, {"carrier": "none"}]
    read = FeatureStore(repo_path=str(airlines)).get_online_features(["airlines:fleet"], entities).to_dict()
    with FeatureClient(plan, redis_url) as client:
        assert client.get_online_features(["airlines:fleet"], entities).columns == {
            "airlines__fleet": [3, None]
        }
    assert read["fleet"] == [3, None]


@pytest.mark.filterwarnings("ignore:Serialization of entity key")
@pytest.mark.parametrize("version", [2, 3])
def test_several_join_keys_stand_before_their_values_as_feast_writes_them(version: int) -> None:
    names, values = ["b", "a"], [Value(int64_val=1), Value(string_val="x")]
    theirs = serialize_entity_key(EntityKey(join_keys=names, entity_values=values), version)
    assert theirs.startswith(key_prefix(sorted(names), version) + b"\x02\x00\x00\x00\x01\x00\x00\x00x")


def test_entities_are_forgotten_as_with_feasts_own_store(
    airlines: Path, configure: Any, redis_url: str
) -> None:
    configure("  type: redis\n", "  type: redis\n  key_ttl_seconds: 7200\n")
    register(airlines)
    plan = compile_features(airlines).plan()
    materialize(airlines, plan, redis_url)
    with redis.Redis.from_url(redis_url) as client:
        keys = list(client.scan_iter(b"*" + plan.project.encode(), count=10_000))
        lives = [client.ttl(key) for key in keys if client.type(key) == b"hash" and b"carrier" in key]
    assert len(lives) == 3
    assert all(3600 < seconds <= 7200 for seconds in lives)


def test_all_that_cannot_be_obeyed_is_told_at_once(repo: Path, configure: Any) -> None:
    configure("version: 3", "version: 1")
    configure("  type: redis\n", "  type: redis\n  key_ttl_seconds: 1000000000000000\n")
    with pytest.raises(
        DefinitionErrors, match=r"(?s)2 definitions.*version is 1.*key_ttl_seconds is 10"
    ) as caught:
        read_config(repo)
    assert all(error.file == "feature_store.yaml" for error in caught.value.errors)


SENTINEL = 'redis_type: redis_sentinel\n  sentinel_master: store\n  connection_string: "a:1,b:2,db=3"'
CLUSTER = 'redis_type: redis_cluster\n  connection_string: "a:1,b:2"'
SQLITE = "type: sqlite\n  path: x.db"


@pytest.mark.parametrize(
    ("store", "url", "said"),
    [
        ('type: redis\n  connection_string: "localhost:1"', HERE, None),
        ('type: redis\n  connection_string: "127.0.0.1:1,db=0,password=x"', "redis://:x@localhost:1", None),
        ("type: redis", "redis://127.0.0.1:6379/0", None),
        (f"type: redis\n  {SENTINEL}", "redis+sentinel://b:2,a:1/store/3", None),
        (f"type: redis\n  {CLUSTER}", "redis+cluster://b:2,a:1", None),
        (
            'type: redis\n  connection_string: "127.0.0.1:1,db=2"',
            HERE,
            r"Redis 127\.0\.0\.1:1, database 2, and Headrace writes to .*, database 0.*"
            r'\{type: redis, connection_string: "127\.0\.0\.1:1"\}',
        ),
        (f"type: redis\n  {CLUSTER}", HERE, r"is the cluster a:1,b:2, and Headrace writes to Redis"),
        (
            f"type: redis\n  {SENTINEL}",
            "redis+sentinel://a:1,b:2/other/3",
            r"redis_type: redis_sentinel, sentinel_master: other, connection_string: \"a:1,b:2,db=3\"",
        ),
        (SQLITE, "redis://me:secret@h:5/3", r"online store 'sqlite'.*`headrace up`.*\"h:5,db=3\""),
    ],
)
def test_where_feast_would_read_elsewhere_is_said_with_what_to_write(
    repo: Path, configure: Any, store: str, url: str, said: str | None
) -> None:
    configure('type: redis\n  connection_string: "127.0.0.1:1"', store)
    found = feast_reads_elsewhere(read_config(repo), url)
    if said is None:
        assert found is None
    else:
        assert re.search(said, found or ""), found
        assert "secret" not in str(found)


def notes(repo: Path) -> list[str]:
    return config_notes(read_config(repo), HERE)


def test_what_feast_would_do_and_headrace_does_not_is_told(repo: Path, configure: Any) -> None:
    assert notes(repo) == []
    with (repo / "feature_store.yaml").open("a") as file:
        file.write("auth:\n  type: no_auth\nmaterialization:\n  online_write_batch_size: 10000\n")
        file.write("coerce_tz_aware: false\nonlin_store: {}\nbatch_engine: local\n")
    assert [line.partition(" ")[2].partition(".")[0] for line in notes(repo)] == [
        "coerce_tz_aware = False is not obeyed",
        "materialization",
        "'onlin_store' means nothing to Feast, nor to Headrace; did you mean 'online_store'?",
    ]


def test_words_of_the_registry_that_feast_does_not_know_are_told(repo: Path, configure: Any) -> None:
    file = repo / "feature_store.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["registry"] = {"path": "data/registry.db", "cache_ttl_second": 5, "purge_feast_metadata": True}
    file.write_text(yaml.safe_dump(settings))
    (line,) = notes(repo)
    assert "'registry.cache_ttl_second' means nothing to Feast" in line
    assert "did you mean 'cache_ttl_seconds'?" in line


def test_variables_of_the_environment_are_read_as_feast_reads_them(
    repo: Path, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PORT", "1")
    monkeypatch.delenv("NOT_SET", raising=False)
    configure("127.0.0.1:1", "127.0.0.1:${STORE_PORT},password=$NOT_SET  # not $COMMENTED")
    (line,) = notes(repo)
    assert "no variable NOT_SET" in line


def test_the_store_of_feasts_template_runs_on_the_redis_of_headrace(
    airlines: Path, configure: Any, redis_url: str
) -> None:
    file = airlines / "feature_store.yaml"
    head, _, tail = file.read_text().partition("  type: redis\n")
    file.write_text(head + "  type: sqlite\n  path: data/online_store.db\n" + tail.partition("\n")[2])
    register(airlines)
    plan = compile_features(airlines).plan()
    assert materialize(airlines, plan, redis_url) == {"airlines": 3}
    assert not (airlines / "data" / "online_store.db").exists()
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(["airlines:fleet"], {"carrier": ["UA"]}).columns
    assert found == {"airlines__fleet": [3]}
