import pytest

from atrous.server.platform.served_models import describe_model, list_served, serving_models


def test_the_first_of_a_version_has_its_number(generate, train, store) -> None:
    generate()
    first, second = train(), train()
    workspace = store.workspaces.default()
    project = store.projects.get(workspace.id, "roads")
    served = serving_models(store, workspace, project)
    assert served[first].id == "roads/1"
    assert served[second].id == "default/roads-1-deeplabv3plus-t2"
    described = describe_model(workspace, served[second], "http://here")
    assert described["endpoint"] == "http://here/default/roads-1-deeplabv3plus-t2"
    assert described["modelType"] == "deeplabv3plus-sem"
    store.trash.put_training(first)
    assert [each.id for each in list_served(store, workspace, project)] == ["roads/1"]


def test_a_model_without_figures(roads, store, package) -> None:
    workspace = store.workspaces.default()
    store.models.publish("roads", package, workspace_id=workspace.id)
    project = store.projects.get(workspace.id, "roads")
    (served,) = list_served(store, workspace, project)
    assert served.miou is None


@pytest.mark.parametrize("metrics", [[1], "good", {"valid": 3}, {"valid": {"miou": "high"}}])
def test_figures_of_a_package_from_elsewhere(roads, store, package, metrics) -> None:
    workspace = store.workspaces.default()
    facts = {"metrics": metrics}
    store.models.publish("roads", package, workspace_id=workspace.id, facts=facts)
    project = store.projects.get(workspace.id, "roads")
    assert [served.miou for served in list_served(store, workspace, project)] == [None]
