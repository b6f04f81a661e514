"""What a sub-graph computes, found by structure: norms, activations, softmax, attention."""
