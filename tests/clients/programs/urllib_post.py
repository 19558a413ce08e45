"""Python without any library: the base64 text of a picture as the body."""
# ruff: noqa: T201 - what it prints is what the test reads

import base64
import json
import os
import pathlib
import platform
import sys
import urllib.request

url = f"{os.environ['SERVER']}/{os.environ['MODEL']}?api_key={os.environ['API_KEY']}"
body = base64.b64encode(pathlib.Path(sys.argv[1]).read_bytes())
with urllib.request.urlopen(urllib.request.Request(url, body)) as answer:
    print(json.dumps({"python": platform.python_version(), "answer": json.load(answer)}))
