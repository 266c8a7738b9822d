"""Faces are detected where they are and nowhere else, and cropped as in the training images of a model."""

import tracemalloc

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw

from faces.data.datasets import imdb_wiki, utkface
from faces.images import detection, preprocessing
from faces.images.detection import Face
from faces.images.preprocessing import ImageError
from faces.inference import photos
from faces.inference.predictor import SHIPPED, Predictor
from tests.conftest import encoded

EYES = ((203, 101), (247, 104))  # of the astronaut's photo, by eye


@pytest.fixture(scope="module")
def detector():
    return detection.FaceDetector(threads=2)


@pytest.fixture(scope="module")
def astronaut():
    """NASA's portrait of Eileen Collins, in the public domain, 512 x 512."""
    return Image.fromarray(skimage.data.astronaut())


def centre(box):
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


def test_a_face_is_detected_with_its_landmarks(detector, astronaut):
    (face,) = detector.detect(astronaut)
    assert face.score > 0.8
    np.testing.assert_allclose(centre(face.box), (225, 118), atol=8)
    np.testing.assert_allclose(face.landmarks[:2], EYES, atol=4)
    assert face.landmarks[2, 1] < face.landmarks[3:, 1].min()  # the nose above the mouth


def test_faces_are_sorted_by_size(detector, astronaut):
    photo = Image.new("RGB", (3000, 2000), (90, 110, 100))
    for left, top, side in ((100, 100, 512), (900, 200, 1600), (2600, 1500, 350)):
        photo.paste(astronaut.resize((side, side)), (left, top))
    faces = detector.detect(photo)
    places = [(900 + 225 / 512 * 1600, 200 + 118 / 512 * 1600), (325, 218), (2600 + 154, 1500 + 81)]
    np.testing.assert_allclose([centre(face.box) for face in faces], places, atol=25)


def test_a_face_that_fills_the_picture_is_detected(detector, astronaut):
    (face,) = detector.detect(astronaut.crop((170, 50, 290, 190)).resize((1400, 1633)))
    assert face.box[2] - face.box[0] > 700


@pytest.mark.parametrize("photo", ["coffee", "rocket"])
def test_pictures_without_faces_give_none(detector, photo):
    assert detector.detect(Image.fromarray(getattr(skimage.data, photo)())) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (5000, 2)])
def test_any_picture_shape_is_accepted(detector, size):
    assert detector.detect(Image.new("RGB", size)) == []


def test_maps_are_decoded_to_hand_computed_values():
    heat, size, offset = np.zeros((1, 1, 4, 6)), np.zeros((1, 2, 4, 6)), np.zeros((1, 2, 4, 6))
    landmark = np.full((1, 10, 4, 6), 0.5)
    heat[0, 0, 2, 3], heat[0, 0, 0, 0] = 0.9, 0.4
    size[0, :, 2, 3] = np.log(5), np.log(2)  # 20 high, 8 wide
    offset[0, :, 2, 3] = 0.25, -0.5
    landmark[0, :2, 2, 3] = 0.1, 0.75  # down, across
    boxes, scores, points = detection.decode_maps([heat, size, offset, landmark], 0.5)
    assert scores.tolist() == [0.9]
    np.testing.assert_allclose(boxes, [[12 - 4, 11 - 10, 12 + 4, 11 + 10]])  # centre (3.0, 2.75) cells of 4 pixels
    np.testing.assert_allclose(points[0, :2], [[8 + 6, 1 + 2], [12, 11]])


def test_overlap_by_hand():
    others = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]], float)
    union, smaller = detection.overlaps((0, 0, 2, 2), others)
    np.testing.assert_allclose(union, [1, 1 / 7, 0])
    np.testing.assert_allclose(smaller, [1, 1 / 4, 0])


