from pathlib import Path
from typing import Any

import pytest

from atrous.domain.errors import BadInput, ExportRefused
from atrous.export import sam2_package as conversion
from atrous.export.sam2_package import FOR_MANY, convert_sam2
from atrous.export.sam2_parity import Sam2Parity


def test_another_version_is_refused(sam2_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is a checkpoint of SAM 2\.1, expected 2\.0"):
        convert_sam2(sam2_checkpoint, "hiera_tiny", tmp_path, "2.0")
    assert not list(tmp_path.iterdir())


def test_networks_that_differ_are_refused(
    sam2_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the figures is made up: the files are not looked at."""
    far = Sam2Parity(1.0, 0.1, 1.0, 0.1, 0.1)
    monkeypatch.setattr(conversion, "export_encoder", lambda network, path: path.touch())
    monkeypatch.setattr(conversion, "export_decoder", lambda network, path: path.touch())
    monkeypatch.setattr(conversion, "export_photo_terms", lambda network, path: path.touch())
    monkeypatch.setattr(conversion, "export_prompt_tokens", lambda network, paths: None)
    monkeypatch.setattr(conversion, "measure_sam2_parity", lambda *paths: far)
    with pytest.raises(ExportRefused, match=r"embedding=1\.0"):
        convert_sam2(sam2_checkpoint, "hiera_tiny", tmp_path, None)


def test_facts_say_where_it_came_from(sam2_package: Any) -> None:
    assert sam2_package.version == "2.1"
    assert sam2_package.manifest["layout"] == "meta"
    assert sam2_package.encoder.stat().st_size > 100e6
    assert sam2_package.decoder.stat().st_size > 15e6
    assert [path.name for path in sam2_package.for_many] == list(FOR_MANY)
