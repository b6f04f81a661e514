"""One file a precision: `precisions/<name>.py` defines a Precision called <name>."""
