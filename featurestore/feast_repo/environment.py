"""Variables of the environment that Feast reads: obeyed, told, or read by Feast itself where it is called.

A test holds the table against the source of the installed Feast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.constants import FEAST_FS_YAML_FILE_PATH_ENV_NAME
from feast.utils import get_default_yaml_file_path

CONFIG_FILE = "feature_store.yaml"
OBEYED = (FEAST_FS_YAML_FILE_PATH_ENV_NAME,)
TOLD = {
    "FEATURE_STORE_YAML_BASE64": "Feast's servers would take their configuration from it",
    "FEATURE_REPO_DIR_ENV_VAR": "`feast` would run in that folder; commands here are given the repository",
    "FEAST_PROTECTED_PROJECT": "Feast's registry server would keep the project from being deleted",
    "FEAST_MATERIALIZE_MAX_WORKERS": "Feast's feature server would materialise with so many threads",
    "REGISTRY_BASE64": "Feast's transformation server would read its registry from it",
}
# Beginnings of names that Feast reads by itself, where `apply` or `materialize` call what needs them.
PASSED_ON = (
    *("FEAST_CA_CERT_FILE_PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "FEAST_S3_ENDPOINT_URL", "AWS_"),
    *("VAULT_", "AZURE_", "REGISTRY_BLOB_KEY", "FEAST_OIDC_TOKEN", "INTRA_COMMUNICATION_BASE64"),
    *("LOCAL_K8S_TOKEN", "FEAST_OPENLINEAGE_", "MLFLOW_", "ATHENA_", "COUCHBASE_", "DATABRICKS_", "GRPC_"),
    *("POSTGRES_", "RAY_", "FEAST_RAY_", "FEAST_USE_KUBERAY", "PROMETHEUS_MULTIPROC"),
)
# Beginnings of names of Feast's own programs, which nothing here starts.
FEASTS_PROGRAMS = (
    *("FEAST_MCP_", "FEAST_UI_", "FEAST_CONFIGMAP_", "MINI_BATCH_SIZE", "JOB_COMPLETION_INDEX"),
    *("FEAST_NO_PROGRESS", "FEATURE_TRANSFORMATION_SERVER_PORT"),
)


def config_file(repository: Path) -> Path:
    """Return the file of a repository's configuration: that of ``FEAST_FS_YAML_FILE_PATH`` if set."""
    return Path(get_default_yaml_file_path(repository)).absolute()


def config_name(repository: Path) -> str:
    """Return that file as errors name it: inside of the repository without the folder."""
    file = config_file(repository)
    return str(file.relative_to(repository)) if file.is_relative_to(repository) else str(file)


def environment_notes(given: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that is set and read by Feast in another way.

    Parameters
    ----------
    given
        The environment.
    """
    for name in OBEYED:
        if name in given:
            yield f"{name} is set: the configuration is read from {given[name]}, as by Feast"
    for name, effect in TOLD.items():
        if given.get(name):
            yield f"{name} is set and not obeyed. {effect}"
