"""Worker threads, and the queues of the jobs that they do in groups."""
