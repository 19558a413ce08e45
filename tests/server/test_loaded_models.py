import shutil
import threading
import time
from pathlib import Path

import pytest

from atrous.domain.errors import BadModelId, NotFound
from atrous.domain.model_ids import ModelId
from atrous.server.recent_reads import FRESH_S


def models(client):
    return client.app.state.services.models


def test_models_are_loaded_once(client) -> None:
    assert models(client).listed() == []
    assert models(client).get("colours/1") is models(client).get("colours/1")
    assert models(client).listed() == ["colours/1"]


def test_a_model_published_anew_is_loaded_anew(client, store, package) -> None:
    old = models(client).get("colours/1")
    store.models.remove(store.models.named("colours/1"))
    time.sleep(FRESH_S)
    with pytest.raises(NotFound):
        models(client).get("colours/1")
    assert models(client).listed() == []
    workspace = store.workspaces.default()
    store.models.publish("colours", package, version=1, workspace_id=workspace.id)
    assert models(client).get("colours/1") is not old


def test_removing_what_is_not_there_is_no_error(client) -> None:
    models(client).remove("colours/1")
    models(client).remove("nothing/7")


@pytest.mark.parametrize(
    "text", ["Team/slug", "a/b", "../etc", "a/01", "default/nothing", "default/colours-2", "a/\0"]
)
def test_two_parts_that_name_nothing_are_not_found(client, text) -> None:
    with pytest.raises(NotFound):
        models(client).get(text)


@pytest.mark.parametrize("text", ["", "a", "a/b/c", "/a/1", "/", "a/"])
def test_other_numbers_of_parts_are_no_ids(client, text) -> None:
    with pytest.raises(BadModelId):
        models(client).get(text)


def test_workspace_and_slug_name_a_model(client, store, package) -> None:
    workspace = store.workspaces.default()
    newest = store.models.publish("colours", package, workspace_id=workspace.id)
    assert str(newest) == "colours/2"
    assert models(client).get("default/colours") is models(client).get("colours/2")
    assert models(client).get("default/colours-1") is models(client).get("colours/1")
    listed = models(client).listed()  # clients look for the id that they sent
    assert listed == ["colours/1", "colours/2", "default/colours", "default/colours-1"]
    models(client).remove("default/colours")
    assert models(client).listed() == ["colours/1", "default/colours-1"]


def test_a_slug_belongs_to_its_workspace(client, store) -> None:
    store.workspaces.create("other")
    with pytest.raises(NotFound):
        models(client).get("other/colours")


def replace(path: Path, data: bytes) -> None:
    """By a file of its own: packages of the same content share theirs."""
    path.unlink()
    path.write_bytes(data)


def corrupt(folder: Path, how: str) -> None:
    weights = folder / "weights.onnx"
    if how == "one byte":
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 0xFF
        replace(weights, bytes(data))
    elif how == "truncated, no manifest":  # as a package that others made
        (folder / "manifest.json").unlink()
        replace(weights, weights.read_bytes()[:50])
    elif how == "missing":
        weights.unlink()
    else:
        replace(folder / "class_names.txt", b"background\n")


@pytest.mark.parametrize("how", ["one byte", "truncated, no manifest", "missing", "names"])
def test_a_corrupt_package_is_one_clear_error(client, key, png, store, package, how) -> None:
    workspace = store.workspaces.default()
    broken = store.models.publish("broken", package, workspace_id=workspace.id)
    corrupt(store.models.folder(broken), how)
    for _ in range(2):
        answer = client.post("/broken/1", params={"api_key": key}, content=png)
        assert answer.status_code == 500
        assert answer.json() == {"message": "Model package is broken."}
        assert "Retry-After" not in answer.headers
        assert client.post("/colours/1", params={"api_key": key}, content=png).status_code == 200
    assert models(client).listed() == ["colours/1"]


