"""Commands that publish a finished run, and reproduce it."""
