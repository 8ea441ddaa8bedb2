"""What a run that learns from rewards is doing: its figures, and the replies that it drew."""
