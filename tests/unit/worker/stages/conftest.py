from pathlib import Path

import pytest
from tests.unit.worker.tiny_pretrained import make_pretrained


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory) -> Path:
    """A checkpoint with branches Cold and Hot, made once."""
    return make_pretrained(tmp_path_factory.mktemp("pretrained"))
