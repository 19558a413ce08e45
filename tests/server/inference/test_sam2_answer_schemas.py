"""What the OpenAPI document says of the SAM 2 routes; the routes' tests check real answers."""


def test_the_document_describes_every_answer(sam2) -> None:
    document = sam2.http.get("/openapi.json").json()
    for path in ("/sam2/embed_image", "/sam2/segment_image", "/sam2/auto"):
        responses = document["paths"][path]["post"]["responses"]
        assert {"200", "400", "403", "404", "413", "422", "429"} <= set(responses)
        schema = responses["200"]["content"]["application/json"]["schema"]
        assert "$ref" in schema
    content = document["paths"]["/sam2/segment_image"]["post"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "application/octet-stream"}
