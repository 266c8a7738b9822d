"""Changes of a face image: each does what it is called, more with its strength, and repeats."""

import numpy as np
import pytest
from PIL import Image

from faces.images import corruptions
from tests.conftest import picture

IMAGES = np.stack([np.asarray(picture(seed, (64, 64))) for seed in range(3)])


def detail(images):
    """Mean size of the differences of neighbours."""
    values = images.astype(float)
    return np.abs(np.diff(values, axis=1)).mean()


@pytest.mark.parametrize("name", corruptions.CHANGES)
def test_a_change_grows_with_its_strength_and_repeats(name):
    strengths = corruptions.CHANGES[name][1]
    changed = [corruptions.apply(name, strength, IMAGES) for strength in strengths]
    assert all(images.shape == IMAGES.shape and images.dtype == np.uint8 for images in changed)
    sizes = [np.abs(images.astype(float) - IMAGES).mean() for images in changed]
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert np.array_equal(changed[1], corruptions.apply(name, strengths[1], IMAGES))


def test_blur_and_size_lose_detail_and_sharpening_adds_it():
    blurred, shrunk, sharp = (
        corruptions.apply(name, value, IMAGES)
        for name, value in (("blur, pixels", 0.8), ("share of the pixels a side", 0.35), ("unsharp mask, %", 100))
    )
    assert detail(blurred) < detail(IMAGES) < detail(sharp)
    assert detail(shrunk) < detail(IMAGES)


def test_the_place_changes_as_said():
    ramp = np.broadcast_to(np.arange(100, dtype=np.uint8)[None, :, None] * 2 + 1, (100, 100, 3))
    rng = np.random.default_rng(0)
    moved = np.asarray(corruptions.shift(Image.fromarray(ramp), 0.1, rng)).astype(float)[50, 30:70] - ramp[50, 30:70]
    assert 0 < np.abs(moved).max() <= 21  # two levels a pixel, ten pixels, in any direction
    turned = np.asarray(corruptions.turn(Image.fromarray(ramp), 20, rng)).astype(float)
    slope = np.abs(np.diff(turned[20:80, 50, 0])).mean() / 2
    assert slope == pytest.approx(np.sin(np.radians(20)), abs=0.05)
    wider = np.asarray(corruptions.scale(Image.fromarray(ramp), 0.2, rng)).astype(float)
    assert np.diff(wider[50, 30:70, 0]).mean() / 2 == pytest.approx(1.2, abs=0.02) or np.diff(
        wider[50, 30:70, 0]
    ).mean() / 2 == pytest.approx(1 / 1.2, abs=0.02)
    covered = np.asarray(corruptions.occlude(Image.fromarray(ramp), 0.3, rng))
    assert (covered == corruptions.COVER).all(axis=2).sum() == 30 * 30
