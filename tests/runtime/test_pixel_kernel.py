"""The machine code stands alone.

What it writes is compared with PyTorch in test_pixel_classes.py.
"""

from collections.abc import Callable

import numpy as np

PROGRAM = """
from atrous.runtime.pixel_kernel import write_pixels
from atrous.runtime.vector_code import machine_code

found["code"] = np.frombuffer(machine_code(write_pixels), np.uint8)
"""


def test_nothing_of_python_is_called(run_program: Callable[..., dict[str, np.ndarray]]) -> None:
    code = run_program(PROGRAM)["code"].tobytes()
    assert b"write_pixels" in code
    assert [name for name in (b"Py", b"NRT_", b"numba") if name in code] == []
