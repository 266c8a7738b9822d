"""Pictures: preprocessing and face detection."""
