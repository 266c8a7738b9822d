"""From published archives to labelled faces: archives, records, packs, duplicates, datasets."""
