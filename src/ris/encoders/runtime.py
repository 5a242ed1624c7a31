"""Networks on a processor, run by OpenVINO."""

from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import openvino as ov

from ris.encoders.embedder import Compute
from ris.encoders.transforms import Pixels
from ris.errors import RisError
from ris.indexes.vectors import Vectors

Precision: TypeAlias = Literal["bf16", "fp32"]

_TYPES = {"bf16": ov.Type.bf16, "fp32": ov.Type.f32}


def has_bf16() -> bool:
    """Whether this machine's processor computes in bf16 by itself, as far as Linux says it."""
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


@cache
def core() -> ov.Core:
    """Return OpenVINO's core, the one of this process.

    A core gives the thread that uses it first a stack for signal handlers, and takes back the one before when
    it goes. Where several go in another order than they came, the stack that is left is no more there, and
    the next signal ends the process.
    """
    return ov.Core()


def on_processor(model: ov.Model, precision: Precision, threads: int) -> Compute:
    """Make a network ready to compute.

    Each picture is computed alone and on one processor, so its vector is the same to the last bit alone and
    beside others, for whatever number of threads.

    Args:
        model: of one picture (1, 3, crop, crop) uint8.
        precision: of the arithmetic.
        threads: pictures that are computed at once.

    Raises:
        RisError: this processor does not compute in that precision.
    """
    settings = {
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": _TYPES[precision],
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core().compile_model(model, "CPU", settings)
    if compiled.get_property("INFERENCE_PRECISION_HINT") != _TYPES[precision]:
        raise RisError(
            f"This processor does not compute in {precision}, in which the store's vectors were made; build "
            "the store anew here."
        )

    def compute(pixels: Pixels) -> Vectors:
        requests = [compiled.create_infer_request() for _ in pixels]
        for request, picture in zip(requests, pixels, strict=True):
            request.start_async({0: picture[None]})
        for request in requests:
            request.wait()
        return np.concatenate([request.get_output_tensor().data for request in requests], dtype=np.float32)

    return compute
