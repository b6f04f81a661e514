"""One file a finding: its evidence, its threshold with the reason, its remedy."""
