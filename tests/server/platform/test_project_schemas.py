"""What real answers look like is compared in `test_answer_schemas.py`; here the words."""

from atrous.server.platform import descriptions, project_schemas


def test_colours_are_described_as_they_are_written(api, labelled) -> None:
    project = api.get("/default/roads").json()["project"]
    described = project_schemas.Project.model_validate(project, strict=True)
    assert described.colors == descriptions.colors_of(list(described.classes))


def test_what_may_be_left_out_is_so_in_the_schema() -> None:
    schema = project_schemas.Version.model_json_schema(mode="serialization")
    left_out = set(schema["properties"]) - set(schema["required"])
    assert left_out == {"error", "train", "model", "models"}
