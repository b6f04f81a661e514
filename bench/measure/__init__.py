"""The clock, the protocol and what keeps a measurement quiet."""
