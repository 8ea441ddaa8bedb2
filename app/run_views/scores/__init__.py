"""What a run's model is worth on a task: its scores, its predictions, and another run beside it."""
