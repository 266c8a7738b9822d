"""Pages, cards and plots, from the files of the pipeline."""
