"""The library: each package imports only those that pyproject.toml lists below it."""

import os

from faces.runtime import startup

# Read when TensorFlow is imported, which by itself computes by oneDNN on newer CPUs alone: slower on others, and with
# other last digits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
startup.importing("tensorflow", quietly=True)
startup.importing("mlflow")
startup.importing("pandas")
