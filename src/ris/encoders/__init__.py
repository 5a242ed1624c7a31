"""From a picture to a vector: networks, their weights."""

import sys

# OpenVINO reports to its maker that it is imported, where this package is; a search in private pictures
# calls nobody.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
