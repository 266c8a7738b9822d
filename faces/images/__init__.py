"""Image preprocessing and face detection."""
