"""The results that a change is measured against: reports/baselines/NAME/, one folder a dataset and source kind.

about.json           the format, each model's test metrics, and why a worse one was accepted, if it was
predictions.csv.gz   what each model said of each test face
spread.csv           how much each score differs between trainings that differ in their seed alone; may be missing
"""

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from faces import params, targets
from faces.data import provenance
from faces.evaluation import predictions
from faces.evaluation.predictions import PredictionsError

FORMAT = 1
FOLDER = Path("reports/baselines")
FILES = ABOUT, PREDICTIONS, SPREAD = "about.json", "predictions.csv.gz", "spread.csv"


@dataclass
class Baseline:
    """One folder, read.

    metrics: {model: {score: value}} on test; predictions: {model: rows of predictions.csv}; spread: columns model,
    target, slice, n, seeds, sd (of the mean loss; see spread.py), empty where it was not measured.
    """

    metrics: dict[str, dict[str, float]]
    predictions: dict[str, pd.DataFrame]
    spread: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["model", "target", "slice", "n", "sd"]))
    accepted: str = ""


def name_of(store_name: str) -> str:
    """Name of the baseline of a registered name: faces-utkface-sample -> utkface-sample."""
    return store_name.removeprefix("faces-")


def by_name(p: params.Params) -> dict[str, list[str]]:
    """Models of params.yaml by the name of their baseline."""
    found: dict[str, list[str]] = {}
    for model, row in p.models.items():
        noted = provenance.read(row.dataset, row.variant)
        found.setdefault(name_of(provenance.store_name(row.dataset, noted)), []).append(model)
    return found


def load(name: str, read: Callable[[str], bytes | None] | None = None) -> Baseline | None:
    """Read a baseline; None where there is none.

    read: gives the bytes of one of its files, None where it is missing; from reports/baselines/NAME unless given.
    Raises PredictionsError where it is of another version of the format, or not usable.
    """
    read = read or (lambda file: _bytes(FOLDER / name / file))
    text = read(ABOUT)
    if text is None:
        return None
    where = f"baseline {name}"
    try:
        about = json.loads(text)
    except ValueError as error:
        raise PredictionsError(f"{where}: {ABOUT} cannot be read: {error}") from None
    if about.get("format") != FORMAT:
        raise PredictionsError(
            f"{where} is of format {about.get('format')!r}, and this is {FORMAT}: make it anew with `make baseline`"
        )
    packed = read(PREDICTIONS)
    if packed is None:
        raise PredictionsError(f"{where}: {PREDICTIONS} is missing: make it anew with `make baseline`")
    found = Baseline(about["metrics"], unpack(packed, where), accepted=about.get("accepted", ""))
    lost = [model for model in found.metrics if model not in found.predictions]
    if lost:
        raise PredictionsError(f"{where}: {PREDICTIONS} has nothing of {lost[0]}: make it anew with `make baseline`")
    spread = read(SPREAD)
    if spread is not None:
        found.spread = pd.read_csv(io.BytesIO(spread), dtype={"model": str, "target": str, "slice": str})
    return found


def unpack(packed: bytes, where: str) -> dict[str, pd.DataFrame]:
    """Rows {model: rows of predictions.csv} of what `pack` gave. Raises PredictionsError where they are not usable."""
    rows = predictions.parse(gzip.decompress(packed))
    found = {}
    for model, part in rows.groupby("model"):
        idle = [f"{key}_{end}" for key in targets.TARGETS for end in ("predicted", "mean", "bin")]
        idle = [column for column in idle if column in part and (part[column].isna() | (part[column] == "")).all()]
        found[str(model)] = predictions.checked(part.drop(columns=["model", *idle]), f"{where}, {model}")
    return found


def pack(models: dict[str, pd.DataFrame]) -> bytes:
    """Test predictions of models, as a compressed CSV; the same bytes for the same rows.

    Faces are named by hashes. Mean ages are kept to 0.001 years: no verdict is by them, medians are whole years.
    """
    table = pd.concat([predictions.nameless(rows).assign(model=name) for name, rows in models.items()])
    kept = ["model", *(column for column in _columns() if column in table)]
    return gzip.compress(table[kept].round(3).to_csv(index=False, lineterminator="\n").encode(), 9, mtime=0)


def write(name: str, baseline: Baseline) -> None:
    """Write about.json and predictions.csv.gz, and what is left of spread.csv for these models."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    about = {"format": FORMAT, "accepted": baseline.accepted, "metrics": baseline.metrics}
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    (folder / PREDICTIONS).write_bytes(pack(baseline.predictions))
    spread = baseline.spread[baseline.spread["model"].isin(baseline.metrics)]
    if len(spread):
        spread.to_csv(folder / SPREAD, index=False, lineterminator="\n")
    else:
        (folder / SPREAD).unlink(missing_ok=True)


def _columns() -> list[str]:
    """Columns of predictions that comparisons need, in order."""
    found = ["face_id", "group", "part", *targets.TARGETS]
    for name, target in targets.TARGETS.items():
        ends = ("predicted", "mean", "bin") if target.kind == "years" else ("predicted",)
        found += [f"{name}_{end}" for end in ends]
    return found


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
