"""Layer profiles: every source becomes one ranked Layer table."""
