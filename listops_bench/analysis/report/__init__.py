"""The report of an analysis: a page, figures, JSON."""
