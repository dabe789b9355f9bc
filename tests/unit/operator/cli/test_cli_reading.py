"""Which jobs `kubectl pfd` finds by what is typed, and what it does with those of a newer version."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from pfd_operator.api.kinds import KINDS
from pfd_operator.cli.main import main
from pfd_operator.cli.models import show_models
from pfd_operator.cli.reading import CannotShow
from pfd_operator.cli.status import show_status
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.clock import ServerClock

KNOWN = {"phase": "Running", "labels": {"paid": 3, "budget": 60}}
BEST = {"uri": "s3://pfd/best.pt", "iteration": 0, "fineTuned": False}


class Server:
    """Has these jobs of one kind, and none of the other."""

    def __init__(self, statuses: Mapping[str, Mapping[str, Any]], plural: str = "finetunejobs") -> None:
        kind = next(kind.name for kind in KINDS.values() if kind.plural == plural)
        self.plural = plural
        self.items = {
            name: {"kind": kind, "metadata": {"namespace": "lab", "name": name}, "status": status}
            for name, status in statuses.items()
        }
        self.now = ServerClock().now

    async def request(self, _: str, path: str) -> dict[str, Any]:
        plural, name = path.split("/")[-2:]
        if plural != self.plural or name not in self.items:
            raise ApiError(404, "NotFound", "not found")
        return self.items[name]

    async def pages(self, path: str, _: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Have one job on each."""
        for item in self.items.values() if path.endswith(f"/{self.plural}") else ():
            yield {"items": [item]}


class Bare(Server):
    """Has no CRDs."""

    async def request(self, _: str, path: str) -> dict[str, Any]:
        raise ApiError(404, "Error", "404 page not found\n")

    async def pages(self, path: str, _: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        yield await self.request("GET", path)


def api(**statuses: Mapping[str, Any]) -> KubeApi:
    return cast(KubeApi, Server(statuses))


async def status(name: str, **statuses: Mapping[str, Any]) -> str:
    out = io.StringIO()
    await show_status(api(**statuses), "lab", name, out)
    return out.getvalue()


async def models(**statuses: Mapping[str, Any]) -> str:
    out = io.StringIO()
    await show_models(api(**statuses), None, out)
    return out.getvalue()


@pytest.mark.parametrize(
    "kind", ["", "ftj/", "FineTuneJob/", "finetunejobs/", "finetunejob.pfd.dev/", "finetunejobs.v1alpha1.pfd.dev/"]
)
async def test_a_job_is_found_by_what_kubectl_prints_and_takes(kind: str) -> None:
    assert "FineTuneJob lab/silicon: Running" in await status(f"{kind}silicon", silicon=KNOWN)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "no job is named in ''"),
        ("ftj/", "no job is named in 'ftj/'"),
        ("/silicon", "FineTuneJob (ftj), DistillJob (dsj)"),
        ("pod/silicon", "there is no kind 'pod' of jobs: KIND in KIND/NAME is one of FineTuneJob (ftj), DistillJob"),
        ("finetunejob.example.org/silicon", "no kind 'finetunejob.example.org'"),
        ("dsj/silicon", "no DistillJob silicon in namespace lab (kubectl get pfd -A lists all)"),
        ("carbon", "no FineTuneJob or DistillJob carbon in namespace lab"),
    ],
)
async def test_what_cannot_be_found_is_explained(typed: str, said: str) -> None:
    with pytest.raises(CannotShow) as refused:
        await status(typed, silicon=KNOWN)
    assert said in str(refused.value)


@pytest.mark.parametrize("newer", [{**KNOWN, "mood": "good"}, {**KNOWN, "phase": "Dreaming"}])
async def test_a_status_of_a_newer_operator_asks_for_an_upgrade(newer: dict[str, Any]) -> None:
    with pytest.raises(CannotShow, match=r"status\.(mood|phase) .* newer operator: upgrade kubectl-pfd"):
        await status("silicon", silicon=newer)


async def test_the_others_are_listed_beside_a_job_of_a_newer_operator() -> None:
    listed = await models(silicon={**KNOWN, "phase": "Dreaming"}, carbon=KNOWN)
    rows = [line.split() for line in listed.splitlines()]
    assert rows[1] == ["FineTuneJob", "lab", "silicon", "Dreaming", "-", "-", "-", "-", "-", "-"]
    assert rows[2][2:8] == ["carbon", "Running", "-", "-", "-", "3/60"]
    assert "1 without figures: written by a newer operator" in listed
    assert "newer" not in await models(carbon=KNOWN)


async def test_the_list_says_of_a_model_that_it_was_not_fine_tuned() -> None:
    listed = await models(silicon={**KNOWN, "model": BEST}, carbon={**KNOWN, "model": {**BEST, "fineTuned": True}})
    assert [line.split()[-2] for line in listed.splitlines()[1:]] == ["pre-trained", "0"]


@pytest.mark.parametrize(("plural", "against"), [("finetunejobs", "reference"), ("distilljobs", "teacher")])
async def test_the_list_says_what_errors_are_against(plural: str, against: str) -> None:
    out, measured = io.StringIO(), {"forceRMSE": "0.0303", "energyRMSEPerAtom": "0.0021", "frames": 16}
    server = Server({"silicon": {**KNOWN, "model": {**BEST, "errors": measured}}}, plural)
    await show_models(cast(KubeApi, server), None, out)
    header, row = (line.split() for line in out.getvalue().splitlines())
    assert header[4:7] == ["FORCE-RMSE", "ENERGY-RMSE/ATOM", "AGAINST"]
    assert row[4:7] == ["0.0303", "0.0021", against]


@pytest.mark.parametrize("name", ["silicon", "dsj/silicon", None])
async def test_a_cluster_without_the_operator_is_not_one_without_jobs(name: str | None) -> None:
    bare, out = cast(KubeApi, Bare({})), io.StringIO()
    with pytest.raises(CannotShow, match=r"no FineTuneJobs and DistillJobs: .* operator installed, .* right context"):
        await (show_models(bare, None, out) if name is None else show_status(bare, "lab", name, out))


def test_a_broken_kubeconfig_is_one_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--kubeconfig", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"kubectl pfd: cannot connect to Kubernetes by {tmp_path}: ")
