"""What request bodies look like, for the OpenAPI document, where a route reads them by itself.

Clients send JSON and pictures under any content type or none, so no framework may parse these.
"""

from typing import Any

from pydantic import BaseModel

OpenApi = dict[str, Any]
BINARY: OpenApi = {"type": "string", "format": "binary"}
FORM_FILE = "file"


def json_body(model: type[BaseModel], *, required: bool = True) -> OpenApi:
    """Describe a body that is a JSON object; `required` where an empty one is refused.

    >>> from pydantic import create_model
    >>> json_body(create_model("Body", name=str))["requestBody"]["required"]
    True
    """
    schema = model.model_json_schema()
    description = schema.pop("description", "")
    return _request_body({"application/json": {"schema": schema}}, description, required)


def picture_body(description: str, fields: OpenApi | None = None) -> OpenApi:
    """Describe a body that is a picture: as base64 text, as bytes, or as a part of a form.

    fields: the schemas of the form's other parts, by name.
    """
    form = {
        "type": "object",
        "properties": {FORM_FILE: BINARY, **(fields or {})},
        "required": [FORM_FILE],
    }
    content = {
        "application/x-www-form-urlencoded": {"schema": {"type": "string", "format": "byte"}},
        "application/octet-stream": {"schema": BINARY},
        "multipart/form-data": {"schema": form},
    }
    return _request_body(content, description, required=False)


def file_body(description: str) -> OpenApi:
    """Describe a body that is the bytes of a file."""
    content = {"application/octet-stream": {"schema": BINARY}}
    return _request_body(content, description, required=True)


def _request_body(content: OpenApi, description: str, required: bool) -> OpenApi:
    """What FastAPI takes as `openapi_extra`."""
    return {"requestBody": {"description": description, "required": required, "content": content}}
