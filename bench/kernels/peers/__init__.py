"""What people would use instead, one file a family: torch, torch.compile, Triton, SDPA."""
