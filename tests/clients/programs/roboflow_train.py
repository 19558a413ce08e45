"""Train on a version, and predict with the model. Arguments: a photo, the file for the result."""

import json
import os
import sys
from pathlib import Path

import roboflow

photo, report = sys.argv[1], Path(sys.argv[2])
project = roboflow.Roboflow(api_key=os.environ["API_KEY"]).workspace().project("roads")
version = project.version(1)
version.train(model_type="deeplabv3plus", epochs=1)
version = project.version(1)
model = version.models()[0]
prediction = model.predict(photo)
prediction.save(str(report.with_suffix(".jpg")))
seen = {
    "model": [model.model_id, model.model_type],
    "metrics": model.metrics,
    "prediction": prediction.json()["predictions"][0],
    "trainings": [training.status for training in version.trainings()],
}
report.write_text(json.dumps(seen))
