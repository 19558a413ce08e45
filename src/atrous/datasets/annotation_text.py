"""The text of an annotation file, of whatever format: recognised by what is in it, and read."""

import json
from collections.abc import Mapping
from typing import Any

from atrous.datasets import cvat, voc
from atrous.datasets.annotated_areas import AreaFile
from atrous.datasets.coco_upload import CocoUpload, coco_upload
from atrous.datasets.cvat import read_cvat
from atrous.datasets.labelme import read_labelme
from atrous.datasets.plain_xml import read_xml
from atrous.datasets.voc import read_voc
from atrous.datasets.yolo import looks_like_yolo, read_yolo
from atrous.domain.errors import BadDataset

FORMATS = "COCO JSON, LabelMe JSON, Pascal VOC XML, CVAT XML or YOLO segmentation text"


AnnotationFile = CocoUpload | AreaFile  # of both, the same is asked


def read_annotations(
    text: str, name: str, class_names: Mapping[int, str] | None = None
) -> AnnotationFile:
    """Read a file; BadDataset where it is of no format that is known, or damaged.

    class_names: by number, for YOLO's format, which does not say them.
    """
    name = name[:100]
    try:
        return _read(text, name, class_names or {})
    except (ArithmeticError, ValueError) as error:  # numbers that no float or int can be
        raise BadDataset(f"{name} can't be read ({str(error)[:60]}); export it anew") from error


def _read(text: str, name: str, class_names: Mapping[int, str]) -> AnnotationFile:
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start == "{":
        return _read_json(text, name)
    if start == "<":
        return _read_xml(text, name)
    # with names at hand a text can be nothing else, and its broken line is told by its number
    is_text = name.lower().endswith(".txt") and (not start or class_names)
    if looks_like_yolo(text) or is_text:
        return read_yolo(text, name, class_names)
    raise BadDataset(
        f"{name} is not understood; send {FORMATS}, or a PNG mask to "
        "/{workspace}/{project}/images/{image}/mask"
    )


def _read_json(text: str, name: str) -> AnnotationFile:
    try:
        content: dict[str, Any] = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise BadDataset(f"{name} is no JSON ({str(error)[:100]}); export it anew") from error
    return read_labelme(content, name) if "shapes" in content else coco_upload(content, name)


def _read_xml(text: str, name: str) -> AnnotationFile:
    root = read_xml(text.lstrip("\ufeff"), name)
    if root.tag == voc.ROOT:
        return read_voc(root, name)
    if root.tag == cvat.ROOT:
        return read_cvat(root, name)
    raise BadDataset(
        f"{name} is XML of <{root.tag[:50]}>; expected <{voc.ROOT}> (Pascal VOC) or "
        f"<{cvat.ROOT}> (CVAT for images)"
    )
