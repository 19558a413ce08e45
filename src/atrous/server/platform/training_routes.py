"""Trainings on a version: start, list, results."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from atrous.datasets.preparation import Preparation, read_preparation
from atrous.domain.errors import BadRequest, Conflict, NotFound
from atrous.domain.model_ids import ModelId
from atrous.server.authentication import needs
from atrous.server.errors import json_response
from atrous.server.platform.access import NamedVersion, OwnedVersion, number_field, read_json
from atrous.server.platform.routing import platform_router
from atrous.server.platform.training_descriptions import describe_results, describe_training
from atrous.server.services import services_of
from atrous.store import Store
from atrous.store.trainings import Training

router = platform_router("trainings")
Write = Depends(needs("write"))
# What clients may ask for, and the architecture that it is.
MODEL_TYPES = {
    "": "deeplabv3plus",
    "deeplabv3plus": "deeplabv3plus",
    "deep-lab-v3-plus": "deeplabv3plus",
    "deeplabv3": "deeplabv3",
}
MAX_EPOCHS = 100_000
PLAIN_FITS = ("Stretch to", "Fit within")
TRAINED = ("queued", "running", "finished")


@router.post(
    "/{workspace:slug}/{project:slug}/{version:number}/train",
    summary="Train on a version",
    dependencies=[Write],
)
async def train(request: Request, owned: NamedVersion) -> Response:
    """Read `modelType` (deeplabv3plus or deeplabv3) and `epochs`, and queue the training.

    `speed` is not looked at. The model serves as `project/version`.
    """
    training = await _start(request, owned)
    return json_response({"status": "training", "trainingId": training.id})


@router.post(
    "/{workspace:slug}/{project:slug}/{version:number}/v2/trainings",
    summary="Train on a version (the same, in the newer form)",
    dependencies=[Write],
)
async def create_training(request: Request, owned: NamedVersion) -> Response:
    """Queue a training."""
    training = await _start(request, owned)
    described = describe_training(owned.project, owned.version, training)
    return json_response({**described, "jobId": training.job_id})


async def _start(request: Request, owned: OwnedVersion) -> Training:
    services, body = services_of(request), await read_json(request)
    model_type, settings = _read_wishes(body)
    _refuse_unready(owned)

    def create() -> Training:
        _refuse_second(services.store, owned)
        return services.store.trainings.create(owned.version, model_type, settings)

    return await services.look_up(create)


def _read_wishes(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The architecture, and the fields of a training's recipe."""
    asked = str(body.get("modelType") or body.get("model_type") or "").lower()
    architecture = MODEL_TYPES.get(asked.removesuffix("-sem"))
    if architecture is None:
        offered = ", ".join(name for name in MODEL_TYPES if name)
        raise BadRequest(f"modelType {asked[:100]!r} is not offered; take one of {offered}")
    for name in ("checkpoint", "trainRecipe"):
        if body.get(name):
            raise BadRequest(f"'{name}' is not offered yet; leave it out")
    settings: dict[str, Any] = {"architecture": architecture}
    if body.get("epochs") is not None:
        settings["epochs"] = max(number_field(body, "epochs", 1, MAX_EPOCHS), 1)
    return architecture, settings


def _refuse_unready(owned: OwnedVersion) -> None:
    if owned.version.state != "ready":
        raise Conflict(
            f"version {owned.version.number} is {owned.version.state}; train it when it is ready"
        )
    steps = read_preparation(owned.version.preprocessing, owned.version.augmentation)
    missing = unreplayed(steps)
    if missing:
        raise BadRequest(
            f"the version's steps {missing} are not repeated for photos that a model is asked "
            "about, so that it would see other pictures than it learnt from; make a version "
            "without them"
        )


def unreplayed(steps: Preparation) -> list[str]:
    """The steps that serving would have to repeat and can't yet."""
    found = {
        "static-crop": steps.static_crop,
        "tile": steps.tiles,
        "grayscale": steps.grayscale,
        "contrast": steps.contrast,
        "resize with edges or crop": steps.resize and steps.resize.fit not in PLAIN_FITS,
    }
    return [name for name, value in found.items() if value]


def _refuse_second(store: Store, owned: OwnedVersion) -> None:
    """One model per version so far: its id has room for one."""
    if any(training.state in TRAINED for training in store.trainings.list(owned.version)):
        raise Conflict(f"version {owned.version.number} has a training already; make a new version")
    model_id = ModelId(owned.project.slug, owned.version.number)
    try:
        store.models.get(model_id)
    except NotFound:
        return
    raise Conflict(f"there is a model {model_id} already, trained without this version")


@router.get("/{workspace:slug}/{project:slug}/{version:number}/v2/trainings", summary="Trainings")
async def list_trainings(request: Request, owned: NamedVersion) -> Response:
    """Answer with the trainings of a version, oldest first."""
    services = services_of(request)
    found = await services.look_up(lambda: services.store.trainings.list(owned.version))
    described = [describe_training(owned.project, owned.version, each) for each in found]
    return json_response({"trainings": described})


@router.get(
    "/{workspace:slug}/{project:slug}/{version:number}/v2/trainings/get",
    summary="One training with its models",
)
async def get_training(
    request: Request,
    owned: NamedVersion,
    trainingId: Annotated[  # as the client spells it
        str | None, Query(max_length=100, description="Not needed where there is only one.")
    ] = None,
) -> Response:
    """Answer with a training and the models that came of it."""
    services = services_of(request)

    def find() -> Training:
        if trainingId:
            return services.store.trainings.get(owned.version, trainingId)
        found = services.store.trainings.list(owned.version)
        if len(found) > 1:
            raise Conflict(f"the version has {len(found)} trainings; give trainingId")
        if not found:
            raise NotFound("the version has no training")
        return found[0]

    return json_response(describe_results(await services.look_up(find)))
