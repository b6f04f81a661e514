"""One script a trained model: `python -m variants.training.<name>` writes its weights."""
