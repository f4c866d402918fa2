"""Control: the loops between requests. A rollout is led here: gates, evidence, the next step, the way back."""
