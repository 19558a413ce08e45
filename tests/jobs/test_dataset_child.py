import os
import sys
from types import ModuleType

import pytest

from atrous.jobs import dataset_child, settling
from atrous.jobs.worker import DATASET_KINDS
from atrous.store.opening import Store


@pytest.fixture(autouse=True)
def same_process(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling.os, "nice", lambda _: 0)
    monkeypatch.setenv("ATROUS_HOME", str(store.home.folder))


def test_a_version_is_made_and_exported(store: Store, dataset_project: ModuleType) -> None:
    project = dataset_project.fill_project(store)
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    job = store.jobs.claim("w")
    assert job is not None
    assert dataset_child.main(job.id, "w", os.getppid()) == 0
    assert store.jobs.get(job.id).result == {"images": 6}
    store.exports.request(version, "coco")
    job = store.jobs.claim("w")
    assert job is not None
    assert dataset_child.main(job.id, "w", os.getppid()) == 0
    assert store.jobs.get(job.id).state == "finished"
    assert store.exports.ready_formats([version]) == {version.id: ["coco"]}


def test_every_kind_has_its_work() -> None:
    assert set(dataset_child.RUNS) == set(DATASET_KINDS)


def test_it_starts_without_torch() -> None:
    import subprocess

    code = "import sys, atrous.jobs.dataset_child; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
