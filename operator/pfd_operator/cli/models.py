"""`kubectl pfd models`: the best model of every job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from pfd_operator.api.kinds import KINDS
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.resources import Snapshot, collection_path

from .tables import table

HEADER = ("KIND", "NAMESPACE", "NAME", "PHASE", "FORCE-RMSE", "ENERGY-RMSE/ATOM", "LABELS", "ITERATION", "MODEL")


async def show_models(api: KubeApi, namespace: str | None, out: TextIO) -> None:
    """Print one row for every job of a namespace, or of all; errors in eV/Å and eV, on the frozen hold-out."""
    rows = []
    for kind in KINDS:
        listed = await api.request("GET", collection_path(kind, namespace))
        # items of a list do not say their kind
        rows += [_row({**item, "kind": kind}) for item in listed["items"]]
    out.write(table(HEADER, rows) + "\n" if rows else "No FineTuneJobs or DistillJobs found.\n")


def _row(item: Mapping[str, Any]) -> list[str]:
    snapshot = Snapshot(item)
    status = snapshot.status()
    model = status.model
    errors = model.errors if model else None
    return [
        *snapshot.key,
        status.phase.value,
        errors.force_rmse if errors else "",
        (errors.energy_rmse_per_atom or "") if errors else "",
        f"{status.labels.paid}/{status.labels.budget}",
        str(model.iteration) if model else "",
        model.uri if model else "",
    ]
