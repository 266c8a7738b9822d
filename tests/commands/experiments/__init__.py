"""Tests of commands/experiments."""
