"""`trtbench tune`: the fastest graph that stays within the accuracy asked for."""
