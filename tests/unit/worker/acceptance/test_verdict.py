import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.contract.distill import Acceptance
from pfd_operator.contract.exploration import Ensemble
from pfd_operator.contract.outcome import AcceptanceErrors, ErrorMetrics
from pfd_worker.acceptance.results import Group, Results
from pfd_worker.acceptance.stability import StableRun
from pfd_worker.acceptance.timed_run import SpeedRecord
from pfd_worker.acceptance.verdict import accepted, judge, summary
from pfd_worker.md.drift import NveDrift

NEEDED = {"forceRMSE": 0.05, "stableMDPicoseconds": 10}
OPTIONAL = {
    "energyRMSEPerAtom": 0.002,
    "virialRMSEPerAtom": 0.02,
    "dftForceRatio": 1.3,
    "speedup": 6,
    "nveDriftMeVPerAtomPs": 0.5,
    "rdfOverlap": 0.9,
}
EVERYTHING = Acceptance.model_validate(NEEDED | OPTIONAL)


def errors(force, energy=0.001, virial=0.01):
    return ErrorMetrics(
        frames=8, force_rmse=force, force_rmse_low=force, force_rmse_high=force,
        energy_rmse_per_atom=energy, virial_rmse_per_atom=virial,
    )  # fmt: skip


def speeds(factors, atoms=None):
    """Return the records of a student of 1 ms a step."""
    return [
        SpeedRecord(model, asked, atoms or asked, milliseconds, None, 20, True, None)
        for asked, factor in factors.items()
        for model, milliseconds in (("student", 1.0), ("teacher", factor))
    ]


def stable(picoseconds, reasons=None):
    return {
        system: [StableRun(Ensemble.NVT, 900, None, None, 10, each, None, (reasons or {}).get(system), *[None] * 4)]
        for system, each in picoseconds.items()
    }


def drifts(values):
    return {system: NveDrift(10, drift, None, None, None, None) for system, drift in values.items()}


def against(teacher=None, dft=None, teacher_dft=None):
    return AcceptanceErrors(holdout=teacher, dft=dft, teacher_dft=teacher_dft)


GOOD = Results(
    against(errors(0.04), errors(0.06), errors(0.05)),
    speed=speeds({108: 7.5, 500: 60.0}),
    speed_system="bulk",
    stability=stable({"bulk": 10.0, "slab": 12.0}),
    nve_drift=drifts({"bulk": -0.1, "slab": 0.05}),
    rdf_overlap={"bulk": {"Si-Si": 0.95, "C-Si": 0.92}, "slab": {"Si-Si": 0.93}},
    rdf_overlap_of_teacher={"bulk": 0.97, "slab": 0.96},
)


def by_name(results, limits=EVERYTHING):
    return {check.name: check for check in judge(limits, results)}


def test_the_force_error_is_told_beside_the_forces():
    results = replace(GOOD, errors=against(errors(0.04).model_copy(update={"label_force_rms": 0.5})))
    message = by_name(results)["ForceRmseAgainstTeacher"].message
    assert message.endswith("asked for (8 % of the RMS force)")
    assert "RMS force" not in by_name(results)["EnergyRmsePerAtomAgainstTeacher"].message


def test_everything_asked_is_checked_and_a_good_student_accepted():
    checks = judge(EVERYTHING, GOOD)
    assert [check.name for check in checks] == [
        "ForceRmseAgainstTeacher",
        "EnergyRmsePerAtomAgainstTeacher",
        "VirialRmsePerAtomAgainstTeacher",
        "ForceRmseAgainstDftOverTeacher",
        "SpeedUpAt108Atoms",
        "StablePicoseconds",
        "NveDrift",
        "RdfOverlap",
    ]
    assert accepted(checks)
    assert summary(checks) == "All 8 checks hold."


