"""Score a model on a table of your own images, without training: a row of `tables` in params.yaml.

The labelled face of each image is the one in its box, where the table has one. Else it is the one nearest to the middle
among the large ones, or the largest with --face largest. An image that is a crop is taken as it is. Images in which two
faces are as near, or none is found, are left out, with the reason. It writes a page, index.md, with scores.json,
predictions.csv, left_out.csv, plots and the faces with the largest errors to data/scored/TABLE/. With --against,
the page compares two models on the same faces.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from commands import command_line
from faces import params, scores, targets
from faces.data import archives, downloads, records
from faces.data.datasets import table
from faces.evaluation import dummy_baseline, gains, group_files, predictions, score_tables
from faces.images import contact_sheet, detection
from faces.inference import photos
from faces.inference.predictor import Predictor
from faces.reporting import plots, score_sections, scored_page
from faces.runtime import progress

FOLDER = Path("data/scored")
WORST = 20  # faces that are shown for each target
COMPARED = ("mae", "beyond", "coverage", "accuracy")  # scores in which two models are compared: means over faces


def main() -> None:
    """Read the labels, detect and predict each face, write the scores."""
    parser = command_line.parser(__doc__)
    parser.add_argument("table", help="a row of `tables` in params.yaml")
    parser.add_argument("--model", help="as in `python -m commands.predict`")
    parser.add_argument("--against", metavar="MODEL", help="another model, to compare with on the same faces")
    parser.add_argument("--part", choices=params.PARTS, help="only faces of this part of the table's split")
    parser.add_argument("--face", choices=("central", "largest"), default="central", help="default: %(default)s")
    parser.add_argument("--cropped", action="store_true", help="each image is one face, framed as the model needs")
    args = parser.parse_args()
    p = params.load()
    if args.table not in p.tables:
        parser.error(f"params.yaml has no table {args.table!r}; it has {', '.join(p.tables) or 'none'}")
    predictor, version = load(args.model)
    other = load(args.against) if args.against else None
    uncut = p.variants[f"{args.table}-cropped"].crop == "none"
    rule = "cropped" if args.cropped or uncut else args.face
    out = FOLDER / args.table
    with tempfile.TemporaryDirectory() as folder:
        source = Images(p, args.table, Path(folder), boxed=rule != "cropped")
        labels, left_out = source.labels()
        if args.part:
            split = records.read(f"data/splits/{args.table}.csv").query("part == @args.part")
            labels, left_out = (rows[rows["face_id"].isin(split["face_id"])] for rows in (labels, left_out))
        faces, decoded, missing = predicted(source, labels, predictor, rule)
        left_out = pd.concat([left_out, missing], ignore_index=True)
        if not len(faces):
            reasons = progress.counts(counted(left_out))
            command_line.stop(f"{args.table}: no image can be scored: {reasons}")
        rows = as_rows(faces, decoded)
        scored = Scored(args.table, rows, left_out, predictor, version, rule)
        if other:
            scored.against = other[1]
            scored.compared = compared(rows, as_rows(*predicted(source, faces, other[0], rule)[:2]), p.evaluate)
        write(scored, source, p, out)


@dataclass
class Scored:
    """What a model predicts of a table: rows of predictions.csv, and face_id and reason of the rows left out.

    against: the other model's version, '' without one; compared: as `compared` returns it.
    """

    table: str
    rows: pd.DataFrame
    left_out: pd.DataFrame
    predictor: Predictor
    version: str
    rule: str
    against: str = ""
    compared: pd.DataFrame = field(default_factory=pd.DataFrame)


class Images:
    """The images of a table, and its labels."""

    def __init__(self, p: params.Params, name: str, folder: Path, boxed: bool) -> None:
        """Copy the images of a row of tables to a folder, as `download` does; boxed: whether boxes of faces count."""
        self.name, self.settings = name, p.tables[name]
        if self.settings.columns.box is not None and not boxed:
            progress.say(f"{name}: the columns of boxes are not read, since each image is one face")
            self.settings = table.without_boxes(self.settings)
        self.boxes: dict[str, tuple[float, float, float, float]] = {}
        self.path = Path(p.variants[f"{name}-cropped"].images or "")
        self.archive = folder / downloads.import_own_images(self.path, folder)["name"]

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Names and bytes of all members."""
        return archives.members(self.archive)

    def labels(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Records of the usable rows of the labels file, by image; and face_id and reason of the others. Sets boxes."""
        members = [name for name, _ in self.contents()]
        rows = table.read(self.settings, self.name)
        made, unknown = table.records(rows, self.settings, members, self.path.name, bins=True)
        for reason, count in unknown.items():
            progress.say(f"{self.name}: {count} x {reason}, so that label is left empty")
        for name, target in targets.TARGETS.items():
            if name not in made:
                made[name] = np.nan if target.kind == "years" else ""
        self.boxes = records.as_boxes(records.boxes(made))
        made["group"] = made["identity"].where(made["identity"] != "", made["face_id"])
        bad = made["reject"] != ""
        return made[~bad], made.loc[bad, ["face_id", "reject"]]


def predicted(
    source: Images, labels: pd.DataFrame, predictor: Predictor, rule: str
) -> tuple[pd.DataFrame, dict[str, np.ndarray], pd.DataFrame]:
    """The rows of labels whose face is predicted, the columns of decode for them; face_id and reason of the others."""
    by_box = 0
    kept: list[str] = []
    left_out: list[dict] = []
    batches: list[dict[str, np.ndarray]] = []
    wanted = set(labels["face_id"])
    bar = progress.bar(images(source, wanted, predictor, rule), "scoring", len(wanted), "images")
    for batch in photos.batches(bar):
        left_out += [{"face_id": image.name, "reject": image.error} for image in batch if image.error]
        good = [image for image in batch if not image.error]
        if good:
            kept += [str(image.name) for image in good]
            by_box += sum(image.places[0][-1:] == (0.0,) for image in good)  # the score of a detection
            batches.append(predictor.decode(np.stack([image.inputs[0] for image in good])))
    if by_box:
        progress.say(f"{source.name}: {by_box} images are framed by their box, since {detection.NO_FACE} in them")
    decoded = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]} if batches else {}
    return labels.set_index("face_id").loc[kept].reset_index(), decoded, pd.DataFrame(left_out)


def images(
    source: Images, wanted: set[str], predictor: Predictor, rule: str
) -> Iterator[Callable[[], photos.Prepared]]:
    """Functions that prepare each of the wanted images, with its labelled face alone."""
    detector = detection.FaceDetector(threads=1)
    for name, content in source.contents():
        face = table.face_id(name)
        if face in wanted and rule == "cropped":
            yield functools.partial(photos.prepare, face, content, predictor, None)
        elif face in wanted:
            yield functools.partial(
                photos.labelled_face, face, content, predictor, detector, rule, source.boxes.get(face)
            )


def load(name: str | None) -> tuple[Predictor, str]:
    """A calibrated model and its version, by its name."""
    predictor, version = command_line.load_model(name)
    if any(target.kind == "years" and target.name not in predictor.fitted for target in predictor.targets):
        command_line.stop(f"{version}: is not calibrated; data/calibrated/ has the model that is")
    return predictor, version


def as_rows(faces: pd.DataFrame, decoded: dict[str, np.ndarray]) -> pd.DataFrame:
    """Rows of predictions.csv of the faces of a table, with the bins of ages that are labels, where any is one."""
    return with_bins(predictions.as_rows(faces.set_index("face_id"), "test", decoded), faces)


def compared(rows: pd.DataFrame, others: pd.DataFrame, settings: params.Evaluate) -> pd.DataFrame:
    """Scores of two models on the faces that both have: target, score, n, first, second, difference, low, high.

    The interval is of the paired difference, first less second (gains.paired). For too few faces, it is NaN.
    """
    common = set(rows["face_id"]) & set(others["face_id"])
    one, two = (t[t["face_id"].isin(common)].sort_values("face_id").reset_index(drop=True) for t in (rows, others))
    people, table = one["group"].to_numpy(), []
    for target in predictions.scored_targets(one, two):
        first, second = (predictions.face_scores(faces, target) for faces in (one, two))
        for name in (name for name in COMPARED if name in first):
            n, values = int(np.isfinite(first[name]).sum()), (np.nanmean(first[name]), np.nanmean(second[name]))
            row = {"target": target.name, "score": name, "n": n, "first": values[0], "second": values[1]}
            gain = gains.interval(gains.paired(first[name], second[name], people), settings.confidence)
            table.append(row | (gain if n >= settings.min_group_size else dict.fromkeys(gain, np.nan)))
    return pd.DataFrame(table)


def with_bins(rows: pd.DataFrame, faces: pd.DataFrame) -> pd.DataFrame:
    """Rows of predictions.csv with the bins of ages that are labels, where any is one."""
    for name in targets.TARGETS:
        first, last = f"{name}_first", f"{name}_last"
        if first in faces and (faces[first] != faces[last]).any() and name in rows:
            rows = rows.assign(**{end: faces[end].to_numpy() for end in (first, last)})
    return rows


def counted(left_out: pd.DataFrame) -> dict[str, int]:
    """Numbers of rows that are left out, by reason, the most frequent first."""
    return {str(reason): int(n) for reason, n in left_out["reject"].value_counts().items()} if len(left_out) else {}


def write(scored: Scored, source: Images, p: params.Params, out: Path) -> None:
    """Write all files of the folder, and print the scores."""
    name, rows, left_out, predictor = scored.table, scored.rows, scored.left_out, scored.predictor
    if not predictions.scored_targets(rows):
        command_line.stop(f"{name}: no label of {', '.join(target.name for target in predictor.targets)} is known")
    constants = predictor.metadata[dummy_baseline.KEY]
    dummy = dummy_baseline.predicted(rows, constants)
    scored_table = scores.table(score_tables.part_scores(rows, dummy, "test", p.evaluate))
    records.write(rows, out / "predictions.csv")
    records.write(left_out, out / "left_out.csv")
    records.write(scored_table, out / "scores.csv")
    confidence = next((fitted["confidence"] for fitted in predictor.fitted.values() if "confidence" in fitted), 0.0)
    summary = group_files.write(rows, constants, p.evaluate, confidence, out)
    how = {"cropped": "each image is one face", "largest": "the largest face of each image"}
    first = "the face in its box, or " if source.boxes else ""
    about = {
        "table": name,
        "labels": source.settings.labels,
        "model": scored.version,
        "how": first + how.get(scored.rule, "of several faces the large one nearest to the middle"),
        "rows": len(rows) + len(left_out),
        "scored": len(rows),
        "left_out": counted(left_out),
        "bins": any(column.endswith("_first") for column in rows),
        "scores": scored_table.drop(columns="part").to_dict("records"),
        "against": scored.against,
        "compared": scored.compared.to_dict("records"),
        "summary": summary,
    }
    records.write_json(about, out / "scores.json")
    draw(name, rows, scored_table, p, confidence, out)
    worst = {
        target.name: scored_page.largest_errors(rows, target, WORST) for target in predictions.scored_targets(rows)
    }
    draw_worst(worst, source, predictor, scored.rule, out)
    (out / "index.md").write_text(scored_page.page(about, worst, p.evaluate.confidence, out))
    whole = scored_table[scored_table["group"] == ""]
    progress.say(f"{name}: {len(rows)} of {about['rows']} rows scored with {scored.version}, see {out / 'index.md'}")
    print(score_sections.interval_table(scores.select(whole, "comparison"), ["target", "score"]))
    if scored.against:
        print("\n".join(["", *scored_page.against(about)]))


def draw(name: str, rows: pd.DataFrame, scored: pd.DataFrame, p: params.Params, confidence: float, out: Path) -> None:
    """Draw the plots of a model's test scores."""
    (out / "plots").mkdir(parents=True, exist_ok=True)
    wanted = [target.name for target in predictions.scored_targets(rows)]
    plots.draw_scores(name, wanted, score_tables.confusion_counts(rows), scored, out / "plots")
    plots.draw_subgroups(name, records.read(out / "subgroups.csv"), confidence, out / "plots")
    plots.draw_reliability(name, records.read(out / "reliability.csv"), out / "plots")


def draw_worst(worst: dict[str, pd.DataFrame], source: Images, predictor: Predictor, rule: str, out: Path) -> None:
    """Draw the faces with the largest errors as the network sees them, one contact sheet a target."""
    wanted = {face for rows in worst.values() for face in rows["image"]}
    prepared = [image for batch in photos.batches(images(source, wanted, predictor, rule)) for image in batch]
    inputs = {image.name: image.inputs[0] for image in prepared if image.inputs}
    for name, rows in worst.items():
        if len(rows):
            captions = [f"{row['label']}: {row['predicted']}" for row in rows.to_dict("records")]
            contact_sheet.draw([inputs[face] for face in rows["image"]], captions).save(out / f"worst_{name}.png")


if __name__ == "__main__":
    command_line.run(main)
