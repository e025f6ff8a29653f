"""What Feast, YAML and its libraries say of a configuration is told without the values in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.feast_repo.config import read_config
from headrace.schemas.errors import DefinitionError

PASSWORD = "hunter-two"
HEAD = "project: shop\nprovider: local\nregistry: data/registry.db\nentity_key_serialization_version: 3\n"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            'online_store:\n  connection_string: "h:6379,password=WORD',
            "line 6, column 22: found",
        ),
        ("online_store: {type: redis, connection_string: redis:WORD: x}", "line 5"),
        ("online_store: {type: redis, pasword: WORD}", "pasword: Extra inputs"),
        ("project: []\nonline_store: {type: redis, connection_string: WORD}", "project: Input"),
        ("online_store: {type: redis, connection_string: [WORD]}", "connection_string: "),
        ("offline_store: {type: dask, password: WORD}", "password: Extra inputs"),
        (
            "registry: {registry_type: sql, path: 'postgresql://me:WORD@h/db', cache_ttl_seconds: WORD}",
            "cache_ttl_seconds: Input",
        ),
    ],
)
def test_no_value_is_told(tmp_path: Path, lines: str, told: str) -> None:
    text = f"{HEAD}{lines}\n".replace("WORD", PASSWORD)
    (tmp_path / "feature_store.yaml").write_text(text)
    with pytest.raises(DefinitionError) as raised:
        read_config(tmp_path)
    assert told in str(raised.value)
    assert PASSWORD not in str(raised.value)
