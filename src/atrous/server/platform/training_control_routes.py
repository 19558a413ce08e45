"""Ending trainings: stop with what is there, cancel, or put into the trash."""

from collections.abc import Callable
from typing import Any

from fastapi import Depends, Request, Response

from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import (
    IdPath,
    NamedVersion,
    OwnedVersion,
    read_json,
    text_field,
)
from atrous.server.platform.answer_schemas import Succeeded, answered_by
from atrous.server.platform.body_schemas import EndingBody
from atrous.server.platform.routing import platform_router
from atrous.server.platform.served_models import list_served
from atrous.server.platform.training_routes import VERSION, sole_training
from atrous.server.platform.training_schemas import TrainingPutAway
from atrous.server.services import services_of
from atrous.store import Store
from atrous.store.trainings import Training

router = platform_router("trainings")
Write = Depends(needs("write"))
ENDING: dict[str, Any] = {
    "dependencies": [Write],
    "openapi_extra": json_body(EndingBody, required=False),
    "responses": answered_by(Succeeded),
}


@router.post(VERSION + "/train/stop", summary="Stop a training", **ENDING)
@router.post(VERSION + "/v2/trainings/stop", summary="Stop a training", **ENDING)
async def stop(request: Request, owned: NamedVersion) -> Response:
    """End a training early: the best epoch so far, or the first one when it is done, is published.

    Reads `trainingId`, not needed where one alone runs.
    """
    return await _end(request, owned, services_of(request).store.trainings.ask_to_stop)


@router.post(VERSION + "/train/cancel", summary="Cancel a training", **ENDING)
@router.post(VERSION + "/v2/trainings/cancel", summary="Cancel a training", **ENDING)
async def cancel(request: Request, owned: NamedVersion) -> Response:
    """End a training without a model. Reads `trainingId`, not needed where one alone runs."""
    return await _end(request, owned, services_of(request).store.trainings.cancel)


async def _end(request: Request, owned: OwnedVersion, end: Callable[[Training], None]) -> Response:
    services, body = services_of(request), await read_json(request)
    wanted = text_field(body, "trainingId", "") or None
    await services.look_up(lambda: end(sole_training(services.store, owned, wanted, running=True)))
    return json_response({"success": True})


@router.delete(
    VERSION + "/v2/trainings/{training}",
    summary="Put a training into the trash",
    dependencies=[Write],
    responses=answered_by(TrainingPutAway),
)
async def delete_training(request: Request, owned: NamedVersion, training: IdPath) -> Response:
    """Take a training that is over out of sight, with its model; `project/version` then means the
    model of the next one, if there is one.
    """
    services = services_of(request)

    def put() -> dict[str, Any]:
        store = services.store
        found = store.trainings.get(owned.version, training)
        before = _serving(store, owned)
        store.trash.put_training(found.id)
        after = _serving(store, owned)
        action = "unchanged" if before == after else "repointed" if after else "deleted"
        return {"trainingId": found.id, "versionAliasAction": action, "versionAliasModel": after}

    described = await services.look_up(put)
    return json_response({"deleted": True, "type": "training", "trash": True, **described})


def _serving(store: Store, owned: OwnedVersion) -> str | None:
    """The slug of the model that `project/version` means."""
    model_id = f"{owned.project.slug}/{owned.version.number}"
    served = list_served(store, owned.workspace, owned.project)
    return next((each.model.slug for each in served if each.id == model_id), None)
