"""Pictures of every kind become upright RGB, or a reason."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from faces.images import preprocessing
from tests.conftest import encoded, picture


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("1", "PNG"), ("P", "GIF")],
)
def test_modes_decode_to_rgb(mode, kind):
    found = preprocessing.decode(encoded(picture().convert(mode), kind))
    assert found.mode == "RGB"
    assert found.size == (40, 30)


def test_sixteen_bits_are_scaled_not_cut():
    ramp = Image.fromarray((np.arange(1200, dtype=np.uint16) * 54).reshape(30, 40))
    found = np.asarray(preprocessing.decode(encoded(ramp, "PNG")))
    assert found.max() == 1199 * 54 >> 8


def test_exif_orientation_is_followed():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(picture().rotate(90, expand=True), quality=95, exif=exif)
    assert preprocessing.decode(turned).size == (40, 30)
    difference = np.abs(np.asarray(preprocessing.decode(turned), int) - np.asarray(picture(), int))
    assert difference.mean() < 6


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"hello", "is no picture"), (encoded(picture(size=(400, 300)))[:900], "cannot be decoded")],
)
def test_what_is_no_picture_has_a_reason(content, reason):
    with pytest.raises(preprocessing.PictureError, match=reason):
        preprocessing.decode(content)


def test_a_moving_picture_gives_its_first_frame():
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    found = preprocessing.decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert found.getpixel((5, 5)) == (255, 0, 0)


def test_pictures_of_a_file_are_counted():
    assert preprocessing.frames(encoded(picture(1), "GIF", save_all=True, append_images=[picture(2), picture(3)])) == 3
    assert preprocessing.frames(encoded(picture(1))) == 1


def test_a_file_that_is_too_large_is_refused_before_decoding(monkeypatch):
    content = encoded(picture(1))
    monkeypatch.setattr(preprocessing, "MAX_BYTES", len(content) - 1)
    with pytest.raises(preprocessing.PictureError, match="is larger than"):
        preprocessing.decode(content)


def test_a_comment_is_not_kept():
    image = preprocessing.decode(encoded(picture(), comment=b"private"))
    assert image.info["comment"] == b"private"
    assert b"private" not in preprocessing.encode(image, 90)


def test_absurd_dimensions_are_refused_before_decoding():
    header = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    header[16:24] = (200_000).to_bytes(4) + (200_000).to_bytes(4)
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4)
    with pytest.raises(preprocessing.PictureError, match="pixels"):
        preprocessing.decode(bytes(header))


def test_fit_keeps_the_aspect_of_full_photos_alone():
    assert preprocessing.fit(picture(size=(200, 100)), "full", 64).size == (64, 32)
    assert preprocessing.fit(picture(size=(200, 100)), "cropped", 64).size == (64, 64)
    assert preprocessing.fit(picture(size=(200, 100)), "found", 64).size == (64, 64)


def test_square_pads_and_cuts():
    pixels = np.full((2, 4, 3), 9, np.uint8)
    padded = preprocessing.square(pixels, 4)
    assert padded[0].tolist() == [[128] * 3] * 4
    assert padded[1].tolist() == [[9] * 3] * 4
    assert preprocessing.square(np.arange(75, dtype=np.uint8).reshape(5, 5, 3), 3)[0, 0].tolist() == [18, 19, 20]


def test_crop_box_widens_and_repeats_the_edge():
    image = Image.fromarray(np.full((10, 10, 3), 7, np.uint8))
    found = preprocessing.crop_box(image, (0, 0, 10, 10), 0.5)
    assert found.size == (20, 20)
    assert np.asarray(found).min() == 7
    with pytest.raises(preprocessing.PictureError, match="not within"):
        preprocessing.crop_box(image, (20, 20, 30, 30), 0.1)


def test_hash_survives_saving_and_tells_strangers_apart():
    again = Image.open(io.BytesIO(encoded(picture(1, (100, 100)), quality=60)))
    lumas = [preprocessing.luma(p) for p in (picture(1, (100, 100)), again, picture(2, (100, 100)))]
    one, two, other = preprocessing.perceptual_hash(np.stack(lumas)).tolist()
    assert (one ^ two).bit_count() <= 2
    assert (one ^ other).bit_count() > 10
    assert one < 2**63
