"""Tasks on rows of data (models.settings.tasks): what a model reads and predicts, losses, scores, baselines."""
