"""A gallery on disk that follows a folder of pictures."""
