"""The tabs of the page Models, one module each, and the model results that they show."""
