"""The PyTorch networks that models are made of."""
