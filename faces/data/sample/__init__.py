"""The sample: synthetic faces in the layouts of the published archives."""
