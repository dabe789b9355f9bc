"""Figures of what MD visited and how the model moves; each function draws one and returns its SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pfd_worker.md.replay import Replay
from pfd_worker.report.drawing import INK, PALETTE, drawing, to_svg
from pfd_worker.selection.feature_map import FeatureMap, Role

MAX_PAIRS = 4
"""Pairs of elements drawn for each system, those that overlap least; report.json has all."""
MAX_ELEMENTS = 5
"""Drawn for each system, those that move farthest; report.json has all."""
_Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
_ROLES = {
    Role.CANDIDATE: ("candidates", "#8a8f98", 6, 0.35),
    Role.LABELLED: ("labelled before", PALETTE[0], 14, 0.7),
    Role.CHOSEN: ("chosen now", PALETTE[4], 18, 0.9),
}


def map_of_features(features: FeatureMap) -> str:
    """Candidates of the newest selection, what was labelled before, and what was chosen."""
    with drawing(5.0, 4.2) as (figure, axes):
        for role, (label, color, size, alpha) in _ROLES.items():
            own = features.roles == role
            if own.any():
                x, y = features.points[own].T
                axes.scatter(x, y, s=size, color=color, alpha=alpha, linewidths=0, label=label)
        first, second = (f"{100 * fraction:.0f} % of the variance" for fraction in features.explained)
        axes.set_xlabel(f"first component ({first})")
        axes.set_ylabel(f"second component ({second})")
        axes.set_aspect("equal", adjustable="datalim")
        figure.legend(loc="outside upper right", ncols=3)
        return to_svg(figure, "map", "map of candidates, training set and selection")


def displacements(replays: Sequence[Replay]) -> str:
    """Mean squared displacement in AIMD and in the model's MD of the same start."""
    with drawing() as (figure, axes):
        for compared, color in zip(replays, PALETTE, strict=False):
            time = compared.time_fs
            _both(axes, (time, compared.msd_reference), (time, compared.msd_model), color, compared.system)
        _displacement_axes(axes)
        figure.legend(loc="outside upper right", ncols=3)
        return to_svg(figure, "displacement", "mean squared displacement")


def displacements_of_elements(compared: Replay, name: str) -> str:
    """Mean squared displacement of each element of a system, in AIMD and in the model's MD of the same start."""
    with drawing() as (figure, axes):
        chosen = sorted(compared.msd_of_elements, key=lambda element: -compared.msd_of_elements[element][0][-1])
        for element, color in zip(chosen[:MAX_ELEMENTS], PALETTE, strict=False):
            aimd, model = compared.msd_of_elements[element]
            _both(axes, (compared.time_fs, aimd), (compared.time_fs, model), color, element)
        _displacement_axes(axes)
        figure.legend(loc="outside upper right", ncols=3)
        return to_svg(figure, name, f"mean squared displacement of the elements of {compared.system}")


def radial_distributions(compared: Replay, name: str) -> str:
    """Radial distribution functions of AIMD and of the model's MD of the same start."""
    reference, model = compared.rdf_reference, compared.rdf_model
    if reference is None or model is None:
        raise ValueError(f"system {compared.system} has no radial distribution function: {compared.note}")
    with drawing() as (figure, axes):
        pairs = sorted(compared.overlap, key=lambda pair: compared.overlap[pair])[:MAX_PAIRS]
        for pair, color in zip(pairs, PALETTE, strict=False):
            _both(axes, (reference.r, reference.g[pair]), (model.r, model.g[pair]), color, "–".join(pair))
        _line_styles(axes)
        axes.set_xlim(0, max(reference.r[-1], model.r[-1]))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("distance r (Å)")
        axes.set_ylabel("g(r)")
        figure.legend(loc="outside upper right", ncols=3)
        return to_svg(figure, name, "radial distribution functions")


def _both(axes: Axes, aimd: _Curve, model: _Curve, color: str, label: str) -> None:
    axes.plot(*aimd, color=color, linewidth=3, alpha=0.35)
    axes.plot(*model, color=color, linewidth=1.2, linestyle="--", label=label)


def _displacement_axes(axes: Axes) -> None:
    _line_styles(axes)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time (fs)")
    axes.set_ylabel("mean squared displacement (Å²)")


def _line_styles(axes: Axes) -> None:
    axes.plot([], [], color=INK, linewidth=3, alpha=0.35, label="AIMD")
    axes.plot([], [], color=INK, linewidth=1.2, linestyle="--", label="model")
