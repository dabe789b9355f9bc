"""A resource and its stages, as the planner hands them over."""

from __future__ import annotations

from typing import Any

from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.contract.location import S3Location, StoreLocation
from pfd_operator.contract.selection import Aimd
from pfd_operator.contract.stage import (
    JobIdentity,
    LabelParams,
    PreparedSystem,
    PrepareParams,
    SelectParams,
    StageParams,
    StageRef,
    StageSpec,
    TrainParams,
)
from pfd_operator.contract.systems import Perturb
from pfd_operator.plan.budget import gpus_per_pod
from pfd_operator.plan.types import PlannedJob, Resource, Settings

APART = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"busy": "true"}}}
SPEC: dict[str, Any] = {
    "model": {"uri": "s3://pfd/models/tiny.pt", "branch": "Domains_SemiCond"},
    "systems": [
        {"name": "diamond", "structures": {"configMap": {"name": "si", "key": "si.extxyz"}}},
        {"name": "liquid", "structures": {"inline": "2\n\nSi 0 0 0\nSi 1 1 1\n"}},
        {"name": "stored", "structures": {"uri": "s3://pfd/structures/si.extxyz"}},
    ],
    "exploration": {"stages": [{"temperaturesKelvin": [300]}]},
    "labeling": {"engine": {"abinit": {"cutoffEv": 300, "kSpacing": 0.3, "pseudopotentials": {"Si": "Si.psp8"}}}},
    "convergence": {"forceRMSE": 0.08},
    "artifacts": {
        "s3": {
            "bucket": "pfd",
            "prefix": "silicon",
            "endpoint": "http://s3:7070",
            "credentialsSecret": "s3-keys",
            "caBundleConfigMap": "corporate-ca",
        }
    },
    "pods": {
        "train": {
            "resources": {"limits": {"nvidia.com/gpu": 1, "cpu": "4"}},
            "nodeSelector": {"gpu": "h100"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [APART]}},
            "topologySpreadConstraints": [
                {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "priorityClassName": "batch",
            "runtimeClassName": "nvidia",
            "terminationGracePeriodSeconds": 120,
        }
    },
}
SETTINGS = Settings(
    worker_image="registry.example/pfd-worker:1",
    engine_images={"abinit": "registry.example/abinit:9"},
    progress_url="http://pfd-operator.pfd.svc:8080",
)


def resource(**changes: Any) -> Resource:
    spec = FineTuneJobSpec.model_validate(SPEC | changes)
    return Resource("FineTuneJob", "lab", "silicon", "5f0c2a4e-0000-4000-8000-000000000001", 1, spec)


def spec_of(owner: Resource) -> FineTuneJobSpec:
    assert isinstance(owner.spec, FineTuneJobSpec)
    return owner.spec


def planned(params: StageParams, owner: Resource, **changes: Any) -> PlannedJob:
    digest = "ab" * 32
    stage = StageSpec(
        job=JobIdentity(namespace=owner.namespace, kind=owner.kind, name=owner.name, uid=owner.uid),
        iteration=2,
        attempt=1,
        seed=7,
        digest=digest,
        inputs={"prepare": StageRef(digest=digest)},
        store=StoreLocation(s3=S3Location(bucket="pfd", prefix="silicon", endpoint="http://s3:7070")),
        params=params,
        progress_url="http://pfd-operator.pfd.svc:8080/progress/lab/silicon-5f0c-i002-x-a1",
    )
    images = {"worker_image": SETTINGS.worker_image, "engine_image": None} | changes.pop("images", {})
    name = f"silicon-5f0c-i002-{params.stage.value}-a1"
    gpus = gpus_per_pod(owner.spec, params.stage, SETTINGS)
    return PlannedJob(name=name, owner=owner, spec=stage, gpus=gpus, **images, **changes)


def prepare_job(owner: Resource) -> PlannedJob:
    spec = spec_of(owner)
    systems = [
        PreparedSystem(name="diamond", structures="/etc/pfd/structures/diamond/si.extxyz", perturb=Perturb()),
        PreparedSystem(name="liquid", structures="/etc/pfd/structures/liquid/liquid.extxyz", perturb=Perturb()),
        PreparedSystem(name="stored", structures="s3://pfd/structures/si.extxyz", perturb=Perturb()),
    ]
    params = PrepareParams(model=spec.model, systems=systems, training=spec.training, engine=spec.labeling.engine)
    return planned(params, owner)


def label_job(owner: Resource, completions: int = 12, parallelism: int = 4) -> PlannedJob:
    params = LabelParams(engine=spec_of(owner).labeling.engine, frames_per_pod=1, timeout_seconds=600)
    engine, _ = spec_of(owner).labeling.engine.chosen()
    images = {"engine_image": spec_of(owner).labeling.image or SETTINGS.engine_images.get(engine)}
    return planned(params, owner, completions=completions, parallelism=parallelism, images=images)


def train_job(owner: Resource) -> PlannedJob:
    params = TrainParams(training=spec_of(owner).training, max_failed_fraction=0.2)
    return planned(params, owner, active_deadline_seconds=7200, parallelism=spec_of(owner).training.nodes)


def select_job(owner: Resource) -> PlannedJob:
    return planned(SelectParams(purpose="hold-out", frames=16, representative_fraction=1.0, aimd=Aimd()), owner)
