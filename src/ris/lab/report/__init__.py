"""The report: figures, tables and pictures on one page."""
