"""Pages, cards and plots, drawn from tables."""
