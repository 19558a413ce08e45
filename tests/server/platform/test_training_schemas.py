"""What real answers look like is compared in `test_answer_schemas.py`; here what it never meets."""

from atrous.server.platform import training_schemas
from atrous.server.platform.training_descriptions import STATUSES
from atrous.server.platform.training_recipes import describe_recipe


def test_a_recipe_is_described_under_the_name_that_clients_read() -> None:
    schema = training_schemas.RecipeAnswer.model_json_schema(mode="serialization")
    assert set(schema["properties"]) == set(describe_recipe("deeplabv3plus"))


def test_every_status_is_named() -> None:
    facts = training_schemas.TrainingFacts.model_fields
    for name, words in (("status", STATUSES.values()), ("state", STATUSES)):
        assert all(word in facts[name].description for word in words)
