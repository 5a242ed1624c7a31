"""The lab: the stages of the pipeline, which train, search and judge; nothing else imports it."""

import sys

from ris.errors import RisError
from ris.extras import require

try:
    require("lab", to="run the pipeline")
except RisError as missing:
    if sys.argv[0] == "-m":  # `python -m ris.lab...`, whose reader wants a sentence
        raise SystemExit(f"error: {missing}") from None
    raise
