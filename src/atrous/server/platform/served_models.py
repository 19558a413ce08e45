"""The models of a project, each under the id that clients predict with."""

from dataclasses import dataclass
from typing import Any

from atrous.store import Store
from atrous.store.models import Model, first_runs
from atrous.store.projects import Project
from atrous.store.workspaces import Workspace


@dataclass(frozen=True)
class ServedModel:
    """A model and its id: `roads/1` for the first on a version, else `default/roads-1-..-t2`."""

    id: str
    model: Model

    @property
    def miou(self) -> float | None:
        """The best mean IoU on the validation split, 0..1."""
        value = self.model.facts.get("metrics")
        for name in ("valid", "miou"):  # a package from elsewhere may keep anything there
            value = value.get(name) if isinstance(value, dict) else None
        return float(value) if isinstance(value, (int, float)) else None


def serving_models(
    store: Store, workspace: Workspace, project: Project
) -> dict[str | None, ServedModel]:
    """Give the models by their trainings. Reads the store."""
    return {each.model.training_id: each for each in list_served(store, workspace, project)}


def list_served(store: Store, workspace: Workspace, project: Project) -> list[ServedModel]:
    """Give the models by version and run. Reads the store."""
    there = store.models.of_project(workspace.id, project.slug)
    first = first_runs(there)
    return [
        ServedModel(
            str(model.model_id) if model.folder in first else f"{workspace.slug}/{model.slug}",
            model,
        )
        for model in there
    ]


def describe_model(workspace: Workspace, served: ServedModel, origin: str) -> dict[str, Any]:
    """A model as lists show it."""
    facts = served.model.facts
    return {
        "id": served.id,
        "modelId": served.id,
        "url": f"{workspace.slug}/{served.model.slug}",
        "slug": served.model.slug,
        "version": str(served.model.model_id.version),
        "modelType": f"{facts.get('architecture') or 'deeplabv3plus'}-sem",
        "trainingId": served.model.training_id,
        "endpoint": f"{origin}/{served.id}",
        "classes": facts.get("class_names") or [],
        "created": served.model.created_at,
        "metrics": {"mIoU": served.miou},
    }
