"""Published collections of real texts, read from package files as rows of a task; and generated orders."""
