"""What MLflow runs of this folder: see MLmodel."""

import faces.tracking.served_model  # noqa: F401, since it tells MLflow which model this is
