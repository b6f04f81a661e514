"""One file a model: `models/<name>.py` defines a Variant called <name>."""
