"""Archives, records, packs, duplicates and splits: from what is published to faces with labels."""
