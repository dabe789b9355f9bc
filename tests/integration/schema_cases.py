"""What each CEL rule of the definitions lets in and refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Changes = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Changes of the spec that a rule lets in, and such that it refuses."""

    kind: str
    path: str
    message: str
    accepted: Changes
    refused: tuple[Changes, ...]


def system(name: str = "diamond", structures: Any = None, **perturb: Any) -> Changes:
    found = structures or {"uri": "s3://pfd/si.extxyz"}
    return {"systems": [{"name": name, "structures": found, "perturb": perturb}]}


CONFIG_MAP = {"configMap": {"name": "si", "key": "si.extxyz"}}
URI = {"uri": "s3://pfd/models/tiny.pt"}
EMT = {"calculator": "ase.calculators.emt:EMT"}


def noise(frames: int) -> Changes:
    return {"labeling": {"noiseCheck": {"frames": frames, "settings": {}}}}


TEST_SET = {"data": [{"uri": "s3://pfd/test.extxyz"}]}
FILE = {"name": "potcars", "key": "POTCAR.Si"}


def by_a_program(image: str | None = "vasp:6", **settings: Any) -> Changes:
    engine = {"xtb": None, "program": {"command": ["sh", "run.sh"], **settings}}
    return {"labeling": {"engine": engine, "image": image}, "aimd": {"steps": 1}}


def explored(**stage: Any) -> Changes:
    """Two systems and two stages: 100 000 trajectories unless told otherwise."""
    both = [{"name": name, "structures": {"uri": "s3://pfd/si.extxyz"}} for name in ("diamond", "tin")]
    given = {"temperaturesKelvin": list(range(1, 26)), "pressuresBar": list(range(25)), "replicas": 40} | stage
    return {"systems": both, "exploration": {"stages": [given, given]}}


def explored_by(*names: list[str] | None) -> Changes:
    """Two systems, and a stage for each of these lists of names."""
    return {
        "systems": [system(name)["systems"][0] for name in ("diamond", "tin")],
        "exploration": {"stages": [{"temperaturesKelvin": [300], "systems": each} for each in names]},
    }


def inlined(systems: int) -> Changes:
    """Systems with as much inline text as each may have."""
    structures = {"inline": "°" * 65536}
    return {"systems": [{"name": f"diamond-{number}", "structures": structures} for number in range(systems)]}


def claim(stage: str, **sources: str) -> Changes:
    return {"pods": {stage: {"resourceClaims": [{"name": "gpu", **sources}]}}}


def shared_cases(kind: str, stages: tuple[str, ...]) -> list[Case]:
    """Return the cases of what both kinds have."""
    ended = "TemplateName", "Name"
    of_claims = [
        Case(
            kind,
            f".spec.pods.{stage}.resourceClaims[]",
            "exactly one of resourceClaimName, resourceClaimTemplateName is needed",
            claim(stage, resourceClaimTemplateName="one"),
            (claim(stage), claim(stage, **{f"resourceClaim{end}": "one" for end in ended})),
        )
        for stage in stages
    ]
    return [
        *of_claims,
        Case(
            kind,
            ".spec.systems[].structures",
            "exactly one of configMap, uri, inline is needed",
            system(structures=CONFIG_MAP),
            (system(structures={"uri": None}), system(structures={**CONFIG_MAP, "inline": "1\n\nSi 0 0 0\n"})),
        ),
        Case(
            kind,
            ".spec.systems[].perturb.slab.miller",
            "[0, 0, 0] is no plane",
            system(slab={"miller": [0, 0, -1]}),
            (system(slab={"miller": [0, 0, 0]}),),
        ),
        Case(
            kind,
            ".spec",
            "exploration runs more than 100000 trajectories in an iteration: each stage has systems × temperatures × "
            "pressures (with NPT) × replicas of them. Ask for fewer replicas or conditions, or make several jobs of it",
            explored(),
            (explored(replicas=41), explored(replicas=41, systems=["diamond", "tin"])),
        ),
        Case(
            kind,
            ".spec",
            "exploration.stages has one whose systems are not all among spec.systems: correct the names",
            explored_by(["diamond"], ["tin", "diamond"]),
            (explored_by(["diamond"], ["tin", "tim"]), explored_by(None, ["tim"])),
        ),
        Case(
            kind,
            ".spec",
            "exploration.stages has none that runs one of spec.systems: add it to systems of one, or give one without "
            "systems, which runs all",
            explored_by(["diamond"], None),
            (explored_by(["diamond"]), explored_by(["tin"], ["tin"])),
        ),
        Case(
            kind,
            ".spec",
            "systems: structures.inline of all systems together has more than 262144 characters: put structures into a "
            "ConfigMap or the object store (structures.configMap, structures.uri)",
            inlined(4),
            (inlined(5),),
        ),
    ]


