"""The files of deploy/: they can be read, name settings that exist, and agree with each other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tannoy.shared.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
DEPLOY = PROJECT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and not path.name.startswith(".env"))
KUBERNETES = sorted(DEPLOY.glob("kubernetes/*/*.yaml"))
SETTINGS = {f"TANNOY_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_names_settings_that_exist(path: Path) -> None:
    named = set(re.findall(r"\bTANNOY_[A-Z_]*[A-Z]\b(?!…)", path.read_text()))
    assert {name for name in named if name != "TANNOY_JWT"} - SETTINGS == set()


def _objects(folder: str) -> Iterator[dict[str, Any]]:
    """Those that the kustomization of the folder lists."""
    here = DEPLOY / "kubernetes" / folder
    listed = yaml.safe_load((here / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in here.iterdir())
    for name in listed:
        yield from yaml.safe_load_all((here / name).read_text())


def _one(folder: str, kind: str) -> dict[str, Any]:
    (found,) = (each for each in _objects(folder) if each["kind"] == kind)
    return found


@pytest.mark.parametrize("folder", ["base", "canary"])
def test_kubernetes_gives_a_node_the_time_that_it_needs_to_leave(folder: str) -> None:
    pod = _one(folder, "Deployment")["spec"]["template"]["spec"]
    (node,) = pod["containers"]
    settings = {each["name"]: each.get("value") for each in node["env"]}
    leaves_in = int(settings["TANNOY_DRAIN_DELAY"]) + int(settings["TANNOY_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] >= leaves_in + 5
    probe = node["readinessProbe"]
    assert int(settings["TANNOY_DRAIN_DELAY"]) > probe["periodSeconds"] * probe["failureThreshold"]


def test_canary_and_stable_nodes_are_behind_one_service_and_owned_by_two_deployments() -> None:
    service = _one("base", "Service")["spec"]["selector"]
    deployments = [_one(folder, "Deployment")["spec"] for folder in ("base", "canary")]
    for spec in deployments:
        labels = spec["template"]["metadata"]["labels"]
        assert service.items() <= labels.items()
        assert spec["selector"]["matchLabels"].items() <= labels.items()
    stable, canary = (spec["selector"]["matchLabels"] for spec in deployments)
    assert stable != canary
    containers = [spec["template"]["spec"] for spec in deployments]
    assert containers[0] == containers[1]


def test_compose_gives_a_node_the_time_that_it_needs_to_leave() -> None:
    grace = re.search(r"stop_grace_period: (\d+)s", (DEPLOY / "compose.yaml").read_text())
    assert grace is not None
    defaults = Settings.model_fields
    assert int(grace[1]) >= defaults["drain_delay"].default + defaults["drain_seconds"].default + 5


def test_systemd_gives_a_node_the_time_that_it_needs_to_leave() -> None:
    unit = (DEPLOY / "systemd" / "tannoy@.service").read_text()
    grace = re.search(r"TimeoutStopSec=(\d+)", unit)
    assert grace is not None
    defaults = Settings.model_fields
    assert int(grace[1]) >= defaults["drain_delay"].default + defaults["drain_seconds"].default + 5


def test_haproxy_has_noticed_before_a_node_listens_no_more() -> None:
    check = re.search(r"inter (\d+)s fall (\d+)", (DEPLOY / "haproxy.cfg").read_text())
    assert check is not None
    assert int(check[1]) * int(check[2]) < Settings.model_fields["drain_delay"].default


def test_the_image_gets_each_folder_of_the_package() -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    folders = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests", "bench"}
    assert set(copied) == folders


def test_the_health_check_of_the_image_is_a_list_of_words() -> None:
    found = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    command = json.loads(found[1])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
