"""Start structures that are not where the job says they are."""

import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.preparation.starts import starts_of
from pfd_worker.stage_context import StageContext
from tests.unit.worker.stages.loop import TRAINING, Loop


def test_a_missing_config_map_and_a_missing_key_look_alike_and_are_both_named(tmp_path):
    system = {"name": "silicon", "structures": str(tmp_path / "nowhere" / "si.extxyz"), "perturb": {}}
    loop = Loop(tmp_path)
    params = {"stage": "prepare", "model": {"uri": "s3://pfd/p.pt"}, "systems": [system], "training": TRAINING}
    context = StageContext(loop.spec(params, 0, {}), loop.store, tmp_path)
    with pytest.raises(StageError) as caught:
        starts_of(context, context.spec.params, {})
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.STRUCTURE_UNREADABLE)
    said = str(caught.value)
    assert said.startswith(
        "system silicon: there is no file si.extxyz. The job's namespace has no ConfigMap of the name"
    )
    assert "structures.configMap, or that one has no key si.extxyz" in said
