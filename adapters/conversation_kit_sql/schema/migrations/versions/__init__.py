"""One module for each revision, named like it. What was released is never changed."""
