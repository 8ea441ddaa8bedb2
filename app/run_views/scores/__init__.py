"""The evaluation of a run's model on a task: scores, predictions, and a comparison with another run."""
