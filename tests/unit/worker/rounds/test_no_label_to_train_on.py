"""A first round without AIMD and given data: nothing tells the zero of energy."""

from pfd_operator.contract.result import CautionReason
from tests.unit.worker.rounds.prepared import iteration, prepared
from tests.unit.worker.stages.loop import Loop


def test_energies_of_an_unknown_zero_are_said_to_be_such_and_are_no_baseline(tmp_path):
    loop = Loop(tmp_path)
    result = iteration(loop, 0, prepared(loop), {"frames": 4, "representativeFraction": 1}, None)
    [caution] = [each for each in result.cautions if each.reason is CautionReason.ZERO_OPEN]
    assert "no label to train on tells the zero of energy in copper (Cu)" in caution.message
    errors = result.outcome.errors
    assert (result.outcome.training_frames, result.outcome.best_iteration) == (0, None)
    assert errors.shifted.energy_rmse_per_atom is None and errors.shifted.force_rmse == errors.pretrained.force_rmse
    assert errors.pretrained.energy_rmse_per_atom is not None
