import errno

import pytest

from pfd_worker.out_of_memory import is_out_of_memory, says_gpu_out_of_memory, says_out_of_memory


def test_what_is_raised_from_a_failed_allocation_is_one():
    # as deepmd-kit does, whose own error is no RuntimeError and says "out-of-memory"
    wrapped = Exception("The callable still throws an out-of-memory (OOM) error even when batch size is 1!")
    wrapped.__cause__ = RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")
    assert is_out_of_memory(wrapped)
    wrapped.__cause__ = KeyError("x")
    assert not is_out_of_memory(wrapped)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOENT, "No such file or directory: 'out of memory'"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_failed_allocation_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("RuntimeError: CUDA error: out of memory", True),
        ("RuntimeError: HIP out of memory. Tried to allocate 2.00 GiB", True),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried", False),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_the_memory_of_a_gpu_is_told_from_that_of_the_host(text, expected):
    assert says_gpu_out_of_memory(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torch.OutOfMemoryError: Tried to allocate 2.00 GiB", True),
        ("RuntimeError: CUDA error: out of memory", True),
        ("terminate called after throwing an instance of 'std::bad_alloc'", True),
        ("OSError: [Errno 12] Cannot allocate memory", True),
        ("FloatingPointError: loss is not a number", False),
    ],
)
def test_the_last_words_of_a_program_tell_a_failed_allocation(text, expected):
    assert says_out_of_memory(text) is expected
