from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.settings import load_settings
from headrace.schemas.errors import SettingsError

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)


def test_arguments_come_before_the_environment_before_the_file_before_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headrace.toml").write_text('kafka = "file:1"\nport = 1\ncheckpoint_ms = 11\n')
    monkeypatch.setenv("HEADRACE_KAFKA", "environment:2")
    monkeypatch.setenv("HEADRACE_PORT", "2")
    settings = load_settings(tmp_path, port=3, host=None)
    assert (settings.port, settings.kafka, settings.checkpoint_ms) == (3, "environment:2", 11)
    assert settings.host == "127.0.0.1"


def test_an_error_names_setting_value_remedy_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_CHECKPOINT_MS", "soon")
    with pytest.raises(
        SettingsError, match=r"'checkpoint_ms' = 'soon'.*integer.*HEADRACE_CHECKPOINT_MS.*toml"
    ):
        load_settings(tmp_path)


def test_every_wrong_setting_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA", "nowhere")
    monkeypatch.setenv("HEADRACE_REDIS", "localhost:6379")
    monkeypatch.setenv("HEADRACE_SCHEMA_REGISTRY", "file:///etc/passwd")
    with pytest.raises(SettingsError, match=r"host:port.*redis://.*http://"):
        load_settings(tmp_path)


def test_an_unknown_setting_in_the_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text('kafak = "a:1"\n')
    with pytest.raises(SettingsError, match=r"headrace\.toml.*'kafak'; did you mean 'kafka'\?"):
        load_settings(tmp_path)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text("kafka: a:1\n")
    with pytest.raises(SettingsError, match=r"headrace\.toml is not TOML"):
        load_settings(tmp_path)


def test_a_missing_project_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing-here"):
        load_settings(tmp_path / "nothing-here")


def test_the_model_key_never_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_MODEL_KEY", "hunter2")
    with pytest.raises(SettingsError) as raised:
        load_settings(tmp_path)
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv("HEADRACE_MODEL_KEY", KEY)
    settings = load_settings(tmp_path)
    assert KEY not in repr(settings)
    assert settings.signing_key() == KEY.encode()


@pytest.mark.parametrize("name", ["kafka", "redis", "schema_registry"])
@pytest.mark.parametrize(
    "url",
    [
        "{}://me:hunter/two@host:1",
        "{}://me:hunter#two@host",
        "{}://me:hunter?two@host",
        "{}:hunter-two@host",
        "hunter-two@host",
        "//me:hunter/two@host",
        "{}://host?password=hunter-two#",
        "{}://me:hunter-two",
    ],
)
def test_no_part_of_a_password_is_in_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    scheme = {"kafka": "kafka", "redis": "redis", "schema_registry": "https"}[name]
    monkeypatch.setenv(f"HEADRACE_{name.upper()}", url.format(scheme))
    with pytest.raises(SettingsError, match=f"'{name}' = .*HEADRACE_{name.upper()}") as raised:
        load_settings(tmp_path)
    assert "hunter" not in str(raised.value)
    assert "two" not in str(raised.value)


@pytest.mark.parametrize("name", ["kafka", "redis", "schema_registry", "model_key", "push_tokens"])
def test_a_table_in_place_of_a_secret_is_not_shown(tmp_path: Path, name: str) -> None:
    (tmp_path / "headrace.toml").write_text(f'{name} = {{host = "a", password = "hunter"}}\n')
    with pytest.raises(SettingsError, match=f"setting '{name}': .*HEADRACE_{name.upper()}") as raised:
        load_settings(tmp_path)
    assert "hunter" not in str(raised.value)


def test_accounts_do_not_show_in_the_settings(tmp_path: Path) -> None:
    settings = load_settings(
        tmp_path, redis="redis://me:s3cret@host", schema_registry="http://me:s3cret@host"
    )
    assert "s3cret" not in repr(settings)


def test_the_key_of_plans_is_the_setting_or_made_of_the_model_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(tmp_path).plan_signing_key() is None
    monkeypatch.setenv("HEADRACE_MODEL_KEY", KEY)
    made = load_settings(tmp_path).plan_signing_key()
    assert made not in (None, KEY.encode())
    monkeypatch.setenv("HEADRACE_PLAN_KEY", KEY[::-1])
    assert load_settings(tmp_path).plan_signing_key() == KEY[::-1].encode()
    monkeypatch.delenv("HEADRACE_PLAN_KEY")
    monkeypatch.delenv("HEADRACE_MODEL_KEY")
    settings = load_settings(tmp_path)
    settings.make_data_dir()
    (settings.data / "model.key").write_text(KEY)
    assert settings.plan_signing_key() == made


