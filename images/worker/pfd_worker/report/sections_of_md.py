"""The sections about MD: how the model moves, and what selection took of what it visited."""

from __future__ import annotations

import numpy as np

from pfd_worker.md.replay import Replay
from pfd_worker.report import plots_of_md
from pfd_worker.report.cells import best_name, number
from pfd_worker.report.data import ReportData
from pfd_worker.report.drawing import PALETTE
from pfd_worker.report.dynamics import Dynamics
from pfd_worker.report.markup import Cell, figure, figures, paragraph, section, table
from pfd_worker.selection.feature_map import Role

MAX_SYSTEMS = 8
"""Systems whose elements' displacements and radial distribution functions are drawn; report.json has all."""


def dynamics(data: ReportData) -> str:
    """The model's MD beside AIMD of the same start, and its energy drift."""
    found = data.dynamics
    title = f"MD beside AIMD: {best_name(data)}"
    if found is None:
        text = (
            "There is no AIMD to hold the model's MD against: the job asked for none (spec.aimd), none of it has a "
            "label, or the pod was asked to stop. A student's MD is judged by the accept stage: see acceptance.json."
        )
        return section("dynamics", title, paragraph(text, quiet=True))
    parts = []
    if found.replays:
        caption = "Mean squared displacement in Å² over all atoms and trajectories of a system, against time in fs."
        parts.append(figure("displacement", plots_of_md.displacements(found.replays[: len(PALETTE)]), caption))
    for number_of, compared in enumerate(found.replays[:MAX_SYSTEMS]):
        if len(compared.msd_of_elements) > 1:
            svg = plots_of_md.displacements_of_elements(compared, f"msd{number_of}")
            parts.append(figure(f"displacement-{number_of}", svg, _elements_caption(compared)))
        if compared.rdf_reference is not None:
            svg = plots_of_md.radial_distributions(compared, f"rdf{number_of}")
            parts.append(figure(f"rdf-{number_of}", svg, _distribution_caption(compared)))
    return section("dynamics", title, paragraph(_what_is_compared(found), quiet=True), _replays(found), figures(*parts))


def selection(data: ReportData) -> str:
    """The map of what selection chose from."""
    title = "What was selected"
    drawn = data.features
    if drawn is None:
        text = "There are too few different frames for a map."
        return section("selection", title, paragraph(text, quiet=True))
    counts = {role: int(np.sum(drawn.roles == role)) for role in Role}
    purpose = "to train on" if data.history.last.iteration else "for the hold-out, which no training sees"
    caption = (
        f"The newest selection on the two directions in which features (mean and spread, for each element, of the "
        f"descriptors of the model that explored; no unit) vary most: {counts[Role.CHOSEN]} frames chosen {purpose}, "
        f"{counts[Role.LABELLED]} labelled before and {counts[Role.CANDIDATE]} other candidates, of {drawn.total} "
        "frames in all. MD goes where no label is: grey with no blue near it."
    )
    return section("selection", title, figures(figure("map", plots_of_md.map_of_features(drawn), caption)))


def _what_is_compared(found: Dynamics) -> str:
    if not found.replays:
        return (
            "AIMD of one step has no trajectory to compare the model's MD with: it takes two labelled steps or more of "
            "one trajectory (spec.aimd.steps)."
        )
    trajectories = sum(compared.trajectories for compared in found.replays)
    steps = max(len(compared.distance) - 1 for compared in found.replays)
    return (
        f"AIMD run again by the model: {trajectories} trajectories from the same structures with the same velocities, "
        f"{found.temperature_kelvin:g} K at the start, {steps} steps of {found.timestep_fs:g} fs. Two trajectories "
        "with a common start differ by forces only, so that a few steps are enough to compare; they say nothing about "
        "equilibrium. The frames of the AIMD are trained on. A radial distribution function of the explored MD is not "
        "compared: its labelled frames are the model's own, and would agree with it whatever the model."
    )


def _replays(found: Dynamics) -> str:
    drift = paragraph(_drift_note(found), quiet=True)
    if not found.replays:
        return drift
    header: list[Cell | str] = [
        "system",
        Cell("AIMD", "trajectories × steps"),
        Cell("apart at the end", "RMS, Å"),
        Cell("moved", "RMS, Å"),
        Cell("g(r) overlap", "worst pair"),
        Cell("energy drift", "meV/atom/ps"),
    ]
    rows = [[*_replay_row(compared), _drift(found, compared.system)] for compared in found.replays]
    notes = [f"{compared.system}: {compared.note}." for compared in found.replays if compared.note]
    return table(header, rows) + drift + "".join(map(paragraph, notes))


def _replay_row(compared: Replay) -> list[Cell | str]:
    worst = min(compared.overlap, key=lambda pair: compared.overlap[pair], default=None)
    moved = [float(np.sqrt(msd[-1])) for msd in (compared.msd_reference, compared.msd_model)]
    return [
        compared.system,
        f"{compared.trajectories} × {len(compared.distance) - 1}",
        number(float(compared.distance[-1])),
        Cell(number(moved[1]), f"AIMD {number(moved[0])}"),
        "–" if worst is None else Cell(f"{compared.overlap[worst]:.3f}", "–".join(worst)),
    ]


def _drift(found: Dynamics, system: str) -> Cell | str:
    if system != found.drift_system:
        return "–"
    return Cell(number(found.drift.drift), f"in {number(found.drift.picoseconds)} ps")


def _drift_note(found: Dynamics) -> str:
    if found.drift.drift is None:
        return f"The energy drift of {found.drift_system} is not known: {found.drift.reason}."
    return (
        f"Energy drift: {number(found.drift.drift)} meV/atom/ps, the slope of the total energy in "
        f"{number(found.drift.picoseconds)} ps of NVE of {found.drift_system}, steps of {found.timestep_fs:g} fs, "
        "after 0.2 ps with a thermostat. "
        f"The energy strays {number(found.drift.max_deviation)} meV/atom from that line: what so short a run "
        "can tell is no finer. Other systems are not measured."
    )


def _cut(count: int, drawn: int, which: str) -> str:
    return f" The {drawn} {which} are drawn, {count - drawn} more are in report.json." if count > drawn else ""


def _elements_caption(compared: Replay) -> str:
    cut = _cut(len(compared.msd_of_elements), plots_of_md.MAX_ELEMENTS, "that move farthest")
    return (
        f"Mean squared displacement of each element of {compared.system} in Å² over its atoms in all trajectories, "
        f"against time in fs. So short a time shows vibrations and the first hops, not diffusion.{cut}"
    )


def _distribution_caption(compared: Replay) -> str:
    frames = 0 if compared.rdf_reference is None else compared.rdf_reference.frames
    cut = _cut(len(compared.overlap), plots_of_md.MAX_PAIRS, "pairs that overlap least")
    return (
        f"Radial distribution functions of {compared.system}, {frames} frames of AIMD and of the model's MD each, "
        f"without the common starts, up to the cell's smallest height.{cut}"
    )
