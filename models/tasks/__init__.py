"""Tasks on rows of data (models.settings.tasks): what a model reads and predicts, its loss, and its scores."""