@pytest.mark.parametrize("content", [b"", b"short", b"\n" * 50])
def test_a_key_file_that_holds_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    settings = load_settings(tmp_path)
    settings.make_data_dir()
    (settings.data / "model.key").write_bytes(content)
    for use in (settings.signing_key, settings.plan_signing_key):
        with pytest.raises(SettingsError, match=r"model\.key has .* bytes, wanted 16 or more; remove it"):
            use()


def test_the_data_directory_and_the_key_are_for_their_owner_alone(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    settings.data.mkdir(mode=0o755)
    settings.make_signing_key()
    assert settings.data.stat().st_mode & 0o777 == 0o700
    assert (settings.data / "model.key").stat().st_mode & 0o777 == 0o600
    other = load_settings(tmp_path, data_dir=tmp_path / "other")
    other.data.mkdir(mode=0o750)
    other.make_data_dir()
    assert other.data.stat().st_mode & 0o777 == 0o750  # someone has set them so


def test_accounts_and_tokens_never_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("schema_registry", "ftp://me:s3cret@host"), ("redis", "http://:s3cret@host")):
        with pytest.raises(SettingsError, match="//host") as caught:
            load_settings(tmp_path, **{name: value})
        assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("HEADRACE_SCHEMA_REGISTRY_TOKEN", "s3cret")
    settings = load_settings(tmp_path)
    assert "s3cret" not in repr(settings)
    assert settings.environment()["HEADRACE_SCHEMA_REGISTRY_TOKEN"] == "s3cret"


def test_a_file_of_kafka_properties_is_found_by_children_and_read_when_kafka_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headrace.toml").write_text('kafka = "broker:9093"\n')
    assert load_settings(tmp_path).kafka_access == "broker:9093"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_KAFKA_CONFIG", "kafka.properties")
    settings = load_settings(tmp_path)
    assert settings.environment()["HEADRACE_KAFKA_CONFIG"] == str(tmp_path / "kafka.properties")
    with pytest.raises(SettingsError, match=r"kafka\.properties: No such file.*HEADRACE_KAFKA_CONFIG"):
        _ = settings.kafka_access
    (tmp_path / "kafka.properties").write_text("client.id=s3cret\n")
    assert settings.kafka_access == {"bootstrap.servers": "broker:9093", "client.id": "s3cret"}
    assert "s3cret" not in repr(settings) + repr(settings.kafka_access)


def test_a_missing_model_key_is_an_error_and_a_generated_one_stays_and_is_private(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    with pytest.raises(SettingsError, match="HEADRACE_MODEL_KEY"):
        settings.signing_key()
    settings.make_signing_key()
    key = settings.signing_key()
    settings.make_signing_key()
    assert settings.signing_key() == key
    assert len(key) >= 32
    assert (tmp_path / ".headrace" / "model.key").stat().st_mode & 0o777 == 0o600


def test_the_project_name_is_that_of_feast_unless_set(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"feature_store\.yaml"):
        _ = load_settings(tmp_path).project_name
    (tmp_path / "feature_store.yaml").write_text("provider: local\nproject: flights\n")
    assert load_settings(tmp_path).project_name == "flights"
    assert load_settings(tmp_path, project="other").project_name == "other"


def test_variables_in_the_name_of_the_project_are_those_of_feast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "blue")
    (tmp_path / "feature_store.yaml").write_text("project: flights_${STAGE}\n")
    assert load_settings(tmp_path).project_name == "flights_blue"


def test_a_child_process_gets_the_same_settings(tmp_path: Path) -> None:
    settings = load_settings(
        tmp_path, port=1234, feature_log=False, model_key=KEY, topic_partitions={"a.b": 1}
    )
    program = (
        "import sys; from pathlib import Path; from headrace.deploy.settings import load_settings;"
        "s = load_settings(Path(sys.argv[1]));"
        "print(s.port, s.feature_log, s.signing_key().decode(), s.topic_partitions)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=settings.environment(), cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split(maxsplit=3) == ["1234", "False", KEY, "{'a.b': 1}\n"]
