import json
import math

import numpy as np
import pytest

from pfd_worker.selection.calibration import conformal_scale, held


def test_the_bound_holds_for_as_many_unseen_frames_as_it_says():
    rng = np.random.default_rng(3)
    hits = []
    for _ in range(400):
        novelty = rng.uniform(0.1, 2, 31)
        errors = np.abs(rng.standard_cauchy(31)) * novelty
        scale = conformal_scale(errors[:30], novelty[:30], confidence=0.8)
        hits.append(errors[30] <= scale * novelty[30])
    assert np.mean(hits) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("frames", "known"), [(8, False), (9, True)])
def test_too_few_frames_give_no_bound(frames, known):
    assert (conformal_scale([0.1] * frames, [1.0] * frames, confidence=0.9) is not None) == known


def test_frames_whose_novelty_was_not_known_do_not_count():
    assert conformal_scale([9.0, 0.2], [None, 1.0], confidence=0.5) == pytest.approx(0.2)
    assert conformal_scale([9.0, 0.2], [math.inf, 1.0], confidence=0.5) == pytest.approx(0.2)


def test_no_scale_bounds_an_error_where_nothing_is_new():
    errors, novelty = [0.2] * 8 + [0.1] * 2, [1.0] * 8 + [0.0] * 2
    assert conformal_scale(errors, novelty, confidence=0.7) == pytest.approx(0.2)
    assert conformal_scale(errors, novelty, confidence=0.8) is None
    assert conformal_scale([0.2] * 8 + [0.0] * 2, novelty, confidence=0.8) == pytest.approx(0.2)


def test_the_bound_holds_where_some_frames_are_not_new_at_all():
    rng = np.random.default_rng(5)
    hits = []
    for _ in range(400):
        novelty = np.maximum(rng.uniform(-0.2, 1.8, 31), 0)
        errors = np.abs(rng.normal(size=31)) * (0.1 + novelty)
        scale = conformal_scale(errors[:30], novelty[:30], confidence=0.8)
        hits.append(scale is None or errors[30] <= scale * novelty[30])
    assert np.mean(hits) > 0.77


def test_it_is_told_for_how_many_frames_a_bound_held():
    assert held([0.1, 0.3, 0.5, 0.2], [1.0, 1.0, None, math.inf], scale=0.2) == (1, 2)
    assert held([], [], scale=0.2) == (0, 0)
    counts = held(list(np.array([0.1, 0.3])), list(np.array([1.0, 1.0])), scale=0.2)
    assert json.dumps(counts) == "[1, 2]", "it goes into files as it is"
