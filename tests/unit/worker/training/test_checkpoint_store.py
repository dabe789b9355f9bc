"""Checkpoints that another pod replaces while they are read."""

import pytest

from pfd_operator.contract.result import ExitCode
from pfd_worker.errors import StageError
from pfd_worker.store.checkpoints import clear_checkpoints
from pfd_worker.store.objects import DirectoryStore
from pfd_worker.training.checkpoints import CheckpointStore


class Overtaken(DirectoryStore):
    """Another pod saves a newer checkpoint before each of the first reads."""

    def __init__(self, root, other, times):
        super().__init__(root)
        self.other, self.times, self.step = other, times, 1000

    def download(self, key, path):
        if self.times:
            self.times -= 1
            self.step += 1000
            newer = self.root / "newer.pt"
            newer.write_text(str(self.step))
            self.other.save(newer, self.step)
        super().download(key, path)


@pytest.mark.parametrize(("times", "found"), [(0, 1000), (2, 3000), (99, None)])
def test_a_checkpoint_that_goes_while_it_is_read_is_looked_for_again(tmp_path, times, found):
    other = CheckpointStore(DirectoryStore(tmp_path), "0" * 64)
    first = tmp_path / "first.pt"
    first.write_text("1000")
    other.save(first, 1000)
    mine = CheckpointStore(Overtaken(tmp_path, other, times), "0" * 64)
    if found is None:
        with pytest.raises(StageError) as caught:
            mine.fetch_newest(lambda step: tmp_path / f"mine-{step}.pt")
        assert caught.value.exit_code is ExitCode.TRANSIENT
        return
    path = mine.fetch_newest(lambda step: tmp_path / f"mine-{step}.pt")
    assert path is not None and path.read_text() == str(found)


def test_the_last_checkpoints_of_the_longest_training_are_found_and_dropped_like_others(tmp_path):
    checkpoints = CheckpointStore(DirectoryStore(tmp_path / "store"), "0" * 64)
    steps, path = [999, 99_999_000, 100_000_000], tmp_path / "checkpoint.pt"
    for step in steps:
        path.write_text(str(step))
        checkpoints.save(path, step)
        checkpoints.save_model(path, step)
    newest = checkpoints.fetch_newest(lambda step: tmp_path / f"{step}.pt")
    assert newest is not None and newest.read_text() == "100000000"
    checkpoints.fetch_models(lambda step: tmp_path / f"model-{step}.pt", below=steps[-1] + 1)
    assert all((tmp_path / f"model-{step}.pt").read_text() == str(step) for step in steps)
    clear_checkpoints(DirectoryStore(tmp_path / "store"), "0" * 64)
    assert DirectoryStore(tmp_path / "store").list("stages/") == []
