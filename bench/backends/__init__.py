"""One file a backend: `backends/<name>.py` defines a Backend called <name>."""
