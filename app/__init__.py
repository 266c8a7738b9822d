"""The web app, which `make app` starts: its pages, one module each, and the modules that they share."""
