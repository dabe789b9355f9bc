"""The data of a training as deepmd-kit reads them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from pfd_operator.contract.training import Training
from pfd_worker.evaluation.errors import energy_rmse_per_atom, force_rmse, frame_errors, virial_rmse_per_atom
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.training.curve import last_row
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import CURVE_FILE, base_input
from pfd_worker.training.recipe import Purpose
from tests.unit.worker.students import DPA1, SE_A, TYPE_MAP, student_run
from tests.unit.worker.tiny_pretrained import emt_frames, emt_label

pytestmark = pytest.mark.image

DRAWN = 4000
TWO_SIDES = {**SE_A, "descriptor": {**SE_A["descriptor"], "type_one_side": False}}


def loader_of(folder: Path, frames: list[Atoms], batch_size: int):
    """Return deepmd-kit's loader and sampler, as its trainer makes them of our input."""
    from deepmd.pt.utils.dataloader import DpLoaderSet, get_sampler_from_params

    base = base_input(Training(batch_size=batch_size), SE_A)
    DeepmdSession(folder, base, Purpose.SCRATCH, None, frames, seed=1).command(None)
    data = json.loads((folder / "input.json").read_text())["training"]["training_data"]
    loader = DpLoaderSet(data["systems"], data["batch_size"], TYPE_MAP, seed=1)
    return loader, get_sampler_from_params(loader, data)


def test_a_frame_that_shares_no_batch_is_drawn_no_more_often_than_others_weigh(tmp_path):
    frames = emt_frames("Al", 40, 0.1, seed=1) + emt_frames("Cu", 1, 0.1, seed=2, repeat=2)
    loader, sampler = loader_of(tmp_path, frames, batch_size=8)
    drawn: Counter[int] = Counter()
    while drawn.total() < DRAWN:
        drawn.update(loader.systems[number].data_system.natoms for number in sampler)
    # by whole batches it would be 1 of 6
    assert drawn[8] / drawn.total() == pytest.approx(1 / 41, rel=0.3)


def mixed_frames(count: int) -> list[Atoms]:
    """Return frames of one size, with all elements in any number and order."""
    rng = np.random.default_rng(5)
    frames = emt_frames("Cu", count, 0.1, seed=3)
    for atoms in frames:
        others = rng.choice(TYPE_MAP, len(atoms) - len(TYPE_MAP))
        atoms.symbols = rng.permutation([*TYPE_MAP, *others])
    return [emt_label(atoms) for atoms in frames]


def test_a_batch_holds_frames_of_several_compositions(tmp_path):
    frames = mixed_frames(8)
    loader, _ = loader_of(tmp_path, frames, batch_size=8)
    (batch,) = loader.dataloaders[0]
    drawn = [frames[number] for number in batch["fid"]]
    assert len({atoms.get_chemical_formula() for atoms in drawn}) > 2
    assert batch["atype"].tolist() == [[TYPE_MAP.index(symbol) for symbol in atoms.symbols] for atoms in drawn]


@pytest.mark.parametrize("section", [SE_A, TWO_SIDES, DPA1], ids=["se_e2_a", "se_e2_a of two sides", "dpa1"])
def test_errors_on_such_a_batch_are_those_of_the_model(tmp_path, section):
    frames = mixed_frames(12)
    # the step changes nothing, and its batch holds them all
    still = {"learning_rate_start": 1e-12, "learning_rate_stop": 1e-12, "validation_fraction": 0, "batch_size": 2}
    student_run(tmp_path, section, steps=1, **still).run(frames, tmp_path / "model.pt")
    row = last_row(tmp_path / "training" / CURVE_FILE) or {}
    errors = frame_errors(frames, DeepmdModel(tmp_path / "model.pt").predict(frames))
    assert float(row["rmse_f_trn"]) == pytest.approx(force_rmse(errors), rel=0.01)
    assert float(row["rmse_e_trn"]) == pytest.approx(energy_rmse_per_atom(errors), rel=0.01)
    assert float(row["rmse_v_trn"]) == pytest.approx(virial_rmse_per_atom(errors), rel=0.01)
