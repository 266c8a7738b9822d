"""Label issues: labels that the models contradict, and copies of one photo whose labels disagree."""

import numpy as np
import pandas as pd

from faces import targets
from faces.data import records
from faces.evaluation import predictions


def contradicted_labels(predicted: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each label of a face that no model was trained on, the most doubtful first.

    predicted: {model: rows of predictions.csv}. Columns: face_id, part, target, label, predicted (by the first model),
    doubt (mean over models) and contradicted. The doubt of a class is 1 less its probability; that of an age is its
    distance from the prediction in units of the age interval's side, so that above 1 it lies outside. A class is
    contradicted where all models confidently predict another (confident learning: Northcutt, Jiang and Chuang 2021,
    eq. 1), an age where for all of them its distance is more than twice that of the interval's end.
    """
    columns = ["face_id", "part", "target", "label", "predicted", "doubt", "contradicted"]
    tables = []
    for name, target in targets.TARGETS.items():
        issues = [
            age_issues(rows, name) if target.kind == "years" else class_issues(rows, target)
            for rows in predicted.values()
            if target in predictions.scored_targets(rows)
        ]
        if not issues:
            continue
        joined = pd.concat(issues).groupby("face_id")
        first = joined[["part", "label", "predicted"]].first()
        first = first.assign(target=name, doubt=joined["doubt"].mean(), contradicted=joined["contradicted"].all())
        tables.append(first.sort_values(["doubt"], ascending=False, kind="stable").reset_index())
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def age_issues(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Columns face_id, part, label, predicted, doubt, contradicted of faces with an age."""
    rows = rows[rows[name].notna()]
    errors = predictions.face_scores(rows, targets.TARGETS[name])
    above, below = (rows[f"{name}_high"] - rows[f"{name}_predicted"], rows[f"{name}_predicted"] - rows[f"{name}_low"])
    doubt = errors["mae"] / np.maximum(np.where(errors["bias"] < 0, above, below), 0.5)
    kept = rows[["face_id", "part"]].assign(label=rows[name].map("{:g}".format), doubt=doubt)
    return kept.assign(predicted=rows[f"{name}_predicted"].map("{:.1f}".format), contradicted=doubt > 2)


def class_issues(rows: pd.DataFrame, target: targets.Target) -> pd.DataFrame:
    """Columns face_id, part, label, predicted, doubt, contradicted of faces with a class."""
    rows = rows[rows[target.name] != ""]
    p = rows[[f"{target.name}_p_{name}" for name in target.classes]].to_numpy(float)
    given = targets.encode(target, rows[target.name].to_numpy())[0].astype(int)
    counts = np.bincount(given, minlength=target.units)
    own = np.bincount(given, p[np.arange(len(p)), given], minlength=target.units)
    usual = np.where(counts > 0, own / np.maximum(counts, 1), np.inf)  # mean p of a class over faces labelled with it
    confident = np.where(p >= usual, p, 0.0)
    wrong = (confident.max(axis=1, initial=0) > 0) & (confident.argmax(axis=1) != given)
    kept = rows[["face_id", "part"]].assign(label=rows[target.name], predicted=rows[f"{target.name}_predicted"])
    return kept.assign(doubt=1 - p[np.arange(len(p)), given], contradicted=wrong)


def with_copies(dataset: str) -> pd.DataFrame:
    """Records of photos that have copies, with `first`, the face id of the copy that is kept."""
    rows = records.read(f"data/records/{dataset}.csv")
    dropped = records.read(f"data/clean/{dataset}/rejects.csv")
    duplicates = dropped[dropped["reject"].str.startswith("copy of ")].set_index("face_id")["reject"]
    first = rows["face_id"].map(duplicates.str.removeprefix("copy of ")).fillna(rows["face_id"])
    return rows.assign(first=first)[first.duplicated(keep=False)]


def label_noise(duplicates: pd.DataFrame) -> dict[str, int | float]:
    """Label noise: how far labels of one photo differ, which is a lower bound of any model's error.

    duplicates: records with `first`. For years: images, mean_difference of two labels of one photo, and label_noise,
    the mean distance in years of a label from the median of its photo's labels: the least MAE on these images. For
    classes: images and label_noise, the share of labels that are not their photo's most frequent one.
    """
    noise: dict[str, int | float] = {"photos": duplicates["first"].nunique(), "images": len(duplicates)}
    for name, target in targets.TARGETS.items():
        known = duplicates[duplicates[name].notna() & (duplicates[name] != "")]
        known = known[known.groupby("first")[name].transform("size") > 1]
        if not len(known):
            continue
        labels = known.groupby("first")[name]
        noise[f"{name}_images"] = len(known)
        if target.kind == "years":
            noise[f"{name}_label_noise"] = round(float((known[name] - labels.transform("median")).abs().mean()), 4)
            noise[f"{name}_mean_difference"] = round(float(labels.agg(mean_difference).mean()), 4)
        else:
            most = labels.agg(lambda names: names.value_counts().iloc[0]).sum()
            noise[f"{name}_label_noise"] = round(float(1 - most / len(known)), 4)
    return noise


def mean_difference(ages: pd.Series) -> float:
    """Mean absolute difference in years of any two of the ages (n,) of one photo."""
    return np.abs(np.subtract.outer(ages.to_numpy(), ages.to_numpy())).sum() / len(ages) / (len(ages) - 1)
