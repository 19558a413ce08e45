"""Holds every answer of an app to what its OpenAPI document says of it."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI

# With schemathesis, which Python 3.10 lacks.
HAS_VALIDATOR = find_spec("jsonschema_rs") is not None
Operation = tuple[str, str]  # method in small letters, path as the document has it
Validators = dict[tuple[Operation, str], Any]
CONTRACTS: dict[object, tuple[dict[str, Any], Any, Validators]] = {}
CLIENT_LEFT = 499  # nobody reads such an answer


def closed(node: Any) -> Any:
    """The same schemas, where an object has no fields but those that are described."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {name: closed(value) for name, value in node.items()}
    if "properties" in node and node.get("type") == "object":
        node.setdefault("additionalProperties", False)
    return node


class DescribedAnswers:
    """What an app answered that is not as described; its client is told of it by `complain`."""

    def __init__(self, app: FastAPI, routes: object = None) -> None:
        """Watch an app; those of equal `routes` share their document, which takes a while."""
        contract = CONTRACTS.get(routes) if routes is not None else None
        if contract is None:
            document = app.openapi()
            contract = document, closed(document.get("components", {})), {}
            CONTRACTS[routes] = contract
        self.document, self.components, self.validators = contract
        self.seen: set[tuple[Operation, int]] = set()
        self.faults: list[str] = []
        app.add_middleware(_Watch, described=self)

    def complain(self, answer: Any) -> None:
        """A hook on a client's responses, which come before their bodies."""
        answer.read()
        faults, self.faults = self.faults, []
        assert not faults, "; ".join(faults)

    def look(self, operation: Operation, status: int, media_type: str, body: bytes) -> None:
        """Compare one answer, if its operation is in the document."""
        method, path = operation
        known = self.document["paths"].get(path, {}).get(method)
        if known is None or status == CLIENT_LEFT:
            return
        self.seen.add((operation, status))
        name, code = f"{method} {path}", str(status)
        named = code if code in known["responses"] else f"{code[0]}XX"
        if named not in known["responses"]:
            self.faults.append(f"{name} answers {code}, which is not described")
            return
        if media_type != "application/json":
            return
        content = known["responses"][named].get("content", {})
        if media_type not in content:
            self.faults.append(f"{name} answers {code} as JSON, which is not described")
        elif HAS_VALIDATOR:
            schema = content[media_type]["schema"]
            self._validate(operation, named, schema, json.loads(body))

    def not_seen(self, wanted: Callable[[dict[str, Any]], bool]) -> list[str]:
        """Answers of success of the wanted operations that are described and were never given."""
        return [
            f"{method} {path} {code}"
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
            for code in operation["responses"]
            if code.startswith("2") and wanted(operation)
            if ((method, path), int(code)) not in self.seen
        ]

    def _validate(self, operation: Operation, named: str, schema: Any, body: Any) -> None:
        import jsonschema_rs

        if (operation, named) not in self.validators:
            whole = {**closed(schema), "components": self.components}
            self.validators[operation, named] = jsonschema_rs.validator_for(whole)
        for fault in self.validators[operation, named].iter_errors(body):
            where = "/".join(map(str, fault.instance_path))
            name = " ".join(operation)
            self.faults.append(f"{name} {named} at '{where}': {fault.message[:500]}")


class _Watch:
    """ASGI middleware that shows each whole answer to `described`."""

    def __init__(self, app: Any, described: DescribedAnswers) -> None:
        self.app, self.described = app, described

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status, media_type, pieces = 0, "", []

        async def look_and_send(message: Any) -> None:
            nonlocal status, media_type
            if message["type"] == "http.response.start":
                status = message["status"]
                media_type = dict(message["headers"]).get(b"content-type", b"").decode()
            elif media_type == "application/json":
                pieces.append(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._look(scope, status, media_type, b"".join(pieces))
            await send(message)  # the last piece when it was looked at: then the client goes on

        await self.app(scope, receive, look_and_send)

    def _look(self, scope: Any, status: int, media_type: str, body: bytes) -> None:
        path = getattr(scope.get("route"), "path_format", None)
        if path is not None:
            self.described.look((scope["method"].lower(), path), status, media_type, body)
