"""Published collections of real texts, read from the files of the packages that hold them, as rows of a task."""
