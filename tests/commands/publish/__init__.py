"""Tests of commands/publish."""
