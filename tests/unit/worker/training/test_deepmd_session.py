"""The data of a training as deepmd-kit reads them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from ase import Atoms

from pfd_operator.contract.training import Training
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose
from tests.unit.worker.students import SE_A, TYPE_MAP
from tests.unit.worker.tiny_pretrained import emt_frames

pytestmark = pytest.mark.image

DRAWN = 4000


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
