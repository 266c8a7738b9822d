"""Commands that publish a finished run, and make it again."""
