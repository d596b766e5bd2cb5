"""The recipes for Kubernetes and Slurm parse, and agree with the pinned versions and with the config."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import yaml

from arena.config.schema import make_config
from arena.config.shipped import ROOT

RECIPES = ROOT / "docs" / "recipes"


def wanted_ray() -> str:
    return re.findall(r'"ray==([0-9.]+)"', (ROOT / "pyproject.toml").read_text())[0]


def manifest() -> dict[str, Any]:
    return {d["kind"]: d for d in yaml.safe_load_all((RECIPES / "kuberay.yaml").read_text())}


def test_slurm_script_parses() -> None:
    done = subprocess.run(["bash", "-n", RECIPES / "slurm.sh"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_manifest_uses_the_pinned_ray() -> None:
    found, wanted = manifest()["RayJob"], wanted_ray()
    assert found["spec"]["rayClusterSpec"]["rayVersion"] == wanted
    assert f"rayproject/ray:{wanted}-" in (RECIPES / "kuberay.yaml").read_text()


def test_manifest_islands_fit_the_workers() -> None:
    found = manifest()
    config = make_config(yaml.safe_load(found["ConfigMap"]["data"]["islands.yaml"]))
    (group,) = found["RayJob"]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    gives = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert config.cluster.address == "auto"
    each = int(int(gives["nvidia.com/gpu"]) // config.cluster.gpus_per_island)
    assert each * group["maxReplicas"] == config.cluster.islands
    assert each * config.engine.threads <= int(gives["cpu"])
    folder = f"{config.run.folder}/{config.run.name}"
    assert f"resume {folder} " in found["RayJob"]["spec"]["entrypoint"]


def test_manifest_volumes_match() -> None:
    found = manifest()
    spec = found["RayJob"]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    made = {v["name"]: v for v in spec["volumes"]}
    assert {m["name"] for c in spec["containers"] for m in c["volumeMounts"]} == set(made)
    assert made["runs"]["persistentVolumeClaim"]["claimName"] == found["PersistentVolumeClaim"]["metadata"]["name"]
    assert made["config"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
