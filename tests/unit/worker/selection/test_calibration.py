import math

import numpy as np
import pytest

from pfd_worker.selection.calibration import conformal_scale


def test_the_bound_holds_for_as_many_unseen_frames_as_it_says():
    rng = np.random.default_rng(3)
    held = []
    for _ in range(400):
        novelty = rng.uniform(0.1, 2, 31)
        errors = np.abs(rng.standard_cauchy(31)) * novelty
        scale = conformal_scale(errors[:30], novelty[:30], confidence=0.8)
        held.append(errors[30] <= scale * novelty[30])
    assert np.mean(held) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("frames", "known"), [(8, False), (9, True)])
def test_too_few_frames_give_no_bound(frames, known):
    assert (conformal_scale([0.1] * frames, [1.0] * frames, confidence=0.9) is not None) == known


def test_frames_whose_novelty_was_not_known_do_not_count():
    assert conformal_scale([9.0, 0.2], [0.0, 1.0], confidence=0.5) == pytest.approx(0.2)
    assert conformal_scale([9.0, 0.2], [math.inf, 1.0], confidence=0.5) == pytest.approx(0.2)
