"""Published collections of real texts, read from the files of their packages as rows of a task; generated orders."""