CASES = [
    *shared_cases("FineTuneJob", ("prepare", "explore", "select", "label", "train")),
    *shared_cases("DistillJob", ("prepare", "explore", "select", "label", "train", "accept")),
    Case(
        "FineTuneJob",
        ".spec",
        "budget.maxLabels is less than aimd.trajectories × aimd.steps + holdout.frames (none with holdout.data) + "
        "labeling.noiseCheck.frames, which the first iteration needs",
        {"budget": {"maxLabels": 8}, **noise(2)},
        ({"budget": {"maxLabels": 7}, **noise(2)}, {"budget": {"maxLabels": 5}}),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "labeling.noiseCheck.frames are frames of the hold-out, and more than holdout.frames",
        noise(4),
        (noise(5),),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "holdout.data is all of the hold-out, and nothing is labelled for it: leave holdout.frames out",
        # no label of it counts
        {"holdout": {"frames": None, **TEST_SET}, "budget": {"maxLabels": 2}},
        ({"holdout": {"frames": 20, **TEST_SET}}, {"holdout": TEST_SET}),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "labeling.noiseCheck labels frames of the hold-out once more, and those of holdout.data are not the engine's: "
        "give one of the two",
        {"holdout": {"frames": None, **TEST_SET}},
        ({"holdout": {"frames": None, **TEST_SET}, **noise(4)},),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "holdout.data: system must be the name of one of systems",
        {"holdout": {"frames": None, "data": [{**TEST_SET["data"][0], "system": "diamond"}]}},
        ({"holdout": {"frames": None, "data": [{**TEST_SET["data"][0], "system": "tin"}]}},),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "aimd.trajectories = 0 leaves nothing to train on at first: give data, or let AIMD run",
        {"aimd": {"trajectories": 0}, "data": [{"uri": "s3://pfd/labels.extxyz"}]},
        ({"aimd": {"trajectories": 0}},),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "labeling.image: labeling.engine.program runs in an image of yours: name it here",
        by_a_program(),
        (by_a_program(image=None),),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "labeling.engine.program computes single points only: set aimd.steps to 1, which labels as many perturbed "
        "starts as there are aimd.trajectories",
        by_a_program(),
        (by_a_program() | {"aimd": {"trajectories": 1, "steps": 2}},),
    ),
    Case(
        "FineTuneJob",
        ".spec.labeling.engine.program.filesFrom[]",
        "exactly one of configMap, secret is needed",
        by_a_program(filesFrom=[{"secret": FILE}]),
        (by_a_program(filesFrom=[{}]), by_a_program(filesFrom=[{"secret": FILE, "configMap": FILE}])),
    ),
    Case(
        "FineTuneJob",
        ".spec.model",
        "exactly one of uri, pretrained is needed",
        {"model": {"uri": None, "pretrained": "7net-0"}},
        ({"model": {"uri": None}}, {"model": {"pretrained": "7net-0"}}),
    ),
    Case(
        "FineTuneJob",
        ".spec.labeling.engine",
        "exactly one of abinit, xtb, ase, program is needed",
        {"labeling": {"engine": {"xtb": None, "ase": EMT}}},
        ({"labeling": {"engine": {"xtb": None}}}, {"labeling": {"engine": {"ase": EMT}}}),
    ),
    Case(
        "DistillJob",
        ".spec",
        "systems is needed unless the teacher is a FineTuneJob, whose systems are taken then",
        {"teacher": {"fineTuneJob": None, **URI}, **system()},
        ({"teacher": {"fineTuneJob": None, **URI}},),
    ),
    Case(
        "DistillJob",
        ".spec",
        "budget.maxLabels is less than holdout.frames + selection.framesPerIteration, which the first round needs",
        {"budget": {"maxLabels": 7}},
        ({"budget": {"maxLabels": 6}},),
    ),
    Case(
        "DistillJob",
        ".spec",
        "exploration.studentStepsFactor makes a trajectory of the student longer than 100000000 steps: ask for less",
        {"exploration": {"studentStepsFactor": 50}},
        ({"exploration": {"studentStepsFactor": 100_000_000}},),
    ),
    Case(
        "DistillJob",
        ".spec",
        "acceptance.dftForceRatio needs DFT frames: give acceptance.dftData, or a teacher.fineTuneJob, which has a "
        "hold-out",
        {
            "acceptance": {"dftForceRatio": 1.5, "dftData": [{"uri": "s3://pfd/dft.extxyz"}]},
            "teacher": {"fineTuneJob": None, **URI},
            **system(),
        },
        ({"acceptance": {"dftForceRatio": 1.5}, "teacher": {"fineTuneJob": None, **URI}, **system()},),
    ),
    Case(
        "DistillJob",
        ".spec.teacher",
        "exactly one of uri, pretrained, fineTuneJob, calculator is needed",
        {"teacher": {"fineTuneJob": None, "calculator": EMT}, **system()},
        ({"teacher": {"fineTuneJob": None}, **system()}, {"teacher": URI}),
    ),
    Case(
        "DistillJob",
        ".spec.teacher",
        "branch goes with uri or pretrained only",
        {"teacher": {"fineTuneJob": None, **URI, "branch": "Alloys"}, **system()},
        (
            {"teacher": {"branch": "Alloys"}},
            {"teacher": {"fineTuneJob": None, "calculator": EMT, "branch": "Alloys"}, **system()},
        ),
    ),
    Case(
        "DistillJob",
        ".spec.student",
        "at most one of preset, model is needed",
        {"student": {"preset": "small"}},
        ({"student": {"preset": "small", "model": {}}},),
    ),
]
FROZEN: dict[str, dict[str, Changes]] = {
    "FineTuneJob": {
        "aimd": {"aimd": {"steps": 3}},
        "convergence": {"convergence": {"forceRMSE": 0.07}},
        "data": {"data": [{"uri": "s3://pfd/labels.extxyz"}]},
        "labeling.engine": {"labeling": {"engine": {"xtb": {"accuracy": 0.5}}}},
        "labeling.noiseCheck": noise(4),
        "labeling.timeoutSeconds": {"labeling": {"timeoutSeconds": 7200}},
        "model": {"model": {"uri": "s3://pfd/models/other.pt"}},
    },
    "DistillJob": {
        "acceptance": {"acceptance": {"forceRMSE": 0.07}},
        "student": {"student": {"preset": "large"}},
        "teacher.branch": {"teacher": {"fineTuneJob": None, **URI, "branch": "Alloys"}, **system()},
        "teacher.calculator": {"teacher": {"fineTuneJob": None, "calculator": EMT}, **system()},
        "teacher.fineTuneJob": {"teacher": {"fineTuneJob": {"name": "other"}}},
        "teacher.pretrained": {"teacher": {"fineTuneJob": None, "pretrained": "7net-0"}, **system()},
        "teacher.uri": {"teacher": {"fineTuneJob": None, **URI}, **system()},
    },
}
"""By kind, a change of each field that stays as it is once the job has started; and of others, where it takes them."""
for _changes in FROZEN.values():
    _changes |= {
        "artifacts.s3.bucket": {"artifacts": {"s3": {"bucket": "elsewhere"}}},
        "artifacts.s3.prefix": {"artifacts": {"s3": {"prefix": "elsewhere"}}},
        "exploration": {"exploration": {"pods": 3}},
        "holdout": {"holdout": {"frames": 5}},
        "labeling.framesPerPod": {"labeling": {"framesPerPod": 3}},
        "labeling.maxFailedFraction": {"labeling": {"maxFailedFraction": 0.5}},
        "seed": {"seed": 5},
        "selection": {"selection": {"framesPerIteration": 4}},
        "systems": system("other"),
        "training": {"training": {"steps": 9}},
    }
