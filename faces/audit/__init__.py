"""Audits of a dataset: label issues, and near-copies across the parts of the split."""
