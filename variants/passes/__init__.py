"""One file a graph pass: `passes/<name>.py` defines a GraphPass called <name>."""
