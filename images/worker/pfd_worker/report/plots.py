"""The figures of a report; each function draws one and returns its SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pfd_worker.report.comparison import Comparison, Parity
from pfd_worker.report.data import LearningCurve
from pfd_worker.report.drawing import INK, PALETTE, drawing, to_svg
from pfd_worker.report.history import History

MAX_ROWS = 24
"""Strata drawn at most; report.json has all."""
FORCE_RMSE = "force RMSE (eV/Å)"
_LOG_FROM_RATIO = 5.0
LARGEST_INTERVAL = 3.0
"""Times the largest error, that a figure shows of the ends of intervals: those of four trajectories, of which one is
bad, may reach a thousand times as far."""


def errors_by_iteration(history: History) -> str:
    """Hold-out and prequential force RMSE of every iteration, with the baselines."""
    with drawing() as (figure, axes):
        drawn: list[float] = []
        for name, label, color, shift in (
            ("holdout", "hold-out", PALETTE[0], -0.06),
            ("prequential", "new frames", PALETTE[1], 0.06),
            ("farthest", "new frames far from training", PALETTE[2], 0.12),
        ):
            known = [(r.iteration + shift, r.errors[name]) for r in history.iterations if name in r.errors]
            if known:
                _with_intervals(axes, [x for x, _ in known], [errors for _, errors in known], label, color)
                drawn += [errors["forceRmse"] for _, errors in known]
        # Moving the energy moves no force: one line stands for both baselines
        if "pretrained" in history.baselines:
            value = history.baselines["pretrained"]["forceRmse"]
            axes.axhline(value, color=INK, linestyle="--", linewidth=1, label="pre-trained")
            drawn.append(value)
        _error_scale(axes, drawn)
        axes.set_xlabel("iteration")
        axes.set_ylabel(FORCE_RMSE)
        axes.set_xlim(history.iterations[0].iteration - 0.5, history.last.iteration + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(loc="outside upper right", ncols=3)
        return to_svg(figure, "errors", "force error by iteration")


def learning_curve(history: History, curve: LearningCurve) -> str:
    """Hold-out force RMSE against labels, with the fitted power law."""
    with drawing() as (figure, axes):
        records = [record for record in history.iterations if record.training_labels > curve.given]
        labels = [record.training_labels - curve.given for record in records]
        errors = [record.errors["holdout"] for record in records]
        last = max(labels) * 2.0
        if curve.halving is not None and curve.halving.labels < 10 * max(labels):
            last = curve.halving.labels
        grid = np.geomspace(min(labels), last, 60)
        low, high = zip(*(curve.law.band(labels) for labels in grid), strict=True)
        fitted = [curve.law.error_at(labels) for labels in grid]
        top = _top([error["forceRmse"] for error in errors], [_ends(error)[1] for error in errors])
        shown = [*fitted, *(error["forceRmse"] for error in errors), top]
        axes.fill_between(grid, low, high, color=PALETTE[0], alpha=0.15, linewidth=0, label="95 % interval")
        axes.plot(grid, fitted, color=PALETTE[0], linestyle="--", linewidth=1, label="fit")
        _with_intervals(axes, labels, errors, "hold-out", PALETTE[0], line=False)
        axes.set_xscale("log")
        axes.set_yscale("log")
        # The band of a loose fit reaches beyond anything worth seeing
        axes.set_ylim(0.7 * min(value for value in shown if value > 0), 1.4 * max(shown))
        _plain_log_ticks(axes)
        axes.set_xlabel(f"labels in the training set{' beside the given ones' if curve.given else ''}")
        axes.set_ylabel(FORCE_RMSE)
        figure.legend(loc="outside upper right", ncols=3)
        return to_svg(figure, "learning", "learning curve")


def parity(points: Parity, name: str, quantity: str, unit: str) -> str:
    """Predictions against labels, coloured by system."""
    with drawing(5.0, 4.6) as (figure, axes):
        low = float(min(points.label.min(), points.predicted.min()))
        high = float(max(points.label.max(), points.predicted.max()))
        margin = 0.04 * (high - low) or 0.01
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color=INK, linewidth=0.8, zorder=1)
        systems = sorted(set(points.systems))
        colors = [PALETTE[systems.index(system) % len(PALETTE)] for system in points.systems]
        # In any order of systems the last would cover the others
        order = np.random.default_rng(0).permutation(len(colors))
        axes.scatter(
            points.label[order], points.predicted[order], s=9 if len(order) > 300 else 20, alpha=0.5, linewidths=0,
            c=[colors[point] for point in order],
        )  # fmt: skip
        for system, color in zip(systems, PALETTE, strict=False):
            axes.scatter([], [], s=20, color=color, label=system)
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_aspect("equal")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(f"{quantity}, label ({unit})")
        axes.set_ylabel(f"{quantity}, model ({unit})")
        axes.legend(loc="upper left")
        return to_svg(figure, name, f"parity of {quantity}")


def force_error_by_force(comparison: Comparison) -> str:
    """Force RMSE of atoms grouped by the size of their labelled force."""
    bins = comparison.force_bins
    with drawing() as (figure, axes):
        axes.stairs(bins.rmse, bins.edges, fill=True, color=PALETTE[0], alpha=0.35)
        axes.stairs(bins.rmse, bins.edges, color=PALETTE[0])
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("size of the labelled force |F| (eV/Å)")
        axes.set_ylabel(FORCE_RMSE)
        return to_svg(figure, "byforce", "force error by size of force")


def force_error_histogram(comparison: Comparison) -> str:
    """How often a force component is how much off."""
    errors = comparison.force_errors
    with drawing() as (figure, axes):
        axes.stairs(errors.counts, errors.edges, fill=True, color=PALETTE[0], alpha=0.35)
        axes.stairs(errors.counts, errors.edges, color=PALETTE[0])
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        axes.set_ylim(bottom=0.7)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("force component, model − label (eV/Å)")
        axes.set_ylabel("components")
        return to_svg(figure, "histogram", "histogram of force errors")


def error_by_group(best: dict[str, Any], baseline: dict[str, Any] | None, group: str, name: str, what: str) -> str:
    """Force RMSE of each stratum or element, of the best model and of the pre-trained one; the worst ones first."""
    groups: dict[str, dict[str, Any]] = best[group]
    rows = sorted(groups, key=lambda row: -groups[row]["forceRmse"])[:MAX_ROWS]
    with drawing(5.0, 1.5 + 0.26 * len(rows)) as (figure, axes):
        before = {} if baseline is None else baseline.get(group, {})
        drawn, ends = [], []
        for number, row in enumerate(rows):
            error = groups[row]
            drawn.append(error["forceRmse"])
            ends.append(_ends(error)[1])
            axes.plot(_ends(error), (number, number), color=PALETTE[0], linewidth=2, alpha=0.5)
            if row in before:
                drawn.append(before[row]["forceRmse"])
        known = [(before[row]["forceRmse"], number) for number, row in enumerate(rows) if row in before]
        if known:
            axes.plot(*zip(*known, strict=True), "D", color=INK, fillstyle="none", markersize=5, label="pre-trained")
        axes.plot([groups[r]["forceRmse"] for r in rows], range(len(rows)), "o", color=PALETTE[0], label="best model")
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 1.08 * _top(drawn, ends) or 1)
        axes.set_xlabel(FORCE_RMSE)
        axes.grid(axis="y", linewidth=0.4, alpha=0.4, color=INK)
        figure.legend(loc="outside upper right", ncols=2)
        return to_svg(figure, name, f"force error by {what}")


def error_by_condition(best: dict[str, Any], baseline: dict[str, Any] | None, group: str, name: str, unit: str) -> str:
    """Force RMSE of MD frames against temperature or pressure, of the best model and of the pre-trained one."""
    with drawing() as (figure, axes):
        drawn = []
        for errors, label, color in ((baseline, "pre-trained", INK), (best, "best model", PALETTE[0])):
            groups = {} if errors is None else errors.get(group, {})
            if groups:
                _with_intervals(axes, [float(t) for t in groups], list(groups.values()), label, color)
                drawn += [error["forceRmse"] for error in groups.values()]
        _error_scale(axes, drawn)
        axes.set_xlabel(f"{name} ({unit})")
        axes.set_ylabel(FORCE_RMSE)
        figure.legend(loc="outside upper right", ncols=2)
        return to_svg(figure, name, f"force error by {name}")


def _with_intervals(
    axes: Axes, x: list[float] | list[int], errors: list[dict[str, Any]], label: str, color: str, line: bool = True
) -> None:
    values = np.array([error["forceRmse"] for error in errors])
    low, high = np.array([_ends(error) for error in errors]).T
    # Intervals of earlier versions need not hold their estimate
    spread = np.clip([values - low, high - values], 0, None)
    style = "o-" if line else "o"
    axes.errorbar(x, values, yerr=spread, fmt=style, color=color, markersize=5, capsize=3, linewidth=1.2, label=label)


def _ends(error: dict[str, Any]) -> tuple[float, float]:
    """Return the ends of the interval of a force error; the error twice where too few trajectories give none."""
    return error.get("forceRmseLow", error["forceRmse"]), error.get("forceRmseHigh", error["forceRmse"])


def _top(errors: Sequence[float], ends: Sequence[float]) -> float:
    """Return what a figure of errors reaches to: the ends of intervals, where these leave the errors to be seen."""
    return max(*errors, min(max(ends), LARGEST_INTERVAL * max(errors)))


def _error_scale(axes: Axes, values: list[float]) -> None:
    positive = [value for value in values if value > 0]
    if not positive:
        axes.set_ylim(bottom=0)
        return
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.08 * LARGEST_INTERVAL * max(positive)))
    if max(positive) > _LOG_FROM_RATIO * min(positive):
        axes.set_yscale("log")
        _plain_log_ticks(axes)
    else:
        axes.set_ylim(bottom=0)


def _plain_log_ticks(axes: Axes) -> None:
    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        if scale == "log":
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(_plain))
            axis.set_minor_formatter(NullFormatter())


def _plain(value: float, position: int | None = None) -> str:
    return f"{value:g}"
