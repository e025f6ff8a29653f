"""What the image is made of: a project with its tables, Headrace, and no secrets, settings or state."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from headrace.deploy.commands.init import write_project
from tests.support.build_context import build_context
from tests.support.paths import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
NEVER = (
    *(
        "headrace.toml",
        ".env",
        ".env.production",
        "prod.env",
        ".envrc",
        "kafka.properties",
        "client.properties",
    ),
    *(
        "ca.pem",
        "client.key",
        "client.p8",
        "client.pk8",
        "store.p12",
        "store.pfx",
        "store.jks",
        "store.jceks",
    ),
    *(
        "kafka.keystore",
        "kafka.truststore",
        "worker.keytab",
        "kafka_jaas.conf",
        "box.ppk",
        "backup.gpg",
        "all.kdbx",
    ),
    *("push.token", "plan.secret", "id_rsa", "id_ed25519", "id_ecdsa.bak", ".ssh/config", ".gnupg/ring"),
    *(
        ".kube/config",
        "kubeconfig",
        "kubeconfig.yaml",
        "prod.kubeconfig",
        ".aws/credentials",
        ".azure/tokens.json",
    ),
    *(
        "credentials",
        "gcp-credentials.json",
        "my-service-account.json",
        "service_account.json",
        ".boto",
        ".s3cfg",
    ),
    *("client_secret_1.json", "secrets/redis", "secrets.toml", "secrets.yaml", "secrets.yml", "secrets.json"),
    *(
        ".streamlit/secrets.toml",
        ".vault-token",
        "prod.tfvars",
        "terraform.tfstate",
        "terraform.tfstate.backup",
    ),
    *(".netrc", ".git-credentials", ".pgpass", ".my.cnf", ".rediscli_auth", ".htpasswd", ".npmrc", ".pypirc"),
    *("pip.conf", ".docker/config.json", ".dockercfg", ".dockerconfigjson", ".bash_history", ".psql_history"),
    *(
        ".headrace/model.key",
        ".headrace/models/tree/1.0.model",
        "data/registry.db",
        "data/registry.db-journal",
    ),
    *(
        ".git/config",
        ".venv/bin/python",
        "venv/bin/python",
        "__pycache__/features.pyc",
        ".cache/x",
        ".ruff_cache/x",
    ),
    *(
        "features.egg-info/PKG-INFO",
        ".ipynb_checkpoints/a.ipynb",
        ".idea/workspace.xml",
        ".vscode/settings.json",
    ),
)
ALWAYS = (
    *(
        "features.py",
        "learners.py",
        "feature_store.yaml",
        "event_schemas/order.avsc",
        "data/customers.parquet",
    ),
    *(
        "data/orders/day=1/part.parquet",
        "tables/history.csv",
        "order_history.py",
        "keys.py",
        "environment.py",
    ),
    *("token_features.py", "views/credentials.py", "views/secrets_count.py", "data/properties.parquet"),
)
COPIED = [
    word.rstrip("/")
    for line in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for word in line.split()
    if "$" not in word
]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What is left of this repository with a project in it, in which secrets lie about."""
    root = tmp_path_factory.mktemp("repository")
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    write_project(root / "shop")
    for name in (*NEVER, *ALWAYS):
        for place in ("shop", "shop/deep/er"):
            _touch(root / place / name)
        _touch(root / name)
    for name in filter(None, tracked):
        _touch(root / name)
    (root / ".dockerignore").write_text((ROOT / ".dockerignore").read_text())
    return build_context(root)


def _touch(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.touch()


@pytest.mark.parametrize("place", ["", "shop/", "shop/deep/er/"])
def test_secrets_settings_and_state_are_left_out_wherever_they_are(context: set[str], place: str) -> None:
    assert sorted(name for name in NEVER if place + name in context) == []


@pytest.mark.parametrize("place", ["shop/", "shop/deep/er/"])
def test_definitions_and_tables_of_the_project_are_there(context: set[str], place: str) -> None:
    assert sorted(name for name in ALWAYS if place + name not in context) == []


def test_everything_that_the_image_copies_of_headrace_is_there(context: set[str]) -> None:
    tracked = subprocess.check_output(["git", "ls-files", "-z", *COPIED], cwd=ROOT, text=True).split("\0")
    assert sorted({*filter(None, tracked)} - context) == []
    assert sorted(name for name in COPIED if name not in context and not (ROOT / name).is_dir()) == []


def test_what_the_image_does_not_need_is_not_sent(context: set[str]) -> None:
    folders = {name.partition("/")[0] for name in context if "/" in name}
    assert not folders & {"tests", "docs", "benchmarks", ".ci", ".git"}


def test_the_image_is_made_of_what_is_here_and_does_not_run_as_root() -> None:
    assert {"deploy/requirements.lock", "headrace", "schemas"} <= set(COPIED)
    assert [name for name in COPIED if not (ROOT / name).exists()] == []
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert 'ENTRYPOINT ["headrace"]' in DOCKERFILE


def test_a_build_that_names_no_project_ends() -> None:
    assert "ARG PROJECT\n" in DOCKERFILE
    first, second = re.findall(r"^COPY --chown=\S+ (\S+) /project/?$", DOCKERFILE, re.MULTILINE)
    assert (first, second) == ("${PROJECT}/feature_store.yaml", "${PROJECT}")
