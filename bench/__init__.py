"""Builds and measures: the only room that touches a backend or a clock."""
