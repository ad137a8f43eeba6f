"""Hours of mixed load at both doors of one node, with pauses in which it must be at rest, whole, and no larger than before."""
