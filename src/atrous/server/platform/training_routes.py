"""Trainings on a version: start, list, results."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from atrous.domain.errors import BadRequest, Conflict, NotFound
from atrous.domain.model_ids import ModelId
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import (
    NamedProject,
    NamedVersion,
    OwnedVersion,
    number_field,
    read_json,
)
from atrous.server.platform.answer_schemas import JobStarted, TrainingStarted, answered_by
from atrous.server.platform.body_schemas import JobBody, TrainingBody
from atrous.server.platform.routing import platform_router
from atrous.server.platform.served_models import serving_models
from atrous.server.platform.training_descriptions import describe_results, describe_training
from atrous.server.platform.training_recipes import (
    describe_recipe,
    read_architecture,
    read_wishes,
)
from atrous.server.platform.training_schemas import (
    QueuedTraining,
    RecipeAnswer,
    TrainingResults,
    Trainings,
)
from atrous.server.services import Services, services_of
from atrous.store import Store
from atrous.store.trainings import Training

router = platform_router("trainings")
Write = Depends(needs("write"))
MAX_VERSION = 10**9 - 1
VERSION = "/{workspace:slug}/{project:slug}/{version:number}"
TrainingId = Annotated[  # as the client spells it
    str | None, Query(max_length=100, description="Not needed where there is only one.")
]


@router.post(
    VERSION + "/train",
    summary="Train on a version",
    dependencies=[Write],
    openapi_extra=json_body(TrainingBody, required=False),
    responses=answered_by(TrainingStarted),
)
async def train(request: Request, owned: NamedVersion) -> Response:
    """Read `modelType` (deeplabv3plus or deeplabv3), `epochs` and `checkpoint` (a model to start
    from), and queue the training. `speed` is not looked at.
    """
    training = await _start(services_of(request), owned, await read_json(request))
    return json_response({"status": "training", "trainingId": training.id})


@router.post(
    VERSION + "/v2/trainings",
    summary="Train on a version (the same, in the newer form)",
    dependencies=[Write],
    openapi_extra=json_body(TrainingBody, required=False),
    responses=answered_by(QueuedTraining),
)
async def create_training(request: Request, owned: NamedVersion) -> Response:
    """Queue a training; besides, `trainRecipe` may set hyperparameters."""
    training = await _start(services_of(request), owned, await read_json(request))
    described = describe_training(owned.version, training, None)
    return json_response({**described, "jobId": training.job_id})


@router.post(
    "/{workspace:slug}/{project:slug}/jobs",
    summary="Train on a version (the same, with the version in the body)",
    dependencies=[Write],
    openapi_extra=json_body(JobBody),
    responses=answered_by(JobStarted),
)
async def create_job(request: Request, owned: NamedProject) -> Response:
    """Read `version` and what the routes above read, and queue the training."""
    services, body = services_of(request), await read_json(request)
    number = body.get("version")
    if isinstance(number, str) and number.isdecimal() and len(number) <= len(str(MAX_VERSION)):
        body = {**body, "version": int(number)}
    if body.get("version") is None:
        raise BadRequest("'version' is missing; send the number of a version")
    asked = number_field(body, "version", 1, MAX_VERSION)
    version = await services.look_up(lambda: services.store.versions.get(owned.project, asked))
    training = await _start(services, OwnedVersion(owned.workspace, owned.project, version), body)
    return json_response({"id": training.job_id, "status": "training", "trainingId": training.id})


async def _start(services: Services, owned: OwnedVersion, body: dict[str, Any]) -> Training:
    model_type, settings = read_wishes(body)
    _refuse_unready(owned)

    def create() -> Training:
        _refuse_foreign_model(services.store, owned)
        if "checkpoint" in settings:
            services.store.models.find(owned.workspace.id, settings["checkpoint"])
        return services.store.trainings.create(owned.version, model_type, settings)

    return await services.look_up(create)


def _refuse_unready(owned: OwnedVersion) -> None:
    if owned.version.state != "ready":
        raise Conflict(
            f"version {owned.version.number} is {owned.version.state}; train it when it is ready"
        )


def _refuse_foreign_model(store: Store, owned: OwnedVersion) -> None:
    """The id `project/version` must mean a model of this version, and no other one."""
    model_id = ModelId(owned.project.slug, owned.version.number)
    try:
        model = store.models.get(model_id)
    except NotFound:
        return
    if model.training_id is None:
        raise Conflict(f"there is a model {model_id} already, trained without this version")


@router.get(VERSION + "/v2/trainings", summary="Trainings", responses=answered_by(Trainings))
async def list_trainings(request: Request, owned: NamedVersion) -> Response:
    """Answer with the trainings of a version, oldest first."""
    services = services_of(request)

    def read() -> list[dict[str, Any]]:
        models = serving_models(services.store, owned.workspace, owned.project)
        return [
            describe_training(owned.version, training, models.get(training.id))
            for training in services.store.trainings.list(owned.version)
        ]

    return json_response({"trainings": await services.look_up(read)})


@router.get(
    VERSION + "/v2/trainings/get",
    summary="One training with its models",
    responses=answered_by(TrainingResults),
)
async def get_training(
    request: Request, owned: NamedVersion, trainingId: TrainingId = None
) -> Response:
    """Answer with a training and the models that came of it."""
    services = services_of(request)

    def read() -> dict[str, Any]:
        training = sole_training(services.store, owned, trainingId)
        models = serving_models(services.store, owned.workspace, owned.project)
        return describe_results(training, models.get(training.id))

    return json_response(await services.look_up(read))


@router.get(
    VERSION + "/training/results",
    summary="The newest training with its models",
    responses=answered_by(TrainingResults),
)
async def get_newest_results(request: Request, owned: NamedVersion) -> Response:
    """Answer with the newest training, its epochs, and the models that came of it."""
    services = services_of(request)

    def read() -> dict[str, Any]:
        found = services.store.trainings.list(owned.version)
        if not found:
            raise NotFound("the version has no training")
        models = serving_models(services.store, owned.workspace, owned.project)
        return describe_results(found[-1], models.get(found[-1].id))

    return json_response(await services.look_up(read))


@router.get(
    VERSION + "/v2/trainings/recipe",
    summary="What a training can be told",
    responses=answered_by(RecipeAnswer),
)
async def get_recipe(
    owned: NamedVersion,
    modelType: Annotated[str, Query(max_length=100)] = "",  # as the client spells it
) -> Response:
    """Answer with the hyperparameters, their bounds, and a template to change and send."""
    return json_response(describe_recipe(read_architecture(modelType)))


def sole_training(
    store: Store, owned: OwnedVersion, training_id: str | None, *, running: bool = False
) -> Training:
    """The training that is asked for, or the only one; of several running ones none is guessed.

    running: whether without an id the only one that is not over is meant.
    """
    if training_id:
        return store.trainings.get(owned.version, training_id)
    found = store.trainings.list(owned.version)
    if running and len(found) > 1:
        found = [each for each in found if each.state in ("queued", "running")] or found
    if len(found) > 1:
        raise Conflict(f"the version has {len(found)} trainings; give trainingId")
    if not found:
        raise NotFound("the version has no training")
    return found[0]
