import numpy as np
import pytest
from ase import Atoms

from pfd_worker.frames import labelled
from pfd_worker.models.base import Prediction
from pfd_worker.rounds.prequential import prequential_errors


class Still:
    """A model that knows of no force."""

    def predict(self, frames):
        return [Prediction(0.0, np.zeros((1, 3)), np.zeros((3, 3))) for _ in frames]


def chosen(sampling, force):
    atoms = labelled(Atoms("H", cell=np.eye(3), pbc=True), 0.0, np.full((1, 3), force), None)
    atoms.info |= {"sampling": sampling, "stratum": "h/300K", "trajectory": "t"}
    return atoms


@pytest.mark.parametrize(
    ("samplings", "errors", "farthest"),
    [
        (["representative", "farthest", "brink", "heating"], 1, 2),
        (["farthest", "brink", "heating"], 1, 0),
        (["low-energy", "close-contact"], 1, 0),
        (["brink", "heating", "heating"], 0, 0),
    ],
)
def test_no_error_is_measured_on_md_that_explodes(samplings, errors, farthest):
    found = prequential_errors(Still(), [chosen(sampling, 1.0) for sampling in samplings])
    assert (len(found.errors), len(found.farthest)) == (errors, farthest)
