"""Student's distribution against that of SciPy, which the operator does not have."""

from __future__ import annotations

import pytest
from scipy.special import stdtrit

from pfd_operator.contract.student_t import student_t


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 16, 1000])
@pytest.mark.parametrize("probability", [0.5, 0.7, 0.95, 0.975, 0.999])
def test_quantiles_are_exact(probability: float, degrees: int) -> None:
    assert student_t(probability, degrees) == pytest.approx(float(stdtrit(degrees, probability)), rel=1e-9, abs=1e-9)
