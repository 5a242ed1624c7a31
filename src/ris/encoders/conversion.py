"""A network of PyTorch as one of OpenVINO."""

import copy
import warnings

import openvino as ov
import torch
from torch import nn

from ris.config import Network
from ris.errors import RisError


def converted(module: nn.Module, network: Network) -> ov.Model:
    """Bring a network to OpenVINO, its pixels' standardising included.

    Args:
        module: (1, 3, crop, crop) float -> (1, dimension) float.
        network: what it is.

    Returns:
        (1, 3, crop, crop) uint8 -> (1, dimension) float32, in the weights' own precision.

    Raises:
        RisError: a weight is not finite, which OpenVINO's vectors would not show.
    """
    if not all(torch.isfinite(weights).all() for weights in module.state_dict().values()):
        raise RisError(f"Weights of {network.name} are not finite; train it anew with a lower learning rate.")
    shape = (1, 3, network.crop, network.crop)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = ov.convert_model(copy.deepcopy(module).eval(), example_input=torch.zeros(shape))
    model.reshape(shape)
    steps = ov.preprocess.PrePostProcessor(model)
    layout = ov.Layout("NCHW")
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(layout)
    steps.input().model().set_layout(layout)
    (
        steps.input()
        .preprocess()
        .convert_element_type(ov.Type.f32)
        .mean([255 * value for value in network.mean])
        .scale([255 * value for value in network.std])
    )
    return steps.build()
