"""Reading pictures: files, queries, addresses."""
