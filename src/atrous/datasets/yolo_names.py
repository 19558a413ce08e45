"""Class names of YOLO's format: `names` in data.yaml, or one name per line.

Of YAML this reads `names` alone, in the four ways in which it is written; nothing else is needed.
"""

import json
import re
from collections.abc import Mapping

from atrous.domain.classes import LINE_END, lines_of
from atrous.domain.errors import BadDataset

NAMES_FILES = ("data.yaml", "data.yml", "dataset.yaml", "_darknet.labels", "obj.names")
YAML_ENDINGS = (".yaml", ".yml")
NAMES_KEY = re.compile(r"^names[ \t]*:[ \t]*(.*)$", re.MULTILINE)
BLOCK_ENTRY = re.compile(r"^[ \t]*(?:-|(\d+)[ \t]*:)[ \t]+(\S.*)$")
FLOW_ENTRY = re.compile(r"""\s*(?:(\d+)\s*:\s*)?("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\]}]+)\s*,?""")
MAX_LINE = 10_000
EXPECTED = "expected `names:` with a list, or with a number and a name per line"


def read_names(text: str, name: str) -> dict[int, str]:
    """Names by class number, from a YAML file or one of lines; BadDataset where there are none."""
    try:
        return _checked(_read(text, name), name)
    except ValueError as error:  # a number of thousands of digits
        raise BadDataset(f"{name} can't be read ({str(error)[:60]}); {EXPECTED}") from error


def _read(text: str, name: str) -> dict[int, str]:
    if not name.lower().endswith(YAML_ENDINGS):
        return dict(enumerate(lines_of(text)))
    key = NAMES_KEY.search(text)
    if key is None:
        raise BadDataset(f"{name} has no class names; {EXPECTED}")
    first = _without_comment(key.group(1))
    if first[:1] in ("[", "{"):
        return _read_flow(text[key.start(1) :], name)
    return _read_block(LINE_END.split(text[key.end() :]), name)


def write_data_yaml(class_names: tuple[str, ...], splits: tuple[str, ...]) -> str:
    """The data.yaml of classes without background, with a folder for each split that is there."""
    folders = {"train": "train", "valid": "val", "test": "test"}
    lines = [f"{folders[split]}: ../{split}/images" for split in folders if split in splits]
    quoted = [json.dumps(name, ensure_ascii=False) for name in class_names]
    return "\n".join([*lines, "", f"nc: {len(quoted)}", f"names: [{', '.join(quoted)}]", ""])


def labelmap_names(labelmap: Mapping[str, object], name: str) -> dict[int, str]:
    """Names by number, from the `labelmap` that clients send with an annotation."""
    try:
        return _checked({int(number): str(label) for number, label in labelmap.items()}, name)
    except ValueError:
        raise BadDataset(
            f"the labelmap of {name} has keys that are no numbers ({list(labelmap)!s:.100}); "
            'send {"0": "road", ...}'
        ) from None


def _read_block(lines: list[str], name: str) -> dict[int, str]:
    """`- road` or `0: road` on lines of their own, until something else comes."""
    names: dict[int, str] = {}
    for line in lines:
        if len(line) > MAX_LINE:
            raise BadDataset(f"{name} has a line of {len(line)} characters; {EXPECTED}")
        said = _without_comment(line).rstrip()
        if not said:
            continue
        entry = BLOCK_ENTRY.match(said)
        if entry is None:
            break
        names[int(entry[1]) if entry[1] else len(names)] = _unquoted(entry[2])
    return names


def _read_flow(text: str, name: str) -> dict[int, str]:
    """`[road, 'tree']` or `{0: road, 1: tree}`, on one line or more."""
    closing = {"[": "]", "{": "}"}[text[0]]
    names: dict[int, str] = {}
    place = 1
    while place < len(text):
        if text[place] == closing:
            return names
        if text[place] in " \t\r\n,":
            place += 1
            continue
        entry = FLOW_ENTRY.match(text, place)
        if entry is None:
            break
        names[int(entry[1]) if entry[1] else len(names)] = _unquoted(entry[2].strip())
        place = entry.end()
    raise BadDataset(f"{name}: the list of names has no end; {EXPECTED}")


def _unquoted(word: str) -> str:
    if word[:1] == word[-1:] == '"' and len(word) > 1:
        try:
            return str(json.loads(word))
        except json.JSONDecodeError:
            return word[1:-1]
    if word[:1] == word[-1:] == "'" and len(word) > 1:
        return word[1:-1].replace("''", "'")
    return word


def _without_comment(line: str) -> str:
    """Cut a comment off: `#` after a space, where no quote is open."""
    open_quote = ""
    for place, letter in enumerate(line):
        if open_quote:
            open_quote = "" if letter == open_quote else open_quote
        elif letter in "\"'":
            open_quote = letter
        elif letter == "#" and (place == 0 or line[place - 1] in " \t"):
            return line[:place].rstrip()
    return line


def _checked(names: dict[int, str], name: str) -> dict[int, str]:
    if not names or any(not label.strip() for label in names.values()):
        raise BadDataset(f"{name} has no class names, or an empty one; {EXPECTED}")
    return {number: label.strip() for number, label in names.items()}
