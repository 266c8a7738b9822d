"""Picture preprocessing and face detection."""
