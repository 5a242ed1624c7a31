"""Pictures as the network sees them, against torchvision's and against where ramps show they were cut."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

from ris.config import Network
from ris.encoders.pytorch import standardise
from ris.encoders.transforms import for_embedding
from ris.lab.augmentation import for_training
from ris.lab.config import Augment

STILL = Augment(min_area=1.0, flip=0.0, jitter=0.0, grayscale=0.0)
Noise = Callable[[int, int, int], Image.Image]


def trained(augment: Augment, image: Image.Image, seed: int, size: int = 32) -> Tensor:
    torch.manual_seed(seed)
    pixels: Tensor = for_training(augment, size, "bilinear")(image)
    return pixels


def ramps(side: int = 240) -> Image.Image:
    """Red says the column, green the row, each from 0 to 240; blue is constant."""
    along = np.arange(side) + 0.5
    red, green = np.meshgrid(along * 240 / side, along * 240 / side)
    return Image.fromarray(np.stack([red, green, np.full_like(red, 90)], axis=-1).astype(np.uint8))


def spans(pixels: Tensor) -> tuple[float, float]:
    """Shares of a ramp picture's width and height that a crop of it shows."""
    size = pixels.shape[-1]
    wide, high = (float(pixels[channel].max()) - float(pixels[channel].min()) for channel in (0, 1))
    return wide / 240 * size / (size - 1), high / 240 * size / (size - 1)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("width", "height"), [(300, 200), (200, 300), (97, 131), (64, 64), (8, 8), (2000, 20), (20, 2000)]
)
def test_embedding_agrees_with_torchvision_s_resize_and_crop(
    tiny: Network, noise: Noise, width: int, height: int, interpolation: str
) -> None:
    network = tiny.model_copy(update={"resize": 40, "crop": 32, "interpolation": interpolation})
    image = noise(width, height, 0)
    pixels = torch.from_numpy(for_embedding(image, network))
    resized = resize(image, 40, InterpolationMode(interpolation))
    expected = pil_to_tensor(center_crop(resized, 32))
    assert pixels.shape == (3, 32, 32)
    assert pixels.dtype == torch.uint8
    difference = (pixels.int() - expected.int()).abs().float()
    assert difference.mean() <= 1.5
    # torchvision places the cut on whole pixels of the resized picture: up to half of one away.
    steps = expected.float().diff(dim=2).abs().max(), expected.float().diff(dim=1).abs().max()
    assert difference.max() <= 2 + 0.6 * max(steps)


def test_embedding_shows_the_centre(tiny: Network) -> None:
    network = tiny.model_copy(update={"resize": 40, "crop": 30})
    pixels = torch.from_numpy(for_embedding(ramps(), network)).float()
    np.testing.assert_allclose(spans(pixels), 0.75, atol=0.02)
    np.testing.assert_allclose(pixels[:2].mean(dim=(1, 2)), 120, atol=1)


def test_training_gives_square_uint8_pictures_of_any_picture(noise: Noise) -> None:
    augment = Augment(min_area=0.3, flip=0.5, jitter=0.5, grayscale=0.5)
    for seed, (width, height) in enumerate([(200, 100), (8, 8), (3, 400), (33, 1)]):
        pixels = trained(augment, noise(width, height, seed), seed)
        assert pixels.shape == (3, 32, 32)
        assert pixels.dtype == torch.uint8


def test_training_follows_from_the_seed(noise: Noise) -> None:
    augment = Augment(min_area=0.3, flip=0.5, jitter=0.5, grayscale=0.1)
    image = noise(120, 90, 0)
    assert torch.equal(trained(augment, image, 5), trained(augment, image, 5))
    assert not torch.equal(trained(augment, image, 5), trained(augment, image, 6))


@pytest.mark.parametrize("min_area", [0.25, 0.8])
def test_training_crops_no_smaller_than_min_area(min_area: float) -> None:
    augment = STILL.model_copy(update={"min_area": min_area})
    image = ramps()
    areas = [np.prod(spans(trained(augment, image, seed))) for seed in range(150)]
    assert min_area - 0.03 <= min(areas) <= min_area + 0.1
    assert 0.9 <= max(areas) <= 1.01


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_training_mirrors_as_often_as_it_should(flip: float) -> None:
    augment = STILL.model_copy(update={"flip": flip})
    image = ramps()
    turned = [
        bool(pixels[0, 0, 0] > pixels[0, 0, -1]) for pixels in (trained(augment, image, s) for s in range(60))
    ]
    assert abs(np.mean(turned) - flip) <= 0.2 * (flip == 0.5)


def test_training_changes_colours_only_where_asked() -> None:
    image = Image.new("RGB", (40, 40), (200, 100, 50))
    plain = torch.tensor([200, 100, 50], dtype=torch.uint8).view(3, 1, 1).expand(3, 32, 32)
    assert torch.equal(trained(STILL, image, 0), plain)

    grey = trained(STILL.model_copy(update={"grayscale": 1.0}), image, 0)
    # ITU-R BT.601 luma.
    torch.testing.assert_close(
        grey.float(), torch.full((3, 32, 32), 0.299 * 200 + 0.587 * 100 + 0.114 * 50), atol=1, rtol=0
    )

    jittered = [trained(STILL.model_copy(update={"jitter": 0.3}), image, seed)[:, 0, 0] for seed in range(20)]
    changes = torch.stack(jittered).float() / plain[:, 0, 0].float()
    assert changes[:, 0].min() < 0.85
    assert 1.1 < changes[:, 0].max() <= 255 / 200
    assert changes.std(dim=1).max() > 0.02


def test_standardise_by_hand() -> None:
    pixels = torch.tensor([[0, 255], [51, 102]], dtype=torch.uint8).expand(2, 3, 2, 2)
    batch = standardise(pixels, mean=(0.5, 0.2, 0.0), std=(0.5, 0.2, 0.1))
    red, green, blue = batch[1]
    torch.testing.assert_close(red, torch.tensor([[-1.0, 1.0], [-0.6, -0.2]]))
    torch.testing.assert_close(green, torch.tensor([[-1.0, 4.0], [0.0, 1.0]]))
    torch.testing.assert_close(blue, torch.tensor([[0.0, 10.0], [2.0, 4.0]]))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
