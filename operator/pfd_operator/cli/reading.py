"""What the commands read: which job is meant, and a status of this version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pfd_operator.api.job import GROUP, VERSION
from pfd_operator.api.kinds import KINDS, Kind
from pfd_operator.api.status import DistillJobStatus, JobStatus
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.resources import Key, Snapshot, StatusUnreadable, resource_path

REFERENCE = "reference"
TEACHER = "teacher"


class CannotShow(Exception):  # noqa: N818 - not a fault of the program, but what the user is told
    """What was asked for cannot be shown; the message says why and what to do."""


def kinds_and_name(text: str) -> tuple[Sequence[Kind], str]:
    """Return the name of a job and the kinds it may be of, out of NAME or KIND/NAME as kubectl prints and takes it.

    Raises
    ------
    CannotShow
        If there is no such kind, or no name.
    """
    wanted, slash, name = text.rpartition("/")
    kinds = [kind for kind in KINDS.values() if not slash or wanted.lower() in _names(kind)]
    if not kinds:
        known = ", ".join(f"{kind.name} ({kind.short})" for kind in KINDS.values())
        raise CannotShow(f"there is no kind {wanted!r} of jobs: KIND in KIND/NAME is one of {known}")
    if not name:
        raise CannotShow(f"no job is named in {text!r}: give NAME or KIND/NAME (kubectl get pfd -A lists all)")
    return kinds, name


def _names(kind: Kind) -> set[str]:
    plain = (kind.name.lower(), kind.plural, kind.short)
    return {f"{name}{group}" for name in plain for group in ("", f".{GROUP}", f".{VERSION}.{GROUP}")}


@contextmanager
def asking_for_jobs(path: str) -> Iterator[None]:
    """Say in the user's words that the API server has no jobs, if it has no such path.

    Raises
    ------
    CannotShow
        If it has no such path.
    ApiError
        If it refuses, or has the path but not the job.
    """
    try:
        yield
    except ApiError as error:
        # of a job that is missing it says NotFound; of a kind that is missing it says nothing but "page not found"
        if error.status != 404 or error.reason == "NotFound":
            raise
        raise CannotShow(
            f"this cluster has no FineTuneJobs and DistillJobs: nothing is served at {path}. Is the operator "
            "installed, and is this the right context (kubectl config current-context; --context takes another)?"
        ) from error


async def read_job(api: KubeApi, namespace: str, name: str) -> Snapshot:
    """Read a job, of whatever kind; KIND/NAME tells which of two of one name.

    Raises
    ------
    CannotShow
        If there is no such job, or the cluster does not know jobs.
    ApiError
        If the API server refuses.
    """
    kinds, plain = kinds_and_name(name)
    for kind in kinds:
        path = resource_path(Key(kind.name, namespace, plain))
        try:
            with asking_for_jobs(path):
                return Snapshot(await api.request("GET", path))
        except ApiError as error:
            if error.status != 404:
                raise
    wanted = " or ".join(kind.name for kind in kinds)
    raise CannotShow(f"no {wanted} {plain} in namespace {namespace} (kubectl get pfd -A lists all)")


def errors_against(status: JobStatus) -> str:
    """Return what the errors of a job's models are against: whoever made its labels."""
    return TEACHER if isinstance(status, DistillJobStatus) else REFERENCE


def status_of(snapshot: Snapshot) -> JobStatus:
    """Return a job's status.

    Raises
    ------
    CannotShow
        If it has a field or a value that this version does not know.
    """
    try:
        return snapshot.status()
    except StatusUnreadable as error:
        where = f"{error.field} of {snapshot.key.kind} {snapshot.key.name}"
        raise CannotShow(f"{where} was written by a newer operator: upgrade kubectl-pfd") from error