WITH_RESTART = {
    "acceptance",
    "convergence",
    "exploration",
    "labeling.framesPerPod",
    "labeling.maxFailedFraction",
    "labeling.timeoutSeconds",
    "seed",
    "selection",
    "training",
}
"""Fields that a restart may change."""
_PLACE: Changes = {
    "endpoint": "https://s3.elsewhere",
    "region": "eu-west-1",
    "pathStyle": False,
    "credentialsSecret": "rotated",
    "caBundleConfigMap": "own-ca",
}
_FREE: tuple[Changes, ...] = (
    *({"artifacts": {"s3": {name: value}}} for name, value in _PLACE.items()),
    {"labeling": {"parallelism": 1}},
    {"suspend": True},
    {"stop": "AfterIteration"},
    {"budget": {"maxLabels": 400, "gpuHours": 8}},
    {"pods": {"label": {"resources": {"limits": {"memory": "8Gi"}}}}},
    {"queue": {"name": "gpus"}},
)
FREE: dict[str, tuple[Changes, ...]] = {
    kind: (*_FREE, *({field: {"image": image}} for image in ("mine:2", "mine:3", None)))
    for kind, field in (("FineTuneJob", "labeling"), ("DistillJob", "teacher"))
}
"""By kind, changes on which no output depends, or that say what is to run from now on."""
