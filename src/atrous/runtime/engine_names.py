"""The words for engines and precisions that users choose from."""

from typing import Literal

Engine = Literal["auto", "openvino", "onnxruntime"]
Precision = Literal["auto", "fp32", "bf16"]
EngineName = Literal["openvino", "onnxruntime"]  # a choice that was made
PrecisionName = Literal["fp32", "bf16"]
