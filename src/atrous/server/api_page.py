"""The page `/docs`: an OpenAPI document as one HTML page, without scripts and foreign files."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

# Nothing on the page may be loaded or run; its own style is all it needs.
CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2rem } summary { cursor: pointer; padding: .3rem 0 }
summary b { display: inline-block; min-width: 4rem } code, pre { font: 14px/1.4 monospace }
pre { background: #8882; padding: .7rem; overflow-x: auto } table { border-collapse: collapse }
td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 }
details > div { margin: 0 0 1.5rem 1rem } :root { color-scheme: light dark }
"""
EXAMPLES = {"string": "text", "integer": 1, "number": 0.5, "boolean": False}
DEEPEST = 3  # fields in fields
Schema = dict[str, Any]


def api_page(document: Schema) -> str:
    """Give the page for an OpenAPI 3 document."""
    info = document["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    sections = "".join(_sections(document))
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>\n'
        f"<h1>{title}</h1>\n{_prose(info.get('description', ''))}\n"
        '<p>The same for programs: <a href="openapi.json">openapi.json</a>.</p>\n'
        f"{sections}</html>\n"
    )


def _sections(document: Schema) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["others"])[0]
            by_tag.setdefault(tag, []).append(_operation(document, method, path, operation))
    for tag, operations in by_tag.items():
        yield f"<h2>{escape(tag)}</h2>\n{''.join(operations)}"


def _operation(document: Schema, method: str, path: str, operation: Schema) -> str:
    parameters = operation.get("parameters", [])
    rows = [
        (p["name"], p["in"], p.get("schema", {}), p.get("required", False), p.get("description"))
        for p in parameters
    ]
    parts = [
        _prose(operation.get("description", "")),
        _table(rows, document),
        *_bodies(document, "Body", operation.get("requestBody", {})),
        *_answers(document, operation.get("responses", {})),
    ]
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
        f"{escape(operation.get('summary', ''))}</summary>\n<div>{''.join(parts)}</div></details>\n"
    )


def _answers(document: Schema, responses: Schema) -> Iterator[str]:
    """What is answered on success."""
    for code, answer in responses.items():
        if code.startswith("2"):
            yield from _bodies(document, "Answer" if code == "200" else f"Answer {code}", answer)


def _bodies(document: Schema, title: str, body: Schema) -> Iterator[str]:
    if not body:
        return
    yield f"<h4>{title}</h4>{_prose(body.get('description', ''))}"
    for media_type, content in body.get("content", {}).items():
        schema = _first(document, content.get("schema", {}))
        rows = list(_fields(document, title.split()[0].lower(), schema))
        yield f"<p><code>{escape(media_type)}</code></p>{_table(rows, document)}"
        if media_type == "application/json" and title == "Body":
            example = json.dumps(_example(document, schema), indent=2)
            yield f"<pre>{escape(example)}</pre>"


def _fields(
    document: Schema, place: str, schema: Schema, before: str = ""
) -> Iterator[tuple[str, str, Schema, bool, str | None]]:
    """The fields of an object, and below each those that are in it: `image.urls`, `images[].id`."""
    if schema.get("type") == "array":
        schema, before = _first(document, schema.get("items", {})), f"{before.rstrip('.')}[]."
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield f"{before}{name}", place, field, name in required, field.get("description")
        if before.count(".") < DEEPEST:
            yield from _fields(document, place, _first(document, field), f"{before}{name}.")


def _first(document: Schema, schema: Schema) -> Schema:
    """A schema, or the first of those that it may be."""
    schema = _resolve(document, schema)
    return _resolve(document, schema.get("anyOf", [schema])[0])


def _table(rows: list[tuple[str, str, Schema, bool, str | None]], document: Schema) -> str:
    if not rows:
        return ""
    lines = []
    for name, place, schema, required, description in rows:
        default = json.dumps(schema["default"]) if "default" in schema else ""
        cells = (
            f"<code>{escape(name)}</code>",
            place,
            escape(_kind(document, schema)),
            "required" if required else f"<code>{escape(default)}</code>",
            escape(description or ""),
        )
        lines.append("<tr><td>" + "</td><td>".join(cells) + "</td></tr>")
    head = "<tr><th>name</th><th>in</th><th>type</th><th>default</th><th></th></tr>"
    return f"<table>{head}{''.join(lines)}</table>"


def _kind(document: Schema, schema: Schema) -> str:
    """Say in words what a value may be."""
    schema = _resolve(document, schema)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(document, one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_kind(document, schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


def _example(document: Schema, schema: Schema) -> Any:
    """A value with what is required alone."""
    schema = _resolve(document, schema)
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return _example(document, schema["anyOf"][0])
    if schema.get("type") == "object":
        required = schema.get("required", [])
        fields = schema.get("properties", {})
        return {name: _example(document, fields[name]) for name in required if name in fields}
    return EXAMPLES.get(schema.get("type", ""))


def _resolve(document: Schema, schema: Schema) -> Schema:
    """Follow a reference into the document's own components."""
    while "$ref" in schema:
        found: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema


def _prose(text: str) -> str:
    """Markdown's paragraphs and `code` alone."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        parts = escape(paragraph).split("`")
        marked = "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
        if marked.strip():
            paragraphs.append(f"<p>{marked}</p>")
    return "".join(paragraphs)
