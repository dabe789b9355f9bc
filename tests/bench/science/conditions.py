"""What all points that are compared have in common: how models are trained, and what the choice goes by."""

from __future__ import annotations

import hashlib
import json

from pfd_operator.contract.selection import Selection
from pfd_operator.contract.training import Training
from pfd_worker.training import weights
from pfd_worker.training.deepmd_settings import base_input

TRAINING = Training(steps=2000, batch_size=4, learning_rate_start=5e-3)
"""The same for every number of labels: were more labels learned in more steps, the steps would be measured, too."""


def conditions() -> str:
    """Return a digest of the settings: points of other ones are of other curves.

    Of settings alone: who changes what selection or training does with the same ones takes a new file of points.
    """
    told = {
        "training": base_input(TRAINING, {}),
        "weights": [weights.POWER, weights.MEAN_COPIES, weights.LARGEST_WEIGHT],
        "selection": Selection().model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
