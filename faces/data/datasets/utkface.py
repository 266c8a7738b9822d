"""UTKFace (Zhang, Song & Qi 2017): labels are in the file names, `age_sex_race_timestamp.jpg[.chip.jpg]`."""

import re
from pathlib import PurePosixPath

import numpy as np

from faces.data.archives import IMAGE_SUFFIXES, is_hidden
from faces.data.datasets import Archive

HOME = "https://susanqq.github.io/UTKFace/"
LICENCE = "for non-commercial research only; the photos belong to their owners"
LABELS = (
    "Age, sex and ethnicity are what an algorithm (DEX) estimated from the image and one annotator checked: "
    "perceived, not told by the person. Sex has two classes and ethnicity five, of which the last is a remainder."
)
DRIVE = "https://drive.google.com/uc?id="
KAGGLE = "https://www.kaggle.com/api/v1/datasets/download/jangedoo/utkface-new"
ARCHIVES = {
    "cropped": (
        Archive(
            "UTKFace.tar.gz",
            (
                DRIVE + "0BxYys69jI14kYVM3aVhKS1VhRUk",
                "https://huggingface.co/datasets/py97/UTKFace-Cropped/resolve/main/UTKFace.tar.gz",
            ),
            size=106_634_631,
            md5="ae1a16905fbd795db921ff1d940df9cc",
            sha256="2c0655397b498e81b82d685ee74bee8c2e4364a5897caf3afec6ea48929024a7",
            alternatives=(
                Archive("utkface-new.zip", (KAGGLE,), about=350_000_000),
                Archive("archive.zip"),
                Archive("UTKFace"),
            ),
            by_hand="open https://susanqq.github.io/UTKFace/, follow `Aligned&Cropped Faces`, and download "
            "UTKFace.tar.gz; or press Download at https://www.kaggle.com/datasets/jangedoo/utkface-new, which "
            "gives archive.zip; a folder called UTKFace with the same images works as well",
        ),
    ),
    "full": tuple(
        Archive(
            f"part{k}.tar.gz",
            (DRIVE + drive_id,),
            about=430_000_000,
            alternatives=(Archive(f"part{k}"),),
            by_hand="open https://susanqq.github.io/UTKFace/, follow `In-the-wild Faces`, and download part1.tar.gz, "
            "part2.tar.gz and part3.tar.gz; folders part1, part2 and part3 with the same images work as well",
        )
        for k, drive_id in (
            (1, "0BxYys69jI14kb2o4ajJwQ3FOUm8"),
            (2, "0BxYys69jI14kNEt1SnNJN1Z2WWc"),
            (3, "0BxYys69jI14kVkVTZHZHa21zUXM"),
        )
    ),
}
SEXES = ("male", "female")
RACES = ("white", "black", "asian", "indian", "others")
# Where the landmarks of detection.Face are in a chip, as fractions of its side: medians of 710 chips, each 0.02 wide.
FRAMING = np.array([(0.298, 0.305), (0.708, 0.307), (0.496, 0.518), (0.327, 0.698), (0.663, 0.700)])
MAX_AGE = 116  # the oldest label in the published set

# Some published names have no dot before jpg, or a space before the extension.
SUFFIX = "|".join(map(re.escape, IMAGE_SUFFIXES))
NAME = re.compile(rf"(?P<stem>.*?)(?:\.?jpg|(?:\.?jpg)?(?:\.chip)?(?:{SUFFIX}))", re.IGNORECASE)
FIELDS = re.compile(r"(?P<age>\d{1,3})_(?P<sex>\d)_(?P<race>\d)_(?P<time>\d{10,20})")


def face_id(member: str) -> str | None:
    """Id of the face that a member of an archive shows, the same for a chip and its in-the-wild photo.

    It begins with the timestamp, so that ids sort by it: `20170116174525125_39_1_0`. A name that lacks one of the
    four fields is its own id; None for a member that is not an image.
    """
    path = PurePosixPath(member)
    match = NAME.fullmatch(path.name)
    if match is None or is_hidden(path):
        return None
    stem = match["stem"].rstrip()
    fields = FIELDS.fullmatch(stem)
    if fields is None:
        return stem
    return f"{fields['time']}_{fields['age']}_{fields['sex']}_{fields['race']}"


def labels(face: str) -> dict[str, object]:
    """Columns of a face id's record: age in years, sex, ethnicity, and reject: a reason, or empty."""
    parts = face.split("_")
    if not (len(parts) == 4 and FIELDS.fullmatch("_".join((*parts[1:], parts[0])))):
        return {"reject": "name without age, sex, race and timestamp"}
    age, sex, race = int(parts[1]), int(parts[2]), int(parts[3])
    if not 0 < age <= MAX_AGE:
        return {"reject": f"impossible age {age}"}
    if sex >= len(SEXES) or race >= len(RACES):
        return {"reject": f"unknown code: sex {sex}, race {race}"}
    return {"age": float(age), "sex": SEXES[sex], "ethnicity": RACES[race], "reject": ""}
