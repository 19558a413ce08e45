import pytest
import torch
import torch.nn.functional as F

from atrous.deeplab.enlargement import enlarge_at, enlarging_matrix
from atrous.domain.geometry import Size

SIZES = [((23, 31), (360, 481)), ((5, 7), (20, 28)), ((1, 1), (4, 6)), ((9, 9), (9, 9))]
PIXELS = [
    (slice(None), slice(None)),
    (slice(0, None, 2), slice(1, None, 2)),
    (slice(2, None, 3), slice(0, None, 3)),
]


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize(("short", "long"), SIZES)
def test_same_as_interpolate(
    short: tuple[int, int], long: tuple[int, int], pixels: tuple[slice, slice]
) -> None:
    """Values and gradients are those of torch's own bilinear enlargement at these pixels."""
    torch.manual_seed(0)
    logits = torch.randn(2, 3, *short, requires_grad=True)
    whole = F.interpolate(logits, size=long, mode="bilinear", align_corners=False)
    expected = whole[:, :, pixels[0], pixels[1]]
    enlarged = enlarge_at(logits, Size(*long), pixels)
    torch.testing.assert_close(enlarged, expected, rtol=0, atol=5e-5)
    weights = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad((enlarged * weights).sum(), logits)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), logits)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-3)


def test_float32_also_under_autocast() -> None:
    logits = torch.randn(1, 2, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        enlarged = enlarge_at(logits.bfloat16(), Size(8, 8), PIXELS[0])
    assert enlarged.dtype == torch.float32
    exact = F.interpolate(logits.bfloat16().float(), size=(8, 8), mode="bilinear")
    torch.testing.assert_close(enlarged, exact, rtol=0, atol=1e-6)


def test_rows_of_the_matrix_sum_to_one() -> None:
    for short, length in ((3, 10), (46, 361), (1, 5)):
        assert torch.allclose(enlarging_matrix(short, length).sum(1), torch.ones(length))
