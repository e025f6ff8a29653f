"""The image, built by buildah: it has the project without its secrets, and runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from headrace.deploy.commands.init import write_project
from tests.support.build_context import build_context
from tests.support.buildah import NEEDED, Buildah, missing
from tests.support.paths import ROOT

SECRET = (
    "headrace.toml",
    ".env",
    "kafka.properties",
    "ca.pem",
    "client.key",
    ".kube/config",
    "data/registry.db",
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository with a project in it, in which secrets lie about."""
    root = tmp_path_factory.mktemp("repository")
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    for name in filter(None, tracked):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name, follow_symlinks=False)
    write_project(root / "shop")
    for name in SECRET:
        (root / "shop" / name).parent.mkdir(exist_ok=True)
        (root / "shop" / name).write_text("s3cret")
    return root


@pytest.mark.faults
def test_the_image_has_the_project_without_its_secrets_and_runs(context: Path, tmp_path: Path) -> None:
    if absent := missing():
        pytest.skip(f"no {', '.join(absent)}: on Debian, as root, apt-get install {' '.join(NEEDED)}")
    buildah = Buildah(tmp_path)
    buildah.make_base()
    buildah.build(context, "--build-arg", "PROJECT=shop")
    container = buildah.run("from", "--pull-never", "headrace")
    try:
        project = Path(buildah.run("mount", container)) / "project"
        found = {str(file.relative_to(project)) for file in project.rglob("*") if file.is_file()}
        sent = build_context(context)
        assert found == {
            name.removeprefix("shop/")
            for name in sent
            if name.startswith("shop/") and (context / name).is_file()
        }
        assert not found & set(SECRET)
        assert {"features.py", "data/customers.parquet"} <= found
        run = ("run", "--isolation", "chroot", container, "--")
        assert buildah.run(*run, "headrace", "version")
        assert buildah.run(*run, "id", "-u") == "10001"
        assert "customers" in buildah.run(*run, "headrace", "check")
    finally:
        buildah.run("rm", container)
