"""MD with the best model, as far as it can be held against something: AIMD run again, and the energy kept in NVE."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pfd_worker.md.conditions import FS_PER_PS
from pfd_worker.md.drift import NveDrift, measure_nve_drift
from pfd_worker.md.radial_distribution import RadialDistribution
from pfd_worker.md.replay import AimdRun, Replay, replay
from pfd_worker.models.base import AtomisticModel
from pfd_worker.report.digits import rounded

MOST_DRIFT_STEPS = 500
TRAINING_STEPS_PER_DRIFT_STEP = 4
"""A training step costs several times a step of MD: the drift adds a few percent to a training, however short."""


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
                "note": self.drift.reason,
            },
        }


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
    steps = min(MOST_DRIFT_STEPS, max(1, training_steps // TRAINING_STEPS_PER_DRIFT_STEP))
    drift = measure_nve_drift(
        first.frames[0],
        calculator,
        first.temperature_kelvin,
        steps * first.timestep_fs / FS_PER_PS,
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


def _replay_json(compared: Replay) -> dict[str, Any]:
    return {
        "system": compared.system,
        "trajectories": compared.trajectories,
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


def _distribution_json(found: RadialDistribution | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "frames": found.frames,
        "r": rounded(found.r),
        "g": {"-".join(pair): rounded(values) for pair, values in found.g.items()},
    }
