"""An untrained student in all its forms: its numbers mean nothing, but they are the same wherever it runs."""

import copy

from ase.build import bulk

from pfd_worker.export.folder import ModelFiles

SECTION = {
    "type_map": ["Ni", "Cu"],
    "descriptor": {
        "type": "se_e2_a", "sel": [50, 50], "rcut": 4.5, "rcut_smth": 0.5, "neuron": [4, 8], "axis_neuron": 4,
        "type_one_side": True, "seed": 1,
    },
    "fitting_net": {"neuron": [8, 8], "seed": 1},
}  # fmt: skip


def make_student(folder):
    """Write checkpoint, frozen and compressed model."""
    import torch
    from deepmd.pt.entrypoints.compress import enable_compression
    from deepmd.pt.entrypoints.main import freeze
    from deepmd.pt.model.model import get_model
    from deepmd.pt.train.wrapper import ModelWrapper

    torch._C._jit_set_texpr_fuser_enabled(False)
    student = get_model(copy.deepcopy(SECTION))
    student.min_nbor_dist = torch.tensor(1.5, dtype=torch.float64)
    files = ModelFiles(folder / "student.pt", folder / "frozen.pth", folder / "compressed.pth")
    torch.save({"model": ModelWrapper(student, model_params=SECTION).state_dict()}, files.checkpoint)
    freeze(model=str(files.checkpoint), output=str(files.frozen))
    enable_compression(str(files.frozen), str(files.compressed))
    return files


def make_alloy():
    """Return 32 atoms of nickel and copper, a little displaced."""
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.symbols[::3] = "Ni"
    atoms.rattle(0.05, seed=1)
    return atoms
