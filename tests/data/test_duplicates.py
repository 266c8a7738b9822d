"""Copies of a picture are found as the plain search over all pairs finds them; strangers are no copies."""

import functools
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from faces.data import duplicates
from faces.data.sample import drawing

LEAST = 0.82


@functools.cache
def drawn(n, seed=5, side=104):
    return drawing.squares(n, seed, side)


def compressed(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def marked(image):
    image = image.copy()
    ImageDraw.Draw(image).text((6, 80), "a stock photo", fill="white")
    return image


CHANGES = {
    "compressed": compressed,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut": lambda image: image.crop((1, 1, 103, 103)).resize((104, 104)),
    "turned": lambda image: image.rotate(2, Image.Resampling.BICUBIC),
    "marked": marked,
}


def small(images):
    return duplicates.small(np.stack([np.asarray(image) for image in images]))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_strangers(change):
    images = drawn(40)
    pairs = duplicates.near_pairs(small([*images, *(CHANGES[change](image) for image in images[:10])]), LEAST)
    assert {(i, 40 + i) for i in range(10)} <= set(map(tuple, pairs.tolist()))
    strangers = [(i, j) for i, j in pairs.tolist() if j % 40 != i]
    assert not strangers


def test_pairs_are_those_of_the_plain_search(monkeypatch):
    monkeypatch.setattr(duplicates, "ROWS", 16)
    monkeypatch.setattr(duplicates, "COLUMNS", 24)
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (60, 24, 24))
    grey = np.concatenate([base, base[:40] + rng.normal(0, 60, (40, 24, 24)), base[:9, :, ::-1], base[:5]])
    grey = grey.clip(0, 255).astype(np.uint8)
    fine = duplicates.details(grey)
    n = len(grey)
    each = duplicates.correlation(np.repeat(fine, n, axis=0), np.tile(fine, (n, 1, 1))).reshape(n, n)
    noisy = np.sort(np.diagonal(each, 60)[:40])
    least = float(noisy[19:21].mean())  # which half of the noisy copies reaches
    wanted = duplicates.groups(n, np.argwhere(each >= least))
    found = duplicates.groups(n, duplicates.near_pairs(grey, least))
    assert len(set(wanted)) == n - 20 - 9 - 5
    assert len(set(zip(wanted, found, strict=True))) == len(set(wanted)) == len(set(found))


def test_copies_are_found_among_too_many_to_compare_all(monkeypatch):
    """Forty copies of each kind among two hundred strangers."""
    images = drawn(200)
    copies = [change(image) for i, change in enumerate(CHANGES.values()) for image in images[20 * i : 20 * i + 40]]
    grey = small([*images, *copies])
    wanted = duplicates.near_pairs(grey, LEAST)
    monkeypatch.setattr(duplicates, "ALL", 100)
    monkeypatch.setattr(duplicates, "CELLS", 64)
    monkeypatch.setattr(duplicates, "NEAREST", 6)
    compared = []
    blocks = duplicates._near_blocks

    def counted(*of):
        for rows, columns in blocks(*of):
            compared.append(len(rows) * len(columns))
            yield rows, columns

    monkeypatch.setattr(duplicates, "_near_blocks", counted)
    assert np.array_equal(duplicates.near_pairs(grey, LEAST), wanted)
    made = {(20 * (i // 40) + i % 40, 200 + i) for i in range(len(copies))}
    assert len(made - {tuple(pair) for pair in wanted.tolist()}) <= 1  # one that is turned by 2 degrees is not alike
    assert 0 < sum(compared) < len(grey) ** 2 / 2


def test_very_many_copies_are_chained(monkeypatch):
    monkeypatch.setattr(duplicates, "MANY", 50)
    rng = np.random.default_rng(0)
    grey = rng.integers(60, 190, (1, 24, 24)) + rng.integers(-2, 3, (100, 24, 24))
    pairs = duplicates.near_pairs(np.concatenate([grey, grey[:5]]).astype(np.uint8), LEAST)
    assert len(pairs) < 110
    assert set(duplicates.groups(105, pairs)) == {0}


def test_one_picture_or_none_has_no_pairs():
    for n in (0, 1):
        assert duplicates.near_pairs(np.zeros((n, 24, 24), np.uint8), LEAST).shape == (0, 2)


def test_plain_pictures_are_like_nothing_but_their_equals():
    grey = np.stack([np.full((24, 24), value, np.uint8) for value in (0, 200, 200)])
    assert duplicates.near_pairs(grey, LEAST).tolist() == [[1, 2]]


def test_empty_strings_are_equal_to_nothing():
    assert duplicates.equal_pairs(np.array(["a", "", "a", ""])).tolist() == [[0, 2]]
