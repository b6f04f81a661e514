"""Cases measured on a lent GPU: prepared on all its cores, timed in order of importance, kept as data."""
