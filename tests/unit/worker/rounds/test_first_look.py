"""What a fine-tuning round looks at before it trains: of thousands of given frames a sample, of each source its own."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
from ase import Atoms

from pfd_worker.evaluation.sample import MOST_FRAMES
from pfd_worker.evaluation.sources import COMPUTED, by_source
from pfd_worker.frames import energy_of, labelled
from pfd_worker.models.base import Prediction
from pfd_worker.rounds.fine_tune import FineTuneRound


def frames(count: int, stratum: str, trajectory: str) -> list[Atoms]:
    made = []
    for number in range(count):
        atoms = Atoms("NaCl" if number % 2 else "Na2", [[0, 0, 0], [0, 0, 2.5]])
        atoms.info = {"stratum": stratum, "trajectory": trajectory, "number": number}
        made.append(
            labelled(atoms, -10.0 * (atoms.numbers == 11).sum() - 3.0 * (atoms.numbers == 17).sum(), np.ones((2, 3)))
        )
    return made


def test_thousands_of_frames_are_not_predicted_every_round():
    dataset = frames(1200, "data", "spec.data[0]") + frames(40, "salt/300K", "i001")
    shown: list[int] = []

    class Model:
        def predict(self, asked):
            shown.append(len(asked))
            self.sources = {source: len(rows) for source, rows in by_source(asked).items()}
            return [
                Prediction(energy_of(atoms) - 2.0 * len(atoms), np.ones((2, 3)), np.zeros((3, 3))) for atoms in asked
            ]

    model, shift = Model(), Mock()
    family = SimpleNamespace(model_file="model.pt", open=lambda source: model, kind=SimpleNamespace(suffix=".pt"))
    family.shift_energy = shift
    round_ = SimpleNamespace(
        context=SimpleNamespace(spec=SimpleNamespace(seed=7), fetch=Mock()),
        prepare=None, family=family, folder=Mock(__truediv__=Mock()), previous=object(),
        measures=SimpleNamespace(reports={}),
    )  # fmt: skip
    round_._sample = lambda given: FineTuneRound._sample(round_, given)
    FineTuneRound.begin(round_, dataset, [])
    assert shown == [MOST_FRAMES + 40]
    assert model.sources == {"spec.data[0]": MOST_FRAMES, COMPUTED: 40}
    np.testing.assert_allclose(list(round_.measures.reports["energyShiftsEv"].values()), 2.0)
