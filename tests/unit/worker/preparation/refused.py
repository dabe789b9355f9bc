"""What a user is told."""

import pytest

from pfd_operator.contract.result import ExitCode
from pfd_worker.errors import StageError


def refused(call) -> StageError:
    with pytest.raises(StageError) as caught:
        call()
    assert caught.value.exit_code is ExitCode.USER_ERROR
    return caught.value
