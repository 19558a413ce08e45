from pathlib import Path

from atrous.server.metrics import Metrics
from atrous.server.sam2_services import open_sam2
from atrous.server.settings import ServerSettings
from atrous.store.home import Home


def test_nothing_is_loaded_and_the_disk_is_used_where_it_may_be(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    opened = open_sam2(ServerSettings(), home, Metrics())
    assert opened.models.described() == []
    assert home.sam2_embeddings.is_dir()
    opened.image_ids.note("me", "cat", "0" * 40)
    opened.clear()
    assert opened.image_ids.get("me", "cat") is None


def test_without_a_disk_nothing_is_written(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    opened = open_sam2(ServerSettings(sam2_embedding_disk_bytes=0), home, Metrics())
    opened.image_ids.note("me", "cat", "0" * 40)
    assert not home.sam2_embeddings.exists()
