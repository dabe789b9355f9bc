"""What a fine-tuning round looks at before it trains: of thousands of given frames a sample, of each source its own."""

import dataclasses

import numpy as np
from ase import Atoms

from pfd_worker.evaluation.sample import MOST_FRAMES
from pfd_worker.evaluation.sources import COMPUTED, by_source
from pfd_worker.frames import energy_of, labelled
from pfd_worker.models.base import Prediction
from pfd_worker.rounds.fine_tune import FineTuneRound
from tests.unit.worker.rounds.prepared import FAMILY, prepared, round_of
from tests.unit.worker.stages.loop import TRAIN, Loop


def frames(count: int, stratum: str, trajectory: str) -> list[Atoms]:
    made = []
    for number in range(count):
        atoms = Atoms("NaCl" if number % 2 else "Na2", [[0, 0, 0], [0, 0, 2.5]])
        atoms.info = {"stratum": stratum, "trajectory": trajectory, "number": number}
        made.append(
            labelled(atoms, -10.0 * (atoms.numbers == 11).sum() - 3.0 * (atoms.numbers == 17).sum(), np.ones((2, 3)))
        )
    return made


def test_thousands_of_frames_are_not_predicted_every_round(tmp_path):
    dataset = frames(1200, "data", "spec.data[0]") + frames(40, "salt/300K", "i001")
    shown: list[int] = []

    class Model:
        def predict(self, asked):
            shown.append(len(asked))
            self.sources = {source: len(rows) for source, rows in by_source(asked).items()}
            return [
                Prediction(energy_of(atoms) - 2.0 * len(atoms), np.ones((2, 3)), np.zeros((3, 3))) for atoms in asked
            ]

    model, loop = Model(), Loop(tmp_path)
    before = {"checkpoints": "none", "baseline": {"force": [1.0]}}
    inputs = {"prepare": prepared(loop), "train": loop.committed(TRAIN, 0, {}, before)}
    round_ = round_of(loop, 1, inputs, FineTuneRound, dataclasses.replace(FAMILY, open=lambda source: model))
    round_.begin(dataset, [])
    assert shown == [MOST_FRAMES + 40]
    assert model.sources == {"spec.data[0]": MOST_FRAMES, COMPUTED: 40}
    np.testing.assert_allclose(list(round_.measures.reports["energyShiftsEv"].values()), 2.0)
