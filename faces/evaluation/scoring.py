"""One score of predictions with its interval, for the commands that choose which faces it is of, and which are hard."""

import numpy as np
import pandas as pd

from faces import params, targets
from faces.evaluation import bootstrap, metrics, predictions

YOUNG, OLD = 15, 70  # years: where models of faces are weakest, sex below and age above
LAST = targets.TARGETS["ethnicity"].classes[-1]  # and the class in which the rest is put together


def scored(rows: pd.DataFrame, target: targets.Target, score: str, settings: params.Evaluate) -> dict:
    """Target, score, n, value, low and high of rows of predictions.csv, by bootstrap over people; NaN below min_n."""
    each = predictions.statistics(rows, target)
    value = metrics.scores(target, each.sum(axis=0))
    n, shown, low, high = int(value["n"]), np.nan, np.nan, np.nan
    if n >= settings.min_n:
        drawn = bootstrap.sums(bootstrap.gather(each, rows["group"].to_numpy()), settings.resamples, settings.seed)
        shown, (low, high) = float(value[score]), metrics.intervals(target, drawn, settings.confidence)[score]
    return {"target": target.name, "score": score, "n": n, "value": shown, "low": low, "high": high}
