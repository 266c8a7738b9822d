"""Commands that run the pipeline several times and compare."""
