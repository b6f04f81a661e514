"""Profiles, diffs and findings as blocks of a page."""
