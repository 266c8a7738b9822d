"""The results that a change is compared with: reports/baselines/NAME/, one folder for each dataset and source kind.

about.json           the format, each model's test metrics and recipe, and why a worse result was accepted, if one was
predictions.csv.gz   each model's predictions for each test face
spread.csv           standard deviation of each mean loss between trainings that differ only in their seed; optional
"""

import gzip
import hashlib
import io
import json
import zlib
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
REMEDY = "make it again with `make baseline`"
PREDICTED = [f"{name}_{end}" for name, row in targets.TARGETS.items() for end in predictions.PREDICTED[row.kind]]
COLUMNS = ["face_id", "group", "part", *targets.TARGETS, *PREDICTED]  # of predictions.csv, that comparisons need
SEED_COLUMNS = ["model", "target", "slice", "n", "seeds", "sd", "faces", "recipe"]  # of spread.csv
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, EOFError, OSError, zlib.error)  # that parsing raises
FILES = ABOUT, PREDICTIONS, SEED_SD = "about.json", "predictions.csv.gz", "spread.csv"


@dataclass
class Baseline:
    """Content of one folder.

    metrics: {model: {score: value}} on test; predictions: {model: rows of predictions.csv}; seed_sd: columns of
    SEED_COLUMNS, sd of the mean loss (see tolerance.py), no rows if not measured; accepted: the reason;
    recipes: {model: recipe_digest}; split_rules: by which the faces were split.
    """

    metrics: dict[str, dict[str, float]]
    predictions: dict[str, pd.DataFrame]
    seed_sd: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SEED_COLUMNS))
    accepted: str = ""
    recipes: dict[str, str] = field(default_factory=dict)
    split_rules: int = provenance.SPLIT_RULES


def baseline_name(registered_name: str) -> str:
    """Name of the baseline of a registered model: faces-utkface-sample -> utkface-sample."""
    return registered_name.removeprefix("faces-")


def by_name(p: params.Params) -> dict[str, list[str]]:
    """Names of the models of params.yaml, by the name of their baseline."""
    models: dict[str, list[str]] = {}
    for model, row in p.models.items():
        registered_name = provenance.store_name(row.dataset, provenance.read(row.dataset, row.variant))
        models.setdefault(baseline_name(registered_name), []).append(model)
    return models


def load(name: str, read: Callable[[str], bytes | None] | None = None) -> Baseline | None:
    """Read a baseline; None if there is none.

    read: returns the bytes of one of its files, None if missing; by default from reports/baselines/NAME.
    Raises PredictionsError if it has another version of the format, or is not usable.
    """
    read = read or (lambda file: _bytes(FOLDER / name / file))
    text, packed, seed_sd = (read(file) for file in FILES)
    if text is None:
        return None
    where, file = f"baseline {name}", ABOUT
    try:
        about = json.loads(text)
        if about.get("format") != FORMAT:
            raise PredictionsError(f"{where} has format {about.get('format')!r}, not {FORMAT}: {REMEDY}")
        metrics = {model: {key: float(value) for key, value in row.items()} for model, row in about["metrics"].items()}
        file = PREDICTIONS
        if packed is None:
            raise PredictionsError(f"{where}: {PREDICTIONS} is missing: {REMEDY}")
        rows = unpack(packed, where)
        missing = [model for model in metrics if model not in rows]
        if missing:
            raise PredictionsError(f"{where}: {PREDICTIONS} has no rows of {missing[0]}: {REMEDY}")
        baseline = Baseline(
            metrics,
            rows,
            accepted=about.get("accepted", ""),
            recipes=about.get("recipes", {}),
            split_rules=about.get("split_rules", 1),
        )
        file = SEED_SD
        if seed_sd is not None:
            baseline.seed_sd = read_spread(seed_sd)
    except DAMAGED as error:
        raise PredictionsError(f"{where}: {file} cannot be read ({type(error).__name__}: {error}): {REMEDY}") from None
    return baseline


def read_spread(content: bytes) -> pd.DataFrame:
    """Rows of spread.csv. Raises ValueError or KeyError where they are not usable."""
    words = dict.fromkeys(("model", "target", "slice", "faces", "recipe"), str)
    rows = pd.read_csv(io.BytesIO(content), dtype=words, keep_default_na=False)
    numbers = rows[SEED_COLUMNS[:6]].iloc[:, 3:].apply(pd.to_numeric)
    if not (numbers >= 0).all(axis=None):
        raise ValueError("a number is missing or below 0")
    return rows.assign(**numbers).reindex(columns=SEED_COLUMNS, fill_value="")


def faces_digest(rows: pd.DataFrame) -> str:
    """Digest of the test faces of rows of predictions.csv."""
    return hashlib.sha256(" ".join(predictions.nameless(rows)["face_id"]).encode()).hexdigest()[:12]


def recipe_digest(about: dict) -> str:
    """Digest of what a model was trained with, but for its seed; about: model.json."""
    recipe = {key: value for key, value in about["recipe"].items() if key != "seed"}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def stale_spread(baseline: Baseline, model: str) -> str:
    """Why the spread of seeds of a model may not be that of its baseline, '' where it is or was not measured."""
    rows = baseline.seed_sd[baseline.seed_sd["model"] == model]
    now = {"test faces": faces_digest(baseline.predictions[model]), "settings": baseline.recipes.get(model, "")}
    measured = {"test faces": set(rows["faces"]), "settings": set(rows["recipe"])}
    other = [kind for kind, digest in now.items() if len(rows) and measured[kind] != {digest}]
    words = f"the spread of seeds is not known to be of these {' and '.join(other)}: type `make seeds`"
    return words if other else ""


def unpack(packed: bytes, where: str) -> dict[str, pd.DataFrame]:
    """{model: rows of predictions.csv} from the output of `pack`. Raises PredictionsError if they are not usable."""
    rows = predictions.parse(gzip.decompress(packed))
    by_model = {}
    for model, part in rows.groupby("model"):
        empty = [name for name in PREDICTED if name in part and (part[name].isna() | (part[name] == "")).all()]
        by_model[str(model)] = predictions.checked(part.drop(columns=["model", *empty]), f"{where}, {model}")
    return by_model


def pack(models: dict[str, pd.DataFrame]) -> bytes:
    """Test predictions of models as a compressed CSV; the same bytes for the same rows.

    Face ids are hashed. Mean ages are rounded to 0.001 years: no verdict uses them, and medians are whole years.
    """
    table = pd.concat([predictions.nameless(rows).assign(model=name) for name, rows in models.items()])
    columns = ["model", *(column for column in COLUMNS if column in table)]
    return gzip.compress(table[columns].round(3).to_csv(index=False, lineterminator="\n").encode(), 9, mtime=0)


def write(name: str, baseline: Baseline) -> None:
    """Write about.json, predictions.csv.gz and, of the models in baseline.metrics, the rows of spread.csv, if any."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "format": FORMAT,
        "split_rules": baseline.split_rules,
        "accepted": baseline.accepted,
        "metrics": baseline.metrics,
        "recipes": baseline.recipes,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    (folder / PREDICTIONS).write_bytes(pack(baseline.predictions))
    seed_sd = baseline.seed_sd[baseline.seed_sd["model"].isin(baseline.metrics)]
    if len(seed_sd):
        seed_sd.to_csv(folder / SEED_SD, index=False, lineterminator="\n")
    else:
        (folder / SEED_SD).unlink(missing_ok=True)


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
