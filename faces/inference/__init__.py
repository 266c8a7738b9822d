"""Predictions of an exported model, without TensorFlow, and what they rest on."""
