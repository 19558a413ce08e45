import pytest

from atrous.domain.errors import BadModelId, NotFound
from atrous.server.loaded_models import parse_model_id


def models(client):
    return client.app.state.services.models


def test_models_are_loaded_once(client) -> None:
    assert models(client).listed() == []
    assert models(client).get("colours/1") is models(client).get("colours/1")
    assert [str(model_id) for model_id in models(client).listed()] == ["colours/1"]


def test_a_model_published_anew_is_loaded_anew(client, store, package) -> None:
    old = models(client).get("colours/1")
    store.models.remove(parse_model_id("colours/1"))
    with pytest.raises(NotFound):
        models(client).get("colours/1")
    assert models(client).listed() == []
    workspace = store.workspaces.default()
    store.models.publish("colours", package, version=1, workspace_id=workspace.id)
    assert models(client).get("colours/1") is not old


def test_removing_what_is_not_there_is_no_error(client) -> None:
    models(client).remove("colours/1")
    models(client).remove("nothing/7")


@pytest.mark.parametrize("text", ["Team/slug", "a/b", "../etc", "a/01"])
def test_two_parts_that_name_nothing_are_not_found(text) -> None:
    with pytest.raises(NotFound):
        parse_model_id(text)


@pytest.mark.parametrize("text", ["", "a", "a/b/c", "/a/1"])
def test_other_numbers_of_parts_are_no_ids(text) -> None:
    with pytest.raises(BadModelId):
        parse_model_id(text)
