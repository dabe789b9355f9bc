"""What the worker asks torch of the machine, with and without a GPU."""

from types import SimpleNamespace


def torch_with(gpu, version="2.11.0+cu130", built=True, fault=None):
    def init():
        if fault is not None:
            raise RuntimeError(fault)

    cuda = SimpleNamespace(is_available=lambda: gpu is not None, get_device_name=lambda: gpu, init=init)
    backends = SimpleNamespace(cuda=SimpleNamespace(is_built=lambda: built))
    return SimpleNamespace(cuda=cuda, backends=backends, __version__=version)
