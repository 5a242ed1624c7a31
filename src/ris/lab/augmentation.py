"""Random changes of training pictures."""

from torchvision.transforms import InterpolationMode, v2

from ris.lab.config import Augment


def for_training(augment: Augment, size: int, interpolation: str) -> v2.Transform:
    """Random crop, mirror, colours: an RGB picture to (3, size, size) uint8, by torch's own generator."""
    strength = augment.jitter
    steps = [
        v2.RandomResizedCrop(
            size,
            scale=(augment.min_area, 1.0),
            interpolation=InterpolationMode(interpolation),
            antialias=True,
        ),
        v2.RandomHorizontalFlip(augment.flip),
        v2.PILToTensor(),
        v2.ColorJitter(strength, strength, strength),
        v2.RandomGrayscale(augment.grayscale),
    ]
    return v2.Compose(steps)
