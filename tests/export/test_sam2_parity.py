from dataclasses import fields, replace
from typing import Any

import pytest

from atrous.domain.errors import ExportRefused
from atrous.export.sam2_parity import Sam2Parity, insist_on_parity

GOOD = Sam2Parity(
    embedding=1e-5, embedding_relative=1e-6, logits=1e-5, logits_relative=1e-6, predicted_iou=1e-7
)


def test_agreement_passes() -> None:
    insist_on_parity(GOOD)


@pytest.mark.parametrize("name", ["embedding_relative", "logits_relative", "predicted_iou"])
@pytest.mark.parametrize("value", [1e-2, float("nan")])
def test_disagreement_is_refused(name: str, value: float) -> None:
    with pytest.raises(ExportRefused, match="nothing was stored"):
        insist_on_parity(replace(GOOD, **{name: value}))


def test_every_model_says_how_near_it_is(sam2_package: Any) -> None:
    parity = Sam2Parity(**sam2_package.manifest["parity"])
    assert all(0 <= getattr(parity, field.name) < 1e-3 for field in fields(parity))
    assert 0 < parity.logits < 1e-4