def test_nothing_measured_fails_every_check_and_says_why():
    checks = judge(EVERYTHING, Results(missing={Group.NVE_DRIFT: "the run was too short"}))
    assert len(checks) == 8
    assert not any(check.met for check in checks) and all(check.value is None for check in checks)
    assert all("not measured, " in check.message for check in checks)
    messages = {check.name: check.message for check in checks}
    assert "the run was too short (asked for: 0.5 meV/atom/ps)" in messages["NveDrift"]
    assert "no hold-out labelled by DFT" in messages["ForceRmseAgainstDftOverTeacher"]


def test_the_teachers_own_error_stands_beside_the_students():
    ratio = by_name(GOOD)["ForceRmseAgainstDftOverTeacher"]
    assert ratio.value == pytest.approx(1.2) and "(0.06 to 0.05 eV/Å)" in ratio.message


def test_a_ratio_is_told_with_its_standard_error():
    dft = errors(0.06).model_copy(update={"trajectories": 8})
    results = replace(GOOD, errors=against(dft=dft, teacher_dft=errors(0.05)), dft_force_ratio_error=0.0912)
    message = by_name(results)["ForceRmseAgainstDftOverTeacher"].message
    assert message.endswith("(0.06 to 0.05 eV/Å; standard error over 8 trajectories 0.091)")


def test_a_ratio_needs_both_errors():
    check = by_name(Results(against(dft=errors(0.06))))["ForceRmseAgainstDftOverTeacher"]
    assert not check.met and "teacher's own error against DFT was not measured" in check.message


def test_virials_that_no_frame_has_cannot_be_met():
    check = by_name(Results(against(errors(0.04, virial=None))))["VirialRmsePerAtomAgainstTeacher"]
    assert not check.met and "no frame of the hold-out has a virial" in check.message


@pytest.mark.parametrize(
    ("values", "largest"), [({"bulk": 0.1, "slab": -0.8}, 0.8), ({"bulk": None, "slab": 0.1}, None), ({}, None)]
)
def test_the_largest_drift_is_told_if_every_system_has_one(values, largest):
    assert Results(nve_drift=drifts(values)).largest_drift == largest


def test_drift_counts_with_either_sign():
    for drift, met in ((0.4, True), (-0.4, True), (0.6, False), (-0.6, False)):
        check = by_name(Results(nve_drift=drifts({"bulk": drift})))["NveDrift"]
        assert (check.met, check.value) == (met, abs(drift))


def test_the_worst_pair_decides_and_is_named():
    check = by_name(GOOD)["RdfOverlap"]
    assert check.value == 0.92 and "worst pair C-Si of bulk" in check.message
    assert "two parts of the teacher's own MD overlap by 0.97" in check.message
    assert not by_name(Results(rdf_overlap={"bulk": {"a": 0.99, "b": math.nan}}))["RdfOverlap"].met


def test_an_explosion_is_in_the_words_of_a_refusal():
    notes = {"bulk": "exploded at step 625: atoms 0 (Si) and 1 (Si) …"}
    results = Results(stability=stable({"bulk": 1.25}, notes))
    check = by_name(results)["StablePicoseconds"]
    assert check.message == (
        "stable MD of bulk is 1.25 ps, less than the 10 ps asked for "
        "(at 900 K: exploded at step 625: atoms 0 (Si) and 1 (Si) …)"
    )
    checks = judge(Acceptance.model_validate(NEEDED), results)
    assert summary(checks).startswith("2 of 2 checks failed: force RMSE against the teacher: not measured")


def test_the_worst_system_decides_and_is_named():
    results = Results(
        stability=stable({"bulk": 10.0, "slab": 1.25}, {"slab": "it melted"}),
        nve_drift=drifts({"bulk": 0.1, "slab": -0.8}),
        rdf_overlap={"bulk": {"Si-Si": 0.95}, "melt": {"Si-Si": 0.5}},
        rdf_overlap_of_teacher={"bulk": 0.97, "melt": 0.6},
        speed=speeds({108: 7.0}),
        speed_system="bulk",
    )
    messages = {name: (check.met, check.message) for name, check in by_name(results).items()}
    assert messages["StablePicoseconds"] == (
        False,
        "stable MD of slab, the shortest of 2 systems, is 1.25 ps, less than the 10 ps asked for (at 900 K: it melted)",
    )
    assert messages["NveDrift"] == (
        False,
        "drift of the total energy at constant energy of slab, the largest of 2 systems, is 0.8 meV/atom/ps, more than "
        "the 0.5 meV/atom/ps asked for",
    )
    assert messages["RdfOverlap"] == (
        False,
        "overlap of g(r) with the teacher's, worst pair Si-Si of melt, is 0.5, less than the 0.9 asked for "
        "(two parts of the teacher's own MD overlap by 0.6)",
    )
    assert messages["SpeedUpAt108Atoms"][1].startswith("speed-up over the teacher at 108 atoms of bulk is 7×")


