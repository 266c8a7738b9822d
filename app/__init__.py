"""The web app: one module a page, and what pages share. `make app` starts it."""
