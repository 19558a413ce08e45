"""The official command line, one command after another in one process, as its own program runs it.

Arguments: a JSON file with a list of command lines, and the file for what each one said. A line
`wait for FILE` is no command: the next one is run when the file is there.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

from roboflow.roboflowpy import main

commands, report = Path(sys.argv[1]), Path(sys.argv[2])
said = []
for words in json.loads(commands.read_text()):
    if words[:2] == ["wait", "for"]:
        while not Path(words[2]).exists():
            time.sleep(0.02)
        continue
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        sys.argv = ["roboflow", *words]
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    said.append({"code": code, "output": output.getvalue(), "errors": errors.getvalue()})
report.write_text(json.dumps(said))
