"""MD with the best model, as far as it can be held against something: AIMD run again, and the energy kept in NVE."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pfd_operator.contract.digest import digest_of
from pfd_worker.md.conditions import FS_PER_PS
from pfd_worker.md.drift import NveDrift, measure_nve_drift
from pfd_worker.md.radial_distribution import Pair, RadialDistribution
from pfd_worker.md.replay import AimdRun, Replay, replay
from pfd_worker.models.base import AtomisticModel
from pfd_worker.report.digits import rounded
from pfd_worker.store.manifests import sha256_of
from pfd_worker.versions import package_versions

MOST_DRIFT_STEPS = 500
TRAINING_STEPS_PER_DRIFT_STEP = 4
"""A training step costs several times a step of MD: the drift adds a few percent to a training, however short."""
_FORM = 1
"""Of what is run and how it is measured: what one of another form has measured is measured again."""


@dataclass(frozen=True)
class Dynamics:
    """Of one model."""

    replays: tuple[Replay, ...]
    """By system."""
    drift: NveDrift
    drift_system: str
    temperature_kelvin: float
    """Of the AIMD, and of the velocities that the run at constant energy begins with."""
    timestep_fs: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "temperatureKelvin": self.temperature_kelvin,
            "timestepFs": self.timestep_fs,
            "replays": [_replay_json(each) for each in self.replays],
            "energyDrift": {
                "system": self.drift_system,
                "picoseconds": self.drift.picoseconds,
                "mevPerAtomPs": self.drift.drift,
                "maxDeviationMevPerAtom": self.drift.max_deviation,
                "meanTemperatureKelvin": self.drift.mean_temperature_kelvin,
                "explodedAtStep": self.drift.exploded_at_step,
                "note": self.drift.reason,
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Dynamics:
        """Read what `to_json` gave; its own JSON form is the same again."""
        drift = content["energyDrift"]
        return cls(
            replays=tuple(_replay_of(each) for each in content["replays"]),
            drift=NveDrift(
                picoseconds=drift["picoseconds"],
                drift=drift["mevPerAtomPs"],
                max_deviation=drift["maxDeviationMevPerAtom"],
                mean_temperature_kelvin=drift["meanTemperatureKelvin"],
                exploded_at_step=drift["explodedAtStep"],
                reason=drift["note"],
            ),
            drift_system=drift["system"],
            temperature_kelvin=content["temperatureKelvin"],
            timestep_fs=content["timestepFs"],
        )


def dynamics_digest(model: Path, aimd: Path, training_steps: int, seed: int) -> str:
    """Return a name of all that decides what `measure_dynamics` finds.

    Parameters
    ----------
    model
        File of the model.
    aimd
        File of the AIMD.
    training_steps, seed
        As of `measure_dynamics`.
    """
    steps = _drift_steps(training_steps)
    return digest_of([_FORM, sha256_of(model), sha256_of(aimd), steps, seed, package_versions()])


def measure_dynamics(
    model: AtomisticModel, aimd: Sequence[AimdRun], training_steps: int, seed: int, stopping: threading.Event
) -> Dynamics | None:
    """Run AIMD again with a model, and measure its drift under the conditions of the AIMD.

    Parameters
    ----------
    training_steps
        Of the training that goes with it: see `TRAINING_STEPS_PER_DRIFT_STEP`.
    seed
        Of the drift's velocities and thermostat.
    stopping
        When set, it ends early: a picture is not worth the training that would be lost with the pod.

    Returns
    -------
    Dynamics or None
        None without any AIMD, and when it was stopped.
    """
    if not aimd:
        return None
    calculator, first = model.calculator(), aimd[0]
    drift = measure_nve_drift(
        first.frames[0],
        calculator,
        first.temperature_kelvin,
        _drift_steps(training_steps) * first.timestep_fs / FS_PER_PS,
        first.timestep_fs,
        seed,
        stopping,
    )
    replays = tuple(replay(aimd, calculator, stopping))
    return (
        None
        if stopping.is_set()
        else Dynamics(replays, drift, first.system, first.temperature_kelvin, first.timestep_fs)
    )


def _drift_steps(training_steps: int) -> int:
    return min(MOST_DRIFT_STEPS, max(1, training_steps // TRAINING_STEPS_PER_DRIFT_STEP))


def _replay_json(compared: Replay) -> dict[str, Any]:
    return {
        "system": compared.system,
        "trajectories": compared.trajectories,
        "timestepFs": compared.timestep_fs,
        "timeFs": rounded(compared.time_fs),
        "msdAimd": rounded(compared.msd_reference),
        "msdModel": rounded(compared.msd_model),
        "msdOfElements": {
            element: {"aimd": rounded(aimd), "model": rounded(model)}
            for element, (aimd, model) in compared.msd_of_elements.items()
        },
        "distance": rounded(compared.distance),
        "radialDistributionAimd": _distribution_json(compared.rdf_reference),
        "radialDistributionModel": _distribution_json(compared.rdf_model),
        "overlap": {"-".join(pair): value for pair, value in compared.overlap.items()},
        "note": compared.note,
    }


def _replay_of(content: Mapping[str, Any]) -> Replay:
    return Replay(
        system=content["system"],
        trajectories=content["trajectories"],
        timestep_fs=content["timestepFs"],
        msd_reference=np.array(content["msdAimd"]),
        msd_model=np.array(content["msdModel"]),
        distance=np.array(content["distance"]),
        rdf_reference=_distribution_of(content["radialDistributionAimd"]),
        rdf_model=_distribution_of(content["radialDistributionModel"]),
        msd_of_elements={
            element: (np.array(both["aimd"]), np.array(both["model"]))
            for element, both in content["msdOfElements"].items()
        },
        overlap={_pair(name): value for name, value in content["overlap"].items()},
        note=content["note"],
    )


def _distribution_json(found: RadialDistribution | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "frames": found.frames,
        "binWidth": found.bin_width,
        "r": rounded(found.r),
        "g": {"-".join(pair): rounded(values) for pair, values in found.g.items()},
    }


def _distribution_of(content: Mapping[str, Any] | None) -> RadialDistribution | None:
    if content is None:
        return None
    g = {_pair(name): np.array(values) for name, values in content["g"].items()}
    return RadialDistribution(content["binWidth"], g, content["frames"])


def _pair(name: str) -> Pair:
    first, second = name.split("-")
    return first, second
