"""roboflow: predict and save; prints the prediction as JSON."""
# ruff: noqa: T201 - what it prints is what the test reads

import json
import os
import sys

from roboflow.models.semantic_segmentation import SemanticSegmentationModel

path, output = sys.argv[1:]
project, version = os.environ["MODEL"].split("/")
model = SemanticSegmentationModel(os.environ["API_KEY"], f"workspace/{project}/{version}")
prediction = model.predict(path)
prediction.save(output)
print(json.dumps(prediction.json()))