def test_repeated_faces_and_parts_are_suppressed():
    boxes = [(0, 0, 10, 10), (1, 1, 10, 10), (2, 2, 4, 4), (30, 0, 40, 9), (8, 8, 12, 12)]
    whole, again, part, apart, near = (Face(box, 0.6, np.zeros((5, 2))) for box in boxes)
    assert detection.suppress_overlaps([whole, again, part, apart, near]) == [whole, apart, near]


def test_the_largest_face_or_the_one_in_a_known_box_is_selected():
    large, small = (Face(box, 0.9, np.zeros((5, 2))) for box in ((0, 0, 40, 40), (50, 0, 60, 10)))
    assert detection.select_face([]) is None
    assert detection.select_face([large, small]) is large
    assert detection.select_face([large, small], (45, -5, 65, 15)) is small  # a box with more around the face
    assert detection.select_face([large, small], (30, 30, 55, 55)) is None  # overlaps a tenth of each
    assert detection.select_face([], (0, 0, 40, 40)) is None


def test_the_labelled_face_is_the_one_in_its_box():
    large, small = (Face(box, 0.9, np.zeros((5, 2))) for box in ((0, 0, 40, 40), (50, 0, 60, 10)))
    faces, size = [large, small], (100, 100)
    assert detection.labelled_face(faces, size, box=(48, 0, 60, 12)) is small
    assert detection.labelled_face(faces, size, largest=True, box=(48, 0, 60, 12)) is small
    assert detection.labelled_face([Face((0, 0, 90, 90), 0.9, large.landmarks)], size, box=(0, 0, 80, 80)) is None
    with pytest.raises(ImageError, match="no detected face is in its box"):
        detection.labelled_face(faces, size, box=(70, 70, 90, 90))
    (left, top), (right, bottom) = (
        detection.labelled_face([], size, box=(20, 30, 40, 60)).landmarks[i] for i in (0, 4)
    )
    assert 20 < left < right < 40
    assert 30 < top < bottom < 60


@pytest.mark.parametrize("box", [(100, 0, 120, 20), (-30, 0, 10, 40), (0, 0, 400, 400), (0, -5e300, 9, 5e300)])
def test_a_box_outside_the_photo_is_refused(box):
    with pytest.raises(ImageError, match=r"has its box outside the image: .* of 100 x 80"):
        detection.labelled_face([], (100, 80), box=box)


