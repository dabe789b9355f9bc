"""A card with everything on it, for tests of what is written from it."""

from pfd_operator.contract.distill import Acceptance
from pfd_operator.contract.exploration import Barostat, Ensemble
from pfd_operator.contract.outcome import AcceptanceErrors, ErrorMetrics
from pfd_worker.acceptance.results import Results
from pfd_worker.acceptance.stability import StableRun
from pfd_worker.acceptance.timed_run import SpeedRecord
from pfd_worker.acceptance.verdict import judge
from pfd_worker.export.card import MdConditions, MdRange, ModelCard, Range, TrainingCard
from pfd_worker.md.drift import NveDrift


def errors(force):
    return ErrorMetrics(
        frames=16,
        force_rmse=force,
        force_rmse_low=0.9 * force,
        force_rmse_high=1.1 * force,
        energy_rmse_per_atom=0.0021,
        virial_rmse_per_atom=0.013,
        worst_stratum="alloy/900K/1bar",
        worst_stratum_force_rmse=1.5 * force,
    )


def record(model, atoms, milliseconds, note=None):
    per_second = None if milliseconds is None else 1000 / milliseconds
    return SpeedRecord(model, atoms, atoms, milliseconds, per_second, 20, milliseconds is not None, note)


def full_card(force_limit=0.08, pressure_bar=1.0, barostat=Barostat.ISOTROPIC, type_map=("Ni", "Cu")):
    results = Results(
        AcceptanceErrors(holdout=errors(0.05), dft=errors(0.08), teacher_dft=errors(0.07)),
        speed=(
            record("student", 108, 12.5),
            record("teacher", 108, 100.0),
            record("student", 4000, 500.0),
            record("teacher", 4000, None, "out of memory: CUDA out of memory"),
        ),
        speed_system="alloy",
        nve_drift={"alloy": NveDrift(5.0, 0.02, 0.11, 290.0, None, None)},
        stability={
            "alloy": [StableRun(Ensemble.NPT, 900, 1.0, Barostat.ISOTROPIC, 10, 10.0, None, None, 8.1, 8.3, 8.6, 893.0)]
        },
        rdf_overlap={"alloy": {"Cu-Ni": 0.97}},
    )
    asked = {"forceRMSE": force_limit, "speedup": 6, "stableMDPicoseconds": 10, "nveDriftMeVPerAtomPs": 0.5}
    return ModelCard(
        name="alloy-small",
        created="2026-11-23",
        architecture="se_e2_a, cutoff 4.5 Å, embedding 4-8, fitting 8-8",
        type_map=type_map,
        training=TrainingCard(
            "FineTuneJob alloy",
            "ab" * 32,
            "ABINIT, PBE, 600 eV",
            {"alloy": 300, "nickel": 80},
            {"alloy": MdRange(Range(300, 900), Range(1, 1)), "nickel": MdRange(Range(300, 300), None)},
            Range(300, 900),
            Range(1, 1),
            Range(296.4, 888.2),
            rounds=3,
            seed=7,
        ),
        conditions=MdConditions(300, pressure_bar, 2.0, 7, None if pressure_bar is None else barostat),
        results=results,
        machine="one core",
        checks=judge(Acceptance.model_validate(asked), results),
        versions={"deepmd-kit": "3.2.0"},
    )
