"""What programs of machine code are written with: 16 numbers side by side, powers of two, Numba.

Only processes that compile import this, see `machine_code.py`: Numba takes time and memory.
"""

from typing import Any, no_type_check

import numpy as np
from llvmlite import binding, ir
from numba import config, njit
from numba.core import cgutils

from atrous.runtime.machine_code import host_features, host_target

# Before anything is compiled.
config.CPU_FEATURES = host_features()  # type: ignore[attr-defined]

LANES = 16  # numbers side by side
LOG2_E = np.float32(1.4426950408889634)
LOWEST = np.float32(-125.0)  # 2 to the power of less is a denormal number, which takes long
ROUNDING = np.float32(3 << 22)  # a float plus this holds its whole part in the lowest bits
ZERO, ONE = np.float32(0), np.float32(1)
# 2^r = 1 + r (P1 + r (P2 + ..)) within 1e-7 for -0.5 <= r <= 0.5
P1, P2, P3, P4, P5 = (
    np.float32(power)
    for power in (0.69314698, 0.240222473, 0.0555073338, 0.0096711994, 0.0013263772)
)

SETTINGS: dict[str, Any] = {
    "error_model": "numpy",  # no errors
    "fastmath": {"contract"},  # a product and a sum in one rounding; nan and inf stay what they are
}
compiled = njit(**SETTINGS)


class Lanes:
    """Arithmetic on `LANES` numbers at once, written down as LLVM's vector instructions."""

    floats = ir.VectorType(ir.FloatType(), LANES)
    whole = ir.VectorType(ir.IntType(32), LANES)

    def __init__(self, builder: ir.IRBuilder) -> None:
        """Write with this builder."""
        self.builder = builder

    def variable(self, value: Any) -> Any:
        """A place for what changes; the compiler makes it a register."""
        return cgutils.alloca_once_value(self.builder, value)  # type: ignore[no-untyped-call]

    def constant(self, value: Any) -> Any:
        """A float in every lane."""
        return ir.Constant(self.floats, [float(value)] * LANES)

    def spread(self, value: Any, kind: ir.VectorType) -> Any:
        """A number that the program has, in every lane."""
        first = self.builder.insert_element(
            ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0)
        )
        return self.builder.shuffle_vector(first, first, ir.Constant(self.whole, [0] * LANES))

    def at(self, address: Any, index: Any, kind: ir.VectorType) -> Any:
        """Where the lanes from an array's place `index` on are."""
        place = self.builder.gep(address, [index])
        return self.builder.bitcast(place, kind.as_pointer())

    def add_product(self, total: Any, one: Any, two: Any) -> Any:
        """Add a product, with one rounding where the processor has that."""
        product = self.builder.fmul(one, two, flags=["contract"])
        return self.builder.fadd(total, product, flags=["contract"])

    def power_of_two(self, x: Any, *, may_be_low: bool) -> Any:
        """`power_of_two`, step by step the same."""
        build, lowest, rounding = self.builder, self.constant(LOWEST), self.constant(ROUNDING)
        if may_be_low:
            x = build.select(build.fcmp_ordered("<", x, lowest), lowest, x)
        shifted = build.fadd(x, rounding)
        rest = build.fsub(x, build.fsub(shifted, rounding))
        power = self.constant(P5)
        for factor in (P4, P3, P2, P1, ONE):
            power = self.add_product(self.constant(factor), power, rest)
        bits = build.bitcast(shifted, self.whole)
        exponent = build.shl(bits, ir.Constant(self.whole, [23] * LANES))
        return build.bitcast(build.add(build.bitcast(power, self.whole), exponent), self.floats)


@compiled
@no_type_check
def power_of_two(x):
    """2 to the power of `x`, or of -125 where it is less; `x` is at most 125."""
    x = LOWEST if x < LOWEST else x
    shifted = x + ROUNDING
    rest = x - (shifted - ROUNDING)
    power = ONE + rest * (P1 + rest * (P2 + rest * (P3 + rest * (P4 + rest * P5))))
    exponent = np.float32(shifted).view(np.int32) << 23
    return np.int32(np.float32(power).view(np.int32) + exponent).view(np.float32)


def machine_code(*functions: Any) -> bytes:
    """An object file for this processor that holds these functions alone.

    They are in Numba's native form: a place for a result and one for an error come first, and are
    not used. The wrappers around them, which need Python and Numba, are dropped.
    """
    module = binding.parse_assembly("")
    for function in functions:
        native = function.native_name.removeprefix("cfunc.")
        one = binding.parse_assembly(function.inspect_llvm())
        for value in [*one.functions, *one.global_variables]:
            if not value.is_declaration and value.name != native:
                value.linkage = "internal"
        one.get_function(native).name = function.__name__
        module.link_in(one)
    target = host_target()
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(
        module, binding.create_pass_builder(target, binding.create_pipeline_tuning_options())
    )
    return bytes(target.emit_object(module))
