"""Build, check and time the kernel versions of plugins/ against their peers."""
