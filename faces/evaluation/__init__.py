"""Scores of predictions, their intervals, groups of faces and calibration."""