def test_models_stay_within_their_memory(start, store, package, monkeypatch) -> None:
    workspace = store.workspaces.default()
    store.models.publish("colours", package, workspace_id=workspace.id)
    for limit, kept in ((19, ["colours/2"]), (20, ["colours/1", "colours/2"])):
        loaded = start(model_memory_bytes=limit).app.state.services.models
        # what is measured depends on what the process has freed before
        monkeypatch.setattr(loaded._pool, "_bytes_of", lambda *_: 10)
        loaded.get("colours/1")
        loaded.get("colours/2")
        assert loaded.listed() == kept


def test_pinned_models_are_loaded_at_the_start_and_stay(start, store, package, key) -> None:
    workspace = store.workspaces.default()
    for _ in range(3):
        store.models.publish("more", package, workspace_id=workspace.id)
    client = start(pinned_models="more/3, default/colours", max_active_models=2)
    while client.get("/readiness").status_code == 503:
        pass
    first = models(client).listed()
    assert {"more/3", "colours/1"} <= set(first)
    pinned = models(client).get("more/3")
    for version in (1, 2):
        models(client).get(f"more/{version}")
    assert {"more/3", "colours/1"} <= set(models(client).listed())
    assert models(client).get("more/3") is pinned
    models(client).remove("more/3")  # by hand they leave, and come back when asked for
    assert "more/3" not in models(client).listed()
    again = models(client).get("more/3")
    models(client).get("more/1")
    assert models(client).get("more/3") is again


def test_a_pinned_model_that_is_not_there_stops_no_start(start, caplog) -> None:
    client = start(pinned_models="nothing/1,colours/1")
    while client.get("/readiness").status_code == 503:
        pass
    assert models(client).listed() == ["colours/1"]
    assert "nothing/1 could not be loaded" in caplog.text


def test_each_network_says_how_it_runs(client, caplog) -> None:
    caplog.set_level("INFO")
    models(client).get("colours/1")
    models(client).get("default/colours")
    listed = models(client).described()
    assert [model.model_id for model in listed] == ["colours/1", "default/colours"]
    for model in listed:
        assert (model.engine, model.device, model.precision) == ("onnxruntime", "cpu", "fp32")
    line = "model colours/1 runs in onnxruntime on cpu, fp32"
    give_up = time.monotonic() + 120
    while line not in caplog.text and time.monotonic() < give_up:
        time.sleep(0.01)  # who waits for a network has it a moment before the log has its line
    assert caplog.text.count(line) == 1


def test_a_model_that_another_machine_published_is_fetched(client, key, png, store) -> None:
    folder = store.models.folder(ModelId.parse("colours/1"))
    shutil.rmtree(folder)  # as on a machine that never had it
    answer = client.post("/colours/1", params={"api_key": key}, content=png)
    assert answer.status_code == 200
    assert folder.is_dir()


def test_an_id_is_listed_after_its_load_also_where_others_list_meanwhile(
    client, monkeypatch
) -> None:
    """`inference-sdk` looks for the very id that it has loaded."""
    pool, release = models(client)._pool, threading.Event()
    open_segmenter = pool._open_segmenter

    def open_later(package):
        assert release.wait(300)
        return open_segmenter(package)

    monkeypatch.setattr(pool, "_open_segmenter", open_later)
    loading = models(client).request("default/colours")
    assert models(client).listed() == []
    release.set()
    loading.result(300)
    assert models(client).listed() == ["colours/1", "default/colours"]


def test_ids_of_models_that_are_gone_are_forgotten(client, store) -> None:
    models(client).get("default/colours")
    store.models.remove(store.models.named("colours/1"))
    assert models(client).listed() == []
    assert models(client)._spellings == {}


def test_what_is_published_while_others_list_stays(client, store, package, monkeypatch) -> None:
    loaded, listed = [], store.models.list

    def list_then_publish():
        found = listed()
        monkeypatch.undo()
        store.models.publish("colours", package, workspace_id=store.workspaces.default().id)
        loaded.append(models(client).get("default/colours-2"))
        return found

    monkeypatch.setattr(store.models, "list", list_then_publish)
    assert models(client).listed() == []
    assert models(client).get("colours/2") is loaded[0]
    assert models(client).listed() == ["colours/2", "default/colours-2"]
