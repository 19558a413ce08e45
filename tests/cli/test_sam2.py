import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from atrous.jobs import sam2_add
from atrous.sam2.models import Sam2Package, write_sam2_package


@pytest.fixture
def quick_add(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """Adding without converting (tests/jobs/test_sam2_add.py does); gives what was asked for."""
    asked: list[dict[str, Any]] = []

    def add(models: Path, variant: str, **options: Any) -> Sam2Package:
        asked.append({"variant": variant, **options})
        for done in (0, 4, 5, 50, 100):
            options["progress"](done * 1_000_000, 100_000_000)
        (tmp_path / "network").write_bytes(b"network")
        return write_sam2_package(
            models / f"{variant}-2.1",
            encoder=tmp_path / "network",
            decoder=tmp_path / "network",
            variant=variant,
            version="2.1",
            facts={
                "parity": {"logits": 2e-5},
                "checkpoint": {"official": False},
                "layout": "transformers" if variant == "hiera_small" else "meta",
            },
        )

    monkeypatch.setattr(sam2_add, "add_sam2", add)
    return asked


def test_a_model_is_added_listed_and_removed(atrous, home, quick_add) -> None:
    code, told, _ = atrous("sam2", "add", "hiera_tiny", "--checkpoint", "w.pt", "--source", "meta")
    assert code == 0
    assert "hiera_tiny-2.1: converted, logits within 2.0e-05 of torch's" in told
    assert "not the weights that Meta published" in told
    assert "fetched 50 of 100 MB\nfetched 100 of 100 MB" in told
    assert told.splitlines()[-1] == str(home / "sam2" / "hiera_tiny-2.1")
    assert quick_add[0]["checkpoint"] == Path("w.pt")
    assert quick_add[0]["source"] == "meta"

    [model] = json.loads(atrous("sam2", "list", "--json")[1])
    assert (model["name"], model["version"], model["official"]) == ("hiera_tiny-2.1", "2.1", False)
    assert "hiera_tiny-2.1" in atrous("sam2", "list")[1]

    assert atrous("sam2", "remove", "hiera_tiny-2.1") == (0, "removed hiera_tiny-2.1\n", "")
    assert json.loads(atrous("sam2", "list", "--json")[1]) == []
    code, _, error = atrous("sam2", "remove", "hiera_tiny-2.1")
    assert code == 1
    assert "atrous sam2 list" in error


def test_a_damaged_model_hides_no_other(atrous, home, quick_add) -> None:
    for variant in ("hiera_tiny", "hiera_small"):
        atrous("sam2", "add", variant)
    (home / "sam2" / "hiera_tiny-2.1" / "manifest.json").write_text("{")
    code, told, error = atrous("sam2", "list")
    assert code == 0
    assert "hiera_small-2.1" in told
    assert "hiera_tiny" not in told
    assert "hiera_tiny-2.1 has no readable manifest.json" in error
    [model] = json.loads(atrous("sam2", "list", "--json")[1])
    assert model["name"] == "hiera_small-2.1"


def test_the_hubs_own_format_is_not_called_foreign(atrous, home, quick_add) -> None:
    told = atrous("sam2", "add", "hiera_small", "--checkpoint", "model.safetensors")[1]
    assert "whether these are the weights that Meta published is not known" in told


def test_without_the_extra_it_is_named(atrous, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name)
    )
    code, _, error = atrous("sam2", "add", "hiera_tiny")
    assert code == 1
    assert "needs transformers: pip install 'atrous[sam2]'" in error


def test_unknown_size_is_refused(atrous) -> None:
    code, _, error = atrous("sam2", "add", "hiera_huge")
    assert code == 1
    assert "hiera_tiny, hiera_small, hiera_b_plus, hiera_large" in error
