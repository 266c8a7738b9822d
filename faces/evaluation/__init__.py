"""Scores of predictions, their intervals, groups of faces, calibration and label issues."""