def test_a_speed_up_of_few_steps_says_of_how_many():
    speed = speeds({108: 7.5, 500: 60.0}, 96)
    assert replace(GOOD, speed=speed).cautions == []
    assert "timed" not in by_name(replace(GOOD, speed=speed))["SpeedUpAt108Atoms"].message
    few = replace(GOOD, speed=[replace(each, steps=3) if each.model == "teacher" else each for each in speed])
    message = by_name(few)["SpeedUpAt108Atoms"].message
    assert message.endswith("at least the 6× asked for (by 3 timed steps of the teacher, not 20)")
    (caution,) = few.cautions
    assert caution.reason == "FewTimedSteps" and "at 96 atoms by 3 timed steps of the teacher" in caution.message


@pytest.mark.parametrize(("atoms", "measured"), [(96, True), (54, True), (216, True), (512, False), (3, False)])
def test_the_speed_of_a_cell_of_another_size_is_none(atoms, measured):
    check = by_name(replace(GOOD, speed=speeds({108: 7.5}, atoms)))["SpeedUpAt108Atoms"]
    assert (check.value is not None, f"at {atoms} atoms" in check.message) == (measured, True)
    assert ("no cell of this structure is near 108 atoms" in check.message) != measured


@pytest.mark.parametrize(
    ("group", "name"),
    [(Group.NVE_DRIFT, "NveDrift"), (Group.RDF_OVERLAP, "RdfOverlap")],
)
def test_a_figure_that_one_system_lacks_is_a_failed_check(group, name):
    check = by_name(replace(GOOD, missing={group: "slab: it exploded"}))[name]
    assert (check.met, check.value) == (False, None)
    assert "not measured, slab: it exploded" in check.message


# 0 ms is no time that a step takes
number = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True).filter(bool))
positive = st.floats(0.001, 1)


@given(figure=number, limit=positive)
def test_a_limit_holds_exactly_when_a_finite_figure_is_on_its_side(figure, limit):
    speed = {} if figure is None else {108: figure}
    by_system = {} if figure is None else {"bulk": figure}
    measured = Results(speed=speeds(speed), stability=stable(by_system), nve_drift=drifts(by_system),
                       rdf_overlap={} if figure is None else {"bulk": {"Si-Si": figure}})  # fmt: skip
    names = ("forceRMSE", "speedup", "stableMDPicoseconds", "nveDriftMeVPerAtomPs", "rdfOverlap")
    checks = by_name(measured, Acceptance.model_validate(dict.fromkeys(names, limit)))
    del checks["ForceRmseAgainstTeacher"]
    usable = figure is not None and math.isfinite(figure)
    for name in ("SpeedUpAt108Atoms", "StablePicoseconds", "RdfOverlap"):
        assert checks[name].met == (usable and figure >= limit)
    assert checks["NveDrift"].met == (usable and abs(figure) <= limit)
    for check in checks.values():
        assert (check.value is None) == (not usable) and check.limit == limit
        word = "not measured" if figure is None else "not a number" if not usable else "asked for"
        assert word in check.message


@given(st.sets(st.sampled_from(sorted(OPTIONAL))))
def test_only_what_is_asked_is_checked(asked):
    checks = judge(Acceptance.model_validate(NEEDED | {name: OPTIONAL[name] for name in asked}), GOOD)
    assert len(checks) == len(NEEDED) + len(asked)
    assert accepted(checks)
