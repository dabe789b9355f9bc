import pytest

from pfd_operator.contract.stage import FIRST_NODE_VARIABLE, SelectParams, StageSpec, TrainParams
from pfd_worker.team import ALONE, team_of


def spec(params) -> StageSpec:
    return StageSpec.model_validate(
        {
            "job": {"namespace": "lab", "kind": "FineTuneJob", "name": "silicon", "uid": "u"},
            "iteration": 1, "attempt": 1, "seed": 7, "digest": "ab" * 32, "inputs": {},
            "store": {"directory": "file:///tmp/store"}, "params": params,
        }
    )  # fmt: skip


def trained_by(nodes: int) -> StageSpec:
    return spec(TrainParams(training={"steps": 10, "nodes": nodes}, max_failed_fraction=0))


def test_a_pod_alone_leads():
    select = SelectParams(purpose="training", frames=1, representative_fraction=0)
    for alone in (trained_by(1), spec(select)):
        assert team_of(alone, {}) == ALONE and ALONE.leads


@pytest.mark.parametrize(("index", "leads"), [("0", True), ("1", False)])
def test_of_several_the_first_leads(index, leads):
    team = team_of(trained_by(2), {"JOB_COMPLETION_INDEX": index, FIRST_NODE_VARIABLE: "job-0.service"})
    assert (team.nodes, team.rank, team.first_node, team.leads) == (2, int(index), "job-0.service", leads)
