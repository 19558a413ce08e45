from html.parser import HTMLParser

from atrous.server.api_page import api_page

DOCUMENT = {
    "info": {"title": "a <b>", "version": "1", "description": "One `code` & more.\n\nTwo."},
    "paths": {
        "/a/{id}": {
            "post": {
                "summary": "Do <it>",
                "tags": ["things"],
                "parameters": [
                    {
                        "name": "<how>",
                        "in": "query",
                        "schema": {"anyOf": [{"type": "number"}, {"enum": ["best", 1]}]},
                        "description": "Well?",
                    },
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "n", "in": "query", "schema": {"type": "integer", "default": 7}},
                ],
                "requestBody": {
                    "description": "What.",
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}},
                        "image/png": {"schema": {"type": "string"}},
                    },
                },
            }
        },
        "/b": {
            "get": {
                "summary": "See",
                "responses": {
                    "202": {
                        "description": "Later.",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "array",
                                    "items": {"$ref": "#/components/schemas/Part"},
                                }
                            }
                        },
                    },
                    "200": {
                        "description": "All of it.",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "anyOf": [
                                        {"$ref": "#/components/schemas/Part"},
                                        {"type": "array"},
                                    ]
                                }
                            }
                        },
                    },
                },
            }
        },
    },
    "components": {
        "schemas": {
            "Part": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
                "required": ["name"],
            },
            "Thing": {
                "type": "object",
                "properties": {
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
                    "part": {"$ref": "#/components/schemas/Part"},
                    "kind": {"type": "string", "examples": ["round </pre>"]},
                    "maybe": {"type": "boolean", "default": False},
                },
                "required": ["part", "kind"],
            },
        }
    },
}


class Texts(HTMLParser):
    """The texts of a page, and the names of its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_everything_of_a_document_is_on_the_page() -> None:
    page = Texts(api_page(DOCUMENT))
    assert not page.open
    text = "|".join(page.texts)
    for expected in (
        "a <b> 1",
        "One |code| & more.",
        "things",
        "POST",
        "/a/{id}",
        "Do <it>",
        '<how>|query|number or "best" or 1|Well?',
        "id|path|string|required",
        "n|query|integer|7",
        "parts|body|array of object",
        "maybe|body|boolean|false",
        "image/png",
        "others",
        "See",
        "All of it.",
        "name|answer|string|required",
        "parts[].name|body|string|required",
        "part.size|body|integer",
        "Answer 202",
        "[].name|answer|string|required",
    ):
        assert expected in text, expected


def test_an_example_has_what_is_required_and_is_escaped() -> None:
    [example] = [text for text in Texts(api_page(DOCUMENT)).texts if text.startswith("{\n")]
    assert (
        example
        == """{
  "part": {
    "name": "text"
  },
  "kind": "round </pre>"
}"""
    )


def test_the_page_is_one_file() -> None:
    page = api_page(DOCUMENT)
    assert "://" not in page
    assert not {"script", "link", "img", "iframe"} & set(page.replace("<", " ").split())
