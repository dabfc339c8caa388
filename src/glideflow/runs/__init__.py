"""What became of a run: the state of each task, the failures, and the commands that compute something again."""
