"""The runner under the names that the train stage of fine-tuning uses."""

from pfd_worker.training.runner import Trained as FineTuned
from pfd_worker.training.runner import TrainingRun as FineTuning

__all__ = ["FineTuned", "FineTuning"]
