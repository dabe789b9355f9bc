"""`kubectl pfd models`: the best model of every job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TextIO

from pfd_operator.api.kinds import KINDS
from pfd_operator.api.status import JobStatus
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.resources import Snapshot, collection_path

from .reading import CannotShow, asking_for_jobs, errors_against, status_of
from .tables import table

HEADER = (
    "KIND",
    "NAMESPACE",
    "NAME",
    "PHASE",
    "FORCE-RMSE",
    "ENERGY-RMSE/ATOM",
    "AGAINST",
    "LABELS",
    "ITERATION",
    "MODEL",
)


async def show_models(api: KubeApi, namespace: str | None, out: TextIO) -> None:
    """Print one row for every job of a namespace, or of all; errors in eV/Å and eV, on the frozen hold-out.

    Raises
    ------
    CannotShow
        If the cluster does not know jobs.
    ApiError
        If the API server refuses.
    """
    rows: list[list[str]] = []
    newer = 0
    async for snapshot in _listed(api, namespace):
        try:
            rows.append([*snapshot.key, *_figures(status_of(snapshot))])
        except CannotShow:
            newer += 1
            known = [*snapshot.key, str(snapshot.raw_status.get("phase", ""))]
            rows.append(known + [""] * (len(HEADER) - len(known)))
    out.write(table(HEADER, rows) + "\n" if rows else "No FineTuneJobs or DistillJobs found.\n")
    if newer:
        out.write(f"{newer} without figures: written by a newer operator; upgrade kubectl-pfd to see them.\n")


async def _listed(api: KubeApi, namespace: str | None) -> AsyncIterator[Snapshot]:
    for kind in KINDS:
        path = collection_path(kind, namespace)
        with asking_for_jobs(path):
            async for page in api.pages(path, {}):
                for item in page["items"]:
                    # items of a list do not say their kind
                    yield Snapshot({**item, "kind": kind})


def _figures(status: JobStatus) -> list[str]:
    model = status.model
    errors = model.errors if model else None
    iteration = str(model.iteration) if model else ""
    return [
        status.phase.value,
        errors.force_rmse if errors else "",
        (errors.energy_rmse_per_atom or "") if errors else "",
        errors_against(status) if errors else "",
        f"{status.labels.paid}/{status.labels.budget}",
        iteration if model is None or model.fine_tuned else "pre-trained",
        model.uri if model else "",
    ]
