"""Everything that reads: records, statistics, accuracy, layer profiles and the HTML report."""
