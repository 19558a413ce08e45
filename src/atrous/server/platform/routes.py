"""All routes of the platform, in the order in which paths are compared with them."""

from fastapi import FastAPI

from atrous.server.platform import (
    annotation_routes,
    evaluation_routes,
    file_routes,
    health_routes,
    image_routes,
    login_routes,
    model_routes,
    model_upload_routes,
    project_routes,
    search_export_routes,
    task_routes,
    training_control_routes,
    training_routes,
    trash_routes,
    unsupported_routes,
    upload_routes,
    version_routes,
    workspace_routes,
    zip_routes,
)

ROUTERS = (
    file_routes.router,
    login_routes.router,
    model_routes.router,
    model_upload_routes.router,
    search_export_routes.router,
    task_routes.router,
    evaluation_routes.router,
    trash_routes.router,
    unsupported_routes.router,
    upload_routes.router,
    zip_routes.router,
    annotation_routes.router,
    image_routes.router,
    health_routes.router,
    training_control_routes.router,
    training_routes.router,
    version_routes.router,
    project_routes.router,
    workspace_routes.router,
)


def add_platform(app: FastAPI) -> None:
    """Add the routes. They belong before those of inference, which take any two segments."""
    for router in ROUTERS:
        app.include_router(router)