def test_a_face_is_framed_by_its_box_as_by_its_landmarks(detector, astronaut):
    (face,) = detector.detect(astronaut)
    crops = [
        np.asarray(detection.crop_face(astronaut, known, utkface.FRAMING, 100), float)
        for known in (face, detection.face_of_box(face.box))
    ]
    assert np.corrcoef(*(crop.ravel() for crop in crops))[0, 1] > 0.7


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0])
@pytest.mark.parametrize("scale", [0.4, 1.0, 7.3])
def test_a_crop_brings_landmarks_to_their_places(angle, scale):
    framing, side = utkface.FRAMING, 100
    points = (framing * side - 50) @ np.array([1, 1j]) * scale * np.exp(1j * angle) + (900 + 700j)
    marks = np.stack([points.real, points.imag], 1)
    photo = Image.new("RGB", (1800, 1400))
    draw, size = ImageDraw.Draw(photo), max(2, 3 * scale)
    for x, y in marks:
        draw.ellipse((x - size, y - size, x + size, y + size), fill="white")
    crop = np.asarray(detection.crop_face(photo, Face((0, 0, 1, 1), 1.0, marks), framing, side), float)[:, :, 0]
    for x, y in framing * side:
        rows, columns = np.mgrid[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9]
        weight = crop[rows, columns]
        assert weight.max() > 60
        np.testing.assert_allclose([(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()],
                                   [x - 0.5, y - 0.5], atol=0.8 if scale >= 1 else 1.5)  # fmt: skip


def test_outside_the_picture_a_crop_repeats_its_edge():
    photo = Image.fromarray(np.full((60, 60, 3), (10, 200, 30), np.uint8))
    face = Face((0, 0, 60, 60), 1.0, utkface.FRAMING * 60 - (40, 25))
    crop = np.asarray(detection.crop_face(photo, face, utkface.FRAMING, 80))
    assert crop.shape == (80, 80, 3)
    assert np.abs(crop.astype(int) - (10, 200, 30)).max() <= 1


def test_a_crop_that_is_far_wider_than_its_photo_takes_little_memory(astronaut):
    framing = 0.5 + (utkface.FRAMING - 0.5) / 40  # a face of a 40th of the side
    face = Face((0, 0, 1, 1), 1.0, utkface.FRAMING * 2000)
    tracemalloc.start()
    crop = np.asarray(detection.crop_face(astronaut.resize((2000, 2000)), face, framing, 400))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000
    small = np.asarray(astronaut.resize((10, 10), Image.Resampling.BOX), float)
    assert np.abs(crop[195:205, 195:205] - small).mean() < 12


def test_framings_are_upright_and_imdb_wikis_is_wider():
    for framing in (utkface.FRAMING, imdb_wiki.FRAMING):
        left, right, nose, *mouth = framing
        assert left[0] < nose[0] < right[0]
        assert left[1] < nose[1] < mouth[0][1]
    apart = [np.linalg.norm(f[1] - f[0]) for f in (utkface.FRAMING, imdb_wiki.FRAMING)]
    assert apart[0] / apart[1] == pytest.approx(1.867, abs=0.01)


def predict(photo, predictor, detector):
    return list(photos.predict([photos.prepare("a", encoded(photo, "PNG"), predictor, detector)], predictor))


def test_a_photo_is_predicted_face_by_face(detector, astronaut):
    predictor = Predictor(SHIPPED, threads=2)
    two = Image.new("RGB", (1100, 600), "gray")
    two.paste(astronaut.rotate(12, Image.Resampling.BICUBIC), (0, 0))
    two.paste(astronaut.resize((400, 400)), (600, 100))
    rows = predict(two, predictor, detector)
    assert [row["face"] for row in rows] == [1, 2]
    assert rows[0]["right"] - rows[0]["left"] > rows[1]["right"] - rows[1]["left"]
    for row in rows:
        assert list(row) == ["name", *photos.columns(predictor)]
        assert row["sex"] == "female"
        assert 28 < row["age"] < 50
    assert predict(Image.new("RGB", (300, 200)), predictor, detector) == [{"name": "a", "error": "no face was found"}]


def test_a_model_for_whole_photos_gets_the_whole_photo(detector, astronaut):
    predictor = Predictor(SHIPPED, threads=2)
    predictor.metadata["variant"] = "full"
    (row,) = predict(astronaut, predictor, detector)
    assert [row[name] for name in photos.PLACE] == [0, 0, 512, 512, 1]


def test_decode_reads_what_phones_and_the_web_write(tmp_path, astronaut):
    import pillow_heif

    pillow_heif.register_heif_opener()
    for suffix in ("heic", "webp", "png"):
        astronaut.save(tmp_path / f"a.{suffix}")
        assert preprocessing.decode((tmp_path / f"a.{suffix}").read_bytes()).size == (512, 512)


def test_faces_are_framed_as_in_the_models_dataset():
    predictor = Predictor(SHIPPED, threads=2)
    predictor.metadata.pop("framing", None)  # as of earlier versions
    assert photos.framing(predictor) is utkface.FRAMING
    predictor.metadata["variant"] = "detected"
    assert photos.framing(predictor) is utkface.FRAMING
    predictor.metadata["dataset"] = "wiki"
    assert photos.framing(predictor) is imdb_wiki.FRAMING
    predictor.metadata["dataset"] = "mine"  # a table of one's own
    assert photos.framing(predictor) is utkface.FRAMING
    predictor.metadata["framing"] = imdb_wiki.FRAMING.tolist()
    np.testing.assert_array_equal(photos.framing(predictor), imdb_wiki.FRAMING)
    predictor.metadata["framing"] = None
    assert photos.framing(predictor) is None
