"""The library: each package imports only those that pyproject.toml lists below it."""

import os

from faces.runtime import startup

# TensorFlow reads this when it is imported. Its default is to use oneDNN on newer CPUs only: other CPUs are then slower
# and give other last digits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
startup.speed_up_import("tensorflow", quiet=True)
startup.speed_up_import("mlflow")
startup.speed_up_import("pandas")
