"""What models reach: figures in pixels, measured by a job after every training."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from atrous.domain.errors import NotFound
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform import evaluation_descriptions as described
from atrous.server.platform import evaluation_schemas as schemas
from atrous.server.platform.access import (
    IdPath,
    NamedWorkspace,
    number_field,
    read_json,
    text_field,
)
from atrous.server.platform.answer_schemas import answered_by
from atrous.server.platform.body_schemas import EvaluationBody
from atrous.server.platform.routing import platform_router
from atrous.server.services import Services, services_of
from atrous.store.evaluations import Evaluation
from atrous.store.workspaces import Workspace

router = platform_router("evaluations")
PREFIX = "/{workspace:slug}/model-evals"
MAX_LISTED = 200
MAX_PAGE = 1000
SPLITS = ("train", "valid", "test")
SplitQuery = Annotated[str | None, Query(max_length=100)]
ConfidenceQuery = Annotated[str | None, Query(max_length=20)]


class Refused(Exception):
    """An answer in the flat shape that clients of evaluations read."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Keep the answer."""
        super().__init__(message)
        self.answer = json_response({"error": code, "message": message}, status)


@router.get(PREFIX, summary="Evaluations", responses=answered_by(schemas.Evaluations))
async def list_evaluations(
    request: Request,
    workspace: NamedWorkspace,
    project: Annotated[str | None, Query(max_length=200)] = None,
    version: Annotated[int | None, Query(ge=1, lt=10**9)] = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    status: Annotated[str | None, Query(max_length=20)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 50,
) -> Response:
    """Answer with the evaluations of a workspace, newest first, narrowed by the query."""
    services = services_of(request)

    def read() -> list[dict[str, Any]]:
        found = services.store.evaluations.list(
            workspace.id,
            project=project and project.rpartition("/")[2],
            version=version,
            limit=limit if model is None and status is None else None,
        )
        all_of_them = [described.describe_evaluation(workspace, each) for each in found]
        return [
            each
            for each in all_of_them
            if model in (None, each["modelId"], each["slug"]) and status in (None, each["status"])
        ]

    return json_response({"evals": (await services.look_up(read))[:limit]})


@router.post(
    PREFIX,
    summary="Evaluate a model again",
    dependencies=[Depends(needs("write"))],
    openapi_extra=json_body(EvaluationBody),
    responses=answered_by(schemas.Evaluation),
)
async def create_evaluation(request: Request, workspace: NamedWorkspace) -> Response:
    """Read `project`, `version` and, where the version has several, `trainingId`; queue it."""
    services, body = services_of(request), await read_json(request)
    slug, number = text_field(body, "project"), number_field(body, "version", 1, 10**9 - 1)
    wanted = text_field(body, "trainingId", "")

    def create() -> dict[str, Any]:
        store = services.store
        project = store.projects.get(workspace.id, slug.rpartition("/")[2])
        version = store.versions.get(project, number)
        trainings = [
            training
            for training in store.trainings.list(version)
            if wanted in ("", training.id) and store.models.of_training(training.id)
        ]
        if not trainings:
            raise NotFound("the version has no such training with a model")
        evaluation = store.evaluations.create(trainings[0])
        return described.describe_evaluation(workspace, evaluation)

    return json_response(await services.look_up(create))


@router.get(
    PREFIX + "/compare",
    summary="Compare the models of a version",
    responses=answered_by(schemas.Comparison),
)
async def compare(
    request: Request,
    workspace: NamedWorkspace,
    project: Annotated[str, Query(max_length=200)],
    version: Annotated[int, Query(ge=1, lt=10**9)],
    frontierMetric: Annotated[  # as the client spells it
        str | None, Query(max_length=20, description="mIoU, precision, recall or f1.")
    ] = None,
) -> Response:
    """Answer with the newest figures of each model of a version. Latency is not measured."""
    services = services_of(request)
    slug = project.rpartition("/")[2]

    def read() -> list[Evaluation]:
        services.store.projects.get(workspace.id, slug)
        return services.store.evaluations.list(workspace.id, project=slug, version=version)

    found = await services.look_up(read)
    return json_response(described.comparison(workspace, found, frontierMetric or "mIoU"))


@router.get(
    PREFIX + "/{evaluation}",
    summary="One evaluation",
    responses={**answered_by(schemas.Evaluation), **schemas.REFUSED_FLATLY},
)
async def get_evaluation(
    request: Request, workspace: NamedWorkspace, evaluation: IdPath
) -> Response:
    """Answer with an evaluation, and its `summary` once it is done."""
    try:
        found = await _find(services_of(request), workspace, evaluation)
    except Refused as refused:
        return refused.answer
    return json_response(described.describe_evaluation(workspace, found))


@router.get(
    PREFIX + "/{evaluation}/{panel}",
    summary="One panel of an evaluation",
    responses={
        **answered_by(schemas.Panel, description="The panel that was asked for."),
        **schemas.REFUSED_FLATLY,
    },
)
async def get_panel(
    request: Request,
    workspace: NamedWorkspace,
    evaluation: IdPath,
    panel: IdPath,
    split: SplitQuery = None,
    confidence: ConfidenceQuery = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 200,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Answer with `map-results`, `confidence-sweep`, `performance-by-class`, `confusion-matrix`,
    `image-predictions`, `recommendations` or `vector-analysis`.
    """
    try:
        found = await _find(services_of(request), workspace, evaluation)
        if panel not in described.PANELS:
            offered = ", ".join(described.PANELS)
            raise Refused(404, "panel_not_found", f"there is no panel {panel!r}; ask {offered}")
        if found.state != "finished":
            state = described.STATUSES[found.state]
            raise Refused(409, "model_eval_not_done", f"the evaluation is {state}")
        wish = described.Wish(
            _checked_split(found, panel, split), _checked_confidence(confidence), limit, offset
        )
    except Refused as refused:
        return refused.answer
    return json_response(described.PANELS[panel](found, wish))


async def _find(services: Services, workspace: Workspace, evaluation_id: str) -> Evaluation:
    try:
        return await services.look_up(
            lambda: services.store.evaluations.get(workspace.id, evaluation_id)
        )
    except NotFound as error:
        raise Refused(404, "model_eval_not_found", str(error)) from None


def _checked_split(evaluation: Evaluation, panel: str, asked: str | None) -> str:
    """The split that is asked for; without one `test`, or else what there is."""
    measured = evaluation.result["splits"]
    if asked is None:
        return next(name for name in ("test", "valid", "train") if name in measured)
    if asked == "all" and panel in described.PANELS_OF_ALL:
        return asked
    if asked not in measured:
        offered = ", ".join(name for name in SPLITS if name in measured)
        raise Refused(400, "invalid_split", f"split {asked!r} was not measured; take {offered}")
    return asked


def _checked_confidence(asked: str | None) -> int | None:
    if asked is None:
        return None
    if not asked.isdecimal() or int(asked) > 100:
        message = f"confidence {asked!r} is not a whole number from 0 to 100"
        raise Refused(400, "invalid_confidence", message)
    return int(asked)
